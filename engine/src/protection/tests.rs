//! Whole scans with the blocking driver, and daemons whose answers a test chooses.

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use vscan_backends::command::CommandOptions;

use super::*;
use crate::identity::{FileKey, FileTime};
use crate::log::Level;
use crate::notify::Unheard;
use crate::privilege::AsIs;
use crate::settings::{Lifetime, ScannerMode};
use crate::shared::{Entry, Flush};

/// What a daemon says to a command; None hangs up.
type Answers = Box<dyn FnMut(&str) -> Option<String> + Send>;

/// A daemon that speaks clamd's protocol, for as long as the test runs.
struct Daemon {
    home: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    fn new(mut answers: Answers) -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(home.path().join("clamd")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let command = command(&mut stream);
                heard.lock().unwrap().push(command.clone());
                if let Some(answer) = answers(&command) {
                    // The other side may have gone.
                    let _ = stream.write_all(format!("{answer}\0").as_bytes());
                }
            }
        });
        Self { home, asked }
    }

    fn saying(answer: &'static str) -> Self {
        Self::new(Box::new(move |_| Some(answer.to_owned())))
    }

    fn spec(&self) -> String {
        format!("clamav:{}", self.home.path().join("clamd").display())
    }

    fn scans(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|command| *command == "FILDES").count()
    }
}

