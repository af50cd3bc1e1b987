//! Samba's own test suite sees no difference between a share that is scanned and one that is not.
//!
//! All of it takes a quarter of an hour, and is a command of its own:
//!
//! ```text
//! cargo test -p vscan-tests torture::all -- --ignored --nocapture
//! VSCAN_TORTURE="smb2.lease smb2.create.open" cargo test -p vscan-tests torture::all -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;
use std::time::Instant;

use vscan_tests::clamd::Clamd;
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::torture::{Ending, Run};

/// A few tests of each kind that touch what vscan hooks, and take a moment only.
const SHORT: &[&str] = &[
    "smb2.read",
    "smb2.dir.find",
    "smb2.create.gentest",
    "smb2.create.open",
    "smb2.create.brlocked",
    "smb2.create.multi",
    "smb2.create.delete",
    "smb2.create.leading-slash",
    "smb2.create.aclfile",
    "smb2.compound.related1",
    "smb2.compound.related4",
    "smb2.compound.compound-break",
    "smb2.oplock.batch1",
    "smb2.oplock.exclusive5",
    "smb2.lease.upgrade2",
    "smb2.lease.break",
    "smb2.durable-open.open-oplock",
    "smb2.durable-open.reopen2",
    "smb2.rename.simple",
    "smb2.delete-on-close-perms.OVERWRITE_IF",
    "smb2.streams.io",
    "smb2.sharemode.sharemode-access",
    "smb2.getinfo.complex",
    "smb2.setinfo",
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

/// Benchmarks that are to end soon.
const OPTIONS: &[&str] =
    &["--option=torture:timelimit=3", "--option=torture:nprocs=2", "--option=torture:qdepth=2"];

/// Tests that end differently, and why that is as it should be.
const DIFFERENT: &[(&str, &str)] = &[];

/// Two shares of one server, which differ in one word.
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
        .share(like(Share::plain("plain"), "streams_xattr"))
        .share(like(Share::vscan("scanned", &conf), "vscan streams_xattr"))
        .start()
}

#[test]
fn a_scanned_share_passes_what_a_plain_one_passes() {
    compare(SHORT);
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn all() {
    match std::env::var("VSCAN_TORTURE") {
        Ok(chosen) => compare(&chosen.split_whitespace().collect::<Vec<_>>()),
        Err(_) => compare(ALL),
    }
}

fn compare(suites: &[&str]) {
    let smbd = shares();
    let mut differences = Vec::new();
    for suite in suites {
        let (plain, scanned) = (timed(&smbd, "plain", suite), timed(&smbd, "scanned", suite));
        println!("{suite}: plain {}, scanned {}", table(&plain), table(&scanned));
        assert!(!plain.0.endings.is_empty(), "smbtorture knows {suite}: {}", plain.0.output);
        for name in plain.0.endings.keys().chain(scanned.0.endings.keys()) {
            let ends = (plain.0.endings.get(name), scanned.0.endings.get(name));
            if ends == (Some(&Ending::Failed), Some(&Ending::Failed)) {
                println!("  fails on both: {name}: {}", plain.0.words_about(name));
            }
            let is_explained = DIFFERENT.iter().any(|(known, _)| known == name);
            if ends.0 != ends.1 && !is_explained {
                let why = [&plain.0, &scanned.0].map(|run| run.words_about(name)).join("; ");
                differences.push((name.clone(), format!("plain {:?}, scanned {:?}: {why}", ends.0, ends.1)));
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
