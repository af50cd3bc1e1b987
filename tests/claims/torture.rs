//! Samba's own test suite sees no difference between a share that is scanned and one that is not.
//!
//! All of it takes some minutes, and is a command of its own:
//!
//! ```text
//! cargo test -p vscan-tests torture::all -- --ignored --nocapture
//! VSCAN_TORTURE="smb2.lease smb2.create.open" cargo test -p vscan-tests torture::all -- --ignored --nocapture
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use vscan_tests::clamd::Clamd;
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::torture::{Ending, Run};

/// What takes seconds: most suites as they are, and a little of those that wait for oplock breaks.
const SHORT: &[&str] = &[
    "smb2.create",
    "smb2.read",
    "smb2.lock",
    "smb2.compound",
    "smb2.rename",
    "smb2.getinfo",
    "smb2.streams",
    "smb2.durable-open",
    "smb2.delete-on-close-perms",
    "smb2.sharemode",
    "smb2.dir.find",
    "smb2.oplock.batch1",
    "smb2.oplock.exclusive5",
    "smb2.lease.upgrade2",
    "smb2.lease.v2_epoch1",
    "smb2.bench.path-contention-shared",
];

/// What the project promises to be the same.
const ALL: &[&str] = &[
    "smb2.create",
    "smb2.read",
    "smb2.lock",
    "smb2.oplock",
    "smb2.lease",
    "smb2.compound",
    "smb2.dir",
    "smb2.rename",
    "smb2.getinfo",
    "smb2.setinfo",
    "smb2.streams",
    "smb2.durable-open",
    "smb2.delete-on-close-perms",
    "smb2.sharemode",
    "smb2.bench.oplock1",
    "smb2.bench.path-contention-shared",
    "smb2.bench.echo",
];

/// What the suite is to expect of a server, and benchmarks that end soon.
const OPTIONS: &[&str] = &[
    "--target=samba3",
    "--option=torture:timelimit=3",
    "--option=torture:nprocs=2",
    "--option=torture:qdepth=2",
];

/// Shares of one server that differ in one word: two with access control lists of Windows' kind, and two without, whose
/// attributes would count in the sizes that the tests of durable handles expect.
fn shares() -> Smbd {
    let conf = format!("[samba-vscan]\nscanner = clamav:{}\n", Clamd::shared().socket().display());
    let like = |share: Share, modules: &str| {
        share
            .option("vfs objects", modules)
            .option("kernel share modes", "no")
            .option("kernel oplocks", "no")
            .option("posix locking", "no")
    };
    Smbd::new()
        .share(like(Share::plain("plain"), "acl_xattr streams_xattr"))
        .share(like(Share::vscan("scanned", &conf), "vscan acl_xattr streams_xattr"))
        .share(like(Share::plain("plain-durable"), "streams_xattr"))
        .share(like(Share::vscan("scanned-durable", &conf), "vscan streams_xattr"))
        .start()
}

#[test]
fn a_scanned_share_passes_what_a_plain_one_passes() {
    compare(SHORT);
}

#[test]
#[ignore = "takes some minutes"]
fn all() {
    match std::env::var("VSCAN_TORTURE") {
        Ok(chosen) => compare(&chosen.split_whitespace().collect::<Vec<_>>()),
        Err(_) => compare(ALL),
    }
}

#[expect(clippy::print_stdout, reason = "the table is for people")]
fn compare(suites: &[&str]) {
    let smbd = shares();
    let mut differences = Vec::new();
    for suite in suites {
        let kind = if suite.starts_with("smb2.durable-open") { "-durable" } else { "" };
        let run = |share: &str| timed(&smbd, &format!("{share}{kind}"), suite);
        let (plain, scanned) = std::thread::scope(|scope| {
            // Much of the time goes into waiting for oplock breaks that nobody answers.
            let plain = scope.spawn(|| run("plain"));
            let scanned = run("scanned");
            (plain.join().unwrap(), scanned)
        });
        println!("{suite}: plain {}, scanned {}", table(&plain), table(&scanned));
        assert!(!plain.0.endings.is_empty(), "smbtorture knows {suite}: {}", plain.0.output);
        let names: BTreeSet<&String> = plain.0.endings.keys().chain(scanned.0.endings.keys()).collect();
        for name in names {
            let ends = (plain.0.endings.get(name), scanned.0.endings.get(name));
            if ends == (Some(&Ending::Failed), Some(&Ending::Failed)) {
                println!("  fails on both: {name}: {}", plain.0.words_about(name));
            }
            if ends.0 != ends.1 {
                let why = [&plain.0, &scanned.0].map(|run| run.words_about(name)).join("; ");
                differences
                    .push((name.to_owned(), format!("plain {:?}, scanned {:?}: {why}", ends.0, ends.1)));
            }
        }
    }
    let differences: BTreeMap<String, String> = differences.into_iter().collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(!smbd.log().contains("panic"), "no part of smbd has panicked");
}

fn timed(smbd: &Smbd, share: &str, suite: &str) -> (Run, f64) {
    let began = Instant::now();
    let run = smbd.torture(share, suite, OPTIONS);
    (run, began.elapsed().as_secs_f64())
}

fn table((run, seconds): &(Run, f64)) -> String {
    let count = |wanted| run.endings.values().filter(|ending| **ending == wanted).count();
    let (passed, failed, skipped) = (count(Ending::Passed), count(Ending::Failed), count(Ending::Skipped));
    format!("{passed} passed, {failed} failed, {skipped} skipped in {seconds:.1} s")
}
