//! Every way in which a request can end while its file is scanned. None may leave anything behind, or let content out
//! that was not scanned.

use vscan_tests::client::{Open, Status, lease, oplock};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::scanned::Scanned;
use vscan_tests::share::Share;
use vscan_tests::wait::{SOON, eventually};

#[test]
fn a_cancelled_open_is_answered_and_its_scan_ends() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    client.cancel(&open);
    assert_eq!(open.wait().status, Status::CANCELLED);
    eventually("the scan is given up", SOON, || (it.scanner.open_connections() == 0).then_some(()));
    it.scanner.release();
    assert_eq!(client.read("slow.doc").unwrap(), b"needle and hay");
    it.is_quiet(&quiet);
}

#[test]
fn a_cancelled_open_does_not_take_the_scan_from_others() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    let first = it.park(&client, "slow.doc");
    let second = client.open("slow.doc", Open::read());
    second.wait_until_pending();
    client.cancel(&first);
    assert_eq!(first.wait().status, Status::CANCELLED);
    assert_eq!(it.scanner.open_connections(), 1);
    it.scanner.release();
    client.close(second.wait().handle().unwrap()).wait().status.ok().unwrap();
    assert_eq!(it.scanner.scans(), scans + 1);
    it.is_quiet(&quiet);
}

#[test]
fn a_cancelled_open_leaves_the_queue() {
    let it = Scanned::new("max scans in flight = 1\n");
    for name in ["first.doc", "second.doc", "third.doc"] {
        it.plant(name, name.as_bytes());
    }
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    let first = it.park(&client, "first.doc");
    let waiting = ["second.doc", "third.doc"].map(|name| client.open(name, Open::read()));
    waiting.iter().for_each(|open| open.wait_until_pending());
    client.cancel(&waiting[0]);
    assert_eq!(waiting[0].wait().status, Status::CANCELLED);
    it.scanner.release();
    for open in [&first, &waiting[1]] {
        client.close(open.wait().handle().unwrap()).wait();
    }
    assert_eq!(it.scanner.scans(), scans + 2);
    it.is_quiet(&quiet);
}

#[test]
fn a_tree_disconnect_ends_parked_opens() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    let goodbye = client.disconnect_tree();
    assert_eq!(open.wait().status, Status::CANCELLED);
    assert_eq!(goodbye.wait().status, Status::OK);
    eventually("the scan is given up", SOON, || (it.scanner.open_connections() == 0).then_some(()));
    assert!(client.server().is_alive());
    it.is_quiet(&quiet);
}

#[test]
fn a_logoff_ends_parked_opens() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    let goodbye = client.log_off();
    assert_eq!(open.wait().status, Status::CANCELLED);
    assert_eq!(goodbye.wait().status, Status::OK);
    eventually("the scan is given up", SOON, || (it.scanner.open_connections() == 0).then_some(()));
    it.is_quiet(&quiet);
}

#[test]
fn a_lost_connection_ends_parked_opens() {
    let it = Scanned::new("max scans in flight = 2\n");
    let (client, quiet) = it.connect();
    let names = ["a.doc", "b.doc", "c.doc", "d.doc"];
    names.iter().for_each(|name| it.plant(name, name.as_bytes()));
    it.scanner.hold();
    let opens = names.map(|name| client.open(name, Open::read()));
    opens.iter().for_each(|open| open.wait_until_pending());
    client.disconnect();
    for open in &opens {
        assert_eq!(open.wait().status, Status::DISCONNECTED);
    }
    eventually("the client's smbd ends", SOON, || (!client.server().is_alive()).then_some(()));
    it.is_quiet(&quiet);
}

#[test]
fn the_end_of_smbd_ends_parked_opens() {
    let mut it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, _) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    let process = client.server();
    // As systemd does: all of them at once.
    it.smbd.signal(process, rustix::process::Signal::TERM);
    it.smbd.terminate();
    assert_eq!(open.wait().status, Status::DISCONNECTED);
    eventually("the client's smbd ends", SOON, || (!process.is_alive()).then_some(()));
    eventually("the scan is given up", SOON, || (it.scanner.open_connections() == 0).then_some(()));
    it.is_unharmed();
}

