//! The directory that the database lives in: who is using it, and whether what lies there can be trusted.
//!
//! ```text
//! lock       held (flock) for the moment in which somebody comes or goes
//! users      held in common by all who have the database open
//! turn       held by whoever is writing
//! state      which boot of the machine it was used in, and the file's times when the last user went
//! results/   the database
//! damaged/   the former one, if it could not be used
//! ```
//!
//! The kernel lets go of all these locks when a process dies. Nobody waits for them longer than a moment.
//!
//! LMDB withstands the death of a process but, as it is used here, not the death of the machine: nothing is synced while
//! somebody might be waiting. So the first user marks the directory as in use, and the last one syncs the file and leaves
//! its times as a mark that it is sound. What has no such mark from before the machine was started is not opened; nor is
//! a file that has changed since the mark was made.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::database::{Database, Trouble};
use super::filesystem::boot_id;

/// How long somebody may be coming or going.
const MOMENT: Duration = Duration::from_millis(200);
const STEP: Duration = Duration::from_millis(2);

/// The directory, and this process as one of its users.
pub(super) struct Directory {
    path: PathBuf,
    users: File,
    turn: File,
}

/// A process's turn to write; over when it is dropped.
pub(super) struct Turn<'a>(&'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It would be let go with the process at the latest.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

/// Why the directory is of no use, at least now.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Others are coming or going: it takes them moments.
    Busy,
    /// What is wrong with it.
    Useless(String),
}

/// A database that has been opened, and what was found wrong on the way.
pub(super) struct Opened {
    pub(super) directory: Directory,
    pub(super) database: Database,
    pub(super) news: Option<String>,
}

impl Directory {
    /// Makes what is missing, sets aside what cannot be trusted, and opens the rest.
    pub(super) fn open(path: &Path, entries: u64, patience: Patience) -> Result<Opened, Refusal> {
        let useless = |error: &dyn std::fmt::Display| {
            Refusal::Useless(format!("cannot use {}: {error}", path.display()))
        };
        prepare(path).map_err(|error| useless(&error))?;
        let file = |name: &str| owned_file(&path.join(name)).map_err(|error| useless(&error));
        let gate = file("lock")?;
        if !patience.take(&gate) {
            return Err(Refusal::Busy);
        }
        let directory = Self { path: path.to_owned(), users: file("users")?, turn: file("turn")? };
        let mut news = directory.enter().map_err(|error| useless(&error))?;
        let mut opened = directory.open_database(entries);
        if let Err(Trouble::Damaged(why)) = &opened {
            news = Some(directory.set_aside(why).map_err(|error| useless(&error))?);
            opened = directory.open_database(entries);
        }
        match opened {
            Ok(database) => Ok(Opened { directory, database, news }),
            Err(Trouble::Busy) => Err(Refusal::Busy),
            Err(Trouble::Full) => Err(useless(&"it is full")),
            Err(Trouble::Damaged(error) | Trouble::Unusable(error)) => Err(useless(&error)),
        }
    }

    /// Becomes one of its users. The first one looks at what the last one has left.
    fn enter(&self) -> io::Result<Option<String>> {
        let mut news = None;
        if flock(&self.users, FlockOperation::NonBlockingLockExclusive).is_ok() {
            if self.data().exists()
                && let Err(why) = self.is_sound()
            {
                news = Some(self.set_aside(why)?);
            }
            // Before anything is written: from here on, a machine that dies leaves no mark.
            self.write_state("in use")?;
        }
        flock(&self.users, FlockOperation::NonBlockingLockShared)?;
        Ok(news)
    }

    fn open_database(&self, entries: u64) -> Result<Database, Trouble> {
        let unusable = |error: io::Error| Trouble::Unusable(error.to_string());
        let results = self.results();
        DirBuilder::new().mode(0o700).recursive(true).create(&results).map_err(unusable)?;
        Database::open(&results, entries, || self.wait_for_turn())
    }

