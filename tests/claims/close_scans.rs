//! Files are scanned after they were changed and closed, and nobody waits for it.

use std::time::Duration;

use vscan_tests::client::{Client, Open, Status, access, disposition, option};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::scanned::{Quiet, Scanned};
use vscan_tests::wait::{SOON, eventually};

/// A client that has written these files and closed them. The scanner is held, and so is the scan of the first. What the
/// client's smbd had open before.
#[track_caller]
fn closed_and_held(options: &str, names: &[&str], content: &[u8]) -> (Scanned, Client, Quiet) {
    let it = Scanned::new(options);
    let (client, quiet) = it.connect();
    let scans = it.scanner.scans();
    it.scanner.hold();
    for name in names {
        client.write(name, content).unwrap();
    }
    it.scanner.wait_for_scans(scans + 1, SOON);
    (it, client, quiet)
}

#[test]
fn close_returns_while_the_file_is_scanned() {
    let (it, client, quiet) = closed_and_held("", &["f.doc"], b"content");
    let scans = it.scanner.scans();
    client.write("g.doc", b"more content").unwrap();
    it.scanner.wait_for_scans(scans + 1, SOON);
    it.is_quiet(&quiet);
}

#[test]
fn what_was_found_after_a_close_is_dealt_with() {
    let it = Scanned::new("");
    let (client, quiet) = it.connect();
    client.write("bad.com", &eicar()).unwrap();
    it.smbd.wait_for_log("bad.com\" is infected with", SOON);
    eventually("the file is in quarantine", SOON, || (it.quarantine().len() == 1).then_some(()));
    assert_eq!(client.read("bad.com"), Err(Status::OBJECT_NAME_NOT_FOUND));
    it.is_quiet(&quiet);
}

#[test]
fn an_open_waits_for_the_scan_of_the_closed_file() {
    let (it, client, quiet) = closed_and_held("", &["f.doc"], b"content");
    let scans = it.scanner.scans();
    let open = client.open("f.doc", Open::read());
    open.wait_until_pending();
    it.scanner.release();
    client.close(open.wait().handle().unwrap()).wait();
    assert_eq!(client.read("f.doc").unwrap(), b"content");
    assert_eq!(it.scanner.scans(), scans);
    it.is_quiet(&quiet);
}

#[test]
fn an_open_that_waits_for_the_scan_of_a_closed_infected_file_is_refused() {
    let (it, client, quiet) = closed_and_held("", &["bad.com"], &eicar());
    let scans = it.scanner.scans();
    let open = client.open("bad.com", Open::read());
    open.wait_until_pending();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    assert_eq!(it.scanner.scans(), scans);
    it.is_quiet(&quiet);
}

#[test]
fn a_cancelled_open_leaves_the_scan_of_the_closed_file_alone() {
    let (it, client, quiet) = closed_and_held("", &["bad.com"], &eicar());
    let scans = it.scanner.scans();
    let open = client.open("bad.com", Open::read());
    open.wait_until_pending();
    client.cancel(&open);
    assert_eq!(open.wait().status, Status::CANCELLED);
    it.scanner.release();
    it.smbd.wait_for_log("bad.com\" is infected with", SOON);
    assert_eq!(it.scanner.scans(), scans);
    it.is_quiet(&quiet);
}

#[test]
fn a_file_that_is_written_again_during_its_scan_is_scanned_again() {
    let (it, client, quiet) = closed_and_held("", &["f.doc"], b"content");
    client.write("f.doc", &eicar()).unwrap();
    it.scanner.release();
    it.smbd.wait_for_log("f.doc\" is infected with", SOON);
    it.is_quiet(&quiet);
}

#[test]
fn close_reports_what_was_found_when_told_to_wait() {
    let it = Scanned::new("scan on close = wait\n");
    let (client, quiet) = it.connect();
    client.write("good.doc", b"content").unwrap();
    assert_eq!(client.write("bad.com", &eicar()), Err(Status::ACCESS_DENIED));
    assert!(!it.path("bad.com").exists());
    it.is_quiet(&quiet);
}

