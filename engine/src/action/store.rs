//! The quarantine directory: private to root, whatever was there before.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, fsync, mkdirat, open, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::moves::rename_to_ours;
use super::{ActionError, Record, Step, Steps, StoreTrouble, stamp};
use crate::identity::Identity;

/// Made in a quarantine directory that others have rights to, such as samba-vscan's default, `/tmp`.
const PRIVATE_SUBDIRECTORY: &str = "vscan-quarantine";

const OPEN: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory that belongs to us and that nobody else can enter.
pub(super) struct Store {
    dir: OwnedFd,
    pub(super) path: PathBuf,
}

impl Store {
    /// Opens the configured directory, or makes it, or makes a private one inside it.
    pub(super) fn open(wanted: &Path) -> Result<Self, ActionError> {
        let failed = |trouble| ActionError::Quarantine { directory: wanted.to_owned(), trouble };
        let path = absolute(wanted).map_err(failed)?;
        let make_inner = |dir: &OwnedFd| match mkdirat(dir, PRIVATE_SUBDIRECTORY, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(StoreTrouble::new(errno)),
        };
        Self::make(&path).and_then(|()| Self::open_private(path, make_inner)).map_err(failed)
    }

    /// The same, without making anything: None if there is no such directory yet.
    pub(super) fn find(wanted: &Path) -> Result<Option<Self>, ActionError> {
        let failed = |trouble| ActionError::Quarantine { directory: wanted.to_owned(), trouble };
        let found = absolute(wanted).and_then(|path| Self::open_private(path, |_| Ok(())));
        match found {
            Err(StoreTrouble::System(Errno::NOENT)) => Ok(None),
            found => found.map(Some).map_err(failed),
        }
    }

    fn make(path: &Path) -> Result<(), StoreTrouble> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        // With EEXIST something else has the name; opening it tells what is wrong.
        match made.map_err(|error| errno_of(&error)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(StoreTrouble::new(errno)),
        }
    }

    /// A directory that others have rights to has a private one inside it, which `make_inner` may make.
    fn open_private(
        path: PathBuf,
        make_inner: impl FnOnce(&OwnedFd) -> Result<(), StoreTrouble>,
    ) -> Result<Self, StoreTrouble> {
        let dir = open(&path, OPEN, Mode::empty()).map_err(StoreTrouble::new)?;
        let stat = fstat(&dir).map_err(StoreTrouble::new)?;
        if is_private(&stat) {
            return Ok(Self { dir, path });
        }
        if !keeps_what_is_ours(&stat) {
            return Err(StoreTrouble::OpenToOthers);
        }
        make_inner(&dir)?;
        let inner = private_inside(&dir)?;
        Ok(Self { dir: inner, path: path.join(PRIVATE_SUBDIRECTORY) })
    }

    /// Whether this is that directory.
    pub(super) fn is(&self, dir: BorrowedFd<'_>) -> bool {
        let key = |dir| fstat(dir).map(|stat| Identity::of(&stat).key);
        matches!((key(self.dir.as_fd()), key(dir)), (Ok(ours), Ok(theirs)) if ours == theirs)
    }

    /// A name in here, as the system calls take it.
    pub(super) fn at<'a>(&'a self, name: &'a OsStr) -> (BorrowedFd<'a>, &'a OsStr) {
        (self.dir.as_fd(), name)
    }

    pub(super) fn trouble(&self, errno: Errno) -> ActionError {
        ActionError::Quarantine { directory: self.path.clone(), trouble: StoreTrouble::new(errno) }
    }

    /// A name that is most probably free: `<prefix><time>-<chance>`.
    pub(super) fn new_name(prefix: &OsStr) -> rustix::io::Result<OsString> {
        let mut name = prefix.to_owned();
        name.push(format!("{}-{}", stamp::Utc::now().compact(), stamp::random()?));
        Ok(name)
    }

    /// Makes a file that only root can read; `EEXIST` when the name is taken.
    pub(super) fn create(&self, name: OsString) -> rustix::io::Result<(File, Provisional<'_>)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok((File::from(file), Provisional { store: self, name, kept: false }))
    }

    /// Puts a record in place, so that it is there whole and safe from a power failure, or not at all.
    pub(super) fn write_record(
        &self,
        name: OsString,
        record: &Record,
        steps: &dyn Steps,
    ) -> rustix::io::Result<Provisional<'_>> {
        let (mut file, part) = self.create(part_name(&name))?;
        file.write_all(&record.to_json()).map_err(|error| errno_of(&error))?;
        fsync(&file)?;
        steps.reached(Step::RecordWritten, &part.name);
        let record = part.rename(name, steps)?;
        self.sync()?;
        Ok(record)
    }

    /// Makes the names in here safe from a power failure.
    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        fsync(&self.dir)
    }
}

/// A file in quarantine that is removed again unless the whole action succeeds.
pub(super) struct Provisional<'a> {
    store: &'a Store,
    name: OsString,
    kept: bool,
}

impl Provisional<'_> {
    /// It stays.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }

    /// Gives it another name, if that is free.
    pub(super) fn rename(mut self, name: OsString, steps: &dyn Steps) -> rustix::io::Result<Self> {
        rename_to_ours(steps, self.store.at(&self.name), self.store.at(&name))?;
        self.name = name;
        Ok(self)
    }
}

impl Drop for Provisional<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed is left: it does no harm here.
            let _ = unlinkat(&self.store.dir, &self.name, AtFlags::empty());
        }
    }
}

/// The record of a quarantined file.
pub(super) fn record_name(name: &OsStr) -> OsString {
    let mut name = name.to_owned();
    name.push(".json");
    name
}

/// What a file is called while it is written.
pub(super) fn part_name(name: &OsStr) -> OsString {
    let mut name = name.to_owned();
    name.push(".part");
    name
}

/// Without a trailing slash, which would follow a symbolic link.
fn absolute(wanted: &Path) -> Result<PathBuf, StoreTrouble> {
    let path: PathBuf = wanted.components().collect();
    if path.is_absolute() { Ok(path) } else { Err(StoreTrouble::Relative) }
}

fn private_inside(dir: &OwnedFd) -> Result<OwnedFd, StoreTrouble> {
    let inner = openat(dir, PRIVATE_SUBDIRECTORY, OPEN, Mode::empty());
    let inner = match inner {
        Ok(inner) => inner,
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(StoreTrouble::OpenToOthers),
        Err(errno) => return Err(StoreTrouble::new(errno)),
    };
    let stat = fstat(&inner).map_err(StoreTrouble::new)?;
    if is_private(&stat) { Ok(inner) } else { Err(StoreTrouble::OpenToOthers) }
}

fn is_private(stat: &Stat) -> bool {
    stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o077 == 0
}

/// Whether nobody but root can move a directory of ours out of this one.
fn keeps_what_is_ours(stat: &Stat) -> bool {
    let owner_is_root = stat.st_uid == 0 || stat.st_uid == geteuid().as_raw();
    owner_is_root && (stat.st_mode & 0o022 == 0 || stat.st_mode & 0o1000 != 0)
}

pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
