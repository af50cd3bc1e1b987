//! The results in LMDB: who finds, adds and removes them. Nothing in here waits for another process, except for the short
//! time that LMDB itself takes to begin a transaction, which [`super::directory::Turn`] keeps free of others.

use std::ops::{Bound, RangeInclusive};
use std::path::Path;

use heed::types::Bytes;
use heed::{Database as Table, Env, MdbError, RoTxn, RwTxn, WithTls};

use super::filesystem::FilesystemId;
use super::record::{Entry, Generation, Key, Version, age_key, key_of_age};
use crate::sys;

/// Any change of what is written where makes another format.
const FORMAT: &[u8] = b"vscan results 2";
const FORMAT_KEY: &[u8] = b"format";
/// The current [`Generation`].
const GENERATION_KEY: &[u8] = b"generation";
/// There while the oldest entries are being removed.
const REMOVING_KEY: &[u8] = b"removing";

/// How many entries are removed at once when there are too many: a fraction of a millisecond's work.
const REMOVED_AT_ONCE: usize = 64;

/// What an entry takes in the file, generously: pages are two thirds full, and each entry stands in two tables.
const BYTES_PER_ENTRY: u64 = 512;
const SMALLEST_MAP: u64 = 64 << 20;

/// LMDB's, on the machines that vscan is for.
const PAGE: u64 = 4096;

/// An open database.
pub(super) struct Database {
    env: Env<WithTls>,
    tables: Tables,
    entries: u64,
}

/// What is in it.
struct Tables {
    results: Table<Bytes, Bytes>,
    /// The keys of `results`, oldest first.
    ages: Table<Bytes, Bytes>,
    versions: Table<Bytes, Bytes>,
    about: Table<Bytes, Bytes>,
}

/// Why it could not be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What is in the file makes no sense: begin anew.
    Damaged(String),
    /// There is no room in the map: some entries have to go.
    Full,
    /// Others are writing to it, and it has to be written to first.
    Busy,
    /// There is no room on the disk, no slot, no permission: go on without it.
    Unusable(String),
}

impl From<heed::Error> for Trouble {
    fn from(error: heed::Error) -> Self {
        let text = error.to_string();
        match error {
            heed::Error::Mdb(MdbError::MapFull) => Self::Full,
            heed::Error::Mdb(
                MdbError::Corrupted
                | MdbError::PageNotFound
                | MdbError::Panic
                | MdbError::VersionMismatch
                | MdbError::Invalid
                | MdbError::Incompatible
                | MdbError::CursorFull
                | MdbError::BadValSize
                | MdbError::NotFound,
            )
            | heed::Error::Encoding(_)
            | heed::Error::Decoding(_) => Self::Damaged(text),
            heed::Error::Io(_) | heed::Error::Mdb(_) | heed::Error::EnvAlreadyOpened => Self::Unusable(text),
        }
    }
}

/// Something to be written.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A result of this process, and the generation in which its scan began, if that could be told then.
    Result(Key, Entry, Option<Generation>),
    /// One of another server.
    Learned(Key, Entry, Option<Generation>),
    /// What a scanner has said.
    Version(u64, Version),
}