/// A daemon with sessions: says these answers one after the other on each connection, and hangs up. What it was asked ends
/// with an empty question if it was not asked for all of them.
fn in_sessions(mut connections: Vec<Vec<&'static str>>) -> Daemon {
    let home = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(home.path().join("clamd")).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    thread::spawn(move || {
        while !connections.is_empty() {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in connections.remove(0) {
                let command = command(&mut stream);
                heard.lock().unwrap().push(command.clone());
                if command.is_empty() {
                    return;
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
            // Nothing that is asked now is answered.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0; 64]);
        }
    });
    Daemon { home, asked }
}

fn command(stream: &mut UnixStream) -> String {
    let mut bytes = [0; 64];
    let count = stream.read(&mut bytes).unwrap();
    String::from_utf8_lossy(bytes[..count].get(1..).unwrap_or_default()).trim_end_matches('\0').to_owned()
}

struct Silent;

impl Log for Silent {
    fn wants(&self, _: Level) -> bool {
        false
    }

    fn line(&self, _: Level, _: &str) {}
}

/// A file in a share that these daemons protect.
struct Bench {
    protection: Protection,
    file: tempfile::TempPath,
}

impl Bench {
    fn new(daemons: &[&Daemon], mode: ScannerMode) -> Self {
        let specs: Vec<String> = daemons.iter().map(|daemon| daemon.spec()).collect();
        let settings = Settings {
            infected_file_action: Action::Nothing,
            signature_check_interval: Some(Duration::from_nanos(1)),
            signature_epoch_file: None,
            trusted_files: None,
            ..Settings::default()
        };
        let pool = Pool::new(&specs, &CommandOptions::default(), mode).unwrap();
        let protection =
            Protection::new(settings, pool, Box::new(Silent), Box::new(AsIs), Box::new(Unheard), false);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"content").unwrap();
        // A result about a file that has changed in the same tick would not be remembered.
        thread::sleep(Duration::from_millis(50));
        // Nor one about a file that is open for writing.
        Self { protection, file: file.into_temp_path() }
    }

    fn open(&self) -> Judgement {
        let path = self.file.as_os_str().as_bytes();
        let place = Place { path, path_in_share: path };
        let session = Session::default();
        let context = Context { share: "s", share_path: b"/", user: "u", client: "c", session: &session };
        let file = std::fs::File::open(&self.file).unwrap();
        match self.protection.consider(&place, &identity_of(file.as_fd()), &|| None) {
            Considered::Judged(judgement) => judgement,
            Considered::KnownInfected(found) => {
                self.protection.act_on_known(&found, &file, &place, Occasion::Open, &context)
            }
            Considered::Unknown => self.protection.scan(file.into(), &place, Occasion::Open, &context),
        }
    }

    /// Whether the file would still be known as clean if it had been scanned so long ago.
    fn knows_after(&self, age: Duration) -> bool {
        let identity = identity_of(std::fs::File::open(&self.file).unwrap().as_fd());
        let now = Instant::now();
        let (signatures, stored) = (self.protection.signatures(now), now.checked_sub(age).unwrap());
        self.protection.cache.borrow_mut().learn(identity, Known::Clean, signatures, stored);
        self.protection.recall(&identity) == Some(Known::Clean)
    }

    fn allows(&self) -> bool {
        matches!(self.open(), Judgement::Allowed(Allowance::Exactly(_)))
    }
}

const CLEAN: &str = "fd[9]: OK";
const FOUND: &str = "fd[9]: Evil FOUND";

/// Opens so many files at a bench of these connections; whether each was allowed, and what the daemon was asked.
fn opened_in_sessions(files: usize, connections: Vec<Vec<&'static str>>) -> (Vec<bool>, Vec<String>) {
    loop {
        let daemon = in_sessions(connections.clone());
        let mut bench = Bench::new(&[&daemon], ScannerMode::First);
        bench.protection = bench.protection.in_sessions();
        bench.protection.cache = RefCell::new(Cache::new(0));
        let allowed = (0..files).map(|_| bench.allows()).collect();
        let asked = daemon.asked.lock().unwrap().clone();
        // On a machine that is busy, the time of a session may be over before the last file.
        if !asked.contains(&String::new()) {
            return (allowed, asked);
        }
    }
}

const FIRST: &str = "IDSESSION\0zFILDES";

#[test]
fn one_file_after_the_other_is_asked_about_in_a_session() {
    let answers = vec!["1: fd[9]: OK\0", "2: fd[9]: Evil FOUND\0", "3: fd[9]: OK\0"];
    let (allowed, asked) = opened_in_sessions(3, vec![answers]);
    assert_eq!(allowed, [true, false, true]);
    assert_eq!(asked, [FIRST, "FILDES", "FILDES"]);
}

#[test]
fn what_fails_in_a_session_is_asked_once_more_by_itself() {
    for failure in
        ["", "1: fd[9]: OK\0", "2: fd[9]", "3: fd[9]: OK\0", "2: what?\0", "COMMAND READ TIMED OUT\n"]
    {
        for (verdict, is_clean) in [("fd[9]: OK\0", true), ("fd[9]: Evil FOUND\0", false)] {
            let connections = vec![vec!["1: fd[9]: OK\0", failure], vec![verdict], vec!["1: fd[9]: OK\0"]];
            let (allowed, asked) = opened_in_sessions(3, connections);
            assert_eq!(allowed, [true, is_clean, true], "{failure:?}");
            assert_eq!(asked, [FIRST, "FILDES", "FILDES", FIRST], "{failure:?}");
        }
        let (allowed, asked) = opened_in_sessions(2, vec![vec!["1: fd[9]: OK\0", failure], vec![failure]]);
        assert_eq!(
            (allowed, asked.len()),
            (vec![true, false], 3),
            "{failure:?}: nothing but a verdict is one"
        );
    }
}

#[test]
fn the_next_scanner_is_asked_within_the_same_scan() {
    let (dead, alive) = (Daemon::new(Box::new(|_| None)), Daemon::saying(CLEAN));
    let bench = Bench::new(&[&dead, &alive], ScannerMode::First);
    assert!(bench.allows());
    assert_eq!((dead.scans(), alive.scans()), (1, 1));
}

#[test]
fn all_scanners_are_asked_and_one_find_refuses() {
    let (one, other) = (Daemon::saying(CLEAN), Daemon::saying(FOUND));
    let bench = Bench::new(&[&one, &other], ScannerMode::All);
    assert!(!bench.allows() && !bench.allows());
    assert_eq!((one.scans(), other.scans()), (1, 1), "a find is remembered");
}

#[test]
fn content_that_is_trusted_is_no_find_for_as_long_as_it_is() {
    let daemon = Daemon::saying(FOUND);
    let mut bench = Bench::new(&[&daemon], ScannerMode::First);
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("trusted");
    bench.protection.trusted = Trusted::new(Some(list.clone()));
    assert!(!bench.allows());
    let content = crate::trusted::Content::of(std::fs::File::open(&bench.file).unwrap().as_fd()).unwrap();
    crate::trusted::add(&list, &content, "").unwrap();
    assert!(bench.allows(), "a find that is remembered");
    crate::trusted::remove(&list, &content).unwrap();
    assert!(!bench.allows());
    assert_eq!(daemon.scans(), 1);
}

#[test]
fn a_file_that_changes_between_two_scanners_is_scanned_again_by_both() {
    let one = Daemon::saying(CLEAN);
    let path = Arc::new(Mutex::new(None::<std::path::PathBuf>));
    let changing = path.clone();
    let other = Daemon::new(Box::new(move |_| {
        if let Some(path) = changing.lock().unwrap().take() {
            std::fs::write(path, "other content").unwrap();
        }
        Some(CLEAN.to_owned())
    }));
    let bench = Bench::new(&[&one, &other], ScannerMode::All);
    *path.lock().unwrap() = Some(bench.file.to_path_buf());
    assert!(bench.allows());
    assert_eq!((one.scans(), other.scans()), (2, 2));
}

#[test]
fn new_signatures_void_what_is_remembered_and_the_same_ones_do_not() {
    let version = Arc::new(Mutex::new("ClamAV 1/1"));
    let told = version.clone();
    let daemon = Daemon::new(Box::new(move |command| {
        Some(if command == "VERSION" { (*told.lock().unwrap()).to_owned() } else { CLEAN.to_owned() })
    }));
    let bench = Bench::new(&[&daemon], ScannerMode::First);
    assert!(bench.allows());
    for _ in 0..2 {
        check(&bench);
        assert!(bench.allows());
    }
    assert_eq!(daemon.scans(), 1);
    *version.lock().unwrap() = "ClamAV 1/2";
    check(&bench);
    assert!(bench.allows() && bench.allows());
    assert_eq!(daemon.scans(), 2);
}

#[test]
fn a_version_that_is_not_told_voids_nothing() {
    for answer in [None, Some("rubbish".to_owned()), Some(String::new())] {
        let daemon =
            Daemon::new(Box::new(
                move |command| {
                    if command == "VERSION" { answer.clone() } else { Some(CLEAN.to_owned()) }
                },
            ));
        let bench = Bench::new(&[&daemon], ScannerMode::First);
        assert!(bench.allows());
        check(&bench);
        assert!(bench.allows());
        assert_eq!(daemon.scans(), 1);
    }
}

#[test]
fn a_result_without_a_version_of_the_signatures_is_believed_for_an_hour() {
    let hour = Duration::from_secs(60 * 60);
    let told = Arc::new(Mutex::new(Some("ClamAV 1/1")));
    let version = told.clone();
    let (telling, silent) = (
        Daemon::new(Box::new(move |command| {
            let version = version.lock().unwrap().unwrap_or("COMMAND UNAVAILABLE");
            Some(if command == "VERSION" { version } else { CLEAN }.to_owned())
        })),
        Daemon::saying(CLEAN),
    );
    let mut bench = Bench::new(&[&telling], ScannerMode::First);
    assert_eq!(bench.protection.lifetime(), Some(hour), "not asked yet");
    check(&bench);
    assert_eq!(bench.protection.lifetime(), Some(7 * 24 * hour));
    assert!(bench.allows() && bench.knows_after(2 * hour));
    *told.lock().unwrap() = None;
    check(&bench);
    assert_eq!(bench.protection.lifetime(), Some(hour), "it does not tell any more");
    assert!(bench.knows_after(hour / 2) && !bench.knows_after(hour));
    *told.lock().unwrap() = Some("ClamAV 1/1");
    check(&bench);
    assert!(bench.knows_after(2 * hour));

    let interval = bench.protection.settings.signature_check_interval.take();
    assert_eq!(bench.protection.lifetime(), Some(hour), "nobody asks");
    bench.protection.settings.signature_check_interval = interval;
    let lifetime = |bench: &mut Bench, lifetime| {
        bench.protection.settings.cache.as_mut().unwrap().lifetime = lifetime;
        bench.protection.lifetime()
    };
    assert_eq!(lifetime(&mut bench, Lifetime::Unlimited), None);
    assert_eq!(lifetime(&mut bench, Lifetime::For(hour / 2)), Some(hour / 2));

    let mut bench = Bench::new(&[&telling, &silent], ScannerMode::All);
    bench.protection.settings.signature_check_interval = Some(hour);
    check(&bench);
    assert!(bench.protection.begin_check().is_none(), "both were asked, one of them above");
    for wanted in [Lifetime::For(7 * 24 * hour), Lifetime::Unlimited] {
        assert_eq!(lifetime(&mut bench, wanted), Some(hour), "one does not tell");
    }
    assert_eq!(lifetime(&mut bench, Lifetime::For(hour / 2)), Some(hour / 2));
}

#[test]
fn a_scanner_that_cannot_be_reached_has_no_new_signatures() {
    let version = Arc::new(Mutex::new(Some("ClamAV 1/1".to_owned())));
    let told = version.clone();
    let daemon = Daemon::new(Box::new(move |_| told.lock().unwrap().clone()));
    let bench = Bench::new(&[&daemon], ScannerMode::First);
    check(&bench);
    let before = bench.protection.lifetime();
    *version.lock().unwrap() = None;
    check(&bench);
    assert_eq!(bench.protection.lifetime(), before);
}

#[test]
fn the_first_version_after_a_silence_voids_what_was_found_in_it() {
    let version = Arc::new(Mutex::new("rubbish"));
    let told = version.clone();
    let daemon = Daemon::new(Box::new(move |command| {
        Some(if command == "VERSION" { *told.lock().unwrap() } else { CLEAN }.to_owned())
    }));
    let bench = Bench::new(&[&daemon], ScannerMode::First);
    check(&bench);
    assert!(bench.allows());
    *version.lock().unwrap() = "ClamAV 1/1";
    check(&bench);
    assert!(bench.allows());
    assert_eq!(daemon.scans(), 2);
}

/// Asks for the version, and waits for the answer.
fn check(bench: &Bench) {
    let mut check = bench.protection.begin_check().unwrap();
    let outcome = crate::scan::blocking::run(&mut check.exchange, &AsIs);
    bench.protection.finish_check(check, &outcome);
}

#[test]
fn a_question_about_another_state_takes_nothing_away() {
    let daemon = Daemon::saying(CLEAN);
    let bench = Bench::new(&[&daemon], ScannerMode::First);
    let known = identity_of(std::fs::File::open(&bench.file).unwrap().as_fd());
    let now = Instant::now();
    let protection = &bench.protection;
    protection.cache.borrow_mut().learn(known, Known::Clean, protection.signatures(now), now);
    let other = Identity { size: known.size + 1, ..known };
    for (identity, is_clean) in [(known, true), (other, false), (Identity::default(), false), (known, true)] {
        assert_eq!(protection.recalls_clean(&identity, Vec::new), is_clean, "{identity:?}");
    }
}

#[test]
fn what_others_know_of_a_files_neighbours_is_taken_along() {
    let daemon = Daemon::saying(CLEAN);
    let mut bench = Bench::new(&[&daemon], ScannerMode::First);
    let home = tempfile::tempdir().unwrap();
    let shared = SharedCache::open(&home.path().join("cache"), 1000, &Silent, &AsIs);
    bench.protection.settings.signature_check_interval = None;
    bench.protection.shared = Some(shared.clone());
    let protection = &bench.protection;
    let open = || std::fs::File::open(&bench.file).unwrap();
    let real = identity_of(open().as_fd());
    let file = |ino| Identity { key: FileKey { ino, ..real.key }, ..real };
    for ino in 1000..1100 {
        let key = shared.key(file(ino).key, protection.scanners, || Some(open().into())).unwrap();
        let signatures = protection.shared_signatures().unwrap();
        let (stored, took) = (FileTime::now(), Duration::ZERO);
        let entry = Entry { identity: file(ino), known: Known::Clean, signatures, stored, took };
        shared.store(key, entry, protection.generation());
    }
    while shared.write_pending(&Silent, &AsIs) {}

    let path = bench.file.as_os_str().as_bytes();
    let place = Place { path, path_in_share: path };
    let clean = Some(Known::Clean);
    assert_eq!(protection.recall_any(&place, &file(1001)), clean);
    assert_eq!(protection.recall(&file(1002)), None, "it may have been the only one of its folder");
    assert_eq!(protection.recall_any(&place, &file(1003)), clean);
    for (ino, known) in [(1002, true), (1023, true), (1024, false)] {
        assert_eq!(protection.recall(&file(ino)).is_some(), known, "{ino}");
    }
    assert_eq!(protection.recall(&Identity { size: real.size + 1, ..file(1005) }), None, "it has changed");
}

#[test]
fn what_is_flushed_while_others_are_asked_is_not_remembered() {
    let daemon = Daemon::saying(CLEAN);
    let mut bench = Bench::new(&[&daemon], ScannerMode::First);
    let home = tempfile::tempdir().unwrap();
    let shared = SharedCache::open(&home.path().join("cache"), 1000, &Silent, &AsIs);
    let counters = Counters::open(&home.path().join("counters")).unwrap();
    bench.protection.settings.signature_check_interval = None;
    bench.protection.shared = Some(shared.clone());
    bench.protection.counters = Some(counters.share("s"));
    let protection = &bench.protection;
    let open = || Some(std::fs::File::open(&bench.file).unwrap().into());
    let identity = identity_of(std::fs::File::open(&bench.file).unwrap().as_fd());
    let key = shared.key(identity.key, protection.scanners, open).unwrap();
    let signatures = protection.shared_signatures().unwrap();
    let (stored, took) = (FileTime::now(), Duration::ZERO);
    let entry = Entry { identity, known: Known::Clean, signatures, stored, took };
    shared.store(key, entry, protection.generation());
    while shared.write_pending(&Silent, &AsIs) {}

    for is_flushed in [false, true] {
        let (entry, signatures) = protection.ask_others(&identity, open).unwrap();
        if is_flushed {
            counters.flush();
        }
        protection.learn(identity, &entry, signatures);
        assert_eq!(protection.recall(&identity).is_none(), is_flushed);
    }
}

/// When all results are flushed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flushed {
    Never,
    InTheScan,
    BeforeItsVersionIsKnown,
    BeforeItIsWritten,
}

