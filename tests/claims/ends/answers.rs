//! The scan ends, and its answer reaches whoever waits for it: requests of every kind.

use vscan_tests::client::{Client, Open, Pending, Reply, Status};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::scanned::Scanned;
use vscan_tests::share::Share;
use vscan_tests::wait::SOON;

use super::{ALL, compound_parked, parked};

#[test]
fn a_reload_of_the_configuration_does_not_disturb_parked_opens() {
    let (it, client, quiet, slow) = parked("slow.doc", b"needle and hay");
    it.plant("bad.com", &eicar());
    let bad = it.park(&client, "bad.com");
    it.smbd.control(client.server(), "reload-config");
    it.smbd.reload();
    // A request after the message: it has been taken in by then.
    assert_eq!(client.open("nothing", Open::read()).wait().status, Status::OBJECT_NAME_NOT_FOUND);
    it.scanner.release();
    client.close(slow.wait().handle().unwrap()).wait();
    assert_eq!(bad.wait().status, Status::VIRUS_INFECTED);
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

#[test]
fn a_compound_waits_as_a_whole() {
    let (it, client, quiet, parts) = compound_parked("slow.doc", b"needle and hay");
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
    let (it, _client, quiet, parts) = compound_parked("bad.com", &eicar());
    it.scanner.release();
    let [open, read, close] = parts.map(|part| part.wait());
    assert_eq!(open.status, Status::VIRUS_INFECTED);
    assert!(read.status != Status::OK && read.data.is_empty() && close.status != Status::OK);
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

/// A client with a durable handle of `f.doc`, and what it needs to take it up again.
#[track_caller]
fn with_durable_handle(options: &str) -> (Scanned, Client, Reply) {
    let durable = |share: Share| {
        share.option("kernel share modes", "no").option("kernel oplocks", "no").option("posix locking", "no")
    };
    let it = Scanned::with(options, durable, |builder| builder);
    it.plant("f.doc", b"hello");
    let (client, _) = it.connect();
    let opened = client.open("f.doc", Open::read_write().lease(1, ALL).durable(1)).wait();
    assert!(opened.durable);
    (it, client, opened)
}

fn take_up_again(client: &Client, opened: &Reply) -> Pending {
    client.open("f.doc", Open::read_write().lease(1, ALL).reconnect(1, &opened.file_id))
}

#[test]
fn a_durable_handle_is_taken_up_again_after_a_scan_on_the_spot() {
    let (it, client, opened) = with_durable_handle("");
    client.disconnect();
    let again = client.connect_again(&it.smbd, "s");
    let scans = it.scanner.scans();
    it.scanner.hold();
    let open = take_up_again(&again, &opened);
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
    let (it, client, opened) = with_durable_handle("");
    let scans = it.scanner.scans();
    client.write_at(opened.handle().unwrap(), 0, b"HELLO").wait().status.ok().unwrap();
    client.disconnect();
    it.scanner.wait_for_scans(scans + 1, SOON);
    let again = client.connect_again(&it.smbd, "s");
    let open = take_up_again(&again, &opened);
    let handle = open.wait().handle().unwrap();
    assert_eq!(again.read_at(handle, 0, 100).wait().data, b"HELLO");
    again.close(handle).wait();
    it.is_unharmed();
}

#[test]
fn a_durable_handle_of_what_has_become_infected_is_not_taken_up_again() {
    let (it, client, opened) = with_durable_handle("scan on close = no\n");
    client.write_at(opened.handle().unwrap(), 0, &eicar()).wait().status.ok().unwrap();
    client.disconnect();
    let again = client.connect_again(&it.smbd, "s");
    let open = take_up_again(&again, &opened).wait();
    assert!(open.handle().is_err(), "{open:?}");
    it.is_unharmed();
}