impl Database {
    /// Opens or makes the database in `directory`, whose file may not be shorter than it says. Only who makes it takes
    /// the turn to write: among many who come while others write, each would keep the next ones waiting.
    pub(super) fn open<T>(
        directory: &Path,
        entries: u64,
        turn: impl Fn() -> Option<T>,
    ) -> Result<Self, Trouble> {
        let map_size = entries.saturating_mul(BYTES_PER_ENTRY).max(SMALLEST_MAP).next_multiple_of(1 << 20);
        let env = sys::lmdb::open(directory, usize::try_from(map_size).unwrap_or(usize::MAX))?;
        make_whole(&env, directory, &turn)?;
        // Those of processes that have died. A slot that nobody cleans up keeps old pages from being used again.
        env.clear_stale_readers()?;
        let tables = match Tables::find(&env)? {
            Some(tables) => tables,
            None => {
                let _turn = turn().ok_or(Trouble::Busy)?;
                Tables::make(&env)?
            }
        };
        Ok(Self { env, tables, entries })
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Entry>, Trouble> {
        let txn = self.read()?;
        let key = key.to_bytes();
        Ok(self.tables.results.get(&txn, &key)?.and_then(|value| Entry::from_bytes(&key, value)))
    }

    /// The same, and what these scanners know of files with such inode numbers on the same filesystem.
    pub(super) fn get_with(
        &self,
        key: &Key,
        neighbours: &RangeInclusive<u64>,
        mut visit: impl FnMut(Key, Entry),
    ) -> Result<Option<Entry>, Trouble> {
        let txn = self.read()?;
        let first = Key { ino: *neighbours.start(), scanners: 0, ..*key }.to_bytes();
        let last = Key { ino: *neighbours.end(), scanners: u64::MAX, ..*key }.to_bytes();
        let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        let mut found = None;
        for result in self.tables.results.range(&txn, &range)? {
            let (bytes, value) = result?;
            // The key first: where foreign bytes have got in, its length may be any, and it may end beyond the file.
            let is_ours = |other: &Key| other.scanners == key.scanners;
            let Some(other) = Key::from_bytes(bytes).filter(is_ours) else { continue };
            match Entry::from_bytes(bytes, value) {
                Some(entry) if other == *key => found = Some(entry),
                Some(entry) => visit(other, entry),
                None => {}
            }
        }
        Ok(found)
    }

    pub(super) fn version(&self, scanner: u64) -> Result<Option<Version>, Trouble> {
        let txn = self.read()?;
        Ok(self.tables.versions.get(&txn, &scanner.to_be_bytes())?.and_then(Version::from_bytes))
    }

    pub(super) fn generation(&self) -> Result<Generation, Trouble> {
        let txn = self.read()?;
        self.generation_in(&txn)
    }

    fn generation_in(&self, txn: &RoTxn<'_>) -> Result<Generation, Trouble> {
        let bytes = self.tables.about.get(txn, GENERATION_KEY)?;
        Ok(bytes.map(Generation::from_bytes).unwrap_or_default())
    }

    /// Has whatever was found out until now not be written any more.
    fn end_generation(&self, txn: &mut RwTxn<'_>) -> Result<(), Trouble> {
        let next = self.generation_in(txn)?.next();
        Ok(self.tables.about.put(txn, GENERATION_KEY, &next.to_bytes())?)
    }

    fn read(&self) -> Result<RoTxn<'_, WithTls>, Trouble> {
        match self.env.read_txn() {
            Err(heed::Error::Mdb(MdbError::MapResized)) => {
                self.grow()?;
                Ok(self.env.read_txn()?)
            }
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => {
                self.env.clear_stale_readers()?;
                Ok(self.env.read_txn()?)
            }
            other => Ok(other?),
        }
    }

    /// Another process has been told to keep more.
    fn grow(&self) -> Result<(), Trouble> {
        Ok(sys::lmdb::grow(&self.env, self.env.info().map_size.saturating_mul(2))?)
    }

    /// Writes some changes, and removes some of the oldest entries if there are too many. What was found out before the
    /// last flush is not written, and no longer among the changes afterwards.
    pub(super) fn write(&self, changes: &mut Vec<Change>) -> Result<(), Trouble> {
        let mut txn = self.begin()?;
        // Whoever flushes waits for this transaction to end, or has ended before.
        let current = self.generation_in(&txn)?;
        changes.retain(|change| match change {
            Change::Result(_, entry, None) | Change::Learned(_, entry, None) => {
                current.had_begun(entry.began())
            }
            Change::Result(.., Some(then)) | Change::Learned(.., Some(then)) => *then == current,
            Change::Version(..) => true,
        });
        for change in changes {
            match change {
                Change::Result(key, entry, _) | Change::Learned(key, entry, _) => {
                    self.put(&mut txn, *key, entry)?
                }
                Change::Version(scanner, version) => {
                    self.tables.versions.put(&mut txn, &scanner.to_be_bytes(), &version.to_bytes())?;
                }
            }
        }
        self.make_room(&mut txn)?;
        Ok(txn.commit()?)
    }

