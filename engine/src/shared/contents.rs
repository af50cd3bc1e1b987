//! What administrators see of the results, and how they have them forgotten.

use std::fmt;

use super::filesystem::FilesystemId;
use super::record::{Entry, Key};
use super::{SharedCache, State, locked};
use crate::cache::Known;
use crate::identity::FileTime;
use crate::log::Log;
use crate::privilege::Privilege;

/// What there is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// How many results there are.
    pub entries: u64,
    /// How many there may be.
    pub limit: u64,
    /// Bytes that the file takes.
    pub bytes: u64,
    /// How many of them are finds; counted by looking at all of them.
    pub infected: u64,
    /// When the oldest one was stored, and the newest.
    pub stored: Option<(FileTime, FileTime)>,
}

/// Why nothing can be said of the cache, or done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// What to forget.
#[derive(Clone, Copy, Debug)]
pub enum Flush<'a> {
    /// Everything.
    All,
    /// What is known of these files, by whatever scanner and in whatever state.
    Files(&'a [(FilesystemId, u64)]),
}

impl SharedCache {
    /// What there is in it.
    pub fn stats(&self, log: &dyn Log) -> Result<Stats, Unavailable> {
        let (mut infected, mut stored) = (0, None);
        self.each(log, |_, entry| {
            infected += u64::from(matches!(entry.known, Known::Infected(_)));
            let (first, last) = stored.unwrap_or((entry.stored, entry.stored));
            stored = Some((entry.stored.min(first), entry.stored.max(last)));
        })?;
        let sizes = self.with(log, |database, _| Ok((database.len()?, database.bytes_on_disk()?)));
        let (entries, bytes) = sizes.ok_or_else(|| self.unavailable())?;
        Ok(Stats { entries, limit: self.entries, bytes, infected, stored })
    }

    /// The files whose scans took longest, longest first.
    pub fn top(&self, count: usize, log: &dyn Log) -> Result<Vec<(Key, Entry)>, Unavailable> {
        let mut top: Vec<(Key, Entry)> = Vec::new();
        self.each(log, |key, entry| {
            let at = top.partition_point(|(_, other)| other.took >= entry.took);
            if at < count {
                top.insert(at, (key, entry));
                top.truncate(count);
            }
        })?;
        Ok(top)
    }

    /// Calls for every result, whether it still counts or not.
    pub fn each(&self, log: &dyn Log, visit: impl FnMut(Key, Entry)) -> Result<(), Unavailable> {
        self.with(log, |database, _| database.each(visit)).ok_or_else(|| self.unavailable())
    }

    /// Forgets results, here and at the other server, and has those not be written that somebody here has begun to find
    /// out; how many there were. Processes still have their own memory: see `counters::flush`.
    pub fn flush(
        &self,
        what: Flush<'_>,
        log: &dyn Log,
        privilege: &dyn Privilege,
    ) -> Result<u64, Unavailable> {
        let forgotten = self.flush_here(what, log)?;
        if let Some(server) = self.server.get() {
            server
                .forget(what, log, privilege)
                .ok_or_else(|| Unavailable(format!("the cache server {server} has not forgotten them")))?;
            // What somebody has learned from it meanwhile.
            self.flush_here(what, log)?;
        }
        Ok(forgotten)
    }

    fn flush_here(&self, what: Flush<'_>, log: &dyn Log) -> Result<u64, Unavailable> {
        let flushed = self.with(log, |database, directory| {
            let Some(_turn) = directory.wait_for_turn() else {
                return Ok(None);
            };
            match what {
                Flush::All => database.clear(),
                Flush::Files(files) => database.remove(files),
            }
            .map(Some)
        });
        let busy = || Unavailable(format!("others are writing to {} all the time", self.path.display()));
        flushed.ok_or_else(|| self.unavailable())?.ok_or_else(busy)
    }

    fn unavailable(&self) -> Unavailable {
        let why = match *locked(&self.state) {
            State::Busy(..) => ": others are coming or going; try again",
            State::Open(..) | State::Closed(_) => "",
        };
        Unavailable(format!("the cache of results in {} cannot be used{why}", self.path.display()))
    }
}
