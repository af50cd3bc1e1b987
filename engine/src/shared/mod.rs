//! What is known of files that were scanned already, in all processes, and after they have ended.
//!
//! The results lie in LMDB, in a directory of root's. Whoever looks one up takes no lock that another process could hold,
//! and waits for nobody. Whoever has one to add hands it over ([`SharedCache::store`]) and writes it when nobody waits
//! ([`SharedCache::write_pending`]), all that have come together in one transaction, and only if nobody else is writing.
//!
//! Trouble with the database costs a line in the log and scans, never a verdict: the process goes on without it, and
//! tries again after a while.

mod contents;
mod database;
mod directory;
mod filesystem;
mod record;
pub(crate) mod server;

#[cfg(test)]
mod foreign_bytes;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::fingerprint::Fingerprint;
use crate::identity::{FileKey, FileTime, Identity};
use crate::log::{Level, Log};
use crate::privilege::Privilege;
use database::{Change, Database, Trouble};
use directory::{Directory, Opened, Patience, Refusal};
use filesystem::Filesystems;
use server::Server;

pub use contents::{Flush, Stats, Unavailable};
pub use filesystem::FilesystemId;
pub use record::{Entry, Generation, Key, Version};

/// After trouble, the database is left alone for so long.
const PAUSE: Duration = Duration::from_secs(60);

/// While others come and go it is tried again after the first of these, then after twice as long, up to the last one.
const SHORT_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(3200));

/// How many results wait to be written; beyond that, the oldest are forgotten. They cost a scan each.
const MOST_PENDING: usize = 4096;

/// How many are written in one transaction.
const AT_ONCE: usize = 64;

/// How long the end of a process may wait for its turn to write.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// The results that all processes share. There is one of these per process and directory.
pub struct SharedCache {
    path: PathBuf,
    entries: u64,
    state: Mutex<State>,
    pending: Mutex<VecDeque<Change>>,
    filesystems: Filesystems,
    server: OnceLock<Server>,
}

enum State {
    Open(Database, Directory),
    /// Left alone until then.
    Closed(Instant),
    /// The same for the moment that others take to come or go, after a pause of this length.
    Busy(Instant, Duration),
}

/// Something somebody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Of which file, and of whom.
    pub key: Key,
    /// The state that the file is in.
    pub identity: &'a Identity,
    /// The signatures that count.
    pub signatures: u64,
    /// How old an answer may be.
    pub lifetime: Option<Duration>,
}

/// What a look at the cache has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A result that counts.
    Known(Entry),
    /// A result by other signatures than those that were asked for.
    OtherSignatures,
    /// Nothing.
    Unknown,
}

/// LMDB may be opened once per process: here is what has been.
static OPEN: Mutex<Option<HashMap<PathBuf, Arc<SharedCache>>>> = Mutex::new(None);

impl SharedCache {
    /// Whether there is a directory for a cache, and not yet what is in it; an error if it would not be used. Makes nothing.
    pub fn has_directory(path: &Path) -> io::Result<bool> {
        directory::is_there(path)
    }

    /// The cache in this directory, opened if it is the first time. Not before smbd has forked the process that serves a
    /// client. Trouble is logged, and leaves a cache that knows nothing for a while.
    pub fn open(directory: &Path, entries: u64, log: &dyn Log, privilege: &dyn Privilege) -> Arc<Self> {
        let mut open = locked(&OPEN);
        let known = open.get_or_insert_default();
        if let Some(cache) = known.get(directory) {
            return cache.clone();
        }
        let cache = Arc::new(Self {
            path: directory.to_owned(),
            entries,
            state: Mutex::new(State::Closed(Instant::now())),
            pending: Mutex::default(),
            filesystems: Filesystems::default(),
            server: OnceLock::new(),
        });
        known.insert(directory.to_owned(), cache.clone());
        mem::drop(open);
        cache.reopen(&mut locked(&cache.state), Patience::Moment, log, privilege);
        cache
    }

    /// What is known of a file in exactly this state, by these signatures.
    pub fn lookup(&self, question: &Question<'_>, log: &dyn Log) -> Lookup {
        self.peek(&question.key, log).map_or(Lookup::Unknown, |entry| question.judge(entry))
    }

    /// The same, with what is known of files with such inode numbers on the same filesystem, as far as it would count.
    pub fn lookup_with(
        &self,
        question: &Question<'_>,
        neighbours: &RangeInclusive<u64>,
        mut learn: impl FnMut(Key, Entry),
        log: &dyn Log,
    ) -> Lookup {
        let now = FileTime::now();
        let visit = |key: Key, entry: Entry| {
            if question.is_young(&entry, now) && entry.signatures == question.signatures {
                learn(key, entry);
            }
        };
        let found =
            self.with(log, |database, _| database.get_with(&question.key, neighbours, visit)).flatten();
        found.map_or(Lookup::Unknown, |entry| question.judge(entry))
    }

    /// Asks this server, too, from now on: `redis://192.0.2.7:6379/0`.
    pub fn use_server(&self, address: &str) {
        if let Some(server) = Server::new(address) {
            // A process that has one has got it from the same configuration.
            let _ = self.server.set(server);
        }
    }

