//! Which files: by regular expression, by place and by type.

use regex::bytes::Regex;

/// `exclude file regexp`: one expression over the absolute path.
#[derive(Clone, Debug)]
pub struct FileRegexp(Regex);

impl PartialEq for FileRegexp {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl FileRegexp {
    /// None for an empty text, which as an expression would match every file.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let regex = Regex::new(text).map_err(|error| explain(&error))?;
        // What matches both of these, which share nothing but slashes, matches any path: `.*`, `..`, a stray `|`.
        if regex.is_match(b"/qjxzvkwq/zxqjwvk") && regex.is_match(b"/70352/9418627") {
            return Err("matches every file, so that nothing would be scanned".to_owned());
        }
        Ok(Some(Self(regex)))
    }

    /// Whether this path (share path, slash, name) is meant.
    pub fn is_match(&self, path: &[u8]) -> bool {
        self.0.is_match(path)
    }
}

fn explain(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let reason = last.strip_prefix("error: ").unwrap_or(last);
    format!(
        "is not a regular expression that can be used here ({reason}); Perl's look-around and backreferences do not exist here"
    )
}

/// `exclude file types`: MIME types, or all of a kind (`image/*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MimeTypes(Vec<String>);

impl MimeTypes {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let types: Vec<_> = items(text).map(str::to_ascii_lowercase).collect();
        for mime in &types {
            let halves = mime.split_once('/').filter(|(kind, subtype)| {
                !kind.is_empty() && !kind.contains('*') && !subtype.is_empty() && !subtype.contains('/')
            });
            match halves {
                Some((_, "*")) => {}
                Some((_, subtype)) if !subtype.contains('*') => {}
                Some(_) | None => {
                    return Err(format!("\"{mime}\" is not a type such as image/png or image/*"));
                }
            }
        }
        Ok(Self(types))
    }

    /// Whether there are none, so that no file's type needs to be looked at.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this type is among them.
    pub fn contains(&self, mime: &str) -> bool {
        let mime = mime.to_ascii_lowercase();
        self.0.iter().any(|listed| match listed.strip_suffix('*') {
            Some(kind) => mime.starts_with(kind),
            None => *listed == mime,
        })
    }
}

/// `include paths` or `exclude paths`: places, each with everything below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathPatterns(Vec<PathPattern>);

#[derive(Clone, Debug)]
struct PathPattern {
    text: String,
    absolute: bool,
    regex: Regex,
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl PathPatterns {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        items(text).map(PathPattern::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first pattern, as written, that this file is at or below.
    ///
    /// `path` is absolute, `path_in_share` relative to the share's root; both without `.` and `..`.
    pub fn covering(&self, path: &[u8], path_in_share: &[u8]) -> Option<&str> {
        let covers = |pattern: &&PathPattern| {
            let subject = if pattern.absolute { path } else { without_leading_slashes(path_in_share) };
            pattern.regex.is_match(subject)
        };
        self.0.iter().find(covers).map(|pattern| pattern.text.as_str())
    }
}

impl PathPattern {
    /// Translates into a regular expression over bytes: a name need not be UTF-8, and `*` stops at a slash.
    fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(format!("\"{text}\" contains \"..\""));
        }
        let absolute = text.starts_with('/');
        if parts.is_empty() || (parts.len() == 1 && parts.iter().all(|part| part.chars().all(|c| c == '*'))) {
            return Err(format!("\"{text}\" covers every file"));
        }
        let parts: Vec<_> = parts.into_iter().map(part_as_regex).collect();
        let start = if absolute { "/" } else { "" };
        let regex = Regex::new(&format!("(?s-u)^{start}{}(?:/|$)", parts.join("/")));
        Ok(Self { text: text.to_owned(), absolute, regex: regex.map_err(|error| explain(&error))? })
    }
}

fn part_as_regex(part: &str) -> String {
    let one = |c: char| match c {
        '*' => "[^/]*".to_owned(),
        '?' => "(?u:[^/])".to_owned(),
        c => regex::escape(c.encode_utf8(&mut [0; 4])),
    };
    part.chars().map(one).collect()
}

/// The entries of a list with semicolons.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|item| !item.is_empty())
}

