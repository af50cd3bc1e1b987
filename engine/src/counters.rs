//! What happens in all smbds, counted per share: a file in memory that they have in common.
//!
//! To count is one atomic addition; nobody waits for anybody, and whoever is killed has counted what it has counted. How
//! many requests are parked is another matter: what a process had parked is gone with it. So each process keeps that
//! number in a slot of its own, and whoever adds them up leaves out those whose process has ended.
//!
//! The file consists of numbers of 64 bits: a head, a row for each share, and the slots.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, FallocateFlags, OFlags, RenameFlags, fallocate, renameat_with};
use rustix::io::Errno;

use crate::sys::mapped::Mapped;

/// "vscan" and the number of this format.
const MAGIC: u64 = 0x7673_6361_6e00_0001;
const HEAD: usize = 8;
/// In the head: how often all results have been voided.
const FLUSHES: usize = 1;

const ROWS: usize = 256;
const ROW: usize = 32;
/// In a row: whose it is (0: nobody's; [`READY`]; or the process that is about to write the name).
const STATE: usize = 0;
const READY: u64 = u64::MAX;
const NAME: usize = 1;
const NAME_WORDS: usize = 11;
const FIRST_COUNTER: usize = 16;

const SLOTS: usize = 4096;
const SLOT: usize = 4;
/// In a slot: the process (0: nobody's; [`CLEANING`]), when it was started, its row, and the number of parked requests.
const PROCESS: usize = 0;
const CLEANING: u64 = u64::MAX;
const STARTED: usize = 1;
const ROW_OF_SLOT: usize = 2;
const PARKED: usize = 3;

const FIRST_SLOT: usize = HEAD + ROWS * ROW;
const NUMBERS: usize = FIRST_SLOT + SLOTS * SLOT;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client opened a file, and a verdict was wanted.
    Open,
    /// The process itself knew the result: of a scan of its own, of an earlier open, or because it was told of the file
    /// when it asked about a neighbour.
    HitOwn,
    /// Another process had found it out.
    HitShared,
    /// Another server had.
    HitServer,
    /// A scan is over, whatever its result.
    Scan,
    /// An infected file was dealt with.
    Infected,
    /// There was no verdict.
    Error,
}

/// Numbers of one share since the file was made, at the last start of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Snapshot {
    /// The share.
    pub share: String,
    /// Opens that wanted a verdict.
    pub opens: u64,
    /// Results that the process itself knew.
    pub hits_own: u64,
    /// Results of other processes.
    pub hits_shared: u64,
    /// Results of other servers.
    pub hits_server: u64,
    /// Scans.
    pub scans: u64,
    /// Infected files that were dealt with.
    pub infected: u64,
    /// Files without a verdict.
    pub errors: u64,
    /// Requests that wait for a scan at this moment.
    pub parked: u64,
}

/// The counters of all shares.
#[derive(Clone)]
pub struct Counters(Arc<Mapped>);

/// Those of one share, in one process.
#[derive(Clone)]
pub struct ShareCounters(Arc<OfShare>);

struct OfShare {
    counters: Counters,
    row: usize,
    /// None if there are too many processes: its parked requests are not counted.
    slot: Option<usize>,
}

/// A request that is parked for as long as this lives.
pub struct Parked(ShareCounters);

