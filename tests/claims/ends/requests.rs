//! The request ends before its scan: it is cancelled, or goes with its client or with smbd.

use vscan_tests::client::{Open, Status};
use vscan_tests::scanned::Scanned;
use vscan_tests::wait::SOON;

use super::{compound_parked, parked};

#[test]
fn a_cancelled_open_is_answered_and_its_scan_ends() {
    let (it, client, quiet, open) = parked("slow.doc", b"needle and hay");
    client.cancel(&open);
    assert_eq!(open.wait().status, Status::CANCELLED);
    it.scanner.wait_until_alone(SOON);
    it.scanner.release();
    assert_eq!(client.read("slow.doc").unwrap(), b"needle and hay");
    it.is_quiet(&quiet);
}

#[test]
fn a_cancelled_open_does_not_take_the_scan_from_others() {
    let (it, client, quiet, first) = parked("slow.doc", b"needle and hay");
    let scans = it.scanner.scans();
    let second = client.open("slow.doc", Open::read());
    second.wait_until_pending();
    client.cancel(&first);
    assert_eq!(first.wait().status, Status::CANCELLED);
    assert_eq!(it.scanner.open_connections(), 1);
    it.scanner.release();
    client.close(second.wait().handle().unwrap()).wait().status.ok().unwrap();
    assert_eq!(it.scanner.scans(), scans);
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
    let (it, client, quiet, open) = parked("slow.doc", b"needle and hay");
    let goodbye = client.disconnect_tree();
    assert_eq!(open.wait().status, Status::CANCELLED);
    assert_eq!(goodbye.wait().status, Status::OK);
    it.scanner.wait_until_alone(SOON);
    assert!(client.server().is_alive());
    it.is_quiet(&quiet);
}

#[test]
fn a_logoff_ends_parked_opens() {
    let (it, client, quiet, open) = parked("slow.doc", b"needle and hay");
    let goodbye = client.log_off();
    assert_eq!(open.wait().status, Status::CANCELLED);
    assert_eq!(goodbye.wait().status, Status::OK);
    it.scanner.wait_until_alone(SOON);
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
    client.server().wait_for_end(SOON);
    it.is_quiet(&quiet);
}

#[test]
fn the_end_of_smbd_ends_parked_opens() {
    let (mut it, client, _, open) = parked("slow.doc", b"needle and hay");
    let process = client.server();
    // As systemd does: all of them at once.
    it.smbd.signal(process, rustix::process::Signal::TERM);
    it.smbd.terminate();
    assert_eq!(open.wait().status, Status::DISCONNECTED);
    process.wait_for_end(SOON);
    it.scanner.wait_until_alone(SOON);
    it.is_unharmed();
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

#[test]
fn a_compound_that_is_cut_off_leaves_nothing() {
    let (it, client, quiet, parts) = compound_parked("slow.doc", b"needle and hay");
    client.disconnect();
    assert!(parts.iter().all(|part| part.wait().status == Status::DISCONNECTED));
    client.server().wait_for_end(SOON);
    it.is_quiet(&quiet);
}
