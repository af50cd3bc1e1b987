//! What systemd's journal gets, and old readers of logs: a real journald is asked for it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::client::{Client, Status};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::wait::{SOON, patience};

use crate::protected::{Protected, SHARE};

const INFECTED: &str = "MESSAGE_ID=bf279eab132245e5b05a2ca56049deed";
const SCAN_ERROR: &str = "MESSAGE_ID=b09e83638934496581d0dddc6d2831dd";
const SCANNER_STATE: &str = "MESSAGE_ID=2153513f0de64c8d91d4247bb0ffe9b0";

/// A share on a machine with a journald.
fn protected(options: &str) -> Protected {
    Protected::server(options, |server| server.journald().global("logging", "file"))
}

#[test]
fn a_find_is_one_record_with_all_facts_apart() {
    let it = protected("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let entry = it.smbd.journal().wait_for(&[INFECTED], SOON);
    let fact = |name| entry.text(name);
    assert!(fact("MESSAGE").contains(&format!("bad.com\" is infected with {THREAT}: access denied;")));
    let path = it.path("bad.com").into_os_string().into_encoded_bytes();
    let quarantined = it.quarantine().remove(0).into_os_string().into_encoded_bytes();
    assert_eq!(entry.field("VSCAN_PATH"), path);
    assert_eq!(entry.field("VSCAN_DESTINATION"), quarantined);
    let facts = [
        ("PRIORITY", "3"),
        ("SYSLOG_FACILITY", "1"),
        ("SYSLOG_IDENTIFIER", "vscan"),
        ("VSCAN_SHARE", SHARE),
        ("VSCAN_USER", "daemon"),
        ("VSCAN_CLIENT", "127.0.0.1"),
        ("VSCAN_THREAT", THREAT),
        ("VSCAN_ACTION", "quarantine"),
        ("VSCAN_SCANNER", "clamav"),
        ("VSCAN_OCCASION", "open"),
        ("VSCAN_ACCESS", "denied"),
        ("VSCAN_KNOWN", "no"),
        ("_COMM", "smbd"),
    ];
    for (name, expected) in facts {
        assert_eq!(fact(name), expected, "{name}");
    }
    assert_eq!(it.smbd.journal().entries(&[INFECTED]).len(), 1);
    assert_eq!(it.smbd.syslog(), [""; 0], "journald hands it on to syslog by itself");
}

#[test]
fn a_scanner_that_goes_and_comes_back_is_in_the_journal_and_so_are_the_files_without_a_verdict() {
    let mut clamd = Clamd::new().start();
    let it = Protected::build_by(&clamd, "", |server| server.journald());
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    clamd.kill();
    assert_eq!(client.read("a.doc"), Err(Status::ACCESS_DENIED));
    let journal = it.smbd.journal();
    let error = journal.wait_for(&[SCAN_ERROR], SOON);
    assert!(error.text("VSCAN_PATH").ends_with("/a.doc") && !error.text("VSCAN_ERROR").is_empty());
    let down = journal.wait_for(&[SCANNER_STATE, "VSCAN_SCANNER_STATE=down"], SOON);
    assert!(down.text("VSCAN_SCANNER").starts_with("clamav at unix:/"), "{down:?}");
    assert_eq!((down.text("PRIORITY").as_str(), down.text("VSCAN_SHARE").as_str()), ("3", SHARE));
    clamd.start();
    assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
    let up = journal.wait_for(&[SCANNER_STATE, "VSCAN_SCANNER_STATE=up"], SOON);
    assert_eq!(up.text("PRIORITY"), "5");
}

/// Every entry has its place in the queue of journald's socket, which is short.
#[test]
fn a_journald_that_is_stuck_makes_nobody_wait() {
    const FILES: usize = 100;
    let queue = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap();
    assert!(queue.trim().parse::<usize>().unwrap() < FILES, "the queue takes all, and nothing is shown");
    let it = protected("infected file action = nothing");
    for i in 0..FILES {
        plant(&it.path(&format!("bad{i}.com")), &eicar());
    }
    let client = it.client();
    let journald = it.smbd.journal().process();
    it.smbd.signal(journald, Signal::STOP);
    let began = Instant::now();
    for i in 0..FILES {
        assert_eq!(client.read(&format!("bad{i}.com")), Err(Status::VIRUS_INFECTED));
    }
    assert!(began.elapsed() < patience(Duration::from_secs(60)), "{:?}", began.elapsed());
    it.smbd.signal(journald, Signal::CONT);
    it.smbd.journal().wait_for(&[INFECTED], SOON);
    it.wait_for_line(&format!("bad{}.com", FILES - 1), "is infected");
}

#[test]
fn old_readers_of_logs_find_the_words_of_samba_vscan() {
    let it = Protected::server("syslog format = samba-vscan", |server| server.global("logging", "file"));
    let path = it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let alert = it.smbd.wait_for_syslog("ALERT", SOON);
    let (head, line) = alert.split_once("]: ").unwrap();
    assert!(head.starts_with("<11>smbd_vscan-clamav["), "{alert}");
    let path = path.display();
    assert_eq!(
        line,
        format!("ALERT - Scan result: '{path}' infected with virus '{THREAT}', client: '127.0.0.1'")
    );
    let moved =
        format!("INFO: quarantining file '{path}' to '{}' was successful", it.quarantine()[0].display());
    it.smbd.wait_for_syslog(&moved, SOON);
    it.wait_for_line("bad.com", "access denied; moved to quarantine as");
}

#[test]
fn an_old_reader_hears_of_errors_and_of_the_scanner_too() {
    let mut clamd = Clamd::new().start();
    let it = Protected::build_by(&clamd, "syslog format = samba-vscan", |server| server);
    it.plant("a.doc", &clean(1, 100));
    clamd.kill();
    assert_eq!(Client::connect(&it.smbd, SHARE).read("a.doc"), Err(Status::ACCESS_DENIED));
    it.smbd.wait_for_syslog("]: ERROR: scanner clamav at unix:", SOON);
    it.smbd.wait_for_syslog("a.doc\" could not be scanned", SOON);
}