#[test]
fn closed_files_are_not_scanned_when_told_so() {
    let it = Scanned::new("scan on close = no\n");
    let (client, quiet) = it.connect();
    let scans = it.scanner.scans();
    client.write("bad.com", &eicar()).unwrap();
    it.plant("other.doc", b"something");
    client.read("other.doc").unwrap();
    assert_eq!(it.scanner.scans(), scans + 1);
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    it.is_quiet(&quiet);
}

#[test]
fn what_was_only_read_is_not_scanned_again() {
    let it = Scanned::new("");
    it.plant("f.doc", b"content");
    let (client, quiet) = it.connect();
    let handle = client.open("f.doc", Open::read_write()).wait().handle().unwrap();
    let scans = it.scanner.scans();
    client.close(handle).wait().status.ok().unwrap();
    client.write("other.doc", b"something").unwrap();
    it.scanner.wait_for_scans(scans + 1, SOON);
    it.is_quiet(&quiet);
    // The other file, and what is_quiet() opens.
    assert_eq!(it.scanner.scans(), scans + 2);
}

#[test]
fn scans_of_closed_files_are_finished_after_their_client_has_gone() {
    let (it, client, _) =
        closed_and_held("max scans in flight = 1\n", &["one.com", "two.com", "three.com"], &eicar());
    let scans = it.scanner.scans();
    let process = client.server();
    client.disconnect();
    it.scanner.release();
    for name in ["one.com", "two.com", "three.com"] {
        it.smbd.wait_for_log(&format!("{name}\" is infected with"), SOON);
        assert!(!it.path(name).exists());
    }
    process.wait_for_end(SOON);
    assert_eq!((it.scanner.scans(), it.quarantine().len()), (scans + 2, 3), "the first had begun");
    it.is_unharmed();
}

#[test]
fn scans_of_closed_files_are_finished_when_smbd_is_told_to_end() {
    let (mut it, client, _) = closed_and_held("max scans in flight = 1\n", &["one.com", "two.com"], &eicar());
    let process = client.server();
    // As systemd does: all of them, and the parent signals them once more.
    it.smbd.signal(process, rustix::process::Signal::TERM);
    it.smbd.terminate();
    assert!(process.is_alive());
    it.scanner.release();
    process.wait_for_end(SOON);
    assert!(!it.path("one.com").exists() && !it.path("two.com").exists());
    assert_eq!(it.quarantine().len(), 2);
    it.is_unharmed();
}

#[test]
fn what_is_open_when_the_client_goes_is_scanned_too() {
    let it = Scanned::new("");
    let (client, _) = it.connect();
    let handle = client.open("bad.com", Open::overwrite()).wait().handle().unwrap();
    client.write_at(handle, 0, &eicar()).wait().status.ok().unwrap();
    client.disconnect();
    it.smbd.wait_for_log("bad.com\" is infected with", SOON);
    client.server().wait_for_end(SOON);
    assert!(!it.path("bad.com").exists());
    it.is_unharmed();
}

#[test]
fn what_is_open_when_the_client_leaves_the_share_is_scanned_too() {
    let it = Scanned::new("");
    let (client, quiet) = it.connect();
    let handle = client.open("bad.com", Open::overwrite()).wait().handle().unwrap();
    client.write_at(handle, 0, &eicar()).wait().status.ok().unwrap();
    assert_eq!(client.disconnect_tree().wait().status, Status::OK);
    it.smbd.wait_for_log("bad.com\" is infected with", SOON);
    assert!(client.server().is_alive());
    it.is_quiet(&quiet);
}

