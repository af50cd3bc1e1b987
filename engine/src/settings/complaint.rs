//! What is wrong with a configuration, one line each.

use std::fmt;
use std::path::PathBuf;

use crate::log::{Level, Printable, shown};

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
            Self::Line { file, number } => write!(f, "{}, line {number}", shown(file)),
            Self::File(file) => write!(f, "{}", shown(file)),
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
    /// What is wrong with it.
    pub wrong: String,
    /// What is in force instead, such as `max file size = 0`; empty when there is nothing to say.
    pub in_force: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.written.is_empty() {
            write!(f, "{}: ", Shown(&self.written))?;
        }
        write!(f, "{}", Shown(&self.wrong))?;
        if !self.in_force.is_empty() {
            write!(f, "; in force: {}", Shown(&self.in_force))?;
        }
        Ok(())
    }
}

/// A text that may contain anything, fit for a line of a log.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 300;
        match self.0.char_indices().nth(LONGEST) {
            Some((end, _)) => {
                let start = self.0.get(..end).unwrap_or_default();
                write!(f, "{}...", Printable(start.as_bytes()))
            }
            None => write!(f, "{}", Printable(self.0.as_bytes())),
        }
    }
}
