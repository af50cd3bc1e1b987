//! The list of scanners.

use vscan_backends::dialogue::Takes;
use vscan_backends::registry::parse_scanner;

use super::Settings;

/// The scanners in a list with commas, semicolons or blanks in between. The patterns of `dummy` have semicolons of
/// their own: they end at a comma or a blank.
pub(super) fn split(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    let items = words.flat_map(|word| {
        let is_dummy = word.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("dummy:"));
        let separator = if is_dummy { '\0' } else { ';' };
        word.split(separator)
    });
    items.filter(|item| !item.is_empty()).collect()
}

/// Whether there is a place for the copies that a scanner needs; what to do if not.
pub(super) fn check_copies(spec: &str, settings: &Settings) -> Result<(), String> {
    match parse_scanner(spec, &settings.command) {
        Ok(scanner) if scanner.takes() == Takes::Copy && settings.spool_directory.is_none() => Err(format!(
            "{} needs \"spool directory\": it answers by marks beside the file, which anybody in the share can forge; make \
             a directory that is root's alone (chmod 0700), or ask ClamAV itself: clamav:/run/clamav/clamd.ctl",
            scanner.name()
        )),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn accepts_commas_semicolons_and_blanks() {
        for text in
            ["clamav:/a sophie:/b", "clamav:/a,sophie:/b", "clamav:/a;sophie:/b", " clamav:/a ; , sophie:/b;"]
        {
            assert_eq!(split(text), ["clamav:/a", "sophie:/b"], "{text}");
        }
        assert_eq!(split(" ; "), [""; 0]);
    }

    #[test]
    fn leaves_addresses_whole() {
        assert_eq!(split("icap://h:1/s"), ["icap://h:1/s"]);
        assert_eq!(split("dummy:*a*;*b*"), ["dummy:*a*;*b*"]);
        assert_eq!(
            split("dummy:*a*;*b*, icap://h:1/s?x=y;clamav"),
            ["dummy:*a*;*b*", "icap://h:1/s?x=y", "clamav"]
        );
        assert_eq!(split("clamav:tcp:[::1]:3310"), ["clamav:tcp:[::1]:3310"]);
    }
}
