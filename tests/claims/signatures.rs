//! New signatures of the scanner void what is remembered.

use vscan_tests::client::Status;
use vscan_tests::fake::Conduct;
use vscan_tests::samples::{clean, eicar};
use vscan_tests::wait::{SOON, eventually, within};

use crate::protected::Protected;

const OFTEN: &str = "signature check interval = 100ms\ninfected file action = nothing";

/// Opens the file until it is scanned once more.
#[track_caller]
fn wait_for_another_scan(it: &Protected, client: &vscan_tests::client::Client) {
    let scans = it.scanner.scans();
    eventually("the file is scanned again", SOON, || {
        client.read("a.doc").unwrap();
        (it.scanner.scans() > scans).then_some(())
    });
}

#[test]
fn a_clean_file_is_scanned_again_with_new_signatures() {
    let it = Protected::with(OFTEN);
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    eventually("the version is known", SOON, || {
        client.read("a.doc").unwrap();
        (it.scanner.connections() >= 3).then_some(())
    });
    assert_eq!(it.scanner.scans(), 1);
    it.scanner.version("ClamAV 1.4.6/27999/Sun Nov 22 2026");
    wait_for_another_scan(&it, &client);
    it.smbd.wait_for_log(
        "has new signatures (ClamAV 1.4.6/27999/Sun Nov 22 2026, before: ClamAV 1.4.6): earlier results are void",
        SOON,
    );
    let connections = it.scanner.connections();
    eventually("the version was asked again", SOON, || {
        client.read("a.doc").unwrap();
        (it.scanner.connections() > connections + 1).then_some(())
    });
    assert_eq!(it.scanner.scans(), 2, "the version has changed once");
}

#[test]
fn a_file_that_new_signatures_find_is_refused() {
    let it = Protected::with(OFTEN);
    it.plant("a.doc", &eicar());
    it.scanner.now(Conduct::Clean);
    let client = it.client();
    client.read("a.doc").unwrap();
    eventually("the version is known", SOON, || {
        client.read("a.doc").unwrap();
        (it.scanner.connections() >= 3).then_some(())
    });
    it.scanner.now(Conduct::Infected("New.Threat".to_owned()));
    it.scanner.version("ClamAV 1.4.6/27999");
    eventually("it is found", SOON, || (client.read("a.doc") == Err(Status::VIRUS_INFECTED)).then_some(()));
}

#[test]
fn a_scanner_that_does_not_tell_its_version_holds_up_nothing() {
    let it = Protected::with(OFTEN);
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    it.scanner.now(Conduct::NeverRead);
    let connections = it.scanner.connections();
    eventually("the version is asked", SOON, || {
        assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
        (it.scanner.connections() > connections).then_some(())
    });
    for _ in 0..10 {
        assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
    }
    assert_eq!((it.scanner.scans(), it.scanner.connections()), (1, connections + 1));
}

#[test]
fn without_an_interval_nobody_asks() {
    let it = Protected::with("signature check interval = 0");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    for _ in 0..3 {
        client.read("a.doc").unwrap();
    }
    assert_eq!((it.scanner.connections(), it.scanner.scans()), (1, 1));
}

#[test]
fn a_touch_of_the_epoch_file_voids_all_results() {
    let it = Protected::with("signature check interval = 0");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    client.read("a.doc").unwrap();
    assert_eq!(it.scanner.scans(), 1);
    for _ in 0..2 {
        std::fs::write(it.smbd.path("epoch"), "").unwrap();
        wait_for_another_scan(&it, &client);
    }
    it.smbd.wait_for_log("/epoch was touched: earlier results are void", SOON);
    let scans = it.scanner.scans();
    let again = within(std::time::Duration::from_millis(1500), || {
        client.read("a.doc").unwrap();
        (it.scanner.scans() > scans).then_some(())
    });
    assert_eq!(again, None, "without a touch, results are kept");
}
