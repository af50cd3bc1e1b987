//! What is known of files that were scanned already, in this process.
//!
//! A result is about one [`Identity`]: any change of the file makes it worthless by itself, so nothing has to be told to
//! the cache when a file is written, renamed or deleted. What can make all results worthless at once, new signatures, is a
//! number that changes with them.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use vscan_backends::verdict::{ThreatName, Verdict};

use crate::identity::{FileKey, FileTime, Identity};
use crate::shared::Generation;

/// A result worth keeping. Errors are not: the next open asks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Scanned and clean.
    Clean,
    /// Scanned and infected.
    Infected(Found),
}

/// What was found in an infected file, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The threat.
    pub threat: ThreatName,
    /// The scanner, or those of several that have found it.
    pub scanner: String,
}

impl Known {
    /// The part of a verdict that may be kept.
    pub fn from_verdict(verdict: &Verdict, scanner: &str) -> Option<Self> {
        match verdict {
            Verdict::Clean => Some(Self::Clean),
            Verdict::Infected(threat) => {
                Some(Self::Infected(Found { threat: threat.clone(), scanner: scanner.to_owned() }))
            }
            Verdict::MinorError(_) => None,
        }
    }
}

/// Results by file, the least recently used one leaving first.
pub struct Cache {
    entries: Option<LruCache<FileKey, Entry>>,
}

/// How a result came about.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// When the scan began, by the clock of the files.
    pub began: FileTime,
    /// The signatures then, as this process counts them.
    pub signatures: u64,
    /// The same as all processes do; None if that was not known yet.
    pub shared_signatures: Option<u64>,
    /// The generation of the shared results then.
    pub generation: Option<Generation>,
    /// How coarse the times of the file are.
    pub granularity: Duration,
    /// When the scan was over.
    pub ended: Instant,
}

/// There may be a million of these in each smbd: the file's key is not in it twice, and what was found is elsewhere.
struct Entry {
    size: u64,
    mtime: FileTime,
    ctime: FileTime,
    found: Option<Box<Found>>,
    signatures: u64,
    stored: Instant,
}

impl Entry {
    fn is_about(&self, identity: &Identity) -> bool {
        let Identity { key: _, size, mtime, ctime } = *identity;
        (self.size, self.mtime, self.ctime) == (size, mtime, ctime)
    }

    fn known(&self) -> Known {
        self.found.as_deref().map_or(Known::Clean, |found| Known::Infected(found.clone()))
    }
}

impl Cache {
    /// A cache of this many entries (0: none).
    pub fn new(entries: usize) -> Self {
        // Not `LruCache::new`, which takes the memory of a full cache at once, in every smbd.
        let entries = NonZeroUsize::new(entries).map(|limit| {
            let mut cache = LruCache::unbounded();
            cache.resize(limit);
            cache
        });
        Self { entries }
    }

    /// What is known of the file in exactly this state, by these signatures, if it is no older than `lifetime`.
    pub fn lookup(
        &mut self,
        identity: &Identity,
        signatures: u64,
        lifetime: Option<Duration>,
        now: Instant,
    ) -> Option<Known> {
        let entries = self.entries.as_mut()?;
        // To note the use touches three entries more, far from this one. As long as none has to leave soon, that would be
        // for nothing.
        let entry =
            if has_room(entries) { entries.peek(&identity.key)? } else { entries.get(&identity.key)? };
        let too_old = lifetime.is_some_and(|most| now.saturating_duration_since(entry.stored) >= most);
        let holds = !too_old && entry.is_about(identity) && entry.signatures == signatures;
        holds.then(|| entry.known())
    }

    /// Whether it will be long before an entry has to leave for another.
    pub fn has_room(&self) -> bool {
        self.entries.as_ref().is_some_and(has_room)
    }

    /// Whether anything is known of the file, in whatever state.
    pub fn has(&self, key: &FileKey) -> bool {
        self.entries.as_ref().is_some_and(|entries| entries.contains(key))
    }

    /// Remembers what somebody else has found out.
    pub fn learn(&mut self, identity: Identity, known: Known, signatures: u64, stored: Instant) {
        if let Some(entries) = self.entries.as_mut() {
            let Identity { key, size, mtime, ctime } = identity;
            let found = match known {
                Known::Clean => None,
                Known::Infected(found) => Some(Box::new(found)),
            };
            entries.put(key, Entry { size, mtime, ctime, found, signatures, stored });
        }
    }

    /// Remembers a result, unless a later change of the file could hide from the ctime.
    pub fn store(&mut self, identity: Identity, known: Known, scan: &Circumstances) {
        if identity.shows_changes_since(scan.began, scan.granularity) {
            self.learn(identity, known, scan.signatures, scan.ended);
        } else if let Some(entries) = self.entries.as_mut() {
            entries.pop(&identity.key);
        }
    }
}

