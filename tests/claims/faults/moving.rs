//! The file changes, moves or goes away while it is scanned.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Pending, Reply, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use super::{lines_about, protected, the_line_about};

/// A real clamd whose answers are held back until the file is no longer what it has seen.
struct Held {
    scanner: FakeDaemon,
    smbd: Smbd,
    client: Client,
}

impl Held {
    fn new() -> Self {
        let scanner = FakeDaemon::in_front_of(Clamd::shared());
        let smbd = protected(&scanner.socket(), "quarantine directory = @RIG@/quarantine");
        let client = Client::connect(&smbd, "s");
        Self { scanner, smbd, client }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.smbd.dir("s").join(name)
    }

    fn plant(&self, name: &str, content: &[u8]) {
        plant(&self.path(name), content);
    }

    /// Opens `f`, changes things as soon as clamd has looked, and lets the answer go.
    fn open_while(&self, change: impl FnOnce()) -> Reply {
        let before = self.scanner.scans();
        self.scanner.hold();
        let open: Pending = self.client.open("f", Open::read());
        // Not only asked for: the change must not be what clamd sees.
        self.scanner.wait_for_answers(before + 1, SOON);
        change();
        self.scanner.release();
        open.wait()
    }

    /// smbd had the file in hand before it asked us, or looks its name up again afterwards: that differs between its
    /// versions. The client gets what was scanned, or nothing; never what has taken its place.
    #[track_caller]
    fn sees_at_most(&self, reply: &Reply, content: &[u8]) {
        match reply.handle() {
            Ok(handle) => {
                assert_eq!(self.client.read_at(handle, 0, 1000).wait().data, content);
                self.client.close(handle).wait();
            }
            Err(status) => assert!(
                [Status::OBJECT_NAME_NOT_FOUND, Status::ACCESS_DENIED, Status::VIRUS_INFECTED]
                    .contains(&status),
                "{status:?}"
            ),
        }
    }

    /// All that is in quarantine.
    fn quarantined(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = fs::read_dir(self.smbd.path("quarantine")) else { return Vec::new() };
        let files = entries.map(|e| e.unwrap().path()).filter(|path| path.extension().is_none());
        files.map(|path| fs::read(path).unwrap()).collect()
    }
}

#[test]
fn a_clean_file_that_is_deleted_is_gone_without_a_line() {
    let held = Held::new();
    held.plant("f", &clean(1, 100));
    let reply = held.open_while(|| fs::remove_file(held.path("f")).unwrap());
    held.sees_at_most(&reply, &clean(1, 100));
    assert_eq!(held.client.read("f"), Err(Status::OBJECT_NAME_NOT_FOUND));
    assert_eq!(lines_about(&held.smbd, 0, "/f"), [""; 0]);
}

#[test]
fn an_infected_file_that_is_deleted_is_refused_and_gone() {
    let held = Held::new();
    held.plant("f", &eicar());
    let reply = held.open_while(|| fs::remove_file(held.path("f")).unwrap());
    assert_eq!(reply.status, Status::VIRUS_INFECTED);
    the_line_about(&held.smbd, 0, "/f\"", &["it was removed meanwhile"]);
    assert!(held.quarantined().is_empty());
}

#[test]
fn a_clean_file_that_is_renamed_is_read_under_its_new_name() {
    let held = Held::new();
    held.plant("f", &clean(1, 100));
    let reply = held.open_while(|| fs::rename(held.path("f"), held.path("g")).unwrap());
    held.sees_at_most(&reply, &clean(1, 100));
    assert_eq!(held.client.read("f"), Err(Status::OBJECT_NAME_NOT_FOUND));
    assert_eq!(held.client.read("g"), Ok(clean(1, 100)));
}

#[test]
fn an_infected_file_that_is_renamed_is_quarantined_from_where_it_is() {
    let held = Held::new();
    held.plant("f", &eicar());
    let reply = held.open_while(|| fs::rename(held.path("f"), held.path("g")).unwrap());
    assert_eq!(reply.status, Status::VIRUS_INFECTED);
    assert_eq!(held.quarantined(), [eicar()]);
    assert!(!held.path("g").exists());
}