    /// Whether LMDB may look at the file at all.
    fn is_sound(&self) -> Result<(), &'static str> {
        let state = fs::read_to_string(self.path.join("state")).unwrap_or_default();
        let (boot, mark) = state.trim_end().split_once('\n').ok_or("nothing says whether it is whole")?;
        match self.mark() {
            Some(now) if mark == now => Ok(()),
            // Every user was killed. The kernel has lost nothing.
            _ if mark == "in use" && Some(boot) == boot_id() => Ok(()),
            _ if mark == "in use" => Err("the machine went down while it was in use"),
            _ => Err("something else has written to it"),
        }
    }

    /// What changes with every write to the file.
    fn mark(&self) -> Option<String> {
        let about = fs::metadata(self.data()).ok()?;
        let [ino, size] = [about.ino(), about.size()];
        let [mtime, mtime_ns, ctime, ctime_ns] =
            [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
        Some(format!("whole: {ino} {size} {mtime}.{mtime_ns:09} {ctime}.{ctime_ns:09}"))
    }

    fn write_state(&self, mark: &str) -> io::Result<()> {
        // Whole or not at all: a state that is cut off would say that nothing can be trusted.
        let new = self.path.join("state.new");
        let mut state = owned_file(&new)?;
        state.set_len(0)?;
        state.write_all(format!("{}\n{mark}\n", boot_id().unwrap_or("unknown")).as_bytes())?;
        state.sync_all()?;
        fs::rename(&new, self.path.join("state"))?;
        File::open(&self.path)?.sync_all()
    }

    /// Takes the database out of the way, for whoever wants to look at it; what to tell.
    pub(super) fn set_aside(&self, why: &str) -> io::Result<String> {
        let damaged = self.path.join("damaged");
        match fs::remove_dir_all(&damaged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(self.results(), &damaged)?;
        let place = self.results();
        Ok(format!(
            "the cache of results {} cannot be used ({why}): set aside as {}, and begun anew",
            place.display(),
            damaged.display()
        ))
    }

    /// The turn to write, if it is free.
    pub(super) fn turn(&self) -> Option<Turn<'_>> {
        flock(&self.turn, FlockOperation::NonBlockingLockExclusive).ok().map(|()| Turn(&self.turn))
    }

    /// The turn to write, if it becomes free within a moment.
    pub(super) fn wait_for_turn(&self) -> Option<Turn<'_>> {
        Patience::Moment.take(&self.turn).then(|| Turn(&self.turn))
    }

    /// Goes. The last one to go, whose database must be closed, makes sure that the disk has it all. This may take its
    /// time, in which others come and go: it leaves its mark if it is still the last one then.
    pub(super) fn leave(self, database: Database) {
        drop(database);
        let is_last = || flock(&self.users, FlockOperation::NonBlockingLockExclusive).is_ok();
        let sync = || File::open(self.data()).and_then(|data| data.sync_all()).is_ok();
        if !is_last() || flock(&self.users, FlockOperation::Unlock).is_err() || !sync() {
            return;
        }
        let gate = owned_file(&self.path.join("lock")).ok().filter(|gate| Patience::Moment.take(gate));
        if gate.is_some()
            && is_last()
            && sync()
            && let Some(mark) = self.mark()
        {
            // Without the mark, what is known is forgotten at the next boot, and nothing worse.
            let _ = self.write_state(&mark);
        }
    }

    fn results(&self) -> PathBuf {
        self.path.join("results")
    }

    fn data(&self) -> PathBuf {
        self.results().join("data.mdb")
    }
}

/// A directory that nobody else can change.
fn prepare(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)?;
    is_there(path).map(drop)
}

/// Whether there is such a directory; an error if others can change what is there.
pub(super) fn is_there(path: &Path) -> io::Result<bool> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        about => about?,
    };
    let us = rustix::process::geteuid().as_raw();
    if !about.is_dir() || about.uid() != us || about.mode() & 0o022 != 0 {
        return Err(io::Error::other("it must be a directory of root's that nobody else can write to"));
    }
    Ok(true)
}

fn owned_file(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
}

/// How long a lock is waited for that others hold for moments only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// [`MOMENT`].
    Moment,
}

impl Patience {
    fn take(self, file: &File) -> bool {
        let end = Instant::now() + MOMENT;
        loop {
            if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return true;
            }
            if self == Self::None || Instant::now() >= end {
                return false;
            }
            thread::sleep(STEP);
        }
    }
}
