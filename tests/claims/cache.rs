use std::fs::{File, FileTimes};
use std::path::Path;

use vscan_tests::client::{Open, Status};
use vscan_tests::fake::Conduct;
use vscan_tests::samples::{clean, eicar};
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{Protected, settle};

/// Writes over a file in place and sets its mtime back, as somebody with something to hide would.
fn change_secretly(path: &Path, content: &[u8]) {
    let before = path.metadata().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut &file, content).unwrap();
    file.set_times(FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
    let after = path.metadata().unwrap();
    assert_eq!((before.modified().unwrap(), before.len()), (after.modified().unwrap(), after.len()));
    settle(path);
}

#[test]
fn a_clean_file_is_scanned_once() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    for _ in 0..3 {
        assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
    }
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn opening_for_writing_without_a_change_needs_no_other_scan() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    let handle = client.open("a.doc", Open::read_write()).wait().handle().unwrap();
    assert_eq!(client.close(handle).wait().status, Status::OK);
    client.read("a.doc").unwrap();
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn an_infected_file_is_scanned_once_and_stays_denied() {
    let it = Protected::with("infected file action = nothing");
    it.plant("bad.com", &eicar());
    let client = it.client();
    for _ in 0..3 {
        assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    }
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn a_change_with_the_mtime_set_back_is_noticed() {
    let it = Protected::with("");
    let path = it.plant("a.doc", &clean(1, 68));
    let client = it.client();
    assert_eq!(client.read("a.doc"), Ok(clean(1, 68)));
    change_secretly(&path, b"!");
    client.read("a.doc").unwrap();
    assert_eq!(it.scanner.scans(), 2);
    change_secretly(&path, &eicar());
    assert_eq!(client.read("a.doc"), Err(Status::VIRUS_INFECTED));
}

#[test]
fn a_change_by_a_client_is_noticed() {
    let it = Protected::with("infected file action = nothing");
    it.plant("a.doc", &clean(1, 68));
    let (one, other) = (it.client(), it.client());
    assert_eq!(one.read("a.doc"), Ok(clean(1, 68)));
    assert_eq!(other.write("a.doc", &eicar()), Err(Status::ACCESS_DENIED));
    assert_eq!(one.read("a.doc"), Err(Status::VIRUS_INFECTED));
    assert_eq!(one.write("a.doc", &clean(2, 68)), Ok(()));
    assert_eq!(other.read("a.doc"), Ok(clean(2, 68)));
}

#[test]
fn a_renamed_file_is_the_same_file() {
    let it = Protected::with("");
    let path = it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    std::fs::rename(&path, it.path("b.doc")).unwrap();
    it.plant("a.doc", &eicar());
    assert_eq!(client.read("a.doc"), Err(Status::VIRUS_INFECTED));
    assert_eq!(client.read("b.doc"), Ok(clean(1, 100)));
}

#[test]
fn without_room_for_results_every_open_is_a_scan() {
    let it = Protected::with("max lru files entries = 0");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    client.read("a.doc").unwrap();
    assert_eq!(it.scanner.scans(), 2);
}

#[test]
fn with_room_for_one_result_the_last_one_is_remembered() {
    let it = Protected::with("max lru files entries = 1\ncache = process");
    it.plant("a.doc", &clean(1, 100));
    it.plant("b.doc", &clean(2, 100));
    let client = it.client();
    for (name, scans) in [("a.doc", 1), ("a.doc", 1), ("b.doc", 2), ("b.doc", 2), ("a.doc", 3)] {
        client.read(name).unwrap();
        assert_eq!(it.scanner.scans(), scans, "{name}");
    }
}

#[test]
fn a_result_is_forgotten_when_its_time_is_over() {
    let it = Protected::with("lru file entry lifetime = 300ms");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    eventually("there is a second scan", SOON, || {
        client.read("a.doc").unwrap();
        (it.scanner.scans() == 2).then_some(())
    });
}

#[test]
fn a_failure_is_not_remembered() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    it.scanner.now(Conduct::CloseAfterRequest);
    assert_eq!(client.read("a.doc"), Err(Status::ACCESS_DENIED));
    it.scanner.now(Conduct::Clean);
    assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
}