#[test]
fn an_infected_file_that_replaces_a_clean_one_is_not_let_through() {
    let held = Held::new();
    held.plant("f", &clean(1, 68));
    held.plant("new", &eicar());
    let reply = held.open_while(|| fs::rename(held.path("new"), held.path("f")).unwrap());
    held.sees_at_most(&reply, &clean(1, 68));
    // The open above, where it met the newcomer, has put it away already.
    assert_ne!(held.client.read("f"), Ok(eicar()));
    assert_eq!(held.quarantined(), [eicar()]);
    the_line_about(&held.smbd, 0, "/f\"", &["is infected", "moved to quarantine"]);
}

#[test]
fn a_clean_file_that_replaces_an_infected_one_is_left_alone() {
    let held = Held::new();
    held.plant("f", &eicar());
    held.plant("new", &clean(2, 68));
    let reply = held.open_while(|| fs::rename(held.path("new"), held.path("f")).unwrap());
    held.sees_at_most(&reply, &clean(2, 68));
    assert_eq!(held.quarantined(), Vec::<Vec<u8>>::new());
    assert_eq!(held.client.read("f"), Ok(clean(2, 68)));
}

#[test]
fn a_stranger_under_the_name_of_a_moved_infected_file_is_left_alone() {
    let held = Held::new();
    held.plant("f", &eicar());
    let reply = held.open_while(|| {
        fs::rename(held.path("f"), held.path("g")).unwrap();
        held.plant("f", &clean(2, 68));
    });
    held.sees_at_most(&reply, &clean(2, 68));
    assert_eq!(held.quarantined(), [eicar()]);
    assert_eq!(held.client.read("f"), Ok(clean(2, 68)));
}

#[test]
fn a_file_that_becomes_infected_during_its_scan_is_scanned_again() {
    let held = Held::new();
    held.plant("f", &clean(1, 68));
    let mtime = fs::metadata(held.path("f")).unwrap().modified().unwrap();
    let reply = held.open_while(|| {
        // The same size and the same mtime: only the ctime tells.
        let mut file = OpenOptions::new().write(true).open(held.path("f")).unwrap();
        file.write_all(&eicar()).unwrap();
        file.set_modified(mtime).unwrap();
    });
    assert_eq!(reply.status, Status::VIRUS_INFECTED);
    assert_eq!(held.scanner.scans(), 2);
    assert_eq!(held.quarantined(), [eicar()]);
}

#[test]
fn a_file_that_becomes_clean_during_its_scan_is_scanned_again() {
    let held = Held::new();
    held.plant("f", &eicar());
    let reply = held.open_while(|| {
        let mut file = OpenOptions::new().write(true).open(held.path("f")).unwrap();
        file.write_all(&clean(1, 68)).unwrap();
    });
    assert_eq!(reply.status, Status::OK);
    assert_eq!(held.scanner.scans(), 2);
    assert!(held.quarantined().is_empty());
}

/// Opens a file that grows during each of its scans; the scanner finds it clean each time.
fn open_while_growing(policy: &str) -> (FakeDaemon, Smbd, Status) {
    let scanner = FakeDaemon::unix(Conduct::Clean);
    let smbd = protected(&scanner.socket(), policy);
    let path = smbd.dir("s").join("growing.log");
    plant(&path, b"begin\n");
    scanner.before_answers(move || {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"one more line\n").unwrap();
    });
    let status = Client::connect(&smbd, "s").open("growing.log", Open::read()).wait().status;
    (scanner, smbd, status)
}

#[test]
fn a_file_that_never_holds_still_is_refused_after_three_scans() {
    let (scanner, smbd, status) = open_while_growing("");
    assert_eq!((status, scanner.scans()), (Status::ACCESS_DENIED, 3));
    the_line_about(
        &smbd,
        0,
        "growing.log",
        &["it kept changing while it was scanned 3 times", ": access denied (open"],
    );
}

#[test]
fn a_file_that_never_holds_still_is_allowed_by_the_policy_for_minor_errors() {
    let (_, smbd, status) = open_while_growing("deny access on minor error = no");
    assert_eq!(status, Status::OK);
    let lines = lines_about(&smbd, 0, "growing.log");
    assert!(
        lines[0].contains("it kept changing while it was scanned 3 times): allowed by the settings"),
        "{lines:#?}"
    );
}
