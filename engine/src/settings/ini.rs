//! The lines of an INI file in Samba's dialect, each with its number and its value as it was written.
//!
//! Own code, because no crate reads this dialect: `rust-ini` keeps no line numbers and treats quotes and backslashes
//! as its own, `ini_core` has line numbers but no continuation lines and only one comment character. Regular
//! expressions live in these files, so nothing here may interpret a value.

/// One meaningful line (with its continuation lines).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The number of its first line, from 1.
    pub(super) number: usize,
    pub(super) content: Content<'a>,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// `[name]`. A missing bracket is forgiven: the reader of the list sees `closed`.
    Section { name: &'a str, closed: bool },
    /// `name = value`, both without the blanks around them.
    Option { name: String, value: String },
    /// Neither of the two.
    Malformed(String),
}

/// All lines but blank ones and comments.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((index, first)) = rest.next() {
        let first = first.trim();
        if first.is_empty() || first.starts_with([';', '#']) {
            continue;
        }
        let content = match first.strip_prefix('[') {
            Some(header) => section(header),
            None => option(&continued(first, &mut rest)),
        };
        found.push(Line { number: index + 1, content });
    }
    found
}

fn section(header: &str) -> Content<'_> {
    match header.split_once(']') {
        Some((name, _)) => Content::Section { name: name.trim(), closed: true },
        None => Content::Section { name: header.trim(), closed: false },
    }
}

/// Joins the lines that follow a trailing backslash. As in smb.conf, the blanks that a joined line begins with count
/// as one, and a comment sign has no meaning there.
fn continued<'a>(first: &str, rest: &mut impl Iterator<Item = (usize, &'a str)>) -> String {
    let mut whole = first.to_owned();
    while let Some(kept) = whole.strip_suffix('\\').map(str::len) {
        whole.truncate(kept);
        let Some((_, next)) = rest.next() else { break };
        if next.starts_with(char::is_whitespace) && !whole.ends_with(char::is_whitespace) {
            whole.push(' ');
        }
        whole.push_str(next.trim());
    }
    whole
}

fn option(line: &str) -> Content<'static> {
    match line.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Content::Option { name: name.trim().to_owned(), value: value.trim().to_owned() }
        }
        Some(_) | None => Content::Malformed(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Vec<(usize, String, String)> {
        let as_option = |line: Line<'_>| match line.content {
            Content::Option { name, value } => (line.number, name, value),
            other @ (Content::Section { .. } | Content::Malformed(_)) => panic!("{other:?}"),
        };
        lines(text).into_iter().map(as_option).collect()
    }

    #[test]
    fn accepts_both_comment_signs_and_reports_line_numbers() {
        let text = "\u{feff}; one\n\n# two\r\n  max file size =  5 \r\n";
        assert_eq!(options(text), [(4, "max file size".to_owned(), "5".to_owned())]);
    }

    #[test]
    fn accepts_values_raw() {
        let text = r#"a = ^/x "y" \.(doc|xls)$ ; z # = %S"#;
        assert_eq!(options(text)[0].2, r#"^/x "y" \.(doc|xls)$ ; z # = %S"#);
    }

    #[test]
    fn accepts_continuation_lines() {
        let text = "a = one;\\\n    two;\\ \n# three\nb = x\\\ny\nc = end\\";
        let expected = [(1, "a", "one; two;# three"), (4, "b", "xy"), (6, "c", "end")];
        let expected = expected.map(|(n, name, value)| (n, name.to_owned(), value.to_owned()));
        assert_eq!(options(text), expected);
    }

    #[test]
    fn a_comment_is_not_continued() {
        assert_eq!(options("; one \\\na = b").len(), 1);
    }

    #[test]
    fn accepts_sections_and_tells_an_unclosed_one() {
        let contents: Vec<_> = lines("[ vscan ] ; x\n[data").into_iter().map(|line| line.content).collect();
        let expected = [
            Content::Section { name: "vscan", closed: true },
            Content::Section { name: "data", closed: false },
        ];
        assert_eq!(contents, expected);
    }

    #[test]
    fn refuses_a_line_that_sets_nothing() {
        for text in ["scan on open", "= yes"] {
            assert_eq!(lines(text)[0].content, Content::Malformed(text.to_owned()));
        }
    }
}
