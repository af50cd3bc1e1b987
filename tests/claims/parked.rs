//! Opens that wait for a scan, and everything that goes on meanwhile.

use std::time::{Duration, Instant};

use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::FakeDaemon;
use vscan_tests::samples::{eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

/// A share behind a relay to clamd that can hold its answers.
fn share(options: &str) -> (FakeDaemon, Smbd) {
    let scanner = FakeDaemon::in_front_of(Clamd::shared());
    let conf = format!("[samba-vscan]\nscanner = clamav:{}\n{options}", scanner.socket().display());
    let smbd = Smbd::with(Share::vscan("s", &conf));
    (scanner, smbd)
}

#[test]
fn other_requests_are_served_while_a_file_is_scanned() {
    let (scanner, smbd) = share("");
    plant(&smbd.dir("s").join("slow.doc"), b"needle and hay");
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    plant(&smbd.dir("s").join("good.txt"), b"plain");
    let client = Client::connect(&smbd, "s");
    scanner.hold_only(b"needle");
    let slow = client.open("slow.doc", Open::read());
    slow.wait_until_pending();
    let started = Instant::now();
    assert_eq!(client.read("good.txt").unwrap(), b"plain");
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(started.elapsed() < Duration::from_secs(5) && !slow.is_answered());
    scanner.release();
    assert_eq!(slow.wait().status, Status::OK);
    assert_eq!(scanner.scans(), 3);
}

#[test]
fn a_parked_open_of_an_infected_file_is_refused() {
    let (scanner, smbd) = share("");
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    let client = Client::connect(&smbd, "s");
    scanner.hold();
    let open = client.open("bad.com", Open::read());
    open.wait_until_pending();
    scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    assert!(!smbd.dir("s").join("bad.com").exists());
}

#[test]
fn opens_of_one_file_wait_for_one_scan() {
    let (scanner, smbd) = share("");
    plant(&smbd.dir("s").join("slow.doc"), b"needle and hay");
    let client = Client::connect(&smbd, "s");
    scanner.hold();
    let opens: Vec<_> = (0..5).map(|_| client.open("slow.doc", Open::read())).collect();
    for open in &opens {
        open.wait_until_pending();
    }
    scanner.release();
    for open in opens {
        assert_eq!(open.wait().status, Status::OK);
    }
    assert_eq!(scanner.scans(), 1);
}
