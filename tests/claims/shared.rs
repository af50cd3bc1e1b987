//! What one smbd has found out, all know: also the next one, and those of another day.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::process::Signal;
use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::process::Process;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{Protected, clamav_at, conf, settle};

const CACHE: &str = "vscan-cache";

/// Reads in an smbd that has been started for that, and knows nothing by itself.
fn new_connection_reads(it: &Protected, name: &str) -> Result<Vec<u8>, Status> {
    it.client().read(name)
}

fn log_lines_about_the_cache(it: &Protected) -> Vec<String> {
    let about = |line: &&str| line.contains("cache of results");
    it.smbd.log().lines().filter(about).map(str::to_owned).collect()
}

#[test]
fn a_file_is_scanned_once_for_all_connections() {
    let it = Protected::with("infected file action = nothing");
    it.plant("a.doc", &clean(1, 100));
    it.plant("bad.com", &eicar());
    let first = it.client();
    assert_eq!(first.read("a.doc"), Ok(clean(1, 100)));
    assert_eq!(first.read("bad.com"), Err(Status::VIRUS_INFECTED));
    let mark = it.smbd.log_mark();
    for _ in 0..2 {
        assert_eq!(new_connection_reads(&it, "a.doc"), Ok(clean(1, 100)));
        assert_eq!(new_connection_reads(&it, "bad.com"), Err(Status::VIRUS_INFECTED));
    }
    assert_eq!(it.scanner.scans(), 2);
    it.smbd.wait_for_log_since(mark, "is infected with Eicar-Test.UNOFFICIAL: access denied (open, share s, user daemon, client 127.0.0.1, scanner clamav)", SOON);
    assert_eq!(log_lines_about_the_cache(&it), [""; 0]);
}

#[test]
fn results_outlive_the_last_process_that_knew_them() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    client.leave();
    assert_eq!(new_connection_reads(&it, "a.doc"), Ok(clean(1, 100)));
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn results_outlive_a_kill() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    eventually("the result is written", SOON, || {
        let stats = it.smbd.vscanctl(&["cache", "stats"]).exits(0);
        stats.out.contains("1 of at most").then_some(())
    });
    client.read("a.doc").unwrap();
    it.smbd.signal(client.server(), Signal::KILL);
    client.leave();
    assert_eq!(new_connection_reads(&it, "a.doc"), Ok(clean(1, 100)));
    assert_eq!(it.scanner.scans(), 1);
    assert_eq!(log_lines_about_the_cache(&it), [""; 0]);
}

#[test]
fn only_root_can_see_the_results() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    let has_it_open = |process: Process| process.descriptors().iter().any(|open| open.contains(CACHE));
    assert!(has_it_open(client.server()) && !has_it_open(it.smbd.process()), "not before the fork");
    let cache = it.smbd.path(CACHE);
    let mut found = vec![cache.clone(), cache.join("results")];
    for dir in [&cache, &cache.join("results")] {
        found.extend(fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()));
    }
    for path in found {
        let about = path.metadata().unwrap();
        let rights = if about.is_dir() { 0o700 } else { 0o600 };
        assert_eq!((about.uid(), about.mode() & 0o777), (0, rights), "{}", path.display());
    }
}

#[test]
fn a_change_ends_a_result_for_all() {
    let it = Protected::with("infected file action = nothing");
    let path = it.plant("a.doc", &clean(1, 68));
    it.client().read("a.doc").unwrap();
    let modified = path.metadata().unwrap().modified().unwrap();
    fs::write(&path, eicar()).unwrap();
    File::open(&path).unwrap().set_modified(modified).unwrap();
    settle(&path);
    assert_eq!(new_connection_reads(&it, "a.doc"), Err(Status::VIRUS_INFECTED));
}

#[test]
fn each_process_for_itself_if_so_wanted() {
    for (setting, scans) in [("cache = process", 2), ("cache = off", 4), ("cache entries = 0", 2)] {
        let it = Protected::with(setting);
        it.plant("a.doc", &clean(1, 100));
        for _ in 0..2 {
            let client = it.client();
            client.read("a.doc").unwrap();
            client.read("a.doc").unwrap();
        }
        assert_eq!(it.scanner.scans(), scans, "{setting}");
        assert!(!it.smbd.path(CACHE).exists());
    }
}

