//! A note beside a file that was taken away: so that nobody wonders where it went.
//!
//! It is written by root into a user's directory, which is held open, under a name that was free: it replaces nothing and
//! follows no link. Only when it is complete it belongs to the user. The record in quarantine knows it, so that a restore
//! can remove it, if nobody has changed it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, fsync, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, leads_to};
use super::moves::{hidden_name, release, rename_to_ours};
use super::rename::fit;
use super::store::{Store, errno_of, part_name, record_name};
use super::{Bytes, Done, Job, Record, Steps, Timestamp};
use crate::identity::{FileKey, Identity};

/// What is put behind the file's name.
pub const SUFFIX: &str = ".VIRUS.txt";

/// What a note says, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// As it is written.
    pub text: &'a str,
    /// The user whose file it becomes; None: the infected file's owner.
    pub owner: Option<u32>,
}

/// What became of a note.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// None was asked for, or the file is where it was, or it was a note itself.
    NotNeeded,
    /// It is beside the place where the file was.
    Written,
    /// There is a file of that name, probably an earlier note.
    Taken,
    /// It could not be written.
    Failed(Errno),
    /// It was written, but a restore will not know of it.
    Unrecorded(Errno),
}

/// A note in a quarantine's record: it is removed with the file's restore if it is still this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteRecord {
    /// Its name, in the directory where the file was.
    pub name: Bytes,
    /// The device that it is on.
    pub dev: u64,
    /// Its inode number there.
    pub ino: u64,
    /// Its bytes of content.
    pub size: u64,
    /// Last change of its content.
    pub mtime: Timestamp,
}

impl Job<'_> {
    /// Leaves the note where the file was.
    pub(super) fn leave_note(&self, entry: &Entry, done: &Done) -> Noted {
        let Some(note) = self.note else { return Noted::NotNeeded };
        let quarantined_as = match done {
            Done::Quarantined { at, .. } => at.file_name(),
            Done::Deleted { .. } | Done::Renamed { .. } => None,
            Done::Nothing
            | Done::AlreadyGone { .. }
            | Done::AlreadyQuarantined { .. }
            | Done::AlreadyRenamed => return Noted::NotNeeded,
        };
        // Should a scanner ever find something in a note, that must not have a note as well.
        if entry.name.as_bytes().ends_with(SUFFIX.as_bytes()) {
            return Noted::NotNeeded;
        }
        let left = fit(OsStr::new(""), &entry.name, "", OsStr::new(SUFFIX))
            .ok_or(Errno::NAMETOOLONG)
            .and_then(|name| write(entry.dir.as_fd(), &name, note, &fstat(self.infected.file)?));
        let left = match left {
            Ok(left) => left,
            Err(Errno::EXIST) => return Noted::Taken,
            Err(errno) => return Noted::Failed(errno),
        };
        let recorded = match quarantined_as {
            Some(name) => Store::open(self.places.quarantine_directory)
                .map_err(|_| Errno::NOENT)
                .and_then(|store| add_to_record(&store, name, left)),
            None => Ok(()),
        };
        recorded.map_or_else(Noted::Unrecorded, |()| Noted::Written)
    }
}

/// Writes a note for those who could read the file.
fn write(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    note: &Note<'_>,
    infected: &Stat,
) -> rustix::io::Result<NoteRecord> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
    let owner = Uid::from_raw(note.owner.unwrap_or(infected.st_uid));
    let readers = Mode::from_raw_mode(infected.st_mode & 0o444) | Mode::RUSR | Mode::WUSR;
    let complete = file.write_all(note.text.as_bytes()).map_err(|error| errno_of(&error)).and_then(|()| {
        fchown(&file, Some(owner), Some(Gid::from_raw(infected.st_gid)))?;
        fchmod(&file, readers)?;
        fstat(&file)
    });
    match complete {
        Ok(stat) => {
            let identity = Identity::of(&stat);
            let FileKey { dev, ino } = identity.key;
            Ok(NoteRecord {
                name: name.as_bytes().into(),
                dev,
                ino,
                size: identity.size,
                mtime: mtime(&stat),
            })
        }
        Err(errno) => {
            // Half a note helps nobody. It is root's, and cannot be swapped for a file that somebody would miss.
            let _ = unlinkat(dir, name, AtFlags::empty());
            Err(errno)
        }
    }
}

/// Puts a record with the note into the place of the one without.
fn add_to_record(store: &Store, quarantined_as: &OsStr, note: NoteRecord) -> rustix::io::Result<()> {
    let name = record_name(quarantined_as);
    let (dir, _) = store.at(&name);
    let mut json = Vec::new();
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    File::from(openat(dir, &name, flags, Mode::empty())?)
        .read_to_end(&mut json)
        .map_err(|error| errno_of(&error))?;
    let record = Record::from_json(&json).map_err(|_| Errno::BADMSG)?;
    let record = Record { note: Some(note), ..record };
    let part_name = part_name(&name);
    let (mut file, _part) = store.create(part_name.clone())?;
    file.write_all(&record.to_json()).map_err(|error| errno_of(&error))?;
    fsync(&file)?;
    renameat(dir, &part_name, dir, &name)?;
    store.sync()
}

// The types of a stat's fields differ between platforms; on some of them a conversion is the identity.
#[allow(clippy::unnecessary_cast)]
fn mtime(stat: &Stat) -> Timestamp {
    Timestamp::new(stat.st_mtime as i64, stat.st_mtime_nsec as u32)
}

impl NoteRecord {
    /// Removes the note from its directory if it is as it was written. What cannot be removed stays.
    pub(super) fn remove(&self, dir: BorrowedFd<'_>, steps: &dyn Steps) {
        let name: OsString = OsStr::from_bytes(self.name.as_bytes()).to_owned();
        if !self.is(dir, &name) {
            return;
        }
        // The name may be swapped at any time: what is removed is looked at under a name of ours.
        let Ok(hidden) = hidden_name() else { return };
        let (from, to) = ((dir, name.as_os_str()), (dir, hidden.as_os_str()));
        if rename_to_ours(steps, from, to).is_err() {
            return;
        }
        if self.is(dir, &hidden) {
            let _ = unlinkat(dir, &hidden, AtFlags::empty());
        } else {
            let _ = release(steps, to, from);
        }
    }

    /// A move changes the ctime only.
    fn is(&self, dir: BorrowedFd<'_>, name: &OsStr) -> bool {
        let key = FileKey { dev: self.dev, ino: self.ino };
        leads_to((dir, name), key)
            && statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| Identity::of(&stat).size == self.size && mtime(&stat) == self.mtime)
    }
}
