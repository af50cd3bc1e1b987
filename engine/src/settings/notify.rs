//! Who is told about what is found.

use std::path::PathBuf;

use crate::notify::Channels;

/// How people are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// Where events wait to be sent; absolute.
    pub spool: PathBuf,
    /// What sends them; absolute.
    pub program: PathBuf,
    /// Leave a note beside an infected file that was taken away.
    pub warning_file: bool,
    /// What it says: a template, see [`crate::notify::fill`].
    pub warning_file_text: String,
    /// What the program needs to know.
    pub channels: Channels,
}