    /// What another server knows. It is remembered for this one.
    pub fn lookup_at_server(
        &self,
        question: &Question<'_>,
        log: &dyn Log,
        privilege: &dyn Privilege,
    ) -> Option<Entry> {
        let server = self.server.get()?;
        let generation = self.generation(log);
        let entry = server.get(&question.key, log, privilege)?;
        match question.judge(entry) {
            Lookup::Known(entry) => {
                self.push(Change::Learned(question.key, entry.clone(), generation));
                Some(entry)
            }
            Lookup::OtherSignatures | Lookup::Unknown => None,
        }
    }

    /// What is known of a file, in whatever state and by whatever signatures.
    pub fn peek(&self, key: &Key, log: &dyn Log) -> Option<Entry> {
        self.with(log, |database, _| database.get(key)).flatten()
    }

    /// The current generation, for whoever begins to find something out; None while the database cannot be used.
    pub fn generation(&self, log: &dyn Log) -> Option<Generation> {
        self.with(log, |database, _| database.generation())
    }

    /// Hands a result over, and the generation in which its scan began. It is written at the next
    /// [`SharedCache::write_pending`], unless another generation has begun by then.
    pub fn store(&self, key: Key, entry: Entry, generation: Option<Generation>) {
        self.push(Change::Result(key, entry, generation));
    }

    /// Whether something waits to be written.
    pub fn has_pending(&self) -> bool {
        !locked(&self.pending).is_empty()
    }

    /// What a scanner has last told any process of its version.
    pub fn version(&self, scanner: &str, log: &dyn Log) -> Option<Version> {
        self.with(log, |database, _| database.version(number_of(scanner))).flatten()
    }

    /// Hands over what a scanner has said of its version.
    pub fn store_version(&self, scanner: &str, version: Version) {
        self.push(Change::Version(number_of(scanner), version));
    }

    /// Writes what was handed over, unless somebody else is writing. Whether there is something left, to be tried again
    /// after a few milliseconds.
    pub fn write_pending(&self, log: &dyn Log, privilege: &dyn Privilege) -> bool {
        if !self.has_pending() || self.is_busy(log, privilege) {
            // In the second case, with the next result.
            return false;
        }
        let mut batch: Vec<Change> = {
            let mut pending = locked(&self.pending);
            let count = pending.len().min(AT_ONCE);
            pending.drain(..count).collect()
        };
        let written = self.with_privilege(log, Some(privilege), |database, directory| {
            let Some(_turn) = directory.turn() else { return Ok(false) };
            match database.write(&mut batch) {
                Err(Trouble::Full) => {
                    database.shrink()?;
                    Ok(true)
                }
                other => other.map(|()| true),
            }
        });
        if written != Some(false) {
            self.tell_server(&batch, log, privilege);
        }
        let mut pending = locked(&self.pending);
        if written == Some(false) {
            for change in batch.into_iter().rev() {
                pending.push_front(change);
            }
        }
        // What cannot be written at all is forgotten.
        written.is_some() && !pending.is_empty()
    }

    /// Tells the other server what this one has found out.
    fn tell_server(&self, written: &[Change], log: &dyn Log, privilege: &dyn Privilege) {
        let Some(server) = self.server.get() else { return };
        let (mut results, mut generations) = (Vec::new(), Vec::new());
        for change in written {
            if let Change::Result(key, entry, generation) = change {
                results.push((*key, entry));
                generations.push(*generation);
            }
        }
        if results.is_empty() {
            return;
        }
        server.set(&results, log, privilege);
        // If there was a flush in between, the server may have been asked to forget them before it knew them.
        let current = self.generation(log);
        let is_over = |generation: &Option<Generation>| generation.is_some() && *generation != current;
        if current.is_some() && generations.iter().any(is_over) {
            let files: Vec<_> = results.iter().map(|(key, _)| (key.filesystem, key.ino)).collect();
            server.forget(Flush::Files(&files), log, privilege);
        }
    }

    /// Whether others are coming or going and had been so before. Opens the database, if its pause is over.
    fn is_busy(&self, log: &dyn Log, privilege: &dyn Privilege) -> bool {
        let mut state = locked(&self.state);
        if let State::Closed(until) | State::Busy(until, _) = *state
            && Instant::now() >= until
        {
            self.reopen(&mut state, Patience::None, log, privilege);
        }
        matches!(*state, State::Busy(..))
    }

    /// The key of a file whose scanners are summed up by `scanners`. `open` gives any descriptor of the file, and is only
    /// called for a filesystem that was not met lately.
    pub fn key(&self, file: FileKey, scanners: u64, open: impl FnOnce() -> Option<OwnedFd>) -> Option<Key> {
        let filesystem = self.filesystems.of(file, Instant::now(), open)?;
        Some(Key { filesystem, ino: file.ino, scanners })
    }

    fn push(&self, change: Change) {
        let mut pending = locked(&self.pending);
        if pending.len() >= MOST_PENDING {
            pending.pop_front();
        }
        pending.push_back(change);
    }

