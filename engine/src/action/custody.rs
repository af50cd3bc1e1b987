//! What is in quarantine, for the administrator: to look at, to throw away, to give back.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::store::{Store, errno_of, part_name, record_name};
use super::{ActionError, Record, RecordError};
use crate::identity::{FileTime, Identity};

/// A record is a few kilobytes; extended attributes may make it larger.
const RECORD_MAX: u64 = 16 << 20;

/// A quarantine directory that is there.
pub struct Quarantine {
    pub(super) store: Store,
}

/// Something in quarantine.
#[derive(Debug)]
pub struct Item {
    /// Its name there, without `.json`.
    pub id: OsString,
    /// How much of it is there.
    pub state: State,
    /// Since when, as the file times of its record say, or its own.
    pub since: FileTime,
    /// What is known of it; None if there is no record.
    pub record: Option<Result<Record, RecordError>>,
}

/// How much of an item is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The file and its record.
    Kept,
    /// A record whose file is on its way in, or was given back by somebody who was interrupted.
    RecordOnly,
    /// A file whose record is missing.
    FileOnly,
    /// Written only in part: an action is under way, or was interrupted. The file itself is in its place.
    Unfinished,
}

impl Quarantine {
    /// Opens the configured directory, or the private one inside it. None if nothing was ever put there.
    pub fn open(configured: &Path) -> Result<Option<Self>, ActionError> {
        Ok(Store::find(configured)?.map(|store| Self { store }))
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.store.path
    }

    /// All that is there, the oldest first.
    pub fn items(&self) -> Result<Vec<Item>, ActionError> {
        let names = self.names().map_err(|errno| self.store.trouble(errno))?;
        // By name: whether there is the file, the record, a part of either.
        let mut found: BTreeMap<OsString, [bool; 3]> = BTreeMap::new();
        for name in names {
            let (name, is_part) = without(&name, b".part");
            let (name, is_record) = without(&name, b".json");
            let there = found.entry(name).or_default();
            there[if is_part { 2 } else { usize::from(is_record) }] = true;
        }
        let items = found.into_iter().map(|(id, [file, record, _])| {
            let state = match (file, record) {
                (true, true) => State::Kept,
                (false, true) => State::RecordOnly,
                (true, false) => State::FileOnly,
                (false, false) => State::Unfinished,
            };
            let record = record.then(|| self.record(&id));
            Item { since: self.since(&id), id, state, record }
        });
        Ok(items.collect())
    }

    fn since(&self, id: &OsStr) -> FileTime {
        let names = [record_name(id), id.to_owned(), part_name(id), part_name(&record_name(id))];
        let stat = names.iter().find_map(|name| {
            let (dir, name) = self.store.at(name);
            statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()
        });
        stat.map_or_else(FileTime::now, |stat| Identity::of(&stat).ctime)
    }

    fn names(&self) -> rustix::io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.store.at(OsStr::new("")).0)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." && entry.file_type() != FileType::Directory {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn record(&self, id: &OsStr) -> Result<Record, RecordError> {
        let unreadable = |errno: Errno| RecordError::Unreadable(errno);
        let file = self.open_regular(&record_name(id)).map_err(unreadable)?;
        let mut json = Vec::new();
        file.take(RECORD_MAX).read_to_end(&mut json).map_err(|error| unreadable(errno_of(&error)))?;
        Record::from_json(&json)
    }

    /// Opens a file in quarantine for reading; its time of access stays as it is.
    pub fn open_file(&self, id: &OsStr) -> Result<File, ActionError> {
        self.open_regular(id).map_err(|errno| self.trouble("open", id, errno))
    }

    fn open_regular(&self, name: &OsStr) -> rustix::io::Result<File> {
        let (dir, name) = self.store.at(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(dir, name, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM | Errno::INVAL) => openat(dir, name, flags, Mode::empty()),
            opened => opened,
        }?;
        let is_regular = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile;
        if is_regular { Ok(file.into()) } else { Err(Errno::INVAL) }
    }

    /// Removes a file and its record for good.
    pub fn delete(&self, id: &OsStr) -> Result<(), ActionError> {
        // The record goes last: as long as the file is there, it is known what it is.
        for name in [id.to_owned(), part_name(id), part_name(&record_name(id)), record_name(id)] {
            self.remove(&name)?;
        }
        self.store.sync().map_err(|errno| self.store.trouble(errno))
    }

    pub(super) fn remove(&self, name: &OsStr) -> Result<(), ActionError> {
        let (dir, name) = self.store.at(name);
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.trouble("remove", name, errno)),
        }
    }

    pub(super) fn trouble(&self, doing: &'static str, id: &OsStr, errno: Errno) -> ActionError {
        ActionError::Kept { doing, path: self.store.path.join(id), errno }
    }
}

/// The name without this ending, and whether it had it.
fn without(name: &OsStr, ending: &[u8]) -> (OsString, bool) {
    match name.as_bytes().strip_suffix(ending) {
        Some(rest) if !rest.is_empty() => (OsStr::from_bytes(rest).to_owned(), true),
        Some(_) | None => (name.to_owned(), false),
    }
}
