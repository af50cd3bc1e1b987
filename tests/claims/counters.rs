use std::path::Path;

use rustix::process::Signal;
use vscan_engine::counters::{Counters, Snapshot};
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::wait::{SOON, eventually};

use crate::protected::Protected;

fn seen(it: &Protected) -> Snapshot {
    let file = it.smbd.path("vscan-run/counters");
    let mut shares = Counters::open_existing(Path::new(&file)).unwrap().snapshot();
    assert_eq!(shares.len(), 1);
    shares.remove(0)
}

#[test]
fn what_all_smbds_do_is_counted() {
    let it = Protected::with("infected file action = nothing");
    it.plant("a.doc", &clean(1, 100));
    it.plant("bad.com", &eicar());
    let client = it.client();
    for _ in 0..3 {
        client.read("a.doc").unwrap();
    }
    let other = it.client();
    other.read("a.doc").unwrap();
    assert_eq!(other.read("bad.com"), Err(Status::VIRUS_INFECTED));
    let expected = Snapshot {
        share: "s".to_owned(),
        opens: 5,
        hits_own: 2,
        hits_shared: 1,
        scans: 2,
        infected: 1,
        ..Snapshot::default()
    };
    assert_eq!(seen(&it), expected);
}

#[test]
fn parked_requests_are_counted_until_their_client_or_its_smbd_is_gone() {
    let it = Protected::with("");
    for name in ["a.doc", "b.doc", "c.doc"] {
        it.plant(name, &clean(1, 100));
    }
    it.scanner.hold();
    let clients = [it.client(), it.client(), it.client()];
    let park = |client: &Client, name: &str| {
        let open = client.open(name, Open::read());
        open.wait_until_pending();
        open
    };
    let _opens = [park(&clients[0], "a.doc"), park(&clients[1], "b.doc"), park(&clients[1], "c.doc")];
    assert_eq!(seen(&it).parked, 3);
    it.smbd.signal(clients[1].server(), Signal::KILL);
    eventually("those of a killed smbd do not count", SOON, || (seen(&it).parked == 1).then_some(()));
    it.scanner.release();
    eventually("nobody waits any more", SOON, || (seen(&it).parked == 0).then_some(()));
}