#[test]
fn a_file_that_is_renamed_meanwhile_is_gone() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    it.smbd.smbclient("s").rename("slow.doc", "moved.doc").ok();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::OBJECT_NAME_NOT_FOUND);
    assert_eq!(client.read("moved.doc").unwrap(), b"needle and hay");
    it.is_quiet(&quiet);
}

#[test]
fn an_infected_file_that_is_renamed_meanwhile_is_refused_under_both_names() {
    let it = Scanned::new("");
    it.plant("bad.com", &eicar());
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, "bad.com");
    it.smbd.smbclient("s").rename("bad.com", "moved.com").ok();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    let other = client.read("moved.com").unwrap_err();
    assert!([Status::VIRUS_INFECTED, Status::OBJECT_NAME_NOT_FOUND].contains(&other), "{other:?}");
    it.is_quiet(&quiet);
}

#[test]
fn a_file_that_is_deleted_meanwhile_is_gone() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    it.smbd.smbclient("s").del("slow.doc").ok();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::OBJECT_NAME_NOT_FOUND);
    it.is_quiet(&quiet);
}

#[test]
fn a_file_that_another_takes_the_place_of_is_scanned_too() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    it.plant("bad.com", &eicar());
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    let open = it.park(&client, "slow.doc");
    std::fs::rename(it.path("bad.com"), it.path("slow.doc")).unwrap();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    assert!(it.scanner.scans() >= scans + 2);
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

#[test]
fn a_reload_of_the_configuration_does_not_disturb_parked_opens() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    it.plant("bad.com", &eicar());
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let (slow, bad) = (it.park(&client, "slow.doc"), it.park(&client, "bad.com"));
    it.smbd.control(client.server(), "reload-config");
    it.smbd.reload();
    // A request after the message: it has been taken in by then.
    assert_eq!(client.open("nothing", Open::read()).wait().status, Status::OBJECT_NAME_NOT_FOUND);
    it.scanner.release();
    client.close(slow.wait().handle().unwrap()).wait();
    assert_eq!(bad.wait().status, Status::VIRUS_INFECTED);
    it.is_quiet(&quiet);
}

/// What durable handles need.
fn durable(share: Share) -> Share {
    share.option("kernel share modes", "no").option("kernel oplocks", "no").option("posix locking", "no")
}

const ALL: u32 = lease::READ | lease::WRITE | lease::HANDLE;

#[test]
fn a_durable_handle_is_taken_up_again_after_a_scan_on_the_spot() {
    let it = Scanned::with("", durable, |builder| builder);
    it.plant("f.doc", b"hello");
    let (client, _) = it.connect();
    let opened = client.open("f.doc", Open::read_write().lease(1, ALL).durable(1)).wait();
    assert!(opened.durable);
    client.disconnect();
    let again = client.connect_again(&it.smbd, "s");
    let scans = it.scanner.scans();
    it.scanner.hold();
    let open = again.open("f.doc", Open::read_write().lease(1, ALL).reconnect(1, &opened.file_id));
    it.scanner.wait_for_scans(scans + 1, SOON);
    assert!(!open.is_answered() && !open.was_pending());
    it.scanner.release();
    let handle = open.wait().handle().unwrap();
    assert_eq!(again.read_at(handle, 0, 100).wait().data, b"hello");
    again.close(handle).wait();
    it.is_unharmed();
}

