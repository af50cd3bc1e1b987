//! Moving a name that somebody may swap, so that the wrong file is never lost by it.
//!
//! There is no system call that moves or removes an inode, only names. So a name is first moved to one of ours that
//! nobody else uses, then it is looked at, and what is not the infected file goes back. Names of ours begin with
//! `.vscan-` in a user's directory and cannot be guessed. Who watches the directory and swaps even those can only
//! do so with files that he could remove himself.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, readlink, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::entry::{Entry, leads_to};
use super::rename::numbered_names;
use super::{ActionError, Job, PutBack, Step, Steps, stamp};
use crate::identity::Identity;

/// A name in a directory that is held open.
type At<'a> = (BorrowedFd<'a>, &'a OsStr);

/// Why a name was not moved or removed. The infected file still has a name in each case.
#[derive(Debug)]
pub(super) enum MoveError {
    /// The system refused, and nothing was touched.
    System(Errno),
    /// The name was taken away meanwhile, and nothing was touched.
    Elsewhere,
    /// The file was written to at the last moment, and is back in its place.
    Changed,
    /// The name led to another file.
    Swapped(PutBack),
    /// The infected file could not be given its own name again.
    Misplaced(PutBack),
}

impl MoveError {
    pub(super) fn explain(self, doing: &'static str, entry: &Entry) -> ActionError {
        let path = entry.path();
        match self {
            Self::System(Errno::NOENT) | Self::Elsewhere => ActionError::Elsewhere { path },
            Self::System(errno) => ActionError::Source { doing, path, errno },
            Self::Changed => ActionError::Changed { path },
            Self::Swapped(other) => ActionError::Swapped { path, other },
            Self::Misplaced(now) => ActionError::Misplaced { path, now },
        }
    }
}

impl Job<'_> {
    /// Moves the infected file to a name of ours, and looks whether it is what arrived.
    pub(super) fn carry(&self, entry: &Entry, to: At<'_>) -> Result<(), MoveError> {
        rename_to_ours(self.steps, entry.at(), to).map_err(MoveError::System)?;
        self.arrived(entry, to)
    }

    /// Moves the infected file to a name that others may want as well; `EEXIST` when it is taken.
    pub(super) fn carry_visibly(&self, entry: &Entry, name: &OsStr) -> Result<(), MoveError> {
        let to = (entry.dir.as_fd(), name);
        match self.steps.rename_noreplace(entry.at(), to) {
            Ok(()) => self.arrived(entry, to),
            Err(errno) if cannot_noreplace(errno) => self.carry_in_two_steps(entry, to),
            Err(errno) => Err(MoveError::System(errno)),
        }
    }

    fn carry_in_two_steps(&self, entry: &Entry, to: At<'_>) -> Result<(), MoveError> {
        let hidden = hidden_name().map_err(MoveError::System)?;
        let hidden = (entry.dir.as_fd(), hidden.as_os_str());
        self.carry(entry, hidden)?;
        release(self.steps, hidden, to).map_err(|errno| self.give_up(hidden, entry, MoveError::System(errno)))
    }

    /// The infected file goes back to its place.
    fn give_up(&self, from: At<'_>, entry: &Entry, because: MoveError) -> MoveError {
        match put_back(self.steps, from, entry) {
            PutBack::InPlace => because,
            PutBack::Vanished => MoveError::Elsewhere,
            now @ (PutBack::Beside(_) | PutBack::Stuck { .. }) => MoveError::Misplaced(now),
        }
    }

    fn arrived(&self, entry: &Entry, to: At<'_>) -> Result<(), MoveError> {
        self.steps.reached(Step::Moved, to.1);
        if leads_to(to, self.infected.identity.key) {
            return Ok(());
        }
        match put_back(self.steps, to, entry) {
            PutBack::Vanished => Err(MoveError::Elsewhere),
            other @ (PutBack::InPlace | PutBack::Beside(_) | PutBack::Stuck { .. }) => {
                Err(MoveError::Swapped(other))
            }
        }
    }

    /// Removes the infected file's name, and no other file that may have got it meanwhile.
    pub(super) fn remove(&self, entry: &Entry) -> Result<(), MoveError> {
        let hidden = hidden_name().map_err(MoveError::System)?;
        let hidden = (entry.dir.as_fd(), hidden.as_os_str());
        self.carry(entry, hidden)?;
        self.steps.reached(Step::Hidden, hidden.1);
        if !self.content_is_the_same(hidden) {
            return Err(self.give_up(hidden, entry, MoveError::Changed));
        }
        match unlinkat(hidden.0, hidden.1, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(MoveError::Elsewhere),
            Err(errno) => Err(self.give_up(hidden, entry, MoveError::System(errno))),
        }
    }

    /// The move itself has changed the ctime; size and mtime must be what they were.
    fn content_is_the_same(&self, at: At<'_>) -> bool {
        let scanned = self.infected.identity;
        statat(at.0, at.1, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            let now = Identity::of(&stat);
            now.size == scanned.size && now.mtime == scanned.mtime
        })
    }
}

