//! The points between two steps of an action, where a test swaps files or kills the process. Nothing happens there
//! otherwise.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat_with};

/// What has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The kernel said under which name the file is open.
    PathRead,
    /// That name leads to the file, and the file is what was scanned.
    Checked,
    /// A name in quarantine was chosen.
    Named,
    /// There is an empty file for a copy in quarantine.
    CopyCreated,
    /// The content was copied into quarantine, under a temporary name.
    CopyWritten,
    /// The record was written, under a temporary name.
    RecordWritten,
    /// The record is in its place.
    Recorded,
    /// The copy is in its place, beside its record.
    CopyInPlace,
    /// A name was moved; which file it was is not yet known.
    Moved,
    /// The file is alone under a hidden name, about to be removed.
    Hidden,
    /// A restore knows what goes where.
    Located,
    /// The file has all its attributes again, still in quarantine.
    Attributed,
    /// The file is in its place again.
    Placed,
    /// Only the record is left in quarantine.
    Emptied,
    /// Everything is done.
    Finished,
}

/// How the actions are carried out.
pub(super) trait Steps {
    /// A step was done; `name` is the one it is about.
    fn reached(&self, step: Step, name: &OsStr) {
        let _ = (step, name);
    }

    /// Moves a name without ever replacing a file.
    fn rename_noreplace(
        &self,
        from: (BorrowedFd<'_>, &OsStr),
        to: (BorrowedFd<'_>, &OsStr),
    ) -> rustix::io::Result<()> {
        renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE)
    }

    /// Gives a file a second name, which never replaces a file either.
    fn link(&self, from: (BorrowedFd<'_>, &OsStr), to: (BorrowedFd<'_>, &OsStr)) -> rustix::io::Result<()> {
        linkat(from.0, from.1, to.0, to.1, AtFlags::empty())
    }
}

/// One step after the other.
pub(super) struct Straight;

impl Steps for Straight {}
