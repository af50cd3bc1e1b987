//! A scan may take long, and still has an end.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::scanned::Scanned;
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

const DENIED: (&str, Status) = ("", Status::ACCESS_DENIED);
const ALLOWED: (&str, Status) = ("deny access on error = no\n", Status::OK);

/// An open of a file that the scanner says nothing about: how it ends, and that the log names the option.
fn runs_out(timeouts: &str, option: &str, (policy, ending): (&str, Status)) {
    let it = Scanned::new(&format!("{timeouts}{policy}"));
    let (client, quiet) = it.connect();
    it.plant("slow.doc", b"needle and hay");
    it.scanner.hold();
    let began = Instant::now();
    let open = it.park(&client, "slow.doc");
    let reply = open.wait();
    assert_eq!(reply.status, ending);
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    let line = it.smbd.wait_for_log("slow.doc\" could not be scanned", SOON);
    assert!(line.contains(option), "{line}");
    if let Ok(handle) = reply.handle() {
        assert_eq!(client.read_at(handle, 0, 100).wait().data, b"needle and hay");
        client.close(handle).wait();
    }
    it.is_quiet(&quiet);
}

#[test]
fn io_timeout_denies_a_parked_open() {
    runs_out("io timeout = 2\n", "(io timeout)", DENIED);
}

#[test]
fn io_timeout_allows_a_parked_open_when_told_to() {
    runs_out("io timeout = 2\n", "(io timeout)", ALLOWED);
}

#[test]
fn scan_timeout_denies_a_parked_open() {
    runs_out("scan timeout = 2\n", "(scan timeout)", DENIED);
}

#[test]
fn scan_timeout_allows_a_parked_open_when_told_to() {
    runs_out("scan timeout = 2\n", "(scan timeout)", ALLOWED);
}

#[test]
fn scan_timeout_ends_the_wait_for_other_scans() {
    let it = Scanned::new("scan timeout = 3\nmax scans in flight = 1\n");
    let (client, quiet) = it.connect();
    it.plant("first.doc", b"first");
    it.plant("second.doc", b"second");
    it.scanner.hold();
    let first = it.park(&client, "first.doc");
    // What opens this one waits for leaves it no time: the first scan ends when the second is due as well.
    let second = client.open("second.doc", Open::read());
    second.wait_until_pending();
    assert_eq!(first.wait().status, Status::ACCESS_DENIED);
    assert_eq!(second.wait().status, Status::ACCESS_DENIED);
    let line = it.smbd.wait_for_log("second.doc\" could not be scanned", SOON);
    assert!(line.contains("scan timeout"), "{line}");
    it.is_quiet(&quiet);
}

/// The scan of a closed file may have waited for long: whoever opens the file then has asked for it only now.
#[test]
fn an_open_has_all_its_time_for_the_scan_of_a_closed_file_that_waits() {
    let it = Scanned::new("scan timeout = 4\nmax scans in flight = 1\n");
    let (client, quiet) = it.connect();
    let scans = it.scanner.scans();
    it.scanner.hold();
    client.write("first.doc", b"first").unwrap();
    client.write("second.doc", b"second").unwrap();
    it.scanner.wait_for_scans(scans + 1, SOON);
    std::thread::sleep(Duration::from_secs(3));
    let open = client.open("second.doc", Open::read());
    open.wait_until_pending();
    it.scanner.wait_for_scans(scans + 2, SOON);
    std::thread::sleep(Duration::from_secs(1));
    it.scanner.release();
    client.close(open.wait().handle().unwrap()).wait();
    it.is_quiet(&quiet);
}

