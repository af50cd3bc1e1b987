//! The spool: where smbds leave events, and `vscan-notify` finds them.
//!
//! An event says which commands are to be run, so only root may put one there: the directory is root's alone, or it is
//! not used. What an smbd has gathered is one file, `<id of the first event>.<number of events>.json`. It is there whole or not
//! at all, because it gets this name when it is written.

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, ftruncate, open, openat, renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::{Channels, Event};

/// More events are counted, not kept. It can become some more: see [`Room`].
pub(super) const MOST_EVENTS: usize = 20_000;

/// To count the events of 10,000 files takes milliseconds, in which a client waits; so a process counts them no more often
/// than this.
const COUNT_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// One byte for each event that was not kept.
const OVERFLOW: &str = "overflow";

/// Held by who attends to the spool.
const LOCK: &str = "lock";

const SUFFIX: &[u8] = b".json";

/// The directory of events.
pub struct Spool {
    dir: OwnedFd,
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    /// How people are told of these events.
    channels: Cow<'a, Channels>,
    events: Cow<'a, [Event]>,
}

/// How many more events the spool takes, as far as one process knows: others store events as well, and one removes them.
#[derive(Default)]
pub struct Room {
    counted: Cell<Option<Instant>>,
    left: Cell<usize>,
}

impl Room {
    /// For how many of so many events there is room, which is theirs from now on.
    fn take(
        &self,
        wanted: usize,
        now: Instant,
        count: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let is_old = |counted| now.saturating_duration_since(counted) >= COUNT_AGAIN_AFTER;
        if self.counted.get().is_none_or(is_old) {
            self.left.set(MOST_EVENTS.saturating_sub(count()?));
            self.counted.set(Some(now));
        }
        let taken = wanted.min(self.left.get());
        self.left.set(self.left.get() - taken);
        Ok(taken)
    }
}

/// What became of some events.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// They are in the spool.
    All,
    /// There was no room for so many of them.
    Not(usize),
}

/// The right to send what is in the spool; one process has it at a time.
pub struct Attendance(#[expect(dead_code, reason = "the lock ends with it")] OwnedFd);

impl Spool {
    /// Opens the directory, or makes it. It must belong to the user of this process, and to nobody else.
    pub fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Self::open_existing(path)
    }

    /// Whether there is such a directory; an error if it would not be used. Makes nothing.
    pub fn is_there(path: &Path) -> io::Result<bool> {
        match Self::open_existing(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => found.map(|_| true),
        }
    }

    fn open_existing(path: &Path) -> io::Result<Self> {
        // Without a trailing slash, which would follow a symbolic link.
        let path: PathBuf = path.components().collect();
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = open(&path, flags, Mode::empty())?;
        let stat = fstat(&dir)?;
        if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(io::Error::other("others than root have rights to it; it needs mode 0700"));
        }
        Ok(Self { dir })
    }

    /// Puts events of one share into the spool, as far as there is room.
    pub fn store(&self, events: &[Event], room: &Room, now: Instant) -> io::Result<Stored> {
        let (kept, rest) = events.split_at(room.take(events.len(), now, || self.count())?);
        if let Some(first) = kept.first() {
            self.store_all(first, kept)?;
        }
        if rest.is_empty() {
            return Ok(Stored::All);
        }
        let mut count = File::from(self.open_overflow()?);
        count.write_all(&vec![b'.'; rest.len()])?;
        Ok(Stored::Not(rest.len()))
    }

    fn store_all(&self, first: &Event, events: &[Event]) -> io::Result<()> {
        let name = [format!("{}.{}", first.id, events.len()).as_bytes(), SUFFIX].concat();
        let part = [b".", first.id.as_bytes()].concat();
        let content = serde_json::to_vec(&Content {
            channels: Cow::Borrowed(&*first.channels),
            events: Cow::Borrowed(events),
        })?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, part.as_slice(), flags, Mode::RUSR | Mode::WUSR)?;
        let written = File::from(file)
            .write_all(&content)
            .and_then(|()| Ok(renameat(&self.dir, part.as_slice(), &self.dir, name.as_slice())?));
        if written.is_err() {
            // Such as of a full disk: half a file must not stay.
            let _ = unlinkat(&self.dir, part.as_slice(), AtFlags::empty());
        }
        written
    }

    fn open_overflow(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, OVERFLOW, flags, Mode::RUSR | Mode::WUSR)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    /// Whether somebody attends to the spool. Who has stored events and hears "no" must start somebody who does.
    pub fn is_attended(&self) -> io::Result<bool> {
        Ok(self.attend()?.is_none())
    }

    /// Takes the right to send what is here, for as long as the result lives; None if somebody else has it.
    ///
    /// Who gives it up must look into the spool once more after that, and take it again if there is anything: smbd has
    /// seen that somebody attends, and has started nobody.
    pub fn attend(&self) -> io::Result<Option<Attendance>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = openat(&self.dir, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Attendance(lock))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The names of all files with events, oldest first.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        self.each_name(|name| names.push(OsStr::from_bytes(name).to_owned()))?;
        names.sort();
        Ok(names)
    }

    fn count(&self) -> io::Result<usize> {
        let mut count = 0;
        self.each_name(|name| count += events_in(name))?;
        Ok(count)
    }

    fn each_name(&self, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
        for entry in Dir::read_from(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name.ends_with(SUFFIX) && !name.starts_with(b".") {
                visit(name);
            }
        }
        Ok(())
    }

    /// Reads the events of a file.
    pub fn read(&self, name: &OsStr) -> io::Result<Vec<Event>> {
        let mut bytes = Vec::new();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        File::from(openat(&self.dir, name, flags, Mode::empty())?).read_to_end(&mut bytes)?;
        let Content { channels, events } = serde_json::from_slice(&bytes)?;
        let (channels, mut events) = (Arc::new(channels.into_owned()), events.into_owned());
        events.iter_mut().for_each(|event| event.channels = channels.clone());
        Ok(events)
    }

    /// Removes a file when everybody has been told of its events.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    /// Puts a file without events out of the way; it is kept.
    pub fn put_aside(&self, name: &OsStr) -> io::Result<()> {
        let mut aside = name.to_owned();
        aside.push(".bad");
        Ok(renameat(&self.dir, name, &self.dir, aside)?)
    }

    /// How many events have not been kept since the last call.
    pub fn take_overflow(&self) -> io::Result<u64> {
        let file = self.open_overflow()?;
        let count = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        if count > 0 {
            ftruncate(&file, 0)?;
        }
        Ok(count)
    }

    /// A file of the program that attends to the spool.
    pub fn open_private(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }
}

