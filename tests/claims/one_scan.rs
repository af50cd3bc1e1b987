//! A file is scanned once at a time, however many tree connects of a client ask for it.

use vscan_tests::client::{Client, Open, Status};
use vscan_tests::samples::eicar;
use vscan_tests::scanned::{Quiet, Scanned};
use vscan_tests::share::Share;
use vscan_tests::wait::SOON;

/// Two shares of one folder, `s` and `t`; the second with these settings beside those of the first.
fn two_shares(settings_of_second: &str) -> Scanned {
    let scanner = vscan_tests::fake::FakeDaemon::in_front_of(vscan_tests::clamd::Clamd::shared());
    let conf = format!("scanner = clamav:{}\n", scanner.socket().display());
    let second =
        format!("[samba-vscan]\nquarantine directory = @RIG@/quarantine\n{conf}{settings_of_second}");
    let second = Share::vscan("t", &second).option("path", "@RIG@/shares/s");
    Scanned::behind(scanner, &conf, |share| share, |builder| builder.share(second))
}

/// A client that has gone to a second share, too.
fn with_second_tree(it: &Scanned, share: &str) -> (Client, Quiet) {
    let client = Client::connect(&it.smbd, "s");
    client.add_tree(share).wait().status.ok().unwrap();
    it.plant("warm.txt", b"warm");
    client.read("warm.txt").unwrap();
    let warm = client.open_in_second_tree("warm.txt", Open::read()).wait().handle().unwrap();
    client.close(warm).wait().status.ok().unwrap();
    let quiet = Quiet::of(client.server());
    (client, quiet)
}

/// How many scans one file takes that is opened through both trees at once.
fn scans_of_one_file(it: &Scanned, second: &str) -> usize {
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = with_second_tree(it, second);
    it.scanner.hold();
    let scans = it.scanner.scans();
    let opens = [it.park(&client, "slow.doc"), client.open_in_second_tree("slow.doc", Open::read())];
    opens[1].wait_until_pending();
    it.scanner.release();
    for open in opens {
        client.close(open.wait().handle().unwrap()).wait().status.ok().unwrap();
    }
    let scans = it.scanner.scans() - scans;
    it.is_quiet(&quiet);
    scans
}

#[test]
fn a_share_that_is_connected_twice_scans_a_file_once() {
    assert_eq!(scans_of_one_file(&Scanned::new(""), "s"), 1);
}

#[test]
fn two_shares_of_one_folder_scan_a_file_once() {
    assert_eq!(scans_of_one_file(&two_shares(""), "t"), 1);
}

#[test]
fn shares_with_other_settings_scan_for_themselves() {
    assert_eq!(scans_of_one_file(&two_shares("deny access on minor error = no\n"), "t"), 2);
}

#[test]
fn an_infected_file_is_refused_by_both_shares_and_moved_once() {
    let it = two_shares("");
    it.plant("bad.com", &eicar());
    let (client, quiet) = with_second_tree(&it, "t");
    it.scanner.hold();
    let opens = [it.park(&client, "bad.com"), client.open_in_second_tree("bad.com", Open::read())];
    opens[1].wait_until_pending();
    it.scanner.release();
    for open in opens {
        assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    }
    assert_eq!(it.quarantine().len(), 1, "{:?}", it.quarantine());
    it.is_quiet(&quiet);
}

#[test]
fn a_share_that_is_left_does_not_take_the_scan_from_the_other() {
    let it = two_shares("");
    it.plant("slow.doc", b"needle and hay");
    let (client, quiet) = with_second_tree(&it, "t");
    it.scanner.hold();
    let scans = it.scanner.scans();
    let first = it.park(&client, "slow.doc");
    let second = client.open_in_second_tree("slow.doc", Open::read());
    second.wait_until_pending();
    assert_eq!(client.disconnect_tree().wait().status, Status::OK);
    assert_eq!(first.wait().status, Status::CANCELLED);
    it.scanner.release();
    client.close(second.wait().handle().unwrap()).wait().status.ok().unwrap();
    assert_eq!(it.scanner.scans(), scans + 1);
    it.is_quiet(&quiet);
}

#[test]
fn a_scan_after_a_close_serves_the_other_share() {
    let it = two_shares("");
    let (client, quiet) = with_second_tree(&it, "t");
    it.scanner.hold();
    let scans = it.scanner.scans();
    client.write("f.doc", b"content").unwrap();
    it.scanner.wait_for_scans(scans + 1, SOON);
    let open = client.open_in_second_tree("f.doc", Open::read());
    open.wait_until_pending();
    it.scanner.release();
    client.close(open.wait().handle().unwrap()).wait().status.ok().unwrap();
    assert_eq!(it.scanner.scans(), scans + 1);
    it.scanner.wait_until_alone(SOON);
    it.is_quiet(&quiet);
}