/// Gives a file that we moved by mistake its name back. If somebody has taken that name meanwhile, neither of the two
/// files may be lost: ours gets a number.
fn put_back(steps: &dyn Steps, from: At<'_>, entry: &Entry) -> PutBack {
    let mut last = match release(steps, from, entry.at()) {
        Ok(()) => return PutBack::InPlace,
        Err(errno) => errno,
    };
    for name in numbered_names(OsStr::new(""), &entry.name, OsStr::new("")).unwrap_or_default() {
        if last != Errno::EXIST {
            break;
        }
        match release(steps, from, (entry.dir.as_fd(), &name)) {
            Ok(()) => return PutBack::Beside(entry.directory.join(name)),
            Err(errno) => last = errno,
        }
    }
    if last == Errno::NOENT {
        return PutBack::Vanished;
    }
    PutBack::Stuck { at: path_of(from), errno: last }
}

/// Moves a name to one of ours. Where the filesystem cannot promise to replace nothing (NFS, CephFS, older ZFS), it is
/// enough to look first: nobody else uses such a name.
pub(super) fn rename_to_ours(steps: &dyn Steps, from: At<'_>, to: At<'_>) -> rustix::io::Result<()> {
    match steps.rename_noreplace(from, to) {
        Err(errno) if cannot_noreplace(errno) => rename_if_free(from, to),
        done => done,
    }
}

fn rename_if_free(from: At<'_>, to: At<'_>) -> rustix::io::Result<()> {
    match statat(to.0, to.1, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => renameat(from.0, from.1, to.0, to.1),
        Err(errno) => Err(errno),
    }
}

/// Moves a name of ours to one that others may want as well. Where the filesystem cannot promise to replace nothing,
/// a hard link can: only we use the old name, so there is no hurry to remove it. Where there are no hard links either,
/// looking first is all that is left.
pub(super) fn release(steps: &dyn Steps, from: At<'_>, to: At<'_>) -> rustix::io::Result<()> {
    match steps.rename_noreplace(from, to) {
        Err(errno) if cannot_noreplace(errno) => match steps.link(from, to) {
            Ok(()) => unlinkat(from.0, from.1, AtFlags::empty()),
            Err(errno @ (Errno::EXIST | Errno::NOENT)) => Err(errno),
            Err(_) => rename_if_free(from, to),
        },
        done => done,
    }
}

/// For a message only.
fn path_of(at: At<'_>) -> PathBuf {
    let directory = readlink(format!("/proc/self/fd/{}", at.0.as_raw_fd()), Vec::new());
    let directory = directory.map_or_else(|_| Vec::new(), CString::into_bytes);
    PathBuf::from(OsString::from_vec(directory)).join(at.1)
}

fn cannot_noreplace(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS)
}

pub(super) fn hidden_name() -> rustix::io::Result<OsString> {
    Ok(format!(".vscan-{}", stamp::random()?).into())
}
