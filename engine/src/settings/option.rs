//! What there is to say about one option.

use super::draft::Draft;

/// An option of the configuration.
pub struct Opt {
    /// Its name.
    pub name: &'static str,
    /// Older names, samba-vscan's first.
    pub aliases: &'static [Alias],
    /// What it takes.
    pub kind: Kind,
    /// Its default, as one would write it.
    pub default: &'static str,
    /// What is in force when its value cannot be understood: the choice that protects.
    pub on_mistake: &'static str,
    /// A paragraph for the administrator.
    pub help: &'static str,
    /// Gives a text its meaning, or says what is wrong with it; a text that is wrong changes nothing.
    pub(super) apply: fn(&mut Draft, &str) -> Applied,
}

/// An older name of an option.
pub struct Alias {
    /// The name.
    pub name: &'static str,
    /// What its value is put behind, because the name says it: `clamav:`.
    pub prefix: &'static str,
}

/// What an option takes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo,
    /// Bytes.
    Size,
    /// A time.
    Duration,
    /// A whole number.
    Number,
    /// One of these words.
    Choice(fn() -> Vec<&'static str>),
    /// A regular expression.
    Regexp,
    /// Entries with semicolons between them.
    List,
    /// An absolute path.
    Path,
    /// Anything.
    Text,
}

impl Kind {
    /// In words.
    pub fn describe(self) -> String {
        match self {
            Self::YesNo => "yes or no".to_owned(),
            Self::Size => "bytes, or a number with K, M, G or T".to_owned(),
            Self::Duration => "seconds, or a number with ms, s, m, h or d".to_owned(),
            Self::Number => "a whole number".to_owned(),
            Self::Choice(words) => format!("one of: {}", words().join(", ")),
            Self::Regexp => "a regular expression".to_owned(),
            Self::List => "a list, with semicolons in between".to_owned(),
            Self::Path => "an absolute path".to_owned(),
            Self::Text => "a text".to_owned(),
        }
    }
}

/// A remark for the administrator about a value that is in force, or what is wrong with one that is not.
pub(super) type Applied = Result<Option<String>, String>;