#[test]
fn a_durable_handle_is_taken_up_again_after_its_file_was_scanned_meanwhile() {
    let it = Scanned::with("", durable, |builder| builder);
    it.plant("f.doc", b"hello");
    let (client, _) = it.connect();
    let opened = client.open("f.doc", Open::read_write().lease(1, ALL).durable(1)).wait();
    let scans = it.scanner.scans();
    client.write_at(opened.handle().unwrap(), 0, b"HELLO").wait().status.ok().unwrap();
    client.disconnect();
    it.scanner.wait_for_scans(scans + 1, SOON);
    let again = client.connect_again(&it.smbd, "s");
    let open = again.open("f.doc", Open::read_write().lease(1, ALL).reconnect(1, &opened.file_id));
    let handle = open.wait().handle().unwrap();
    assert_eq!(again.read_at(handle, 0, 100).wait().data, b"HELLO");
    again.close(handle).wait();
    it.is_unharmed();
}

#[test]
fn a_durable_handle_of_what_has_become_infected_is_not_taken_up_again() {
    let it = Scanned::with("scan on close = no\n", durable, |builder| builder);
    it.plant("f.doc", b"hello");
    let (client, _) = it.connect();
    let opened = client.open("f.doc", Open::read_write().lease(1, ALL).durable(1)).wait();
    client.write_at(opened.handle().unwrap(), 0, &eicar()).wait().status.ok().unwrap();
    client.disconnect();
    let again = client.connect_again(&it.smbd, "s");
    let open = again.open("f.doc", Open::read_write().lease(1, ALL).reconnect(1, &opened.file_id)).wait();
    assert!(open.handle().is_err(), "{open:?}");
    it.is_unharmed();
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

#[test]
fn a_compound_waits_as_a_whole() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    let parts = client.compound_read("slow.doc", Open::read(), 100);
    it.scanner.wait_for_scans(scans + 1, SOON);
    it.plant("quick.txt", b"");
    assert_eq!(client.read("quick.txt").unwrap(), b"");
    assert!(parts.iter().all(|part| !part.is_answered()));
    it.scanner.release();
    let [open, read, close] = parts.map(|part| part.wait());
    assert_eq!((open.status, read.status, close.status), (Status::OK, Status::OK, Status::OK));
    assert_eq!(read.data, b"needle and hay");
    it.is_quiet(&quiet);
}

#[test]
fn a_compound_about_an_infected_file_is_refused_as_a_whole() {
    let it = Scanned::new("");
    it.plant("bad.com", &eicar());
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    let parts = client.compound_read("bad.com", Open::read(), 100);
    it.scanner.wait_for_scans(scans + 1, SOON);
    it.scanner.release();
    let [open, read, close] = parts.map(|part| part.wait());
    assert_eq!(open.status, Status::VIRUS_INFECTED);
    assert!(read.status != Status::OK && read.data.is_empty() && close.status != Status::OK);
    it.is_quiet(&quiet);
}

#[test]
fn a_compound_that_is_cut_off_leaves_nothing() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    let parts = client.compound_read("slow.doc", Open::read(), 100);
    it.scanner.wait_for_scans(scans + 1, SOON);
    client.disconnect();
    assert!(parts.iter().all(|part| part.wait().status == Status::DISCONNECTED));
    eventually("the client's smbd ends", SOON, || (!client.server().is_alive()).then_some(()));
    it.is_quiet(&quiet);
}

#[test]
fn an_open_of_smb1_waits_on_the_spot() {
    let it = Scanned::with("", |share| share, |builder| builder.smb1());
    it.plant("slow.doc", b"needle and hay");
    it.plant("other.doc", b"something");
    it.plant("bad.com", &eicar());
    let (client, quiet) = it.connect();
    it.scanner.hold_only(b"needle");
    let open = it.park(&client, "slow.doc");
    assert_eq!(it.smbd.smbclient("s").smb1().get("other.doc").unwrap(), b"something");
    assert!(it.smbd.smbclient("s").smb1().get("bad.com").is_err());
    assert!(!open.is_answered());
    it.scanner.release();
    client.close(open.wait().handle().unwrap()).wait();
    it.is_quiet(&quiet);
}