#[test]
fn shares_with_different_scanners_do_not_believe_each_other() {
    let scanners = [FakeDaemon::in_front_of(Clamd::shared()), FakeDaemon::in_front_of(Clamd::shared())];
    let mut server = Smbd::new();
    for (name, scanner) in ["one", "other"].iter().zip(&scanners) {
        let conf = conf(&clamav_at(&scanner.socket()), "infected file action = nothing");
        server = server.share(Share::vscan(name, &conf).option("path", "@RIG@/shares/one"));
    }
    let smbd = server.start();
    let path = smbd.dir("one").join("a.doc");
    plant(&path, &clean(1, 100));
    settle(&path);
    scanners[1].now(Conduct::Infected("Strict".to_owned()));
    for _ in 0..2 {
        assert_eq!(Client::connect(&smbd, "one").read("a.doc"), Ok(clean(1, 100)));
        assert_eq!(Client::connect(&smbd, "other").read("a.doc"), Err(Status::VIRUS_INFECTED));
    }
    assert_eq!((scanners[0].scans(), scanners[1].scans()), (1, 1));
}

#[test]
fn new_signatures_end_results_for_all() {
    let it = Protected::with("signature check interval = 100ms");
    it.plant("a.doc", &clean(1, 100));
    it.client().read("a.doc").unwrap();
    it.scanner.version("ClamAV 1.4.6/27999");
    eventually("a process that is new hears of them", SOON, || {
        new_connection_reads(&it, "a.doc").unwrap();
        (it.scanner.scans() == 2).then_some(())
    });
    new_connection_reads(&it, "a.doc").unwrap();
}

#[test]
fn a_touch_of_the_epoch_file_ends_results_for_all() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    for scans in [1, 2] {
        fs::write(it.smbd.path("epoch"), "").unwrap();
        new_connection_reads(&it, "a.doc").unwrap();
        new_connection_reads(&it, "a.doc").unwrap();
        assert_eq!(it.scanner.scans(), scans);
    }
}

/// Damages the results while nobody uses them.
#[track_caller]
fn is_begun_anew(damage: impl FnOnce(&Path)) {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    client.read("a.doc").unwrap();
    client.leave();
    damage(&it.smbd.path(CACHE).join("results/data.mdb"));
    assert_eq!(new_connection_reads(&it, "a.doc"), Ok(clean(1, 100)));
    assert_eq!(new_connection_reads(&it, "a.doc"), Ok(clean(1, 100)));
    assert_eq!(it.scanner.scans(), 2);
    let lines = log_lines_about_the_cache(&it);
    assert!(lines.len() == 1 && lines[0].contains("and begun anew"), "{lines:?}");
    assert!(it.smbd.path(CACHE).join("damaged/data.mdb").exists());
}

#[test]
fn a_damaged_file_is_set_aside() {
    is_begun_anew(|data| {
        File::options().write(true).open(data).unwrap().write_all_at(&[0xA5; 4096], 12_288).unwrap();
    });
    is_begun_anew(|data| fs::write(data, b"rubbish").unwrap());
    is_begun_anew(|data| {
        let file = File::options().write(true).open(data).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
}

#[test]
fn a_file_that_no_orderly_end_has_left_from_before_a_boot_is_set_aside() {
    is_begun_anew(|data| {
        let state = data.parent().unwrap().parent().unwrap().join("state");
        fs::write(state, "another boot\nin use\n").unwrap();
    });
}

#[test]
fn a_cache_that_cannot_be_written_costs_scans_and_a_line() {
    let it = Protected::share("", |share| share.option("vscan:cache directory", "/proc/nowhere"));
    it.plant("a.doc", &clean(1, 100));
    for scans in [1, 2] {
        let client = it.client();
        client.read("a.doc").unwrap();
        client.read("a.doc").unwrap();
        assert_eq!(it.scanner.scans(), scans);
    }
    assert_eq!(log_lines_about_the_cache(&it).len(), 2, "one for each smbd");
}

#[test]
fn a_full_disk_costs_scans_and_a_line() {
    let it = Protected::share("", |share| share.option("vscan:cache directory", "@RIG@/disk/cache"));
    let disk = it.smbd.path("disk");
    fs::create_dir(&disk).unwrap();
    it.smbd.mount_tmpfs(&disk, "size=400k");
    for i in 0..400 {
        plant(&it.path(&format!("{i}.doc")), &clean(i, 100));
    }
    it.plant("last.doc", &clean(1000, 100));
    let client = it.client();
    for i in 0..400 {
        assert_eq!(client.read(&format!("{i}.doc")), Ok(clean(i, 100)));
    }
    let again = it.client();
    for i in 0..400 {
        assert_eq!(again.read(&format!("{i}.doc")), Ok(clean(i, 100)));
    }
    let lines = log_lines_about_the_cache(&it);
    assert!(!lines.is_empty() && lines.len() <= 4, "{lines:?}");
}
