//! The file is another one by the end of the scan: by its name, or by its content.

use vscan_tests::client::{Open, Status, oplock};
use vscan_tests::samples::eicar;
use vscan_tests::scanned::Scanned;

use super::{ALL, parked};

#[test]
fn a_file_that_is_renamed_meanwhile_is_gone() {
    let (it, client, quiet, open) = parked("slow.doc", b"needle and hay");
    it.smbd.smbclient("s").rename("slow.doc", "moved.doc").ok();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::OBJECT_NAME_NOT_FOUND);
    assert_eq!(client.read("moved.doc").unwrap(), b"needle and hay");
    it.is_quiet(&quiet);
}

#[test]
fn an_infected_file_that_is_renamed_meanwhile_is_refused_under_both_names() {
    let (it, client, quiet, open) = parked("bad.com", &eicar());
    it.smbd.smbclient("s").rename("bad.com", "moved.com").ok();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    let other = client.read("moved.com").unwrap_err();
    assert!([Status::VIRUS_INFECTED, Status::OBJECT_NAME_NOT_FOUND].contains(&other), "{other:?}");
    it.is_quiet(&quiet);
}

#[test]
fn a_file_that_is_deleted_meanwhile_is_gone() {
    let (it, _client, quiet, open) = parked("slow.doc", b"needle and hay");
    it.smbd.smbclient("s").del("slow.doc").ok();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::OBJECT_NAME_NOT_FOUND);
    it.is_quiet(&quiet);
}

#[test]
fn a_file_that_another_takes_the_place_of_is_scanned_too() {
    let (it, _client, quiet, open) = parked("slow.doc", b"needle and hay");
    it.plant("bad.com", &eicar());
    let scans = it.scanner.scans();
    std::fs::rename(it.path("bad.com"), it.path("slow.doc")).unwrap();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    assert!(it.scanner.scans() > scans);
    it.is_quiet(&quiet);
}

#[test]
fn content_that_is_replaced_meanwhile_is_scanned_again() {
    let it = Scanned::new("scan on close = no\n");
    it.plant("slow.doc", b"needle and hay");
    let ((client, quiet), (other, _)) = (it.connect(), it.connect());
    it.scanner.hold();
    let scans = it.scanner.scans();
    let open = it.park(&client, "slow.doc");
    other.write("slow.doc", &eicar()).unwrap();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    assert_eq!(it.scanner.scans(), scans + 2);
    it.is_quiet(&quiet);
}

#[test]
fn clean_content_that_is_replaced_meanwhile_is_what_is_read() {
    let it = Scanned::new("scan on close = no\n");
    it.plant("slow.doc", b"needle and hay");
    let ((client, quiet), (other, _)) = (it.connect(), it.connect());
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    other.write("slow.doc", b"something else").unwrap();
    it.scanner.release();
    let handle = open.wait().handle().unwrap();
    assert_eq!(client.read_at(handle, 0, 100).wait().data, b"something else");
    client.close(handle).wait();
    it.is_quiet(&quiet);
}

/// A second client has changes of its own in memory, and sends them when its right to keep them is taken back.
fn open_while_another_holds(how: Open, flushed: &[u8]) -> (Scanned, Result<Vec<u8>, Status>) {
    // What the holder's smbd finds out, the other one must not know.
    let it = Scanned::new("cache = process\n");
    it.plant("f.doc", b"hello");
    let ((client, quiet), (holder, _)) = (it.connect(), it.connect());
    let held = holder.open("f.doc", how).wait();
    assert!(held.lease == ALL || held.oplock == oplock::BATCH, "{held:?}");
    let scans = it.scanner.scans();
    it.scanner.hold();
    let open = it.park(&client, "f.doc");
    it.scanner.release();
    let taken = holder.next_break();
    assert!(taken.wants_answer && !open.is_answered());
    holder.write_at(held.handle().unwrap(), 0, flushed).wait().status.ok().unwrap();
    holder.acknowledge(&taken).wait().status.ok().unwrap();
    let content = open.wait().handle().map(|handle| {
        let content = client.read_at(handle, 0, 100).wait().data;
        client.close(handle).wait();
        content
    });
    assert_eq!(it.scanner.scans(), scans + 2);
    holder.close(held.handle().unwrap()).wait().status.ok().unwrap();
    it.is_quiet(&quiet);
    (it, content)
}

#[test]
fn what_the_holder_of_a_lease_flushes_is_scanned_again() {
    let (_, content) = open_while_another_holds(Open::read_write().lease(1, ALL), b"flushed");
    assert_eq!(content.unwrap(), b"flushed");
}

#[test]
fn infected_content_that_the_holder_of_a_lease_flushes_is_refused() {
    let (it, content) = open_while_another_holds(Open::read_write().lease(1, ALL), &eicar());
    assert_eq!(content, Err(Status::VIRUS_INFECTED));
    assert_eq!(it.quarantine().len(), 1, "{:?}", it.quarantine());
}

#[test]
fn what_the_holder_of_an_oplock_flushes_is_scanned_again() {
    let (_, content) = open_while_another_holds(Open::read_write().oplock(oplock::BATCH), b"flushed");
    assert_eq!(content.unwrap(), b"flushed");
}

#[test]
fn infected_content_that_the_holder_of_an_oplock_flushes_is_refused() {
    let (it, content) = open_while_another_holds(Open::read_write().oplock(oplock::BATCH), &eicar());
    assert_eq!(content, Err(Status::VIRUS_INFECTED));
    assert_eq!(it.quarantine().len(), 1, "{:?}", it.quarantine());
}
