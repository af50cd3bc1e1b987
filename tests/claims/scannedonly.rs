//! The daemon of vfs_scannedonly, whose marks count beside private copies alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::marker::{Marker, Marking};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{SHARE, clamav_at, conf};

/// A share and the directory in which marks count.
struct Marked {
    smbd: Smbd,
    spool: TempDir,
}

impl Marked {
    fn new(scanner: &str, options: &str) -> Self {
        let root = fs::Permissions::from_mode(0o700);
        let spool =
            tempfile::Builder::new().prefix("vscan-rig-spool-").permissions(root).tempdir_in("/tmp").unwrap();
        let options = format!("spool directory = {}\n{options}", spool.path().display());
        let share = Share::vscan(SHARE, &conf(scanner, &options));
        let smbd = Smbd::new().share(share).global("log level", "1").start();
        fs::create_dir(smbd.path("quarantine")).unwrap();
        Self { smbd, spool }
    }

    fn plant(&self, name: &str, content: &[u8]) {
        plant(&self.smbd.dir(SHARE).join(name), content);
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Status> {
        Client::connect(&self.smbd, SHARE).read(name)
    }

    /// What is in the spool directory.
    fn left(&self) -> Vec<PathBuf> {
        fs::read_dir(self.spool.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[track_caller]
    fn has_left_nothing(&self) {
        assert_eq!(self.left(), Vec::<PathBuf>::new());
    }
}

#[test]
fn clean_files_are_read_and_infected_ones_refused_and_nothing_is_left() {
    for daemon in [Marker::unix(Marking::Honest), Marker::udp(Marking::Honest)] {
        let it = Marked::new(&daemon.spec(), "");
        // Copied in several turns.
        it.plant("good.doc", &clean(1, 3_000_000));
        it.plant("bad.com", &eicar());
        assert!(it.read("good.doc") == Ok(clean(1, 3_000_000)));
        assert_eq!(it.read("bad.com"), Err(Status::VIRUS_INFECTED));
        assert!(!it.smbd.dir(SHARE).join("bad.com").exists(), "it is in quarantine");
        assert!(daemon.told().iter().all(|path| path.parent() == Some(it.spool.path())));
        it.has_left_nothing();
    }
}

#[test]
fn the_worst_mark_counts_and_a_copy_must_stay_as_it_was() {
    for (marking, status, words) in [
        (Marking::Both, Status::VIRUS_INFECTED, "unknown"),
        (Marking::Failed, Status::ACCESS_DENIED, "marked it as failed"),
        (Marking::Altered, Status::ACCESS_DENIED, "no longer as it was"),
    ] {
        let daemon = Marker::unix(marking);
        let it = Marked::new(&daemon.spec(), "infected file action = nothing");
        it.plant("a.doc", &clean(1, 100));
        assert_eq!(it.read("a.doc"), Err(status), "{marking:?}");
        let line = it.smbd.wait_for_log("a.doc\" ", SOON);
        assert!(line.contains(words), "{line}");
        it.has_left_nothing();
    }
}

#[test]
fn no_mark_in_time_is_an_error_and_a_late_one_is_swept_away() {
    for (policy, expected) in [("yes", Err(Status::ACCESS_DENIED)), ("no", Ok(b"needle".to_vec()))] {
        let daemon = Marker::unix(Marking::Honest);
        let it = Marked::new(&daemon.spec(), &format!("scan timeout = 2\ndeny access on error = {policy}"));
        it.plant("slow.doc", b"needle");
        daemon.hold_only(b"needle");
        let began = Instant::now();
        assert_eq!(it.read("slow.doc"), expected);
        assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
        let line = it.smbd.wait_for_log("slow.doc\" could not be scanned", SOON);
        assert!(line.contains("(scan timeout)"), "{line}");
        it.has_left_nothing();
        daemon.release();
        let late = eventually("the mark appears", SOON, || it.left().pop());
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::options().write(true).open(&late).unwrap().set_modified(long_ago).unwrap();
        it.plant("next.doc", b"next");
        assert_eq!(it.read("next.doc"), Ok(b"next".to_vec()));
        it.has_left_nothing();
    }
}

#[test]
fn a_daemon_that_is_not_there_is_down() {
    let gone = |daemon: Marker| daemon.spec();
    for spec in [gone(Marker::unix(Marking::Honest)), gone(Marker::udp(Marking::Honest))] {
        let it = Marked::new(&spec, "");
        it.plant("a.doc", b"hello");
        let began = Instant::now();
        assert_eq!(it.read("a.doc"), Err(Status::ACCESS_DENIED));
        assert!(began.elapsed() < SOON, "nobody waits for the scan timeout");
        it.smbd.wait_for_log(&format!("scanner scannedonly at {}", shown(&spec)), SOON);
        it.has_left_nothing();
        let pool = Marked::new(&format!("{spec}, {}", clamav_at(&Clamd::shared().socket())), "");
        pool.plant("a.doc", b"hello");
        pool.plant("bad.com", &eicar());
        assert_eq!(pool.read("a.doc"), Ok(b"hello".to_vec()));
        assert_eq!(pool.read("bad.com"), Err(Status::VIRUS_INFECTED));
        pool.smbd.wait_for_log("using clamav at", SOON);
        pool.has_left_nothing();
    }
}

/// An address as the log has it.
fn shown(spec: &str) -> String {
    spec.trim_start_matches("scannedonly:").replacen("/tmp", "unix:/tmp", 1)
}

#[test]
fn marks_in_the_share_mean_nothing() {
    let daemon = Marker::unix(Marking::Honest);
    let it = Marked::new(&daemon.spec(), "scan timeout = 2\ninfected file action = nothing");
    for (name, content) in
        [("bad.com", eicar()), ("slow.doc", b"needle".to_vec()), ("good.doc", b"hello".to_vec())]
    {
        it.plant(name, &content);
    }
    for forged in [".scanned:bad.com", ".scanned:slow.doc", ".virus:good.doc", ".failed:good.doc"] {
        it.plant(forged, b"");
    }
    daemon.hold_only(b"needle");
    assert_eq!(it.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert_eq!(it.read("slow.doc"), Err(Status::ACCESS_DENIED));
    assert_eq!(it.read("good.doc"), Ok(b"hello".to_vec()));
}

#[test]
fn others_are_served_while_a_mark_is_waited_for() {
    let daemon = Marker::unix(Marking::Honest);
    let it = Marked::new(&daemon.spec(), "");
    it.plant("slow.doc", b"needle");
    it.plant("quick.doc", b"hello");
    it.plant("bad.com", &eicar());
    daemon.hold_only(b"needle");
    let client = Client::connect(&it.smbd, SHARE);
    let slow = client.open("slow.doc", Open::read());
    slow.wait_until_pending();
    daemon.wait_for_told(1, SOON);
    assert_eq!(client.read("quick.doc"), Ok(b"hello".to_vec()));
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(!slow.is_answered());
    daemon.release();
    client.close(slow.wait().handle().unwrap()).wait().status.ok().unwrap();
    it.has_left_nothing();
}

#[test]
fn an_open_that_is_cancelled_takes_its_copy_with_it() {
    let daemon = Marker::unix(Marking::Honest);
    let it = Marked::new(&daemon.spec(), "");
    it.plant("slow.doc", b"needle");
    daemon.hold_only(b"needle");
    let client = Client::connect(&it.smbd, SHARE);
    let slow = client.open("slow.doc", Open::read());
    slow.wait_until_pending();
    daemon.wait_for_told(1, SOON);
    client.cancel(&slow);
    assert_eq!(slow.wait().status, Status::CANCELLED);
    eventually("the copy is gone", SOON, || it.left().is_empty().then_some(()));
}

#[test]
fn marks_need_a_directory_that_is_roots_alone() {
    let daemon = Marker::unix(Marking::Honest);
    let it = Marked::new(&daemon.spec(), "");
    it.plant("a.doc", b"hello");
    fs::set_permissions(it.spool.path(), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(it.read("a.doc"), Err(Status::ACCESS_DENIED));
    assert!(it.smbd.wait_for_log("chmod 0700", SOON).contains("(spool directory)"));
    assert_eq!(daemon.told(), Vec::<PathBuf>::new());
    it.has_left_nothing();

    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&daemon.spec(), "")));
    plant(&smbd.dir(SHARE).join("a.doc"), b"hello");
    // The default scanner is in force, and may be there or not.
    let _ = Client::connect(&smbd, SHARE).read("a.doc");
    let line = smbd.wait_for_log("scannedonly needs \"spool directory\"", SOON);
    assert!(line.contains("line 2") && line.contains("chmod 0700"), "{line}");
    assert_eq!(daemon.told(), Vec::<PathBuf>::new());
}
