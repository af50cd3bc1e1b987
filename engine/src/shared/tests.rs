use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::rc::Rc;
use std::sync::Mutex;

use tempfile::TempDir;
use vscan_backends::verdict::ThreatName;

use super::*;
use crate::cache::{Found, Known};
use crate::log::Level;
use crate::privilege::AsIs;

/// Keeps the lines.
#[derive(Default)]
pub(super) struct Lines(Mutex<Vec<String>>);

impl Lines {
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Log for Lines {
    fn wants(&self, _: Level) -> bool {
        true
    }

    fn line(&self, _: Level, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// A cache in a directory that is gone with it. What a process's end does is [`Bench::restart`].
pub(super) struct Bench {
    home: Rc<TempDir>,
    pub(super) log: Lines,
    entries: u64,
    pub(super) cache: Arc<SharedCache>,
}

fn home() -> Rc<TempDir> {
    Rc::new(tempfile::tempdir().unwrap())
}

impl Bench {
    pub(super) fn new(entries: u64) -> Self {
        Self::at(home(), entries)
    }

    fn at(home: Rc<TempDir>, entries: u64) -> Self {
        let log = Lines::default();
        let cache = SharedCache::open(&home.path().join("cache"), entries, &log, &AsIs);
        Self { home, log, entries, cache }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("cache").join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("results/data.mdb")
    }

    /// Ends like a process that ends in order, does something, and opens the cache again.
    fn restart(self, meanwhile: impl FnOnce(&Self)) -> Self {
        forget(&self.cache);
        self.cache.close(&self.log, &AsIs);
        meanwhile(&self);
        Self::at(self.home.clone(), self.entries)
    }

    /// Ends like a process that is killed.
    fn kill(self, meanwhile: impl FnOnce(&Self)) -> Self {
        forget(&self.cache);
        *locked(&self.cache.state) = State::Closed(Instant::now());
        meanwhile(&self);
        Self::at(self.home.clone(), self.entries)
    }

    /// Has a result written later that is found out now.
    pub(super) fn hand_over(&self, key: Key, entry: Entry) {
        self.cache.store(key, entry, self.generation());
    }

    fn generation(&self) -> Option<Generation> {
        self.cache.generation(&self.log)
    }

    fn flush(&self, what: Flush<'_>) -> Result<u64, Unavailable> {
        self.cache.flush(what, &self.log, &AsIs)
    }

    fn store(&self, ino: u64, known: Known) {
        self.hand_over(key(ino), entry(ino, known));
        while self.cache.write_pending(&self.log, &AsIs) {}
    }

    fn knows(&self, ino: u64) -> bool {
        matches!(self.look(ino, SIGNATURES), Lookup::Known(_))
    }

    pub(super) fn look(&self, ino: u64, signatures: u64) -> Lookup {
        self.ask(key(ino), entry(ino, Known::Clean).identity, signatures, None)
    }

    fn ask(&self, key: Key, identity: Identity, signatures: u64, lifetime: Option<Duration>) -> Lookup {
        self.cache.lookup(&Question { key, identity: &identity, signatures, lifetime }, &self.log)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.log.lines()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        forget(&self.cache);
    }
}

/// Takes a cache out of the list of those that are open.
fn forget(cache: &SharedCache) {
    if let Some(open) = &mut *locked(&OPEN) {
        open.remove(&cache.path);
    }
}

pub(super) const SIGNATURES: u64 = 7;
const FILESYSTEM: FilesystemId = FilesystemId([1; 16]);

pub(super) fn key(ino: u64) -> Key {
    Key { filesystem: FILESYSTEM, ino, scanners: 3 }
}

pub(super) fn entry(ino: u64, known: Known) -> Entry {
    let identity = Identity {
        key: FileKey { dev: 99, ino },
        size: ino + 1,
        mtime: FileTime(5),
        ctime: FileTime(1_700_000_000_000_000_000),
    };
    let stored = FileTime::now();
    Entry { identity, known, signatures: SIGNATURES, stored, took: Duration::from_micros(ino) }
}

pub(super) fn infected() -> Known {
    Known::Infected(Found { threat: ThreatName::new(b"Eicar"), scanner: "clamav".to_owned() })
}

#[test]
fn what_one_process_stores_the_next_one_knows() {
    let bench = Bench::new(100);
    bench.store(1, Known::Clean);
    bench.store(2, infected());
    let bench = bench.restart(|_| {});
    assert!(bench.knows(1) && !bench.knows(3));
    let Lookup::Known(found) = bench.look(2, SIGNATURES) else { panic!("not known") };
    assert_eq!(found.known, infected());
    assert_eq!(bench.lines(), [""; 0]);
    let stats = bench.cache.stats(&bench.log).unwrap();
    assert_eq!((stats.entries, stats.infected, stats.limit), (2, 1, 100));
}

#[test]
fn a_file_is_known_in_exactly_one_state_to_its_scanners_alone() {
    let bench = Bench::new(100);
    bench.store(1, Known::Clean);
    let known = entry(1, Known::Clean).identity;
    let look = |key: Key, identity: Identity, signatures| bench.ask(key, identity, signatures, None);
    assert!(matches!(look(key(1), known, SIGNATURES), Lookup::Known(_)));
    let other_device = Identity { key: FileKey { dev: 5, ino: 1 }, ..known };
    assert!(matches!(look(key(1), other_device, SIGNATURES), Lookup::Known(_)), "a number for a day");
    assert_eq!(look(key(1), known, SIGNATURES + 1), Lookup::OtherSignatures);
    for identity in [
        Identity { size: 9, ..known },
        Identity { mtime: FileTime(6), ..known },
        Identity { ctime: FileTime(known.ctime.0 + 1), ..known },
    ] {
        assert_eq!(look(key(1), identity, SIGNATURES), Lookup::Unknown, "{identity:?}");
    }
    for key in [Key { scanners: 4, ..key(1) }, Key { filesystem: FilesystemId([2; 16]), ..key(1) }, key(2)] {
        assert_eq!(look(key, known, SIGNATURES), Lookup::Unknown, "{key:?}");
    }
}

#[test]
fn a_result_ages_whoever_has_stored_it() {
    let bench = Bench::new(100);
    let now = FileTime::now();
    for (age_s, knows) in [(10, true), (60, false), (-60, false)] {
        let stored = FileTime(now.0 - age_s * 1_000_000_000);
        bench.hand_over(key(1), Entry { stored, ..entry(1, Known::Clean) });
        bench.cache.write_pending(&bench.log, &AsIs);
        let lifetime = Some(Duration::from_secs(30));
        let identity = entry(1, Known::Clean).identity;
        let found = bench.ask(key(1), identity, SIGNATURES, lifetime);
        assert_eq!(matches!(found, Lookup::Known(_)), knows, "{age_s}");
    }
}

#[test]
fn of_neighbours_only_what_would_count_is_told() {
    let bench = Bench::new(100);
    let minute = 60_000_000_000;
    let put = |key: Key, change: &dyn Fn(&mut Entry)| {
        let mut entry = entry(key.ino, Known::Clean);
        change(&mut entry);
        bench.hand_over(key, entry);
    };
    for ino in [9, 10, 17, 18] {
        put(key(ino), &|_| {});
    }
    put(key(11), &|entry| entry.known = infected());
    put(key(12), &|entry| entry.signatures += 1);
    put(key(13), &|entry| entry.stored.0 -= minute);
    put(key(14), &|entry| entry.stored.0 += minute);
    put(Key { scanners: 2, ..key(15) }, &|_| {});
    put(Key { scanners: 4, ..key(15) }, &|_| {});
    put(Key { filesystem: FilesystemId([2; 16]), ..key(16) }, &|_| {});
    while bench.cache.write_pending(&bench.log, &AsIs) {}

    let told_with = |ino| {
        let identity = entry(ino, Known::Clean).identity;
        let lifetime = Some(Duration::from_secs(30));
        let question = Question { key: key(ino), identity: &identity, signatures: SIGNATURES, lifetime };
        let mut told = Vec::new();
        let learn = |key: Key, entry: Entry| told.push((key.ino, entry.known));
        let found = bench.cache.lookup_with(&question, &(10..=17), learn, &bench.log);
        (matches!(found, Lookup::Known(_)), told)
    };
    let (clean, bad) = (|ino| (ino, Known::Clean), (11, infected()));
    assert_eq!(told_with(10), (true, vec![bad.clone(), clean(17)]));
    for nothing_counts in [12, 13, 14, 15, 16] {
        let all = (false, vec![clean(10), bad.clone(), clean(17)]);
        assert_eq!(told_with(nothing_counts), all, "{nothing_counts}");
    }
}

#[test]
fn when_it_is_full_the_oldest_tenth_goes() {
    let bench = Bench::new(1000);
    for ino in 0..999 {
        bench.hand_over(key(ino), entry(ino, Known::Clean));
    }
    while bench.cache.write_pending(&bench.log, &AsIs) {}
    assert!(bench.knows(0));
    // Stored once more: no longer the oldest.
    bench.store(0, Known::Clean);
    bench.store(2000, Known::Clean);
    for ino in 3000..3003 {
        bench.store(ino, Known::Clean);
    }
    let entries = bench.cache.stats(&bench.log).unwrap().entries;
    assert!((900..=904).contains(&entries), "{entries}");
    assert!(bench.knows(0) && !bench.knows(1) && !bench.knows(99) && bench.knows(200) && bench.knows(3002));
    bench.store(4000, Known::Clean);
    assert_eq!(bench.cache.stats(&bench.log).unwrap().entries, entries + 1, "and then no more");
}

#[test]
fn what_is_flushed_is_forgotten() {
    let bench = Bench::new(100);
    for ino in 0..10 {
        bench.store(ino, Known::Clean);
    }
    let files = [(key(3).filesystem, 3), (key(4).filesystem, 4), (FilesystemId([9; 16]), 5)];
    assert_eq!(bench.flush(Flush::Files(&files)), Ok(2));
    assert!(!bench.knows(3) && !bench.knows(4) && bench.knows(5));
    assert_eq!(bench.flush(Flush::All), Ok(8));
    assert!(!bench.knows(5));
    bench.store(5, Known::Clean);
    assert!(bench.knows(5));
}

/// Of everything, of the file that the tests are about, and of another one.
const FLUSHES: [Flush<'_>; 3] =
    [Flush::All, Flush::Files(&[(FILESYSTEM, 1)]), Flush::Files(&[(FilesystemId([9; 16]), 77)])];

#[test]
fn what_waits_to_be_written_does_not_outlive_a_flush() {
    for what in FLUSHES {
        let bench = Bench::new(100);
        bench.hand_over(key(1), entry(1, Known::Clean));
        bench.cache.store_version("clamav", version());
        bench.flush(what).unwrap();
        bench.hand_over(key(2), entry(2, Known::Clean));
        while bench.cache.write_pending(&bench.log, &AsIs) {}
        assert!(!bench.knows(1) && bench.knows(2), "{what:?}");
        assert_eq!(bench.cache.version("clamav", &bench.log), Some(version()), "that is no result");
    }
}

#[test]
fn a_scan_that_began_before_a_flush_leaves_no_result() {
    for what in FLUSHES {
        let bench = Bench::new(100);
        let at_its_begin = bench.generation();
        bench.flush(what).unwrap();
        bench.cache.store(key(1), entry(1, Known::Clean), at_its_begin);
        while bench.cache.write_pending(&bench.log, &AsIs) {}
        assert!(!bench.knows(1), "{what:?}");
    }
}

#[test]
fn a_scan_that_began_in_a_database_that_was_set_aside_leaves_no_result() {
    let bench = full_bench();
    let at_its_begin = bench.generation();
    let pretend = |database: &Database, _: &Directory| database.pretend_to_be_of_another_version();
    bench.cache.with(&bench.log, pretend).unwrap();
    let bench = bench.restart(|_| {});
    assert_ne!(bench.generation(), at_its_begin);
    bench.cache.store(key(1), entry(1, Known::Clean), at_its_begin);
    while bench.cache.write_pending(&bench.log, &AsIs) {}
    assert!(!bench.knows(1));
}

#[test]
fn a_scan_that_could_not_tell_the_generation_goes_by_the_clock() {
    let bench = Bench::new(100);
    let second = 1_000_000_000;
    let store_ended_after = |ino, nanoseconds| {
        let stored = FileTime(FileTime::now().0 + nanoseconds);
        let took = Duration::from_secs(10);
        bench.cache.store(key(ino), Entry { stored, took, ..entry(ino, Known::Clean) }, None);
    };
    bench.flush(Flush::All).unwrap();
    store_ended_after(1, 9 * second);
    store_ended_after(2, 11 * second);
    while bench.cache.write_pending(&bench.log, &AsIs) {}
    assert!(bench.cache.peek(&key(1), &bench.log).is_none());
    assert!(bench.cache.peek(&key(2), &bench.log).is_some());
}

#[test]
fn a_database_without_a_generation_has_one_as_well() {
    let bench = Bench::new(100);
    bench.cache.with(&bench.log, |database, _| database.forget_its_generation()).unwrap();
    bench.hand_over(key(1), entry(1, Known::Clean));
    bench.store(2, Known::Clean);
    assert!(bench.knows(1) && bench.knows(2));
    bench.hand_over(key(3), entry(3, Known::Clean));
    bench.flush(Flush::All).unwrap();
    bench.store(4, Known::Clean);
    assert!(!bench.knows(3) && bench.knows(4));
}

fn version() -> Version {
    Version { text: "ClamAV 1/2".to_owned(), heard: FileTime(1_700_000_000_000_000_000) }
}

#[test]
fn the_slowest_scans_are_at_the_top() {
    let bench = Bench::new(100);
    for ino in [5, 50, 7, 20] {
        bench.store(ino, Known::Clean);
    }
    let top = bench.cache.top(2, &bench.log).unwrap();
    assert_eq!(top.iter().map(|(key, _)| key.ino).collect::<Vec<_>>(), [50, 20]);
}

#[test]
fn what_a_scanner_has_said_is_passed_on() {
    let bench = Bench::new(100);
    bench.cache.store_version("clamav:/a", version());
    bench.cache.write_pending(&bench.log, &AsIs);
    let bench = bench.restart(|_| {});
    assert_eq!(bench.cache.version("clamav:/a", &bench.log), Some(version()));
    assert_eq!(bench.cache.version("clamav:/b", &bench.log), None);
}

/// Claims that it is set aside with one line, and begun anew.
#[track_caller]
fn is_begun_anew(bench: Bench) {
    assert!(!bench.knows(1));
    let lines = bench.lines();
    assert!(lines.len() == 1 && lines[0].contains("set aside"), "{lines:?}");
    assert!(bench.path("damaged/data.mdb").exists());
    bench.store(1, Known::Clean);
    let bench = bench.restart(|_| {});
    assert!(bench.knows(1));
    assert_eq!(bench.lines(), [""; 0]);
}

fn full_bench() -> Bench {
    let bench = Bench::new(10_000);
    for ino in 0..2000 {
        bench.hand_over(key(ino), entry(ino, Known::Clean));
    }
    while bench.cache.write_pending(&bench.log, &AsIs) {}
    assert!(bench.knows(1));
    bench
}

#[test]
fn a_file_that_somebody_has_changed_is_set_aside() {
    for at in [0, 8192, 100_000] {
        is_begun_anew(full_bench().restart(|bench| {
            let data = File::options().write(true).open(bench.data()).unwrap();
            data.write_at(&[0xA5; 4096], at).unwrap();
        }));
    }
}

#[test]
fn a_file_that_was_cut_short_is_set_aside_however_its_last_user_ended() {
    let cut = |bench: &Bench| {
        let data = File::options().write(true).open(bench.data()).unwrap();
        data.set_len(data.metadata().unwrap().len() / 10).unwrap();
    };
    is_begun_anew(full_bench().restart(cut));
}

#[test]
fn a_file_that_lacks_its_last_pages_is_not_made_longer_while_somebody_writes() {
    let bench = full_bench();
    let turn = File::open(bench.path("turn")).unwrap();
    let data = bench.data();
    let length = || data.metadata().unwrap().len();
    let whole = length();
    let bench = bench.kill(|bench| {
        File::options().write(true).open(bench.data()).unwrap().set_len(whole - 4096).unwrap();
        rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    });
    assert_eq!((length(), bench.lines()), (whole - 4096, Vec::new()));
    let bench = bench.kill(|_| mem::drop(turn));
    assert_eq!((length(), bench.lines()), (whole, Vec::new()));
}

#[test]
fn a_file_of_another_kind_is_set_aside_however_its_last_user_ended() {
    let overwrite = |bench: &Bench| fs::write(bench.data(), [0xA5; 100_000]).unwrap();
    is_begun_anew(full_bench().restart(overwrite));
    is_begun_anew(full_bench().kill(overwrite));
}

#[test]
fn another_format_is_set_aside() {
    let bench = full_bench();
    let pretend = |database: &Database, _: &Directory| database.pretend_to_be_of_another_version();
    bench.cache.with(&bench.log, pretend).unwrap();
    is_begun_anew(bench.restart(|_| {}));
}

#[test]
fn a_process_that_is_killed_costs_nothing() {
    let bench = full_bench().kill(|_| {});
    assert!(bench.knows(1) && bench.lines().is_empty());
}

#[test]
fn a_machine_that_dies_costs_what_was_not_synced() {
    let as_of_another_boot = |bench: &Bench| {
        let state = fs::read_to_string(bench.path("state")).unwrap();
        let mark = state.lines().nth(1).unwrap();
        fs::write(bench.path("state"), format!("another boot\n{mark}\n")).unwrap();
    };
    is_begun_anew(full_bench().kill(as_of_another_boot));
    let bench = full_bench().restart(as_of_another_boot);
    assert!(bench.knows(1) && bench.lines().is_empty(), "the last user has synced it");
}

#[test]
fn a_directory_that_cannot_be_used_is_said_once() {
    let home = home();
    fs::write(home.path().join("cache"), "a file").unwrap();
    let bench = Bench::at(home, 100);
    bench.store(1, Known::Clean);
    assert!(!bench.knows(1) && !bench.knows(1));
    assert_eq!(bench.lines().len(), 1, "{:?}", bench.lines());
}

#[test]
fn a_directory_that_others_can_write_to_is_not_used() {
    for prepare in [
        |path: &Path| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        },
        |path: &Path| symlink("/tmp", path).unwrap(),
    ] {
        let home = home();
        prepare(&home.path().join("cache"));
        let bench = Bench::at(home, 100);
        bench.store(1, Known::Clean);
        assert!(!bench.knows(1));
        assert!(bench.lines()[0].contains("nobody else can write to"), "{:?}", bench.lines());
    }
}

#[test]
fn whoever_finds_somebody_writing_comes_back_later() {
    let bench = Bench::new(100);
    let turn = File::open(bench.path("turn")).unwrap();
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    bench.hand_over(key(1), entry(1, Known::Clean));
    assert!(bench.cache.write_pending(&bench.log, &AsIs), "there is more");
    assert!(!bench.knows(1) && bench.cache.has_pending());
    mem::drop(turn);
    assert!(!bench.cache.write_pending(&bench.log, &AsIs));
    assert!(bench.knows(1));
}

#[test]
fn whoever_ends_waits_a_moment_for_somebody_who_writes_and_not_for_ever() {
    let bench = Bench::new(100);
    let turn = File::open(bench.path("turn")).unwrap();
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let release = std::thread::spawn({
        let turn = turn.try_clone().unwrap();
        move || {
            std::thread::sleep(LAST_MOMENT / 10);
            rustix::fs::flock(&turn, rustix::fs::FlockOperation::Unlock).unwrap();
        }
    });
    bench.hand_over(key(1), entry(1, Known::Clean));
    let bench = bench.restart(|_| release.join().unwrap());
    assert!(bench.knows(1));
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    bench.hand_over(key(2), entry(2, Known::Clean));
    let bench = bench.restart(|_| mem::drop(turn));
    assert!(bench.knows(1) && !bench.knows(2));
    assert_eq!(bench.lines(), [""; 0]);
}

#[test]
fn whoever_finds_others_coming_or_going_comes_back_soon_and_loses_nothing() {
    let home = home();
    fs::create_dir(home.path().join("cache")).unwrap();
    let gate = File::create(home.path().join("cache/lock")).unwrap();
    rustix::fs::flock(&gate, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let bench = Bench::at(home, 100);
    let busy_until = || match *locked(&bench.cache.state) {
        State::Busy(until, _) => until,
        State::Open(..) | State::Closed(_) => panic!("it is not busy"),
    };
    bench.hand_over(key(1), entry(1, Known::Clean));
    assert!(!bench.cache.write_pending(&bench.log, &AsIs), "the next result comes with it");
    let first = busy_until();
    while busy_until() == first {
        bench.cache.write_pending(&bench.log, &AsIs);
    }
    mem::drop(gate);
    while bench.cache.has_pending() {
        bench.cache.write_pending(&bench.log, &AsIs);
    }
    assert!(bench.knows(1));
    assert_eq!(bench.lines(), [""; 0]);
}

#[test]
fn whoever_finds_others_coming_or_going_for_long_says_so_once() {
    let home = home();
    fs::create_dir(home.path().join("cache")).unwrap();
    let gate = File::create(home.path().join("cache/lock")).unwrap();
    rustix::fs::flock(&gate, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let bench = Bench::at(home, 100);
    *locked(&bench.cache.state) = State::Busy(Instant::now(), SHORT_PAUSES.1);
    for _ in 0..3 {
        bench.store(1, Known::Clean);
    }
    let lines = bench.lines();
    assert!(lines.len() == 1 && lines[0].contains("coming or going"), "{lines:?}");
}

#[test]
fn one_thread_at_a_time_uses_the_database() {
    let bench = Bench::new(100);
    bench.store(1, Known::Clean);
    let (cache, log) = (&bench.cache, &bench.log);
    let is_in_use = std::sync::atomic::AtomicBool::new(false);
    let use_it = |_: &Database, _: &Directory| {
        assert!(!is_in_use.swap(true, std::sync::atomic::Ordering::SeqCst), "by two");
        std::thread::sleep(Duration::from_millis(1));
        is_in_use.store(false, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| cache.with(log, use_it).unwrap()));
        }
    });
}

#[test]
fn many_come_while_somebody_writes_all_the_time() {
    let bench = Bench::new(100);
    bench.store(1, Known::Clean);
    let turn = File::open(bench.path("turn")).unwrap();
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let bench = bench.kill(|_| {});
    assert!(bench.knows(1) && bench.lines().is_empty());
}
