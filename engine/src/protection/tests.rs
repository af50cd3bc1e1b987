//! Whole scans with the blocking driver, and daemons whose answers a test chooses.

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use vscan_backends::command::CommandOptions;

use super::*;
use crate::log::Level;
use crate::notify::Unheard;
use crate::privilege::AsIs;
use crate::settings::{Lifetime, ScannerMode};

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

fn command(stream: &mut UnixStream) -> String {
    let mut bytes = [0; 64];
    let count = stream.read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[1..count]).trim_end_matches('\0').to_owned()
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
        let path = self.file.as_os_str().as_bytes();
        let identity = identity_of(std::fs::File::open(&self.file).unwrap().as_fd());
        let (signatures, stored) = (self.protection.signatures(), Instant::now().checked_sub(age).unwrap());
        self.protection.cache.borrow_mut().learn(identity, Known::Clean, signatures, stored);
        self.protection.recall(&Place { path, path_in_share: path }, &identity) == Some(Known::Clean)
    }

    fn allows(&self) -> bool {
        matches!(self.open(), Judgement::Allowed(Allowance::Exactly(_)))
    }
}

const CLEAN: &str = "fd[9]: OK";
const FOUND: &str = "fd[9]: Evil FOUND";

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
