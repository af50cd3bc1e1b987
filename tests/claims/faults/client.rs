//! The client goes away in the middle of a scan.

use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, plant};
use vscan_tests::wait::{SOON, eventually};

use super::protected;

#[test]
fn a_client_that_is_lost_during_a_scan_costs_nobody_anything() {
    let scanner = FakeDaemon::unix(Conduct::Clean);
    let smbd = protected(&scanner.socket(), "");
    plant(&smbd.dir("s").join("slow"), b"needle");
    plant(&smbd.dir("s").join("other"), &clean(1, 100));
    // Only with its first client has smbd opened all that it keeps open.
    smbd.smbclient("s").ls().ok();
    let parent = smbd.process().descriptors().len();
    scanner.hold_only(b"needle");
    for round in 1..=3 {
        let lost = Client::connect(&smbd, "s");
        let open = lost.open("slow", Open::read());
        scanner.wait_for_scans(round * 2 - 1, SOON);
        lost.disconnect();
        assert_eq!(open.wait().status, Status::DISCONNECTED);
        // A file of its own for each round: it cannot have been scanned before.
        let name = format!("other{round}");
        plant(&smbd.dir("s").join(&name), &clean(1, 100));
        assert_eq!(Client::connect(&smbd, "s").read(&name), Ok(clean(1, 100)));
        scanner.release();
        lost.server().wait_for_end(SOON);
        scanner.hold_only(b"needle");
    }
    scanner.release();
    // Nobody holds the file or a share mode of it.
    let client = Client::connect(&smbd, "s");
    assert_eq!(client.read("slow"), Ok(b"needle".to_vec()));
    smbd.smbclient("s").rename("slow", "renamed").ok();
    smbd.smbclient("s").del("renamed").ok();
    drop(client);
    eventually("the parent has no descriptor more", SOON, || {
        (smbd.process().descriptors().len() <= parent).then_some(())
    });
}