/// How many events are in a file of this name.
fn events_in(name: &[u8]) -> usize {
    let stem = name.strip_suffix(SUFFIX).unwrap_or(name);
    let number = stem.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    str::from_utf8(number).ok().and_then(|number| number.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::infected;

    fn events(ids: &[&str]) -> Vec<Event> {
        ids.iter().map(|id| Event { id: (*id).to_owned(), ..infected(b"/srv/data/a") }).collect()
    }

    #[test]
    fn events_are_counted_now_and_then() {
        let (room, start) = (Room::default(), Instant::now());
        let taken = |wanted, after, counted: Option<usize>| {
            let mut is_counted = false;
            let taken = room.take(wanted, start + after, || {
                is_counted = true;
                Ok(counted.unwrap_or(0))
            });
            assert_eq!(is_counted, counted.is_some());
            taken.unwrap()
        };
        let moment = COUNT_AGAIN_AFTER / 2;
        assert_eq!(taken(2, Duration::ZERO, Some(MOST_EVENTS - 3)), 2);
        assert_eq!(taken(2, moment, None), 1);
        assert_eq!(taken(2, moment, None), 0);
        assert_eq!(taken(2, COUNT_AGAIN_AFTER, Some(MOST_EVENTS + 7)), 0, "others have stored some");
        assert_eq!(taken(2, COUNT_AGAIN_AFTER + moment, None), 0);
        assert_eq!(taken(2, 2 * COUNT_AGAIN_AFTER, Some(5)), 2, "somebody has removed some");
    }

    #[test]
    fn what_is_too_much_is_counted_until_there_is_room() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(&home.path().join("spool")).unwrap();
        let now = Instant::now();
        let room = Room { counted: Cell::new(Some(now)), left: Cell::new(2) };
        assert_eq!(spool.store(&events(&["1", "2", "3"]), &room, now).unwrap(), Stored::Not(1));
        assert_eq!(spool.store(&events(&["4"]), &room, now).unwrap(), Stored::Not(1));
        assert_eq!((spool.count().unwrap(), spool.take_overflow().unwrap()), (2, 2));
        let later = now + COUNT_AGAIN_AFTER;
        assert_eq!(spool.store(&events(&["5"]), &room, later).unwrap(), Stored::All);
        assert_eq!(spool.names().unwrap(), ["1.2.json", "5.1.json"]);
        assert_eq!(spool.read(OsStr::new("1.2.json")).unwrap(), events(&["1", "2"]));
        assert_eq!(room.left.get(), MOST_EVENTS - 3);
    }
}