impl Counters {
    /// Opens the file, or makes it. Not before smbd has forked.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
        }
        match Self::open_existing(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, RenameFlags::NOREPLACE)?,
            // Of another version, or damaged: those who use it go on with what they have.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => make(path, RenameFlags::empty())?,
            other => return other,
        }
        Self::open_existing(path)
    }

    /// Opens the file if there is one.
    pub fn open_existing(path: &Path) -> io::Result<Self> {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let file = File::options().read(true).write(true).custom_flags(flags).open(path)?;
        let about = file.metadata()?;
        let is_ours = about.is_file() && about.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || about.len() != bytes() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file of vscan's counters"));
        }
        let counters = Self(Arc::new(Mapped::new(&file, NUMBERS)?));
        if counters.at(0).load(Ordering::Acquire) != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is of another version"));
        }
        Ok(counters)
    }

    /// The counters of a share.
    pub fn share(&self, name: &str) -> ShareCounters {
        let row = self.row(name);
        ShareCounters(Arc::new(OfShare { counters: self.clone(), row, slot: self.take_slot(row) }))
    }

    /// How often results have been voided by [`Counters::flush`]. Whoever sees that reads nothing older afterwards.
    pub fn flushes(&self) -> u64 {
        self.at(FLUSHES).load(Ordering::Acquire)
    }

    /// Has every process forget the results that it has in its own memory.
    pub fn flush(&self) {
        self.at(FLUSHES).fetch_add(1, Ordering::Release);
    }

    /// The numbers of all shares, by name.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        let mut shares: Vec<(usize, Snapshot)> = Vec::new();
        for row in 0..ROWS {
            let Some(share) = self.name_of(row) else { continue };
            let count = |event| self.counter(row, event).load(Ordering::Relaxed);
            shares.push((
                row,
                Snapshot {
                    share,
                    opens: count(Event::Open),
                    hits_own: count(Event::HitOwn),
                    hits_shared: count(Event::HitShared),
                    hits_server: count(Event::HitServer),
                    scans: count(Event::Scan),
                    infected: count(Event::Infected),
                    errors: count(Event::Error),
                    parked: 0,
                },
            ));
        }
        for slot in 0..SLOTS {
            let row = self.slot(slot, ROW_OF_SLOT).load(Ordering::Acquire);
            let parked = self.slot(slot, PARKED).load(Ordering::Relaxed);
            if parked > 0
                && self.is_in_use(slot)
                && let Some((_, share)) = shares.iter_mut().find(|(known, _)| *known as u64 == row)
            {
                share.parked += parked;
            }
        }
        let mut shares: Vec<Snapshot> = shares.into_iter().map(|(_, share)| share).collect();
        shares.sort_by(|one, other| one.share.cmp(&other.share));
        // Two processes that were the first ones at the same moment have a row each.
        shares.dedup_by(|second, first| {
            let same = second.share == first.share;
            if same {
                first.add(second);
            }
            same
        });
        shares
    }

    fn at(&self, index: usize) -> &AtomicU64 {
        // Every index is made of constants and of numbers below them.
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        self.0.get(index).unwrap_or(&NOWHERE)
    }

    fn of_row(&self, row: usize, index: usize) -> &AtomicU64 {
        self.at(HEAD + row * ROW + index)
    }

    fn counter(&self, row: usize, event: Event) -> &AtomicU64 {
        self.of_row(row, FIRST_COUNTER + event as usize)
    }

    fn slot(&self, slot: usize, index: usize) -> &AtomicU64 {
        self.at(FIRST_SLOT + slot * SLOT + index)
    }

    /// The row of a share; when there are none left, the last one, which is for all others.
    fn row(&self, name: &str) -> usize {
        let name = in_numbers(name);
        for row in 0..ROWS - 1 {
            let state = self.of_row(row, STATE);
            let us = u64::from(std::process::id());
            if state.compare_exchange(0, us, Ordering::Acquire, Ordering::Acquire).is_ok() {
                self.write_name(row, &name);
                return row;
            }
            if state.load(Ordering::Acquire) == READY && self.has_name(row, &name) {
                return row;
            }
        }
        self.write_name(ROWS - 1, &in_numbers("(others)"));
        ROWS - 1
    }

    fn write_name(&self, row: usize, name: &[u64; NAME_WORDS]) {
        for (index, number) in name.iter().enumerate() {
            self.of_row(row, NAME + index).store(*number, Ordering::Relaxed);
        }
        self.of_row(row, STATE).store(READY, Ordering::Release);
    }

    fn has_name(&self, row: usize, name: &[u64; NAME_WORDS]) -> bool {
        let same = |(index, number): (usize, &u64)| {
            self.of_row(row, NAME + index).load(Ordering::Relaxed) == *number
        };
        name.iter().enumerate().all(same)
    }

    fn name_of(&self, row: usize) -> Option<String> {
        if self.of_row(row, STATE).load(Ordering::Acquire) != READY {
            return None;
        }
        let numbers = (0..NAME_WORDS).map(|index| self.of_row(row, NAME + index).load(Ordering::Relaxed));
        let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).take_while(|byte| *byte != 0).collect();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A slot that nobody has, or whose process has ended.
    fn take_slot(&self, row: usize) -> Option<usize> {
        let us = u64::from(std::process::id());
        let started = started(us)?;
        let take = |slot: &usize| {
            let process = self.slot(*slot, PROCESS);
            process.compare_exchange(0, CLEANING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let bury = |slot: &usize| {
            let process = self.slot(*slot, PROCESS);
            let former = process.load(Ordering::Acquire);
            !self.is_in_use(*slot)
                && former != CLEANING
                && process.compare_exchange(former, CLEANING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let slot = (0..SLOTS).find(take).or_else(|| (0..SLOTS).find(bury))?;
        self.slot(slot, STARTED).store(started, Ordering::Relaxed);
        self.slot(slot, ROW_OF_SLOT).store(row as u64, Ordering::Relaxed);
        self.slot(slot, PARKED).store(0, Ordering::Relaxed);
        self.slot(slot, PROCESS).store(us, Ordering::Release);
        Some(slot)
    }

    fn is_in_use(&self, slot: usize) -> bool {
        let process = self.slot(slot, PROCESS).load(Ordering::Acquire);
        process != 0
            && process != CLEANING
            && started(process) == Some(self.slot(slot, STARTED).load(Ordering::Relaxed))
    }
}

impl ShareCounters {
    /// Counts.
    pub fn count(&self, event: Event) {
        self.0.counters.counter(self.0.row, event).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request as parked.
    pub fn park(&self) -> Parked {
        if let Some(slot) = self.0.slot {
            self.0.counters.slot(slot, PARKED).fetch_add(1, Ordering::Relaxed);
        }
        Parked(self.clone())
    }

    /// How often all processes were told to forget what they know.
    pub fn flushes(&self) -> u64 {
        self.0.counters.flushes()
    }
}

impl Drop for OfShare {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.counters.slot(slot, PARKED).store(0, Ordering::Relaxed);
            self.counters.slot(slot, PROCESS).store(0, Ordering::Release);
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let OfShare { counters, slot, .. } = &*self.0.0;
        if let Some(slot) = slot {
            let parked = counters.slot(*slot, PARKED);
            // Not below zero, whatever has happened to the slot.
            let _ = parked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        }
    }
}

impl Snapshot {
    fn add(&mut self, other: &Self) {
        self.opens += other.opens;
        self.hits_own += other.hits_own;
        self.hits_shared += other.hits_shared;
        self.hits_server += other.hits_server;
        self.scans += other.scans;
        self.infected += other.infected;
        self.errors += other.errors;
        self.parked += other.parked;
    }
}

const fn bytes() -> u64 {
    (NUMBERS * size_of::<u64>()) as u64
}

/// Makes the file elsewhere and moves it into its place, whole.
fn make(path: &Path, flags: RenameFlags) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let _ = fs::remove_file(&name);
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&name)?;
    let made =
        fallocate(&file, FallocateFlags::empty(), 0, bytes()).map_err(io::Error::from).and_then(|()| {
            let mapped = Mapped::new(&file, NUMBERS)?;
            if let Some(magic) = mapped.first() {
                magic.store(MAGIC, Ordering::Release);
            }
            match renameat_with(CWD, &name, CWD, path, flags) {
                // Somebody else was faster.
                Err(Errno::EXIST) => Ok(()),
                other => Ok(other?),
            }
        });
    let _ = fs::remove_file(&name);
    made
}

fn in_numbers(name: &str) -> [u64; NAME_WORDS] {
    let mut numbers = [0; NAME_WORDS];
    for (number, bytes) in numbers.iter_mut().zip(name.as_bytes().chunks(8)) {
        let mut eight = [0; 8];
        eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        *number = u64::from_le_bytes(eight);
    }
    numbers
}

/// When a process was started, in ticks since the machine was; None if there is no such process.
fn started(process: u64) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the start is the 20th field behind it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_new_file() -> (tempfile::TempDir, Counters) {
        let home = tempfile::tempdir().unwrap();
        let counters = Counters::open(&home.path().join("run/counters")).unwrap();
        (home, counters)
    }

    #[test]
    fn what_is_counted_in_one_place_is_seen_in_another() {
        let (home, counters) = in_new_file();
        let (data, other) = (counters.share("data"), counters.share("other"));
        for event in [Event::Open, Event::Open, Event::HitShared, Event::Error] {
            data.count(event);
        }
        other.count(Event::Infected);
        let parked = (data.park(), data.park());
        drop(parked.0);
        let seen = Counters::open(&home.path().join("run/counters")).unwrap();
        assert_eq!(
            seen.snapshot(),
            [
                Snapshot {
                    share: "data".to_owned(),
                    opens: 2,
                    hits_shared: 1,
                    errors: 1,
                    parked: 1,
                    ..Snapshot::default()
                },
                Snapshot { share: "other".to_owned(), infected: 1, ..Snapshot::default() },
            ]
        );
        seen.flush();
        assert_eq!(data.flushes(), 1);
    }

    #[test]
    fn a_share_has_one_row_whoever_counts() {
        let (_home, counters) = in_new_file();
        for _ in 0..3 {
            counters.share("data").count(Event::Scan);
        }
        assert_eq!(counters.snapshot().len(), 1);
        assert_eq!(counters.snapshot()[0].scans, 3);
    }

    #[test]
    fn more_shares_than_rows_are_counted_together() {
        let (_home, counters) = in_new_file();
        for number in 0..300 {
            counters.share(&format!("share {number}")).count(Event::Scan);
        }
        let shares = counters.snapshot();
        assert_eq!(shares.iter().map(|share| share.scans).sum::<u64>(), 300);
        assert_eq!(shares[0].share, "(others)");
    }

    #[test]
    fn what_a_dead_process_had_parked_does_not_count() {
        let (_home, counters) = in_new_file();
        let share = counters.share("data");
        std::mem::forget(share.park());
        assert_eq!(counters.snapshot()[0].parked, 1);
        // As if another process had had this process's number.
        counters.slot(share.0.slot.unwrap(), STARTED).store(1, Ordering::Relaxed);
        assert_eq!(counters.snapshot()[0].parked, 0);
        let former = share.0.slot;
        for slot in 0..SLOTS {
            let _ = counters.slot(slot, PROCESS).compare_exchange(
                0,
                CLEANING,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        assert_eq!(counters.share("data").0.slot, former, "its slot is used again");
    }

    #[test]
    fn a_file_of_another_kind_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("counters");
        for content in [b"rubbish".to_vec(), vec![7; usize::try_from(bytes()).unwrap()]] {
            std::fs::write(&path, content).unwrap();
            Counters::open(&path).unwrap().share("data").count(Event::Open);
            assert_eq!(Counters::open(&path).unwrap().snapshot()[0].opens, 1);
        }
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "and nothing else is left");
    }
}