    fn begin(&self) -> Result<RwTxn<'_>, Trouble> {
        match self.env.write_txn() {
            Err(heed::Error::Mdb(MdbError::MapResized)) => {
                self.grow()?;
                Ok(self.env.write_txn()?)
            }
            other => Ok(other?),
        }
    }

    fn put(&self, txn: &mut RwTxn<'_>, key: Key, entry: &Entry) -> Result<(), Trouble> {
        let key = key.to_bytes();
        let former = self.tables.results.get(txn, &key)?.and_then(Entry::stored_in);
        if let Some(former) = former {
            self.tables.ages.delete(txn, &age_key(former, &key))?;
        }
        self.tables.results.put(txn, &key, &entry.to_bytes(&key))?;
        Ok(self.tables.ages.put(txn, &age_key(entry.stored, &key), &[])?)
    }

    /// When it is full, the oldest tenth goes, a few entries with each change.
    fn make_room(&self, txn: &mut RwTxn<'_>) -> Result<(), Trouble> {
        let count = self.tables.results.len(txn)?;
        if count >= self.entries {
            self.tables.about.put(txn, REMOVING_KEY, b"")?;
        } else if self.tables.about.get(txn, REMOVING_KEY)?.is_none() {
            return Ok(());
        }
        let enough = self.entries - self.entries / 10;
        let surplus = usize::try_from(count.saturating_sub(enough)).unwrap_or(usize::MAX);
        self.remove_oldest(txn, surplus.min(REMOVED_AT_ONCE))?;
        if surplus <= REMOVED_AT_ONCE {
            self.tables.about.delete(txn, REMOVING_KEY)?;
        }
        Ok(())
    }

    fn remove_oldest(&self, txn: &mut RwTxn<'_>, count: usize) -> Result<(), Trouble> {
        let mut oldest = Vec::with_capacity(count);
        for entry in self.tables.ages.iter(txn)?.take(count) {
            oldest.push(entry?.0.to_vec());
        }
        for age in oldest {
            self.tables.results.delete(txn, key_of_age(&age))?;
            self.tables.ages.delete(txn, &age)?;
        }
        Ok(())
    }

    /// After LMDB said that the map is full: rids it of so much that there is room for what comes.
    pub(super) fn shrink(&self) -> Result<(), Trouble> {
        let mut txn = self.begin()?;
        self.remove_oldest(&mut txn, REMOVED_AT_ONCE)?;
        Ok(txn.commit()?)
    }

    /// Flushes everything that is known of these files; how much that was.
    pub(super) fn remove(&self, files: &[(FilesystemId, u64)]) -> Result<u64, Trouble> {
        let mut txn = self.begin()?;
        self.end_generation(&mut txn)?;
        let mut removed = 0;
        for (filesystem, ino) in files {
            let prefix = Key::file_prefix(*filesystem, *ino);
            let mut found = Vec::new();
            for entry in self.tables.results.prefix_iter(&txn, &prefix)? {
                let (key, value) = entry?;
                found.push((key.to_vec(), Entry::stored_in(value)));
            }
            for (key, stored) in found {
                removed += u64::from(self.tables.results.delete(&mut txn, &key)?);
                if let Some(stored) = stored {
                    self.tables.ages.delete(&mut txn, &age_key(stored, &key))?;
                }
            }
        }
        txn.commit()?;
        Ok(removed)
    }

    /// Flushes all results; how many there were.
    pub(super) fn clear(&self) -> Result<u64, Trouble> {
        let mut txn = self.begin()?;
        self.end_generation(&mut txn)?;
        let count = self.tables.results.len(&txn)?;
        self.tables.results.clear(&mut txn)?;
        self.tables.ages.clear(&mut txn)?;
        txn.commit()?;
        Ok(count)
    }

    /// Calls for each entry, in the order of files, and stops when it says so.
    pub(super) fn each(&self, mut visit: impl FnMut(Key, Entry)) -> Result<(), Trouble> {
        // In pieces: a reader that takes its time keeps all pages that were current when it began.
        const AT_ONCE: usize = 10_000;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let txn = self.read()?;
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut last = None;
            for entry in self.tables.results.range(&txn, &(from, Bound::Unbounded))?.take(AT_ONCE) {
                let (key, value) = entry?;
                if let Some((key, entry)) = Key::from_bytes(key).zip(Entry::from_bytes(key, value)) {
                    visit(key, entry);
                }
                last = Some(key.to_vec());
            }
            match last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    pub(super) fn len(&self) -> Result<u64, Trouble> {
        let txn = self.read()?;
        Ok(self.tables.results.len(&txn)?)
    }

    pub(super) fn bytes_on_disk(&self) -> Result<u64, Trouble> {
        Ok(self.env.real_disk_size()?)
    }

    #[cfg(test)]
    pub(super) fn forget_its_generation(&self) -> Result<(), Trouble> {
        let mut txn = self.begin()?;
        self.tables.about.delete(&mut txn, GENERATION_KEY)?;
        Ok(txn.commit()?)
    }

    #[cfg(test)]
    pub(super) fn pretend_to_be_of_another_version(&self) -> Result<(), Trouble> {
        let mut txn = self.begin()?;
        self.tables.about.put(&mut txn, FORMAT_KEY, b"vscan results 0")?;
        Ok(txn.commit()?)
    }
}