#[test]
fn what_cannot_be_scanned_before_smbd_ends_is_named_and_scanned_when_it_is_opened() {
    let (it, client, _) =
        closed_and_held("scan timeout = 2\nmax scans in flight = 1\n", &["one.com", "two.com"], &eicar());
    let process = client.server();
    client.disconnect();
    process.wait_for_end(Duration::from_secs(10));
    for name in ["one.com", "two.com"] {
        let log = it.smbd.log();
        // Which of the two is said of the second one depends on whether there is a moment left for it.
        let says_why =
            |line: &str| line.contains("could not be scanned") || line.contains("ended before its scan did");
        let named = |line: &str| line.contains(&format!("{name}\"")) && says_why(line);
        assert!(log.lines().any(named), "{name} is named");
        assert!(it.path(name).exists());
    }
    it.scanner.release();
    let again = Client::connect(&it.smbd, "s");
    assert_eq!(again.read("one.com"), Err(Status::VIRUS_INFECTED));
    assert_eq!(again.read("two.com"), Err(Status::VIRUS_INFECTED));
    it.is_unharmed();
}

#[test]
fn a_hundred_files_are_closed_without_waiting() {
    let it = Scanned::new("");
    let (client, quiet) = it.connect();
    let scans = it.scanner.scans();
    it.scanner.hold();
    for i in 0..100 {
        client.write(&format!("f{i}"), &clean(i, 300)).unwrap();
    }
    it.scanner.wait_for_scans(scans + 8, SOON);
    assert_eq!(it.scanner.open_connections(), 8);
    it.scanner.release();
    it.scanner.wait_for_scans(scans + 100, SOON);
    it.is_quiet(&quiet);
    assert_eq!(it.scanner.most_connections(), 8);
}

#[test]
fn a_file_that_is_deleted_on_close_is_not_scanned() {
    let it = Scanned::new("");
    let (client, quiet) = it.connect();
    let scans = it.scanner.scans();
    let open = Open::with_access(access::GENERIC_WRITE | access::DELETE)
        .disposition(disposition::OVERWRITE_IF)
        .options(option::DELETE_ON_CLOSE);
    let handle = client.open("f.tmp", open).wait().handle().unwrap();
    client.write_at(handle, 0, &eicar()).wait().status.ok().unwrap();
    client.close(handle).wait().status.ok().unwrap();
    assert!(!it.path("f.tmp").exists());
    client.write("other.doc", b"something").unwrap();
    it.scanner.wait_for_scans(scans + 1, SOON);
    it.is_quiet(&quiet);
    // The other file, and what is_quiet() opens.
    assert_eq!(it.scanner.scans(), scans + 2);
}

#[test]
fn a_file_that_is_renamed_while_it_is_written_is_scanned_under_its_new_name() {
    let it = Scanned::new("infected file action = nothing\n");
    let (client, quiet) = it.connect();
    let handle = client.open("before.com", Open::overwrite()).wait().handle().unwrap();
    client.write_at(handle, 0, &eicar()).wait().status.ok().unwrap();
    std::fs::rename(it.path("before.com"), it.path("after.com")).unwrap();
    client.close(handle).wait().status.ok().unwrap();
    it.smbd.wait_for_log("after.com\" is infected with", SOON);
    it.is_quiet(&quiet);
}

#[test]
fn files_are_scanned_beyond_those_that_vscan_keeps_a_descriptor_of() {
    let it = Scanned::new("");
    let (client, quiet) = it.connect();
    let mut handles = Vec::new();
    loop {
        let descriptors = client.server().descriptors().len();
        let name = format!("{}.doc", handles.len());
        handles.push(client.open(&name, Open::overwrite()).wait().handle().unwrap());
        if client.server().descriptors().len() == descriptors + 1 {
            break;
        }
        assert!(handles.len() < 5000, "vscan leaves most descriptors to smbd");
    }
    let scans = it.scanner.scans();
    for handle in [handles[0], handles[handles.len() - 1]] {
        client.write_at(handle, 0, b"content").wait().status.ok().unwrap();
    }
    for handle in handles {
        client.close(handle).wait().status.ok().unwrap();
    }
    it.scanner.wait_for_scans(scans + 2, SOON);
    it.is_quiet(&quiet);
}
