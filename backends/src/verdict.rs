//! What a scanner can say about one file, and who is to blame when it cannot say anything.

use std::borrow::Cow;
use std::fmt;

/// A scanner's judgement of one file.
///
/// There is no variant for "do not know": a reply that nobody understands is a [`Fault`], never a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The scanner looked at all of the file and found nothing.
    Clean,
    /// The scanner found a threat.
    Infected(ThreatName),
    /// The scanner works, but it cannot judge *this* file (samba-vscan's "minor error").
    MinorError(MinorError),
}

/// The name a scanner gives to what it found, as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ThreatName(String);

impl ThreatName {
    /// Longer names are cut: a name goes into log lines and file records.
    pub const MAX_CHARS: usize = 200;

    /// Takes the bytes of a reply. Control characters become `?`; a scanner that gives no name gets `unknown`.
    pub fn new(raw: &[u8]) -> Self {
        let name = printable(raw, Self::MAX_CHARS);
        Self(if name.is_empty() { "unknown".to_owned() } else { name })
    }

    /// The name, ready for a log line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ThreatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a working scanner could not judge one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinorError {
    /// The class that policy looks at.
    pub kind: MinorErrorKind,
    /// The scanner's own words, made printable.
    pub text: String,
}

impl MinorError {
    /// Longer explanations are cut.
    pub const MAX_CHARS: usize = 200;

    /// Takes the bytes of a reply; control characters become `?`.
    pub fn new(kind: MinorErrorKind, raw: &[u8]) -> Self {
        Self { kind, text: printable(raw, Self::MAX_CHARS) }
    }
}

/// A scanner's words, fit for one line of a log.
fn printable(raw: &[u8], max_chars: usize) -> String {
    let text = String::from_utf8_lossy(raw);
    text.trim().chars().map(|c| if c.is_control() { '?' } else { c }).take(max_chars).collect()
}

/// The classes of [`MinorError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinorErrorKind {
    /// The content is encrypted.
    Encrypted,
    /// The file is beyond one of the scanner's own limits (size, nesting, time).
    OverScannerLimit,
    /// Anything else: corrupt, unreadable for the scanner, of a kind it does not scan.
    NotScannable,
}

/// No verdict: whose fault it was, and what happened.
///
/// The split follows blame because the cure differs: a garbled reply means the wrong program listens on that
/// socket, misbehaviour a bug or an overloaded daemon, transport an unreachable one, and `Caller` is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The daemon sent bytes that mean nothing in its protocol.
    Garbled(Cow<'static, str>),
    /// The bytes were well formed but not what the protocol allows here (also: an error of the daemon as a whole).
    Misbehaved(Cow<'static, str>),
    /// The daemon could not be reached, or the connection ended or stalled before the verdict.
    Transport(Cow<'static, str>),
    /// The request could not be made: a file name the protocol cannot carry, a file that shrank meanwhile.
    Caller(Cow<'static, str>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbled(what) => write!(f, "the scanner's reply makes no sense: {what}"),
            Self::Misbehaved(what) => write!(f, "the scanner failed: {what}"),
            Self::Transport(what) | Self::Caller(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanners_words_are_one_short_printable_line() {
        assert_eq!(ThreatName::new(b" Eicar\nALERT\x1b[2J ").as_str(), "Eicar?ALERT?[2J");
        assert_eq!(ThreatName::new(&[b'x'; 5000]).as_str().len(), ThreatName::MAX_CHARS);
        assert_eq!(MinorError::new(MinorErrorKind::NotScannable, b"no\0 way").text, "no? way");
    }

    #[test]
    fn a_threat_always_has_a_name() {
        assert_eq!(ThreatName::new(b" \t").as_str(), "unknown");
    }
}
