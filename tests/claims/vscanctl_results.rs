//! What vscanctl and smbds know together: results and counters.

use std::fs::File;

use rustix::process::Signal;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use vscan_tests::client::{Client, Open};

use vscan_tests::samples::{clean, eicar};
use vscan_tests::wait::{SOON, eventually};

use crate::protected::Protected;

const OPTIONS: &str = "infected file action = nothing";

/// Plants files; their names.
fn plant(it: &Protected, count: u64) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("{number}.doc")).collect();
    names.iter().zip(0..).for_each(|(name, seed)| drop(it.plant(name, &clean(seed, 100))));
    names
}

#[test]
fn what_was_scanned_ahead_is_opened_without_a_scan() {
    let it = Protected::with(OPTIONS);
    let names = plant(&it, 20);
    it.plant("bad.com", &eicar());
    it.smbd
        .vscanctl(&["scan", "--warm", "--share", "s"])
        .exits(1)
        .says(&["21 files", "1 infected, 20 clean"]);
    assert_eq!(it.scanner.scans(), 21);
    let client = it.client();
    for (name, seed) in names.iter().zip(0..) {
        assert_eq!(client.read(name).unwrap(), clean(seed, 100));
    }
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.scanner.scans(), 21);
    it.smbd.vscanctl(&["scan", "--warm", "--share", "s"]).exits(1).says(&["21 known from earlier scans"]);
    assert_eq!(it.scanner.scans(), 21, "a second scan scans nothing");
    it.plant("3.doc", &clean(77, 100));
    it.smbd.vscanctl(&["scan", "--warm", "--share", "s"]).exits(1).says(&["20 known from earlier scans"]);
    assert_eq!(it.scanner.scans(), 22, "only what has changed");
}

#[test]
fn warming_needs_shared_results() {
    let it = Protected::with("cache = process");
    plant(&it, 1);
    let said = it.smbd.vscanctl(&["scan", "--warm", "--share", "s"]).exits(2);
    assert!(said.err.contains("see \"cache\" in vscan.conf"), "{}", said.err);
    it.smbd.vscanctl(&["scan", "--share", "s"]).exits(0).says(&["1 files", "1 clean"]);
}