/// How a process hears of a flush.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    ByCounters,
    /// It has none.
    BySharedResults,
}

/// Whether this process, or another one, knows of a result afterwards; `had_heard` says whether this process had heard of
/// a version when the scan began.
fn is_known(flushed: Flushed, told: Told, had_heard: bool) -> bool {
    let home = tempfile::tempdir().unwrap();
    let counters = Counters::open(&home.path().join("counters")).unwrap();
    let shared = SharedCache::open(&home.path().join("cache"), 1000, &Silent, &AsIs);
    let (theirs, other_results) = (counters.clone(), shared.clone());
    let flush = Arc::new(move || match told {
        Told::ByCounters => theirs.flush(),
        Told::BySharedResults => drop(other_results.flush(Flush::All, &Silent, &AsIs).unwrap()),
    });
    let flush_in_the_scan = flush.clone();
    let daemon = Daemon::new(Box::new(move |command| {
        if command == "VERSION" {
            return Some("ClamAV 1/1".to_owned());
        }
        if flushed == Flushed::InTheScan {
            flush_in_the_scan();
        }
        Some(CLEAN.to_owned())
    }));
    let mut bench = Bench::new(&[&daemon], ScannerMode::First);
    bench.protection.shared = Some(shared.clone());
    bench.protection.counters = (told == Told::ByCounters).then(|| counters.share("s"));
    if had_heard {
        check(&bench);
    }
    assert!(bench.allows());
    if flushed == Flushed::BeforeItsVersionIsKnown {
        flush();
    }
    check(&bench);
    if flushed == Flushed::BeforeItIsWritten {
        flush();
    }
    while shared.write_pending(&Silent, &AsIs) {}
    let file = || std::fs::File::open(&bench.file).unwrap();
    let identity = identity_of(file().as_fd());
    let key = shared.key(identity.key, bench.protection.scanners, || Some(file().into())).unwrap();
    bench.protection.recall(&identity).is_some() || shared.peek(&key, &Silent).is_some()
}

#[test]
fn a_flush_counts_for_scans_that_began_before_it() {
    for told in [Told::ByCounters, Told::BySharedResults] {
        for had_heard in [true, false] {
            assert!(is_known(Flushed::Never, told, had_heard));
            assert!(!is_known(Flushed::InTheScan, told, had_heard), "{told:?} {had_heard}");
        }
        assert!(!is_known(Flushed::BeforeItsVersionIsKnown, told, false), "{told:?}");
    }
    for had_heard in [true, false] {
        assert!(!is_known(Flushed::BeforeItIsWritten, Told::BySharedResults, had_heard), "{had_heard}");
    }
}