/// smbd hands out names both with and without a slash in front.
fn without_leading_slashes(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    path.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(pattern: &str, path: &[u8]) -> bool {
        FileRegexp::parse(pattern).unwrap().unwrap().is_match(path)
    }

    #[test]
    fn accepts_a_regexp_over_the_whole_path_in_bytes() {
        assert!(excluded(r"\.(iso|vmdk)$", b"/srv/data/a.iso"));
        assert!(excluded(r"^/srv/data/tmp/", b"/srv/data/tmp/\xff"));
        assert!(excluded(r"(?i)\.ISO$", b"/srv/data/\xff.iso"));
        assert!(excluded(r"(?-u)^/srv/.*\.iso$", b"/srv/\xff.iso"));
        assert!(!excluded(r"\.ISO$", b"/srv/data/a.iso"));
    }

    #[test]
    fn an_empty_regexp_excludes_nothing() {
        assert!(FileRegexp::parse("").unwrap().is_none());
    }

    #[test]
    fn refuses_a_regexp_that_excludes_everything() {
        for pattern in [".*", "/", "^/", r"\.doc$|", "x*", "[^a-z]", "..", ".{8}", r"\w"] {
            assert!(FileRegexp::parse(pattern).unwrap_err().contains("every file"), "{pattern}");
        }
        for pattern in ["^/$", "[^ -~]", "[a-z]", r"\.", "^/srv/", "[A-Z]"] {
            assert!(FileRegexp::parse(pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn refuses_perl_only_regexps_in_one_line_that_explains() {
        for pattern in [r"(?!x)y", r"(a)\1", "(", "a{99999}{99999}"] {
            let wrong = FileRegexp::parse(pattern).unwrap_err();
            assert!(wrong.contains("look-around") && !wrong.contains('\n'), "{wrong}");
        }
    }

    #[test]
    fn accepts_types_whatever_their_case_and_blanks() {
        let types = MimeTypes::parse(" Image/PNG ;; text/* ; ").unwrap();
        assert!(types.contains("image/png") && types.contains("TEXT/x-log"));
        assert!(!types.contains("image/png2") && !types.contains("textual/x"));
        assert!(MimeTypes::parse(" ; ").unwrap().is_empty());
    }

    #[test]
    fn refuses_what_is_no_type() {
        for text in ["png", "*/*", "*", "image/", "/png", "image/p*", "a/b/c"] {
            assert!(MimeTypes::parse(text).is_err(), "{text}");
        }
    }

    fn covers(pattern: &str, path_in_share: &[u8]) -> bool {
        let path = [b"/srv/data/", path_in_share].concat();
        PathPatterns::parse(pattern).unwrap().covering(&path, path_in_share).is_some()
    }

    #[test]
    fn a_place_covers_itself_and_everything_below() {
        for pattern in
            ["tmp", "tmp/", "./tmp", "/srv/data/tmp", "/srv//data/tmp/", "x;tmp", "t?p", "/srv/*/tmp", "t*"]
        {
            assert!(covers(pattern, b"tmp/a/b"), "{pattern}");
            assert!(covers(pattern, b"tmp"), "{pattern}");
        }
        assert!(covers("/srv", b"any"));
        assert!(covers("tmp", b"/tmp/a"));
        assert!(covers("*/cache", b"\xff/cache/x"));
        assert!(covers("b?cher", "b\u{fc}cher/x".as_bytes()));
        assert!(covers("b\u{fc}cher", "b\u{fc}cher/x".as_bytes()));
        assert!(covers("a+b(c).x", b"a+b(c).x"));
    }

    #[test]
    fn a_place_covers_nothing_beside_it() {
        for pattern in ["tmp", "/srv/data/tmp", "/tmp", "data/tmp", "*/tmp", "tmp/?", "TMP", "t"] {
            assert!(!covers(pattern, b"tmp2/a"), "{pattern}");
        }
        assert!(!covers("a*c", b"a/c"));
        assert!(!covers("a.c", b"abc"));
        assert!(!covers("tmp", b"sub/tmp/x"));
    }

    #[test]
    fn refuses_places_that_cover_everything_or_climb() {
        for text in ["/", ".", "*", "/*", "a/../b", "tmp;*"] {
            assert!(PathPatterns::parse(text).is_err(), "{text}");
        }
    }
}