/// To delete a file, smbd opens its streams by itself.
#[test]
fn opens_of_smbd_itself_go_on_while_others_are_parked() {
    let it = Scanned::with("", |share| share.option("vfs objects", "vscan streams_xattr"), |builder| builder);
    it.plant("slow.doc", b"needle and hay");
    it.plant("f.doc", b"hello");
    let (client, quiet) = it.connect();
    client.write("f.doc:stream", b"more").unwrap();
    it.scanner.hold_only(b"needle");
    let open = it.park(&client, "slow.doc");
    let deletes = Open::with_access(0x1_0000).options(0x1000);
    client.close(client.open("f.doc", deletes).wait().handle().unwrap()).wait().status.ok().unwrap();
    assert!(!it.path("f.doc").exists() && !open.is_answered());
    it.scanner.release();
    client.close(open.wait().handle().unwrap()).wait();
    it.is_quiet(&quiet);
}

#[test]
fn two_hundred_opens_wait_at_once() {
    let it = Scanned::new("");
    for i in 0..200 {
        it.plant(&format!("f{i}"), &clean(i, 200));
    }
    let (client, quiet) = it.connect();
    let scans = it.scanner.scans();
    it.scanner.hold();
    let opens: Vec<_> = (0..200).map(|i| client.open(&format!("f{i}"), Open::read())).collect();
    opens.iter().for_each(|open| open.wait_until_pending());
    it.scanner.wait_for_scans(scans + 8, SOON);
    assert_eq!(it.scanner.open_connections(), 8);
    it.scanner.release();
    for open in &opens {
        assert_eq!(client.close(open.wait().handle().unwrap()).wait().status, Status::OK);
    }
    assert_eq!((it.scanner.scans(), it.scanner.most_connections()), (scans + 200, 8));
    it.is_quiet(&quiet);
}

/// The file of one client is scanned for that client only: another client's smbd scans it by itself.
#[test]
fn a_client_that_ends_does_not_take_the_scan_from_another_client() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let ((one, quiet), (two, _)) = (it.connect(), it.connect());
    it.scanner.hold();
    let (first, second) = (it.park(&one, "slow.doc"), it.park(&two, "slow.doc"));
    one.disconnect();
    assert_eq!(first.wait().status, Status::DISCONNECTED);
    it.scanner.release();
    two.close(second.wait().handle().unwrap()).wait().status.ok().unwrap();
    it.is_quiet(&quiet);
}

#[test]
fn opens_are_parked_on_each_channel_of_a_session() {
    let it =
        Scanned::with("", |share| share, |builder| builder.global("server multi channel support", "yes"));
    it.plant("slow.doc", b"needle and hay");
    it.plant("bad.com", &eicar());
    let (client, _) = it.connect();
    client.add_channel().wait().status.ok().unwrap();
    it.scanner.hold();
    let first = it.park(&client, "slow.doc");
    let second = client.open_on_second_channel("slow.doc", Open::read());
    let bad = client.open_on_second_channel("bad.com", Open::read());
    second.wait_until_pending();
    bad.wait_until_pending();
    it.scanner.release();
    for open in [first, second] {
        client.close(open.wait().handle().unwrap()).wait().status.ok().unwrap();
    }
    assert_eq!(bad.wait().status, Status::VIRUS_INFECTED);
    it.is_unharmed();
}

#[test]
fn a_lost_channel_does_not_take_the_scan_from_the_other() {
    let it =
        Scanned::with("", |share| share, |builder| builder.global("server multi channel support", "yes"));
    it.plant("slow.doc", b"needle and hay");
    it.plant("other.doc", b"other");
    let (client, quiet) = it.connect();
    client.add_channel().wait().status.ok().unwrap();
    it.scanner.hold();
    let first = it.park(&client, "slow.doc");
    for name in ["slow.doc", "other.doc"] {
        client.open_on_second_channel(name, Open::read()).wait_until_pending();
    }
    client.disconnect_second_channel();
    assert_eq!(client.open("nothing", Open::read()).wait().status, Status::OBJECT_NAME_NOT_FOUND);
    it.scanner.release();
    client.close(first.wait().handle().unwrap()).wait().status.ok().unwrap();
    assert!(client.server().is_alive());
    it.is_quiet(&quiet);
}