#[test]
fn warming_needs_a_cache_that_can_be_used() {
    let it = Protected::with("");
    plant(&it, 1);
    let cache = it.smbd.path("vscan-cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
    let said = it.smbd.vscanctl(&["scan", "--warm", "--share", "s"]).exits(2);
    assert!(said.err.contains("results of share s cannot be kept in"), "{}", said.err);
    assert_eq!(it.scanner.scans(), 0);
    it.smbd.vscanctl(&["scan", "--share", "s"]).exits(0).says(&["1 clean"]);
}

#[test]
fn explain_tells_what_is_known_and_since_when() {
    let it = Protected::with(OPTIONS);
    let path = it.plant("bad.com", &eicar()).display().to_string();
    let explain = || it.smbd.vscanctl(&["explain", &path]);
    explain().exits(0).says(&["cache", "nothing is known of it"]);
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    eventually("the result is shared", SOON, || (explain().code == 1).then_some(()));
    explain()
        .exits(1)
        .says(&["=>", "cache", "infected with Eicar-Test", "by an earlier scan", " s ago"])
        .says(&["denied: NT_STATUS_VIRUS_INFECTED"]);
    it.plant("bad.com", &clean(1, 100));
    explain().exits(0).says(&["cache", "it was scanned", "ago, and has changed since"]);
    let scans = it.scanner.scans();
    it.smbd.vscanctl(&["explain", "--scan", &path]).exits(0).says(&["allowed: it is clean"]);
    explain().exits(0).says(&["=>", "cache", "clean, by an earlier scan"]).says(&["allowed without a scan"]);
    assert_eq!(it.scanner.scans(), scans + 1);
}

#[test]
fn results_can_be_looked_at_and_forgotten() {
    let it = Protected::with(OPTIONS);
    let names = plant(&it, 3);
    let client = it.client();
    let read_all = || names.iter().for_each(|name| drop(client.read(name).unwrap()));
    it.smbd.vscanctl(&["scan", "--share", "s"]).exits(0);
    read_all();
    it.smbd.vscanctl(&["cache", "stats"]).exits(0).says(&["results", "3 of at most"]);
    it.smbd
        .vscanctl(&["cache", "top", "-n", "2"])
        .exits(0)
        .says(&["SCAN", "FILE"])
        .says(&["ms", "clean", ".doc"]);
    assert_eq!(it.scanner.scans(), 3);
    let one = it.path("1.doc").display().to_string();
    it.smbd.vscanctl(&["cache", "flush", &one]).exits(0).says(&["1 results forgotten"]);
    read_all();
    assert_eq!(it.scanner.scans(), 4, "the one file");
    it.smbd.vscanctl(&["cache", "flush"]).exits(0).says(&["results forgotten"]);
    it.smbd.vscanctl(&["cache", "stats", "--json"]).exits(0);
    read_all();
    eventually("all are scanned again", SOON, || {
        read_all();
        (it.scanner.scans() >= 7).then_some(())
    });
}

/// Claims that a new connection has the file scanned, after the one that is given has ended.
#[track_caller]
fn is_forgotten(it: &Protected, client: Client, scans: usize) {
    client.leave();
    assert_eq!(it.scanner.scans(), scans);
    assert_eq!(it.client().read("a.doc"), Ok(clean(1, 100)));
    assert_eq!(it.scanner.scans(), scans + 1);
}

#[test]
fn what_waits_to_be_written_when_it_is_forgotten_stays_forgotten() {
    let it = Protected::with("");
    let path = it.plant("a.doc", &clean(1, 100)).display().to_string();
    it.plant("other.doc", &clean(2, 100));
    let client = it.client();
    client.read("other.doc").unwrap();
    let turn = File::open(it.smbd.path("vscan-cache/turn")).unwrap();
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    client.read("a.doc").unwrap();
    it.smbd.signal(client.server(), Signal::STOP);
    drop(turn);
    it.smbd.vscanctl(&["cache", "flush", &path]).exits(0);
    it.smbd.signal(client.server(), Signal::CONT);
    is_forgotten(&it, client, 2);
}

#[test]
fn what_is_forgotten_during_its_scan_stays_forgotten() {
    for options in ["", "counters file ="] {
        let it = Protected::with(options);
        let path = it.plant("a.doc", &clean(1, 100)).display().to_string();
        let client = it.client();
        it.scanner.hold();
        let open = client.open("a.doc", Open::read());
        open.wait_until_pending();
        it.smbd.vscanctl(&["cache", "flush", &path]).exits(0);
        it.scanner.release();
        let handle = open.wait().handle().unwrap();
        client.close(handle).wait();
        assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
        assert_eq!(it.scanner.scans(), 2, "its own smbd has forgotten it: {options:?}");
        client.read("a.doc").unwrap();
        it.smbd.vscanctl(&["cache", "flush", &path]).exits(0);
        is_forgotten(&it, client, 2);
    }
}

#[test]
fn status_counts_by_share_and_metrics_say_the_same() {
    let it = Protected::with(OPTIONS);
    plant(&it, 2);
    it.plant("bad.com", &eicar());
    it.smbd.vscanctl(&["status"]).exits(0).says(&["SHARE", "OPENS", "PARKED NOW"]).says(&["s", "0"]);
    let client = it.client();
    for _ in 0..3 {
        client.read("0.doc").unwrap();
    }
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let share = || it.smbd.vscanctl(&["status", "--json"]).exits(0).json()[0].clone();
    assert_eq!((share()["share"].as_str(), share()["scans"].as_u64()), (Some("s"), Some(2)), "{:#}", share());
    assert_eq!((share()["opens"].as_u64(), share()["infected"].as_u64()), (Some(4), Some(1)));
    it.scanner.hold();
    let open = client.open("1.doc", Open::read());
    open.wait_until_pending();
    assert_eq!(share()["parked"], 1);
    it.scanner.release();
    open.wait();
    eventually("nothing is parked", SOON, || (share()["parked"] == 0).then_some(()));
    let directory = it.smbd.path("metrics");
    std::fs::create_dir(&directory).unwrap();
    let _ = it.smbd.vscanctl(&["metrics", "--textfile", directory.to_str().unwrap()]).exits(0);
    let text = std::fs::read_to_string(directory.join("vscan.prom")).unwrap();
    for line in [
        "vscan_opens_total{share=\"s\"} 5",
        "vscan_infected_total{share=\"s\"} 1",
        "# TYPE vscan_parked gauge",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(
        text.contains("vscan_scanner_up{scanner=\"clamav:") && text.contains("vscan_cache_entries{"),
        "{text}"
    );
    it.smbd.vscanctl(&["metrics"]).exits(0).says(&["vscan_opens_total{share=\"s\"} 5"]);
    let opens = it.smbd.vscanctl(&["metrics", "--json"]).exits(0).json()[0].clone();
    assert_eq!(opens["name"], "vscan_opens_total");
    assert_eq!(
        (&opens["samples"][0]["labels"]["share"], opens["samples"][0]["value"].as_f64()),
        (&"s".into(), Some(5.0))
    );
}

#[test]
fn what_cannot_be_counted_takes_no_other_number_away() {
    let it = Protected::with(OPTIONS);
    plant(&it, 1);
    it.client().read("0.doc").unwrap();
    std::fs::create_dir_all(it.smbd.path("quarantine")).unwrap();
    for directory in ["vscan-cache", "quarantine"] {
        std::fs::set_permissions(it.smbd.path(directory), Permissions::from_mode(0o777)).unwrap();
    }
    let directory = it.smbd.path("metrics");
    std::fs::create_dir(&directory).unwrap();
    let said = it.smbd.vscanctl(&["metrics", "--textfile", directory.to_str().unwrap()]).exits(2);
    assert!(said.err.contains("/vscan-cache") && said.err.contains("/quarantine"), "{}", said.err);
    let text = std::fs::read_to_string(directory.join("vscan.prom")).unwrap();
    assert!(
        text.contains("vscan_opens_total{share=\"s\"} 1") && text.contains("vscan_scanner_up{"),
        "{text}"
    );
}

#[test]
fn scanners_tell_how_they_are() {
    let it = Protected::with("");
    it.smbd
        .vscanctl(&["scanners"])
        .exits(0)
        .says(&["SCANNER", "LOAD"])
        .says(&["clamav:", "up", " ms", "ClamAV"])
        .says(&["clamav:", " threads busy, ", " waiting"]);
    it.smbd.rewrite_conf("s", &crate::protected::conf("clamav:/nowhere/clamd.sock", ""));
    it.smbd
        .vscanctl(&["scanners"])
        .exits(1)
        .says(&["clamav:/nowhere", "down"])
        .says(&["is the scanner running?"]);
}