impl Tables {
    fn find(env: &Env<WithTls>) -> Result<Option<Self>, Trouble> {
        let txn = env.read_txn()?;
        let table = |name| env.open_database::<Bytes, Bytes>(&txn, Some(name));
        let Some(about) = table("about")? else { return Ok(None) };
        if about.get(&txn, FORMAT_KEY)? != Some(FORMAT) {
            return Err(Trouble::Damaged("it was written by another version".to_owned()));
        }
        let others = (table("results")?, table("ages")?, table("versions")?);
        let (Some(results), Some(ages), Some(versions)) = others else {
            return Err(Trouble::Damaged("a part of it is missing".to_owned()));
        };
        // Until then, what was opened belongs to this transaction.
        txn.commit()?;
        Ok(Some(Self { results, ages, versions, about }))
    }

    fn make(env: &Env<WithTls>) -> Result<Self, Trouble> {
        let mut txn = env.write_txn()?;
        let mut table = |name| env.create_database::<Bytes, Bytes>(&mut txn, Some(name));
        let (results, ages, versions) = (table("results")?, table("ages")?, table("versions")?);
        let about = table("about")?;
        about.put(&mut txn, FORMAT_KEY, FORMAT)?;
        // Not one that a former database, which was set aside, had: somebody may have begun a scan in it.
        about.put(&mut txn, GENERATION_KEY, &Generation::first().to_bytes())?;
        txn.commit()?;
        Ok(Self { results, ages, versions, about })
    }
}

/// LMDB maps the file and reads up to the last page in use. One that has been cut short would be a SIGBUS.
fn make_whole<T>(env: &Env<WithTls>, directory: &Path, turn: &impl Fn() -> Option<T>) -> Result<(), Trouble> {
    // The last pages of a transaction may be free by its end, and are not written then: a few may be missing.
    const MAY_BE_MISSING: u64 = 64 * PAGE;
    let unusable = |error: std::io::Error| Trouble::Unusable(error.to_string());
    let file = std::fs::File::options().write(true).open(directory.join("data.mdb")).map_err(unusable)?;
    let (needed, length) = (bytes_in_use(env), file.metadata().map_err(unusable)?.len());
    if length.saturating_add(MAY_BE_MISSING) < needed {
        return Err(Trouble::Damaged(format!("it has {length} bytes instead of {needed}")));
    }
    if length < needed {
        // Somebody who writes lets the file grow, and what is set here would cut that off.
        let _turn = turn().ok_or(Trouble::Busy)?;
        let needed = bytes_in_use(env);
        if file.metadata().map_err(unusable)?.len() < needed {
            // If the pages are needed after all, they are found to be wrong, rather than not there.
            file.set_len(needed).map_err(unusable)?;
        }
    }
    Ok(())
}

fn bytes_in_use(env: &Env<WithTls>) -> u64 {
    (env.info().last_page_number as u64 + 1).saturating_mul(PAGE)
}
