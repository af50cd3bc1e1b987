//! The list of scanners.

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
