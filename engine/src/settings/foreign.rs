//! Options of samba-vscan and vfs_virusfilter that mean nothing here: accepted, with a word on what to do instead.

use super::table::key;

const CLAMD: &str =
    "the limits for archives are in clamd.conf (ScanArchive, MaxFiles, MaxFileSize, MaxRecursion)";
// Three products whose own protocol nobody ever described.
const ANTIVIR: &str = "AntiVir is run as \"scanner = command:avscan\", or asked as savapi:";
const MCAFEE: &str = "McAfee is run as \"scanner = command:uvscan\", or asked as mcafee://host:1344";
const CARRIERSCAN: &str = "Symantec's engines are asked as \"scanner = symantec://host:1344\", in ICAP";
const DAEMON: &str = "the scanner's own configuration decides";
const STATUS: &str = "what a client is told is said by the option \"infected status\"";
const QUARANTINE: &str =
    "names and rights in quarantine are fixed, and the origin of each file is recorded there";

const FOREIGN: &[(&str, &str)] = &[
    // samba-vscan
    ("scan archives", CLAMD),
    ("libclamav max files in archive", CLAMD),
    ("libclamav max archived file size", CLAMD),
    ("libclamav max recursion level", CLAMD),
    ("antivir binary path", ANTIVIR),
    ("fprotd args", DAEMON),
    ("fsav userinstance", DAEMON),
    ("fsav connect uid", DAEMON),
    ("fsav config file", DAEMON),
    ("fsav binary", DAEMON),
    ("fsav db dir", DAEMON),
    ("fsav archive scan", DAEMON),
    ("fsav maxnested level", DAEMON),
    ("fsav mime scan", DAEMON),
    ("fsav timeout", "the option \"scan timeout\" limits every scan"),
    ("mcdaemon ip", MCAFEE),
    ("mcdaemon port", MCAFEE),
    ("cs ip port", CARRIERSCAN),
    ("config-file", "it is read from smb.conf only (vscan:config-file)"),
    // vfs_virusfilter
    ("infected file errno on open", STATUS),
    ("infected file errno on close", STATUS),
    ("scan error errno on open", STATUS),
    ("scan error errno on close", STATUS),
    ("quarantine suffix", QUARANTINE),
    ("quarantine keep tree", QUARANTINE),
    ("quarantine keep name", QUARANTINE),
    ("quarantine directory mode", QUARANTINE),
    ("exclude files", "those files are scanned; use \"exclude file regexp\" or \"exclude paths\""),
    ("scan archive", DAEMON),
    ("max nested scan archive", DAEMON),
    ("scan mime", DAEMON),
    ("scan riskware", DAEMON),
    ("block suspected file", DAEMON),
    ("infected files", "it belongs to a scanner that does not exist here"),
    ("scan request limit", "connections to the scanner are managed without it"),
];

/// Beginnings of option names that belonged to one scanner of samba-vscan, and to nothing else.
const FAMILIES: &[&str] = &["antivir", "fprotd", "fsav", "libclamav", "mcdaemon"];

/// Names to ask smb.conf for. `config-file` belongs there, so it is no mistake and not asked for.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FOREIGN.iter().map(|(name, _)| *name).filter(|name| *name != "config-file")
}

/// None if the name is not known here either.
pub(super) fn why_ignored(name: &str) -> Option<&'static str> {
    let key_of_name = key(name);
    let listed = FOREIGN.iter().find(|(foreign, _)| key(foreign) == key_of_name).map(|(_, why)| *why);
    listed.or_else(|| FAMILIES.iter().any(|family| key_of_name.starts_with(family)).then_some(DAEMON))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_options_of_other_modules_and_no_others() {
        assert_eq!(why_ignored("Scan  Archives"), Some(CLAMD));
        assert_eq!(why_ignored("fsav something"), Some(DAEMON));
        assert_eq!(why_ignored("scan on opne"), None);
    }

    #[test]
    fn no_name_has_a_meaning_here() {
        for (name, why) in FOREIGN {
            assert!(super::super::table::find(name).is_none(), "{name}");
            assert!(!why.is_empty());
        }
    }
}
