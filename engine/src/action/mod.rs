//! What is done with an infected file.
//!
//! An action works on the descriptor that was scanned and on that inode, never on a path that a user could point at
//! something else meanwhile. At every instant the infected file is in its place or in quarantine with its record,
//! whatever fails and whenever the process is killed. An action that fails leaves the file where it was; denying it
//! is the caller's business and does not depend on what happens here.
//!
//! The caller must hold root's rights, and is kept for as long as it takes: milliseconds, except when the quarantine
//! is on another filesystem and the file has to be copied.

mod custody;
mod entry;
mod moves;
mod note;
mod outcome;
mod quarantine;
mod record;
mod rename;
mod restore;
mod stamp;
mod steps;
mod store;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::identity::Identity;
pub use custody::{Item, Quarantine, State};
use entry::{Entry, Located};
pub use note::{Note, NoteRecord, Noted};
pub use outcome::{ActionError, Done, PutBack, RestoreTrouble, StoreTrouble};
pub use record::{Bytes, Method, Record, RecordError, Timestamp, Xattr};
pub(crate) use stamp::Utc;
use steps::{Step, Steps, Straight};

/// The values of `infected file action`. Access is denied with each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The file stays where it is.
    Nothing,
    /// The file goes to the quarantine directory, with a record of all that a restore needs.
    Quarantine,
    /// The name that led to the file is removed, and the file with its last name.
    Delete,
    /// The file gets a name that says what it is, in its own directory.
    Rename,
}

/// The file, and who came upon it.
#[derive(Clone, Copy, Debug)]
pub struct Infected<'a> {
    /// The file as it was scanned, open for reading. Its offset is neither used nor moved.
    pub file: BorrowedFd<'a>,
    /// What the verdict is about. A file that is not in this state any more is left alone.
    pub identity: Identity,
    /// For the record.
    pub find: Find<'a>,
}

/// Who found what, for the quarantine's record.
#[derive(Clone, Copy, Debug)]
pub struct Find<'a> {
    /// The share's name.
    pub share: &'a str,
    /// The share's directory.
    pub share_path: &'a Path,
    /// The user who opened or closed the file.
    pub user: &'a str,
    /// The address of the user's machine.
    pub client: &'a str,
    /// The scanner's name for what it found.
    pub threat: &'a str,
    /// Which scanner it was.
    pub scanner: &'a str,
}

/// The settings that say where to, and under what name.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// `quarantine directory`: absolute, not a symbolic link; made when it is missing. If others than root have
    /// rights to it, a private directory inside it is used instead.
    pub quarantine_directory: &'a Path,
    /// `quarantine prefix`: how names in quarantine begin.
    pub quarantine_prefix: &'a OsStr,
    /// `rename prefix`: what [`Action::Rename`] puts before the name.
    pub rename_prefix: &'a OsStr,
    /// `rename suffix`: what [`Action::Rename`] puts after the name.
    pub rename_suffix: &'a OsStr,
}

/// Does it, and leaves a note if one is given. Both outcomes are shown as the tail of one log line.
pub fn act(
    action: Action,
    infected: &Infected<'_>,
    places: &Places<'_>,
    note: Option<&Note<'_>>,
) -> (Result<Done, ActionError>, Noted) {
    let noted = Cell::new(Noted::NotNeeded);
    let job = Job { infected, places, note, noted: &noted, steps: &Straight };
    (job.run(action), noted.get())
}

/// All that the steps of an action need to know.
struct Job<'a> {
    infected: &'a Infected<'a>,
    places: &'a Places<'a>,
    note: Option<&'a Note<'a>>,
    noted: &'a Cell<Noted>,
    steps: &'a dyn Steps,
}

impl Job<'_> {
    fn run(&self, action: Action) -> Result<Done, ActionError> {
        let first = self.attempt(action);
        // Nothing was touched: the file's name moved between two steps. Mostly another smbd was quicker with the same
        // file, and a second look says so.
        if let Err(ActionError::Elsewhere { .. }) = first { self.attempt(action) } else { first }
    }

    fn attempt(&self, action: Action) -> Result<Done, ActionError> {
        let doing: fn(&Self, &Entry) -> Result<Done, ActionError> = match action {
            Action::Nothing => return Ok(Done::Nothing),
            Action::Quarantine => Self::quarantine,
            Action::Delete => Self::delete,
            Action::Rename => Self::rename,
        };
        match self.locate()? {
            Located::At(entry) => {
                let done = doing(self, &entry)?;
                self.noted.set(self.leave_note(&entry, &done));
                Ok(done)
            }
            Located::Gone { other_names } => Ok(Done::AlreadyGone { other_names }),
        }
    }

    fn delete(&self, entry: &Entry) -> Result<Done, ActionError> {
        let stat = self.unchanged(entry)?;
        self.remove(entry).map_err(|trouble| trouble.explain("delete", entry))?;
        Ok(Done::Deleted { other_names: entry::other_names(&stat) })
    }
}