/// A scanner whose queue of connections is full.
fn deaf_scanner(dir: &std::path::Path) -> (UnixListener, UnixStream) {
    let socket = dir.join("deaf.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let first = UnixStream::connect(&socket).unwrap();
    (listener, first)
}

fn connect_timeout((policy, ending): (&str, Status)) {
    let dir = tempfile::tempdir().unwrap();
    let _deaf = deaf_scanner(dir.path());
    let socket = dir.path().join("deaf.sock");
    let conf = format!("[samba-vscan]\nscanner = clamav:{}\nconnect timeout = 2\n{policy}", socket.display());
    let smbd = Smbd::with(Share::vscan("s", &conf));
    std::fs::File::create(smbd.dir("s").join("slow.doc")).unwrap().write_all(b"content").unwrap();
    std::fs::write(smbd.dir("s").join("empty.doc"), b"").unwrap();
    let client = Client::connect(&smbd, "s");
    let open = client.open("slow.doc", Open::read());
    open.wait_until_pending();
    assert_eq!(client.read("empty.doc").unwrap(), b"");
    assert!(!open.is_answered());
    let reply = open.wait();
    assert_eq!(reply.status, ending);
    assert!(reply.took >= Duration::from_millis(1900), "{:?}", reply.took);
    let line = smbd.wait_for_log("slow.doc\" could not be scanned", SOON);
    assert!(line.contains("(connect timeout)"), "{line}");
}

#[test]
fn connect_timeout_denies_a_parked_open() {
    connect_timeout(DENIED);
}

#[test]
fn connect_timeout_allows_a_parked_open_when_told_to() {
    connect_timeout(ALLOWED);
}

/// A scanner that says something now and then is given time; the scan as a whole still has an end.
#[test]
fn signs_of_life_put_io_timeout_off() {
    let scanner =
        FakeDaemon::unix(Conduct::AnswerSlowly(b"fd[12]: OK\0".to_vec(), 1, Duration::from_millis(400)));
    let conf = format!("scanner = clamav:{}\nio timeout = 2\n", scanner.socket().display());
    let it = Scanned::behind(scanner, &conf, |share| share, |builder| builder);
    it.plant("slow.doc", b"content");
    let client = Client::connect(&it.smbd, "s");
    let reply = client.open("slow.doc", Open::read()).wait();
    assert_eq!(reply.status, Status::OK);
    assert!(reply.took > Duration::from_secs(3), "{:?}", reply.took);
}

fn waits_for(seconds: u64) {
    let it = Scanned::new("io timeout = 100\n");
    let (client, quiet) = it.connect();
    it.plant("slow.doc", b"needle and hay");
    it.scanner.delay(Duration::from_secs(seconds));
    let open = it.park(&client, "slow.doc");
    assert_eq!(client.open("nothing", Open::read()).wait().status, Status::OBJECT_NAME_NOT_FOUND);
    let reply = open.wait_for(Duration::from_secs(seconds + 20));
    assert!(reply.took >= Duration::from_secs(seconds), "{:?}", reply.took);
    it.scanner.delay(Duration::ZERO);
    let handle = reply.handle().unwrap();
    assert_eq!(client.read_at(handle, 0, 100).wait().data, b"needle and hay");
    client.close(handle).wait();
    it.is_quiet(&quiet);
}

/// smbd by itself gives up an open that it put off after 20 s.
#[test]
fn an_open_waits_longer_than_smbd_would() {
    waits_for(25);
}

#[test]
#[ignore = "takes a minute"]
fn an_open_waits_longer_than_a_minute() {
    waits_for(65);
}

#[test]
fn clamd_may_be_started_later() {
    let mut clamd = Clamd::new().start();
    let conf = format!("[samba-vscan]\nscanner = clamav:{}\n", clamd.socket().display());
    clamd.stop();
    let smbd = Smbd::with(Share::vscan("s", &conf));
    std::fs::write(smbd.dir("s").join("f.doc"), b"content").unwrap();
    let client = Client::connect(&smbd, "s");
    assert_eq!(client.read("f.doc"), Err(Status::ACCESS_DENIED));
    smbd.wait_for_log("is the scanner running?", SOON);
    clamd.start();
    assert_eq!(client.read("f.doc").unwrap(), b"content");
}