fn has_room(entries: &LruCache<FileKey, Entry>) -> bool {
    entries.len() < entries.cap().get() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(20);

    fn file(ino: u64, ctime_ms: i64) -> Identity {
        Identity {
            key: FileKey { dev: 1, ino },
            size: 5,
            mtime: FileTime(0),
            ctime: FileTime(ctime_ms * 1_000_000),
        }
    }

    const SIGNATURES: u64 = 5;

    fn scan(began: FileTime, ended: Instant) -> Circumstances {
        Circumstances {
            began,
            signatures: SIGNATURES,
            shared_signatures: None,
            generation: None,
            granularity: TICK,
            ended,
        }
    }

    fn at_ms(ms: i64) -> FileTime {
        FileTime(ms * 1_000_000)
    }

    #[test]
    fn remembers_a_file_until_it_changes() {
        let now = Instant::now();
        let mut cache = Cache::new(10);
        cache.store(file(7, 1000), Known::Clean, &scan(at_ms(2000), now));
        assert_eq!(cache.lookup(&file(7, 1000), SIGNATURES, None, now), Some(Known::Clean));
        assert_eq!(
            cache.lookup(&Identity { mtime: FileTime(1), ..file(7, 1000) }, SIGNATURES, None, now),
            None
        );
        assert_eq!(
            cache.lookup(&file(7, 1000), SIGNATURES, None, now),
            Some(Known::Clean),
            "a question is no change"
        );
    }

    #[test]
    fn each_part_of_the_identity_counts() {
        let now = Instant::now();
        let known = file(7, 1000);
        let others = [
            Identity { size: 6, ..known },
            Identity { ctime: FileTime(known.ctime.0 + 1), ..known },
            Identity { key: FileKey { dev: 2, ino: 7 }, ..known },
            file(8, 1000),
        ];
        for other in others {
            let mut cache = Cache::new(10);
            cache.store(known, Known::Clean, &scan(at_ms(2000), now));
            assert_eq!(cache.lookup(&other, SIGNATURES, None, now), None, "{other:?}");
        }
    }

    #[test]
    fn forgets_what_is_too_old() {
        let now = Instant::now();
        let mut cache = Cache::new(10);
        let lifetime = Some(Duration::from_secs(5));
        cache.store(file(7, 1000), Known::Clean, &scan(at_ms(2000), now));
        assert!(cache.lookup(&file(7, 1000), SIGNATURES, lifetime, now + Duration::from_secs(4)).is_some());
        assert!(cache.lookup(&file(7, 1000), SIGNATURES, lifetime, now + Duration::from_secs(5)).is_none());
    }

    #[test]
    fn forgets_what_other_signatures_have_said() {
        let now = Instant::now();
        let mut cache = Cache::new(10);
        cache.store(file(7, 1000), Known::Clean, &scan(at_ms(2000), now));
        assert_eq!(cache.lookup(&file(7, 1000), SIGNATURES + 1, None, now), None);
    }

    #[test]
    fn refuses_a_result_that_a_write_in_the_same_tick_could_outdate() {
        let now = Instant::now();
        let mut cache = Cache::new(10);
        cache.store(file(7, 1000), Known::Clean, &scan(at_ms(1020), now));
        assert_eq!(cache.lookup(&file(7, 1000), SIGNATURES, None, now), None);
        cache.store(file(7, 1000), Known::Clean, &scan(at_ms(1021), now));
        assert_eq!(cache.lookup(&file(7, 1000), SIGNATURES, None, now), Some(Known::Clean));
    }

    #[test]
    fn the_least_recently_used_entry_leaves_first() {
        let now = Instant::now();
        let mut cache = Cache::new(2);
        for ino in [1, 2] {
            cache.store(file(ino, 1000), Known::Clean, &scan(at_ms(2000), now));
        }
        assert!(cache.lookup(&file(1, 1000), SIGNATURES, None, now).is_some());
        cache.store(file(3, 1000), Known::Clean, &scan(at_ms(2000), now));
        assert!(cache.lookup(&file(2, 1000), SIGNATURES, None, now).is_none());
        assert!(cache.lookup(&file(1, 1000), SIGNATURES, None, now).is_some());
    }

    #[test]
    fn zero_entries_switch_it_off() {
        let now = Instant::now();
        let mut cache = Cache::new(0);
        cache.store(file(7, 1000), Known::Clean, &scan(at_ms(2000), now));
        assert_eq!(cache.lookup(&file(7, 1000), SIGNATURES, None, now), None);
    }
}
