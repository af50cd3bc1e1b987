//! Lines for the administrator. The engine composes them; whoever embeds the engine knows where they go.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use crate::notify::Event;

mod facts;
pub(crate) mod samba_vscan;
pub mod system;

pub use facts::facts;

/// How loud a line is. The module maps these onto Samba's debug levels and syslog's priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A find, or protection that does not work: shown at Samba's log level 0.
    Alert,
    /// Something an administrator must mend (scanner trouble, a failed action, a bad setting): level 0 too.
    Error,
    /// Worth knowing: level 1.
    Notice,
    /// Each decision with its reason: level 5, or 1 with `verbose file logging`.
    Decision,
    /// For developers: level 10.
    Debug,
}

/// Where lines go.
pub trait Log {
    /// Whether anyone would see a line of this level; saves composing it.
    fn wants(&self, level: Level) -> bool;
    /// One line, without its newline. Bytes that came from users are already [`Printable`].
    fn line(&self, level: Level, text: &str);
    /// A line about an event, for logs that keep its facts apart.
    fn event(&self, level: Level, text: &str, event: &Event) {
        let _ = event;
        self.line(level, text);
    }
}

impl<L: Log + ?Sized> Log for Rc<L> {
    fn wants(&self, level: Level) -> bool {
        (**self).wants(level)
    }

    fn line(&self, level: Level, text: &str) {
        (**self).line(level, text);
    }

    fn event(&self, level: Level, text: &str, event: &Event) {
        (**self).event(level, text, event);
    }
}

/// Bytes that a user chose (a file name), fit for one line of a log.
///
/// Valid UTF-8 is shown as it is. Control characters, backslashes and bytes that are not UTF-8 become `\n`, `\\` or
/// `\xNN`, so that two different names never look the same and no name can forge a line.
pub struct Printable<'a>(pub &'a [u8]);

/// A path, for a line that people read.
pub fn shown(path: &Path) -> Printable<'_> {
    Printable(path.as_os_str().as_bytes())
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    // Also the Unicode line breaks and the marks that reverse the direction of a line.
                    c if c.is_control()
                        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                    {
                        write!(f, "{}", c.escape_unicode())?;
                    }
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_ordinary_names_as_they_are() {
        assert_eq!(Printable("Größe 4.doc".as_bytes()).to_string(), "Größe 4.doc");
    }

    #[test]
    fn a_name_cannot_forge_a_line_or_look_like_another() {
        assert_eq!(Printable(b"a\nb").to_string(), "a\\nb");
        assert_eq!(Printable(b"a\\nb").to_string(), "a\\\\nb");
        assert_eq!(Printable(b"\xe9\xff").to_string(), "\\xe9\\xff");
        assert_eq!(Printable("x\u{202e}cod.exe".as_bytes()).to_string(), "x\\u{202e}cod.exe");
    }
}
