//! What is wrong with a configuration, one line each.

use std::fmt;
use std::path::PathBuf;

use crate::log::{Level, Printable};

/// How much a complaint matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// An option of samba-vscan or vfs_virusfilter that has no effect here; nothing needs mending.
    Ignored,
    /// The option is in force, but perhaps not as its author expected.
    Notice,
    /// Something that was written is not in force. With `on config error = deny`, this closes the share.
    Mistake,
}

impl Severity {
    /// How loud its line should be.
    pub fn level(self) -> Level {
        match self {
            Self::Ignored | Self::Notice => Level::Notice,
            Self::Mistake => Level::Error,
        }
    }
}

/// Where an option was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a line of the configuration file.
    Line {
        /// The file.
        file: PathBuf,
        /// The line's number, from 1.
        number: usize,
    },
    /// The file as a whole.
    File(PathBuf),
    /// In smb.conf, in the section of this share or in `[global]`.
    Host {
        /// The share.
        share: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, number } => write!(f, "{}, line {number}", file.display()),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Host { share } => write!(f, "smb.conf, share {}", Printable(share.as_bytes())),
        }
    }
}

/// One thing that is wrong, with what is in force instead: Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How much it matters.
    pub severity: Severity,
    /// Where it was found.
    pub origin: Origin,
    /// The offending text as written, such as `max file size = 10X`; empty when the whole file is meant.
    pub written: String,
    /// What is wrong with it, and what is in force.
    pub what: String,
}

/// Longer texts are cut: a log line has an end.
const MAX_SHOWN: usize = 200;

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.written.is_empty() {
            let shown: String = self.written.chars().take(MAX_SHOWN).collect();
            let cut = if shown.len() < self.written.len() { "..." } else { "" };
            write!(f, "{}{cut}: ", Printable(shown.as_bytes()))?;
        }
        f.write_str(&self.what)
    }
}
