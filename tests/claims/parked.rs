//! Opens that wait for a scan, and everything that goes on meanwhile.

use std::time::{Duration, Instant};

use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::scanned::Scanned;
use vscan_tests::wait::{SOON, eventually, patience};

#[test]
fn other_requests_are_served_while_a_file_is_scanned() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    it.plant("bad.com", &eicar());
    it.plant("good.txt", b"plain");
    let client = Client::connect(&it.smbd, "s");
    it.scanner.hold_only(b"needle");
    let slow = client.open("slow.doc", Open::read());
    slow.wait_until_pending();
    let started = Instant::now();
    assert_eq!(client.read("good.txt").unwrap(), b"plain");
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(started.elapsed() < Duration::from_secs(5) && !slow.is_answered());
    it.scanner.release();
    assert_eq!(slow.wait().status, Status::OK);
    assert_eq!(it.scanner.scans(), 3);
}

#[test]
fn a_parked_open_of_an_infected_file_is_refused() {
    let it = Scanned::new("");
    it.plant("bad.com", &eicar());
    let client = Client::connect(&it.smbd, "s");
    it.scanner.hold();
    let open = client.open("bad.com", Open::read());
    open.wait_until_pending();
    it.scanner.release();
    assert_eq!(open.wait().status, Status::VIRUS_INFECTED);
    assert!(!it.path("bad.com").exists());
}

#[test]
fn a_scan_takes_neither_a_thread_nor_a_process() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let client = Client::connect(&it.smbd, "s");
    it.scanner.hold();
    let open = it.park(&client, "slow.doc");
    let process = client.server();
    // Samba's own threads read and write files, and nobody has done that yet.
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.0.as_raw_nonzero())).unwrap().count();
    assert_eq!((threads, process.children().len()), (1, 0));
    it.scanner.release();
    assert_eq!(open.wait().status, Status::OK);
}

#[test]
fn opens_of_one_file_wait_for_one_scan() {
    let it = Scanned::new("");
    it.plant("slow.doc", b"needle and hay");
    let client = Client::connect(&it.smbd, "s");
    it.scanner.hold();
    let opens: Vec<_> = (0..5).map(|_| client.open("slow.doc", Open::read())).collect();
    for open in &opens {
        open.wait_until_pending();
    }
    it.scanner.release();
    for open in opens {
        assert_eq!(open.wait().status, Status::OK);
    }
    assert_eq!(it.scanner.scans(), 1);
}

/// The content of each file that was scanned, in the order of the scans.
fn scanned(scanner: &FakeDaemon) -> Vec<String> {
    let content = |request: &std::sync::Arc<vscan_tests::fake::Request>| request.descriptor_content();
    scanner.requests().iter().map(|r| String::from_utf8(content(r)).unwrap()).collect()
}

#[test]
fn opens_go_before_closed_files() {
    let it = Scanned::new("max scans in flight = 1\n");
    it.plant("opened", b"opened");
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    client.write("running", b"running").unwrap();
    it.scanner.wait_for_scans(scans + 1, SOON);
    client.write("closed", b"closed").unwrap();
    client.write("hurried", b"hurried").unwrap();
    let opened = client.open("opened", Open::read());
    opened.wait_until_pending();
    let hurried = client.open("hurried", Open::read());
    hurried.wait_until_pending();
    it.scanner.release();
    for open in [opened, hurried] {
        client.close(open.wait().handle().unwrap()).wait();
    }
    it.scanner.wait_for_scans(scans + 4, SOON);
    assert_eq!(scanned(&it.scanner)[scans..], ["running", "opened", "hurried", "closed"]);
    it.is_quiet(&quiet);
}

#[test]
fn large_files_wait_for_each_other_only() {
    let it = Scanned::new("large file size = 100K\n");
    for i in 0..4 {
        it.plant(&format!("large{i}"), &clean(i, 200_000));
        it.plant(&format!("small{i}"), &clean(i, 200));
    }
    let (client, quiet) = it.connect();
    let scans = it.scanner.scans();
    it.scanner.hold_only(&clean(0, 200_000)[100_000..100_100]);
    let held = client.open("large0", Open::read());
    it.scanner.wait_for_scans(scans + 1, SOON);
    it.scanner.hold();
    let large: Vec<_> = (1..4).map(|i| client.open(&format!("large{i}"), Open::read())).collect();
    large.iter().for_each(|open| open.wait_until_pending());
    it.scanner.wait_for_scans(scans + 2, SOON);
    let small: Vec<_> = (0..4).map(|i| client.open(&format!("small{i}"), Open::read())).collect();
    it.scanner.wait_for_scans(scans + 6, SOON);
    // A quarter of eight large files at once; no more of them have begun.
    let sizes: Vec<usize> =
        it.scanner.requests()[scans..].iter().map(|r| r.descriptor_content().len()).collect();
    assert_eq!(sizes, [200_000, 200_000, 200, 200, 200, 200]);
    it.scanner.release();
    for open in large.iter().chain(&small).chain([&held]) {
        client.close(open.wait().handle().unwrap()).wait();
    }
    it.is_quiet(&quiet);
}

