use vscan_tests::client::{Open, Status};
use vscan_tests::samples::{clean, eicar, infected_zip};
use vscan_tests::wait::SOON;

use crate::protected::Protected;

/// From nothing to several of the pieces in which clients and scanners take files.
const SIZES: [usize; 6] = [0, 1, 68, 4096, 65_537, 3_000_001];

#[test]
fn an_infected_file_cannot_be_read() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn an_infected_archive_cannot_be_read() {
    let it = Protected::with("");
    it.plant("bad.zip", &infected_zip());
    it.refused("bad.zip").refused_with("NT_STATUS_VIRUS_INFECTED");
}

#[test]
fn the_status_for_an_infected_file_can_be_plain() {
    let it = Protected::with("infected status = access denied");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_ACCESS_DENIED");
}

#[test]
fn clean_files_are_read_as_they_are() {
    let it = Protected::with("");
    for size in SIZES {
        let content = clean(size as u64, size);
        it.plant("a.doc", &content);
        assert_eq!(it.get("a.doc").unwrap(), content, "{size} bytes");
    }
    assert_eq!(it.scanner.scans(), SIZES.len() - 1, "all but the empty one");
}

#[test]
fn clean_files_are_written_as_they_are() {
    let it = Protected::with("");
    for size in SIZES {
        let content = clean(size as u64, size);
        it.put("a.doc", &content).ok();
        assert_eq!(std::fs::read(it.path("a.doc")).unwrap(), content, "{size} bytes");
    }
    assert_eq!(it.scanner.scans(), SIZES.len() - 1, "all but the empty one");
    assert_eq!(it.scanner.requests()[4].descriptor_content().len(), SIZES[5], "scanned as a whole");
}

#[test]
fn an_infected_upload_is_caught_at_close() {
    let it = Protected::with("");
    let client = it.client();
    assert_eq!(client.write("bad.com", &eicar()), Err(Status::ACCESS_DENIED));
    assert!(!it.path("bad.com").exists());
    assert_eq!(it.quarantine().len(), 1);
    assert_eq!(client.read("bad.com"), Err(Status::OBJECT_NAME_NOT_FOUND));
}

#[test]
fn an_infected_upload_is_caught_after_a_close_that_does_not_wait() {
    let it = Protected::with("scan on close = yes");
    let client = it.client();
    assert_eq!(client.write("bad.com", &eicar()), Ok(()));
    it.wait_for_line("bad.com", "access denied from now on; moved to quarantine");
    assert!(!it.path("bad.com").exists());
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn a_clean_upload_is_kept_after_a_close_that_does_not_wait() {
    let it = Protected::with("scan on close = yes");
    let client = it.client();
    assert_eq!(client.write("a.doc", &clean(1, 100)), Ok(()));
    it.wait_for_line("a.doc", "clean (scanned by clamav");
    assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
}

#[test]
fn what_is_closed_while_a_thousand_scans_wait_is_scanned_at_its_next_open() {
    let it = Protected::with("scan on close = yes\ninfected file action = nothing");
    let client = it.client();
    it.scanner.hold();
    for number in 0..1000 {
        client.write(&format!("{number}.doc"), &clean(number, 100)).unwrap();
    }
    client.write("bad.com", &eicar()).unwrap();
    it.wait_for_line("bad.com", "1000 scans are waiting already: it is scanned at its next open");
    it.scanner.release();
    it.scanner.wait_for_scans(1000, SOON * 3);
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert_eq!(it.scanner.scans(), 1001);
}

#[test]
fn smbclient_shows_that_an_infected_upload_was_caught() {
    let it = Protected::with("");
    it.put("bad.com", &eicar()).refused_with("NT_STATUS_ACCESS_DENIED");
    assert!(!it.path("bad.com").exists());
}

#[test]
fn an_infected_upload_that_stays_in_place_is_denied_next_time() {
    let it = Protected::with("infected file action = nothing");
    let client = it.client();
    assert_eq!(client.write("bad.com", &eicar()), Err(Status::ACCESS_DENIED));
    assert!(it.path("bad.com").exists());
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
}

#[test]
fn an_infected_upload_is_caught_when_the_connection_breaks() {
    let it = Protected::with("");
    let client = it.client();
    let handle = client.open("bad.com", Open::overwrite()).wait().handle().unwrap();
    assert_eq!(client.write_at(handle, 0, &eicar()).wait().status, Status::OK);
    client.disconnect();
    it.wait_for_line("bad.com", "access denied from now on; moved to quarantine");
    assert!(!it.path("bad.com").exists());
}

#[test]
fn a_clean_upload_is_kept_when_the_connection_breaks() {
    let it = Protected::with("");
    let client = it.client();
    let handle = client.open("a.doc", Open::overwrite()).wait().handle().unwrap();
    assert_eq!(client.write_at(handle, 0, &clean(1, 100)).wait().status, Status::OK);
    client.disconnect();
    it.wait_for_line("a.doc", "clean (scanned by clamav");
    assert_eq!(std::fs::read(it.path("a.doc")).unwrap(), clean(1, 100));
}

#[test]
fn without_scans_on_open_only_changes_are_scanned() {
    let it = Protected::with("scan on open = no");
    it.plant("old.com", &eicar());
    let client = it.client();
    assert_eq!(client.read("old.com"), Ok(eicar()));
    assert_eq!(it.scanner.scans(), 0);
    assert_eq!(client.write("new.com", &eicar()), Err(Status::ACCESS_DENIED));
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn without_scans_on_close_changes_are_scanned_by_the_next_open() {
    let it = Protected::with("scan on close = no");
    let client = it.client();
    assert_eq!(client.write("bad.com", &eicar()), Ok(()));
    assert_eq!(it.scanner.scans(), 0);
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn the_scanner_gets_a_private_descriptor_at_the_beginning_of_the_file() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    it.get("a.doc").unwrap();
    let request = it.scanner.requests().remove(0);
    assert_eq!((request.descriptor_offset(), request.descriptor_content()), (0, clean(1, 100)));
    assert!(!request.bytes.windows(5).any(|part| part == b"a.doc"), "no name is sent");
}
