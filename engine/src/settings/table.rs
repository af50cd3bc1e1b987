//! The options: the single source of their names, defaults, help and meaning.
//!
//! To add one: a field in `Settings`, a row here, and `VSCAN_BLESS=1 cargo test -p vscan-engine example` to write
//! `vscan.conf.example` anew.

use std::path::PathBuf;

use super::option::{Alias, Applied, Kind, Opt};
use super::path_map::PathMap;
use super::patterns::{FileRegexp, MimeTypes, PathPatterns};
use super::syslog::{FACILITIES, PRIORITIES};
use super::value::{choice, entries, interval, lifetime, name_part, scans_in_flight, size, timeout, yes_no};
use super::{InfectedStatus, OnConfigError, OverLimit, ScanOnClose, ScannerMode};
use crate::action::Action;

fn set<T>(field: &mut T, parsed: Result<T, String>) -> Applied {
    *field = parsed?;
    Ok(None)
}

fn set_timeout(field: &mut std::time::Duration, text: &str) -> Applied {
    let (wait, remark) = timeout(text)?;
    *field = wait;
    Ok(remark)
}

fn set_quarantine_directory(field: &mut PathBuf, text: &str) -> Applied {
    let directory = PathBuf::from(text);
    if !directory.is_absolute() {
        return Err("must be an absolute path, without quotes".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("may not contain a control character".to_owned());
    }
    let volatile = ["/tmp", "/var/tmp", "/dev/shm", "/run"].iter().any(|place| directory.starts_with(place));
    *field = directory;
    let remark =
        "files do not stay in such a directory: it is cleaned up without asking; better choose another";
    Ok(volatile.then(|| remark.to_owned()))
}

fn set_epoch_file(field: &mut Option<PathBuf>, text: &str) -> Applied {
    let file = PathBuf::from(text);
    if !text.is_empty() && !file.is_absolute() {
        return Err("must be an absolute path, without quotes, or empty".to_owned());
    }
    *field = (!text.is_empty()).then_some(file);
    Ok(None)
}

fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

/// A yes or no for samba-vscan, in all the words for these.
fn scan_on_close(text: &str) -> Result<ScanOnClose, String> {
    match yes_no(text) {
        Ok(true) => Ok(ScanOnClose::Yes),
        Ok(false) => Ok(ScanOnClose::No),
        Err(_) if text.eq_ignore_ascii_case("wait") => Ok(ScanOnClose::Wait),
        Err(_) => Err("must be yes, no or wait".to_owned()),
    }
}

const SCANNER_MODE: &[(&str, ScannerMode)] =
    &[("first", ScannerMode::First), ("balance", ScannerMode::Balance), ("all", ScannerMode::All)];

const OVER_LIMIT: &[(&str, OverLimit)] = &[("allow", OverLimit::Allow), ("deny", OverLimit::Deny)];

const INFECTED_STATUS: &[(&str, InfectedStatus)] =
    &[("virus infected", InfectedStatus::VirusInfected), ("access denied", InfectedStatus::AccessDenied)];

const INFECTED_ACTION: &[(&str, Action)] = &[
    ("quarantine", Action::Quarantine),
    ("delete", Action::Delete),
    ("remove", Action::Delete),
    ("unlink", Action::Delete),
    ("rename", Action::Rename),
    ("nothing", Action::Nothing),
];

const ON_CONFIG_ERROR: &[(&str, OnConfigError)] =
    &[("defaults", OnConfigError::Defaults), ("deny", OnConfigError::Deny)];

const fn same(name: &'static str) -> Alias {
    Alias { name, prefix: "" }
}

pub(super) const SCANNER: Opt = Opt {
    name: "scanner",
    aliases: &[
        Alias { name: "clamd socket name", prefix: "clamav:" },
        Alias { name: "sophie socket name", prefix: "sophie:" },
        Alias { name: "trophie socket name", prefix: "trophie:" },
    ],
    kind: Kind::Text,
    default: "clamav:/var/run/clamav/clamd.ctl",
    on_mistake: "clamav:/var/run/clamav/clamd.ctl",
    help: "Which scanner is asked, and where it listens: the scanner's name, a colon, and a socket, such as \
           clamav:tcp:192.0.2.5:3310 or icap://192.0.2.5:1344/avscan. Several stand in a list with commas, semicolons or \
           blanks in between; \"scanner mode\" says how they work together.",
    apply: |draft, text| set(&mut draft.scanner, Ok(text.to_owned())),
};

pub(super) const SOCKET_PATH: Opt = Opt {
    name: "socket path",
    aliases: &[],
    kind: Kind::Text,
    default: "",
    on_mistake: "",
    help: "Where the scanner listens, when \"scanner\" is a name only, as vfs_virusfilter wants it. Better say both in \
           \"scanner\".",
    apply: |draft, text| set(&mut draft.socket_path, Ok(text.to_owned())),
};

pub(super) const RENAME_SUFFIX: Opt = Opt {
    name: "rename suffix",
    aliases: &[],
    kind: Kind::Text,
    default: ".infected",
    on_mistake: ".infected",
    help: "What a renamed infected file gets behind its name.",
    apply: |draft, text| set(&mut draft.settings.rename_suffix, name_part(text)),
};

/// All of them, in the order of the documentation.
pub static OPTIONS: &[Opt] = &[
    SCANNER,
    SOCKET_PATH,
    Opt {
        name: "scanner mode",
        aliases: &[],
        kind: Kind::Choice(|| words(SCANNER_MODE)),
        default: "first",
        on_mistake: "all",
        help: "How several scanners work together. first: in order, the next one only while the one before gives no \
               verdict. balance: whichever has the least to do. all: each scans every file, one after the other; a file \
               is clean if all say so, and infected if one does. A scanner that gives no verdict is left alone for 1 \
               second, then for 2, 4 and up to 60, while there are others.",
        apply: |draft, text| set(&mut draft.settings.scanner_mode, choice(text, SCANNER_MODE)),
    },
    Opt {
        name: "path map",
        aliases: &[],
        kind: Kind::List,
        default: "",
        on_mistake: "",
        help: "For scanners that are told a path and see the share elsewhere: our directory, a colon, and theirs, such \
               as /srv/share:/mnt/share. The longest directory that fits counts. Scanners that are sent the content or \
               a descriptor do not need it.",
        apply: |draft, text| set(&mut draft.settings.path_map, PathMap::parse(text)),
    },
    Opt {
        name: "scan on open",
        aliases: &[],
        kind: Kind::YesNo,
        default: "yes",
        on_mistake: "yes",
        help: "Scan a file before it is opened for reading. Files that were scanned already and have \
               not changed since are not scanned again.",
        apply: |draft, text| set(&mut draft.settings.scan_on_open, yes_no(text)),
    },
    Opt {
        name: "scan on close",
        aliases: &[],
        kind: Kind::Choice(|| vec!["yes", "no", "wait"]),
        default: "yes",
        on_mistake: "yes",
        help: "Scan a file after it was changed and closed. yes: the client goes on meanwhile, and an open of the file \
               waits for the result. wait: the client's close waits, and fails if something was found.",
        apply: |draft, text| set(&mut draft.settings.scan_on_close, scan_on_close(text)),
    },
    Opt {
        name: "max scans in flight",
        aliases: &[],
        kind: Kind::Number,
        default: "8",
        on_mistake: "8",
        help: "How many files of one client are scanned at once. More wait in a queue, those that are being opened \
               before those that were closed.",
        apply: |draft, text| set(&mut draft.settings.max_scans_in_flight, scans_in_flight(text)),
    },
    Opt {
        name: "large file size",
        aliases: &[],
        kind: Kind::Size,
        default: "32M",
        on_mistake: "32M",
        help: "Larger files wait for each other only, a quarter of \"max scans in flight\" at once, so that they do \
               not hold up documents. 0: all files wait in one queue.",
        apply: |draft, text| {
            set(
                &mut draft.settings.large_file_size,
                size(text).map(|size| Some(size).filter(|size| size.0 > 0)),
            )
        },
    },
    Opt {
        name: "max file size",
        aliases: &[],
        kind: Kind::Size,
        default: "0",
        on_mistake: "0",
        help: "Larger files are not scanned. 0: no limit. What happens to them is said by \"files over \
               the limit\".",
        apply: |draft, text| {
            set(
                &mut draft.settings.max_file_size,
                size(text).map(|size| Some(size).filter(|size| size.0 > 0)),
            )
        },
    },
    Opt {
        name: "files over the limit",
        aliases: &[],
        kind: Kind::Choice(|| words(OVER_LIMIT)),
        default: "allow",
        on_mistake: "deny",
        help: "Whether files that are larger than \"max file size\" may be opened without a scan.",
        apply: |draft, text| set(&mut draft.settings.files_over_the_limit, choice(text, OVER_LIMIT)),
    },
    Opt {
        name: "min file size",
        aliases: &[],
        kind: Kind::Size,
        default: "0",
        on_mistake: "0",
        help: "Smaller files are not scanned. Empty files never are.",
        apply: |draft, text| set(&mut draft.settings.min_file_size, size(text)),
    },
    Opt {
        name: "exclude file regexp",
        aliases: &[],
        kind: Kind::Regexp,
        default: "",
        on_mistake: "",
        help: "Files whose path matches are not scanned. One expression; it sees the share's path, a \
               slash and the name, distinguishes upper and lower case, and matches anywhere unless it \
               says ^ or $. There is no look-around and there are no backreferences. Whoever may choose \
               a file's name can make it match: an excluded place is safer than an excluded name.",
        apply: |draft, text| set(&mut draft.settings.exclude_file_regexp, FileRegexp::parse(text)),
    },
    Opt {
        name: "exclude file types",
        aliases: &[],
        kind: Kind::List,
        default: "",
        on_mistake: "",
        help: "Files of these MIME types are not scanned: image/png, or image/* for all of a kind. The \
               type is found by looking at how the content begins, which can be forged.",
        apply: |draft, text| set(&mut draft.settings.exclude_file_types, MimeTypes::parse(text)),
    },
    Opt {
        name: "include paths",
        aliases: &[],
        kind: Kind::List,
        default: "",
        on_mistake: "",
        help: "If this is not empty, only these files, and everything below these directories, are scanned. \
               An entry is absolute or relative to the share's root; * stands for anything within one \
               name and ? for one character.",
        apply: |draft, text| set(&mut draft.settings.include_paths, PathPatterns::parse(text)),
    },
    Opt {
        name: "exclude paths",
        aliases: &[],
        kind: Kind::List,
        default: "",
        on_mistake: "",
        help: "These files, and everything below these directories, are not scanned. The entries are like \
               those of \"include paths\", over which they win.",
        apply: |draft, text| set(&mut draft.settings.exclude_paths, PathPatterns::parse(text)),
    },
    Opt {
        name: "deny access on error",
        aliases: &[same("block access on error")],
        kind: Kind::YesNo,
        default: "yes",
        on_mistake: "yes",
        help: "Deny access to a file when the scanner cannot be reached, fails or does not answer in \
               time. With no, the file is opened without a scan, which is logged.",
        apply: |draft, text| set(&mut draft.settings.deny_access_on_error, yes_no(text)),
    },
    Opt {
        name: "deny access on minor error",
        aliases: &[],
        kind: Kind::YesNo,
        default: "yes",
        on_mistake: "yes",
        help: "Deny access to a file when the scanner works but cannot judge this very file: it is \
               encrypted, corrupt or beyond the scanner's own limits.",
        apply: |draft, text| set(&mut draft.settings.deny_access_on_minor_error, yes_no(text)),
    },
    Opt {
        name: "enforce",
        aliases: &[],
        kind: Kind::YesNo,
        default: "yes",
        on_mistake: "yes",
        help: "With no, files are scanned and everything is logged, but nothing is denied and infected \
               files are left alone: for trying out.",
        apply: |draft, text| set(&mut draft.settings.enforce, yes_no(text)),
    },
    Opt {
        name: "infected status",
        aliases: &[],
        kind: Kind::Choice(|| words(INFECTED_STATUS)),
        default: "virus infected",
        on_mistake: "virus infected",
        help: "What the client is told when it opens an infected file. With \"virus infected\", Windows \
               shows that the file contains a virus.",
        apply: |draft, text| set(&mut draft.settings.infected_status, choice(text, INFECTED_STATUS)),
    },
    Opt {
        name: "infected file action",
        aliases: &[],
        kind: Kind::Choice(|| words(INFECTED_ACTION)),
        default: "quarantine",
        on_mistake: "quarantine",
        help: "What is done with an infected file, besides denying access to it: move it to the \
               quarantine directory, delete it, rename it where it is, or nothing. remove and unlink \
               mean delete.",
        apply: |draft, text| set(&mut draft.settings.infected_file_action, choice(text, INFECTED_ACTION)),
    },
    Opt {
        name: "quarantine directory",
        aliases: &[],
        kind: Kind::Path,
        default: "/var/lib/vscan/quarantine",
        on_mistake: "/var/lib/vscan/quarantine",
        help: "Where infected files go. It should belong to root and not be reachable through a share.",
        apply: |draft, text| set_quarantine_directory(&mut draft.settings.quarantine_directory, text),
    },
    Opt {
        name: "quarantine prefix",
        aliases: &[],
        kind: Kind::Text,
        default: "vir-",
        on_mistake: "vir-",
        help: "How the names of files in quarantine begin.",
        apply: |draft, text| set(&mut draft.settings.quarantine_prefix, name_part(text)),
    },
    Opt {
        name: "rename prefix",
        aliases: &[],
        kind: Kind::Text,
        default: "",
        on_mistake: "",
        help: "What a renamed infected file gets in front of its name.",
        apply: |draft, text| set(&mut draft.settings.rename_prefix, name_part(text)),
    },
    RENAME_SUFFIX,
    Opt {
        name: "max lru files entries",
        aliases: &[same("cache entry limit")],
        kind: Kind::Number,
        default: "10000",
        on_mistake: "10000",
        help: "How many results of scans are remembered. 0: none, every open is a scan.",
        apply: |draft, text| set(&mut draft.cache_entries, entries(text)),
    },
    Opt {
        name: "lru file entry lifetime",
        aliases: &[same("cache time limit")],
        kind: Kind::Duration,
        default: "3600",
        on_mistake: "3600",
        help: "How long a result is remembered. A change of the file ends it earlier, and so do new \
               signatures of the scanner. -1: no limit. 0: nothing is remembered.",
        apply: |draft, text| set(&mut draft.cache_lifetime, lifetime(text)),
    },
    Opt {
        name: "signature check interval",
        aliases: &[],
        kind: Kind::Duration,
        default: "60",
        on_mistake: "60",
        help: "How often a scanner is asked for the version of its signatures, at most and only while files are opened. \
               New ones void all results that are remembered. 0: never.",
        apply: |draft, text| set(&mut draft.settings.signature_check_interval, interval(text)),
    },
    Opt {
        name: "signature epoch file",
        aliases: &[],
        kind: Kind::Path,
        default: "/var/lib/vscan/epoch",
        on_mistake: "/var/lib/vscan/epoch",
        help: "Touching this file voids all results that are remembered. For signatures that do not show in the \
               scanner's version, such as home-made ones: have freshclam's OnUpdateExecute touch it. Empty: there is no \
               such file.",
        apply: |draft, text| set_epoch_file(&mut draft.settings.signature_epoch_file, text),
    },
    Opt {
        name: "connect timeout",
        aliases: &[],
        kind: Kind::Duration,
        default: "5",
        on_mistake: "5",
        help: "How long to wait for a connection to the scanner. For this and the other timeouts, a \
               plain number from 1000 on means milliseconds, as in vfs_virusfilter.",
        apply: |draft, text| set_timeout(&mut draft.settings.connect_timeout, text),
    },
    Opt {
        name: "io timeout",
        aliases: &[],
        kind: Kind::Duration,
        default: "60",
        on_mistake: "60",
        help: "How long to wait for each step of the conversation with the scanner.",
        apply: |draft, text| set_timeout(&mut draft.settings.io_timeout, text),
    },
    Opt {
        name: "scan timeout",
        aliases: &[],
        kind: Kind::Duration,
        default: "120",
        on_mistake: "120",
        help: "How long the scan of one file may take as a whole. Without a verdict by then, \"deny \
               access on error\" decides. Windows clients give up after a minute or so; the result of \
               the scan is remembered for their next attempt.",
        apply: |draft, text| set_timeout(&mut draft.settings.scan_timeout, text),
    },
    Opt {
        name: "syslog",
        aliases: &[],
        kind: Kind::YesNo,
        default: "yes",
        on_mistake: "yes",
        help: "Log to syslog as well as to Samba's log.",
        apply: |draft, text| set(&mut draft.syslog, yes_no(text)),
    },
    Opt {
        name: "syslog facility",
        aliases: &[],
        kind: Kind::Choice(|| words(FACILITIES)),
        default: "user",
        on_mistake: "user",
        help: "The facility of lines in syslog.",
        apply: |draft, text| set(&mut draft.facility, choice(text, FACILITIES).map(Some)),
    },
    Opt {
        name: "syslog priority",
        aliases: &[],
        kind: Kind::Choice(|| words(PRIORITIES)),
        default: "notice",
        on_mistake: "notice",
        help: "The priority of ordinary lines in syslog. Infected files and trouble are at least err.",
        apply: |draft, text| set(&mut draft.priority, choice(text, PRIORITIES).map(Some)),
    },
    Opt {
        name: "verbose file logging",
        aliases: &[],
        kind: Kind::YesNo,
        default: "no",
        on_mistake: "no",
        help: "Log every file with the reason why it was allowed or denied, not only finds and trouble.",
        apply: |draft, text| set(&mut draft.settings.verbose_file_logging, yes_no(text)),
    },
    Opt {
        name: "send warning message",
        aliases: &[],
        kind: Kind::YesNo,
        default: "yes",
        on_mistake: "yes",
        help: "Tell the user of the client about an infected file. Accepted, but without effect in this \
               release: no message is sent yet.",
        apply: |draft, text| set(&mut draft.settings.send_warning_message, yes_no(text)),
    },
    Opt {
        name: "on config error",
        aliases: &[],
        kind: Kind::Choice(|| words(ON_CONFIG_ERROR)),
        default: "defaults",
        on_mistake: "defaults",
        help: "What a mistake in the configuration means: whatever was wrong is at its protective \
               default and the share works (defaults), or the share refuses to open files until the \
               mistake is mended (deny). Set it in smb.conf to cover a configuration file that cannot \
               be read.",
        apply: |draft, text| set(&mut draft.settings.on_config_error, choice(text, ON_CONFIG_ERROR)),
    },
];

/// Names compare as in smb.conf: case and blanks do not count.
pub(super) fn key(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// The option of this name, with what its value is to be put behind.
pub(super) fn find(name: &str) -> Option<(&'static Opt, &'static str)> {
    let wanted = key(name);
    let named = |option: &'static Opt| {
        if key(option.name) == wanted {
            return Some((option, ""));
        }
        option.aliases.iter().find(|alias| key(alias.name) == wanted).map(|alias| (option, alias.prefix))
    };
    OPTIONS.iter().find_map(named)
}

/// Every name that is understood.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    OPTIONS
        .iter()
        .flat_map(|option| std::iter::once(option.name).chain(option.aliases.iter().map(|alias| alias.name)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::settings::Settings;
    use crate::settings::draft::Draft;

    #[test]
    fn no_name_occurs_twice() {
        let mut seen = HashSet::new();
        for name in all_names() {
            assert!(seen.insert(key(name)), "{name}");
        }
    }

    #[test]
    fn every_option_is_explained_and_found() {
        for option in OPTIONS {
            assert!(option.help.ends_with('.') && !option.help.contains("  "), "{}", option.name);
            assert_eq!(find(&option.name.to_uppercase()).unwrap().0.name, option.name);
            assert!(!option.kind.describe().is_empty());
        }
    }

    #[test]
    fn every_default_every_fallback_and_every_choice_can_be_read() {
        let mut draft = Draft::blank();
        for option in OPTIONS {
            let mut texts = vec![option.default, option.on_mistake];
            if let Kind::Choice(words) = option.kind {
                texts.extend(words());
            }
            for text in texts {
                assert_eq!((option.apply)(&mut draft, text), Ok(None), "{} = {text}", option.name);
            }
        }
    }

    #[test]
    fn defaults_protect() {
        let settings = Settings::default();
        assert!(settings.scan_on_open && settings.scan_on_close == ScanOnClose::Yes && settings.enforce);
        assert!(settings.deny_access_on_error && settings.deny_access_on_minor_error);
        assert_eq!(settings.max_file_size, None);
        assert!(settings.exclude_file_regexp.is_none() && settings.exclude_paths.is_empty());
        assert_eq!(settings.infected_file_action, Action::Quarantine);
        assert!(settings.cache.is_some() && settings.syslog.is_some());
    }
}