    /// Does something with the database, if it is open.
    fn with<T>(
        &self,
        log: &dyn Log,
        work: impl FnOnce(&Database, &Directory) -> Result<T, Trouble>,
    ) -> Option<T> {
        self.with_privilege(log, None, work)
    }

    fn with_privilege<T>(
        &self,
        log: &dyn Log,
        privilege: Option<&dyn Privilege>,
        work: impl FnOnce(&Database, &Directory) -> Result<T, Trouble>,
    ) -> Option<T> {
        // Held all the time: LMDB must not be mapped anew while another thread looks at it.
        let mut state = locked(&self.state);
        let trouble = match &*state {
            State::Open(database, directory) => match work(database, directory) {
                Ok(done) => return Some(done),
                Err(trouble) => trouble,
            },
            State::Closed(_) | State::Busy(..) => return None,
        };
        let closed = State::Closed(Instant::now() + PAUSE);
        if let State::Open(database, directory) = mem::replace(&mut *state, closed) {
            mem::drop(database);
            self.report(&trouble, &directory, log, privilege);
        }
        None
    }

    fn report(
        &self,
        trouble: &Trouble,
        directory: &Directory,
        log: &dyn Log,
        privilege: Option<&dyn Privilege>,
    ) {
        let goes_on = format!("this process goes on without it for {} s", PAUSE.as_secs());
        let cannot = |why: &str| {
            format!("the cache of results in {} cannot be used: {why}; {goes_on}", self.path.display())
        };
        let text = match trouble {
            Trouble::Full => cannot("there is no room in it"),
            Trouble::Busy => cannot("others are writing to it all the time"),
            Trouble::Unusable(why) => cannot(why),
            Trouble::Damaged(why) => {
                let set_aside = || directory.set_aside(why);
                let done = match privilege {
                    Some(privilege) => privilege.raised(set_aside),
                    None => set_aside(),
                };
                match done {
                    Ok(news) => news,
                    Err(error) => format!(
                        "the cache of results in {} is damaged ({why}), and cannot be set aside: {error}; {goes_on}",
                        self.path.display()
                    ),
                }
            }
        };
        log.line(Level::Error, &text);
    }

    fn reopen(&self, state: &mut State, patience: Patience, log: &dyn Log, privilege: &dyn Privilege) {
        let trouble = match privilege.raised(|| Directory::open(&self.path, self.entries, patience)) {
            Ok(Opened { directory, database, news }) => {
                if let Some(news) = news {
                    log.line(Level::Error, &news);
                }
                *state = State::Open(database, directory);
                return;
            }
            Err(Refusal::Busy) => {
                let (first, longest) = SHORT_PAUSES;
                let pause = if let State::Busy(_, last) = state { *last * 2 } else { first };
                if pause <= longest {
                    *state = State::Busy(Instant::now() + pause, pause);
                    return;
                }
                format!("cannot use {}: others are coming or going all the time", self.path.display())
            }
            Err(Refusal::Useless(why)) => why,
        };
        let text = format!(
            "the cache of results {trouble}; this process goes on without it, and tries again every {} s",
            PAUSE.as_secs()
        );
        log.line(Level::Error, &text);
        *state = State::Closed(Instant::now() + PAUSE);
    }

    /// Writes what is left and closes the database. What was known is whole, also for another boot of the machine, if
    /// everybody ends like this.
    fn close(&self, log: &dyn Log, privilege: &dyn Privilege) {
        let mut end = Instant::now() + LAST_MOMENT;
        let mut left = locked(&self.pending).len();
        while self.write_pending(log, privilege) && Instant::now() < end {
            let before = mem::replace(&mut left, locked(&self.pending).len());
            if left < before {
                end = Instant::now() + LAST_MOMENT;
            } else {
                // Somebody else's turn; it does not take long.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let state = mem::replace(&mut *locked(&self.state), State::Closed(Instant::now() + PAUSE));
        if let State::Open(database, directory) = state {
            privilege.raised(|| directory.leave(database));
        }
    }
}

/// Closes all caches of this process, which is about to end. Waits, if this process is the last one to use them.
pub fn close_all(log: &dyn Log, privilege: &dyn Privilege) {
    let caches = locked(&OPEN).take().unwrap_or_default();
    for cache in caches.into_values() {
        cache.close(log, privilege);
    }
}

impl Question<'_> {
    /// Whether this is an answer.
    fn judge(&self, entry: Entry) -> Lookup {
        let counts = entry.is_about(self.identity) && self.is_young(&entry, FileTime::now());
        match (counts, entry.signatures == self.signatures) {
            (true, true) => Lookup::Known(entry),
            (true, false) => Lookup::OtherSignatures,
            (false, _) => Lookup::Unknown,
        }
    }

    fn is_young(&self, entry: &Entry, now: FileTime) -> bool {
        // What comes from the future was stored by a clock that was wrong.
        now.since(entry.stored).is_some_and(|age| self.lifetime.is_none_or(|lifetime| age < lifetime))
    }
}

fn number_of(scanner: &str) -> u64 {
    Fingerprint::new().bytes(scanner.as_bytes()).finish()
}

/// A panic elsewhere is no reason to do without.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