#[test]
fn documents_pass_large_files_that_take_long() {
    let it = Scanned::new("large file size = 100K\n");
    it.plant("image1", &[b"needle".as_slice(), &clean(1, 200_000)].concat());
    it.plant("image2", &[b"needle".as_slice(), &clean(2, 200_000)].concat());
    let (client, quiet) = it.connect();
    it.scanner.hold_only(b"needle");
    let images = [it.park(&client, "image1"), it.park(&client, "image2")];
    for i in 0..20 {
        it.plant(&format!("small{i}"), &clean(i, 200));
        assert_eq!(client.read(&format!("small{i}")).unwrap(), clean(i, 200));
    }
    assert!(images.iter().all(|image| !image.is_answered()));
    it.scanner.release();
    for image in &images {
        client.close(image.wait().handle().unwrap()).wait();
    }
    it.is_quiet(&quiet);
}

/// A scanner of its own that is asked over TCP, and so gets streams.
fn behind_tcp(conduct: Conduct, options: &str) -> Scanned {
    let scanner = FakeDaemon::tcp(conduct);
    let conf = format!("scanner = clamav:tcp:127.0.0.1:{}\n{options}", scanner.port());
    Scanned::behind(scanner, &conf, |share| share, |builder| builder)
}

#[test]
fn a_file_that_is_sent_to_the_scanner_is_judged_by_all_of_its_content() {
    let it = behind_tcp(Conduct::Relay(Clamd::shared().socket()), "");
    it.plant("large", &clean(1, 1_000_000));
    it.plant("bad.com", &eicar());
    let (client, quiet) = it.connect();
    it.scanner.hold_only(&clean(1, 1_000_000)[900_000..900_050]);
    let large = it.park(&client, "large");
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(!large.is_answered());
    it.scanner.release();
    let handle = large.wait().handle().unwrap();
    assert_eq!(client.read_at(handle, 900_000, 50).wait().data, &clean(1, 1_000_000)[900_000..900_050]);
    client.close(handle).wait();
    it.is_quiet(&quiet);
}

/// The file is larger than all buffers between smbd and the scanner, so that smbd cannot get rid of it.
#[test]
fn other_requests_are_served_while_the_scanner_does_not_read() {
    let it = behind_tcp(Conduct::Relay(Clamd::shared().socket()), "io timeout = 4\n");
    it.plant("large", b"");
    std::fs::File::options().write(true).open(it.path("large")).unwrap().set_len(30_000_000).unwrap();
    let (client, quiet) = it.connect();
    it.scanner.now(Conduct::NeverRead);
    let connections = it.scanner.connections();
    let began = Instant::now();
    let large = client.open("large", Open::read());
    large.wait_until_pending();
    eventually("the scanner is called", SOON, || (it.scanner.connections() > connections).then_some(()));
    it.scanner.now(Conduct::Relay(Clamd::shared().socket()));
    for i in 0..10 {
        it.plant(&format!("small{i}"), &clean(i, 200));
        assert_eq!(client.read(&format!("small{i}")).unwrap(), clean(i, 200));
    }
    assert!(!large.is_answered());
    assert_eq!(large.wait().status, Status::ACCESS_DENIED);
    // The kernel holds what the scanner does not take, and takes a little more some time later.
    assert!(began.elapsed() < patience(Duration::from_secs(15)), "{:?}", began.elapsed());
    assert!(it.smbd.wait_for_log("large\" could not be scanned", SOON).contains("(io timeout)"));
    quiet.is_back();
    it.is_unharmed();
}

#[test]
fn an_open_waits_for_a_scanner_that_is_told_the_path() {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"0\n".to_vec()));
    let conf = format!("scanner = sophie:{}\n", scanner.socket().display());
    let it = Scanned::behind(scanner, &conf, |share| share, |builder| builder);
    it.plant("slow.doc", b"content");
    it.plant("bad.com", b"judged by its name");
    it.plant("quick.doc", b"content");
    let (client, quiet) = it.connect();
    it.scanner.hold_only(b"/slow.doc");
    let slow = it.park(&client, "slow.doc");
    assert_eq!(client.read("quick.doc").unwrap(), b"content");
    it.scanner.now(Conduct::Answer(b"1:Fake-Threat\n".to_vec()));
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(!slow.is_answered());
    it.scanner.now(Conduct::Answer(b"0\n".to_vec()));
    it.scanner.release();
    client.close(slow.wait().handle().unwrap()).wait().status.ok().unwrap();
    it.is_quiet(&quiet);
}

/// Of the owner's file and of somebody else's.
#[test]
fn a_scan_is_no_access() {
    let it = Scanned::new("");
    it.plant("own.doc", b"content");
    it.plant("foreign.doc", b"content");
    std::os::unix::fs::chown(it.path("foreign.doc"), Some(0), Some(0)).unwrap();
    let (client, _) = it.connect();
    for name in ["own.doc", "foreign.doc"] {
        let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let file = std::fs::File::options().write(true).open(it.path(name)).unwrap();
        file.set_times(std::fs::FileTimes::new().set_accessed(long_ago)).unwrap();
        let scans = it.scanner.scans();
        let handle = client.open(name, Open::read()).wait().handle().unwrap();
        assert_eq!(it.path(name).metadata().unwrap().accessed().unwrap(), long_ago);
        assert_eq!(it.scanner.scans(), scans + 1);
        client.close(handle).wait();
    }
}
