//! Thousands of opens over one connection leave smbd as it was.
//!
//! Here 2,000 rounds; 20,000 with `VSCAN_LONG=1 cargo test -p vscan-tests soak -- --nocapture`, which prints what it saw.

use std::time::Instant;

use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Pending, Status};
use vscan_tests::process::Process;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::{SOON, eventually};

use crate::faults::protected;

/// Rounds in flight at once.
const TOGETHER: usize = 40;

/// By how much memory may grow after the warm-up: malloc and Samba's own tables wander by some dozen pages (20,000 rounds
/// were measured at some 100 KiB). What is lost in each of 2,000 rounds shows from 256 bytes on, in 20,000 from 26.
const WANDER_KIB: u64 = 512;

fn rounds() -> usize {
    if std::env::var_os("VSCAN_LONG").is_some() { 20_000 } else { 2_000 }
}

/// The mix, by number: each turn of five is a clean file that is known, one that is not, an infected one, and two that are
/// written, infected and clean.
fn begin(client: &Client, smbd: &Smbd, round: usize) -> (Pending, Status) {
    match round % 5 {
        0 => (client.open("known.txt", Open::read()), Status::OK),
        1 => {
            // Written anew behind smbd's back: never in the cache.
            plant(&smbd.dir("s").join(format!("new{}.txt", round % 50)), &clean(round as u64, 200));
            (client.open(&format!("new{}.txt", round % 50), Open::read()), Status::OK)
        }
        2 => (client.open("bad.com", Open::read()), Status::VIRUS_INFECTED),
        3 => (client.open(&format!("up{}.com", round % 50), Open::overwrite()), Status::OK),
        _ => (client.open(&format!("up{}.txt", round % 50), Open::overwrite()), Status::OK),
    }
}

/// All rounds, so many of them in flight.
fn run(client: &Client, smbd: &Smbd, rounds: std::ops::Range<usize>) {
    let rounds: Vec<usize> = rounds.collect();
    for together in rounds.chunks(TOGETHER) {
        let opens: Vec<_> = together.iter().map(|&round| (round, begin(client, smbd, round))).collect();
        let mut ends = Vec::new();
        for (round, (open, expected)) in opens {
            let opened = open.wait();
            assert_eq!(opened.status, expected, "round {round}");
            let Ok(handle) = opened.handle() else { continue };
            let content = match round % 5 {
                3 => Some(eicar()),
                4 => Some(clean(round as u64, 500)),
                _ => None,
            };
            if let Some(content) = content {
                ends.push(client.write_at(handle, 0, &content));
            }
            ends.push(client.close(handle));
        }
        for end in ends {
            assert_eq!(end.wait().status, Status::OK);
        }
    }
}

/// The descriptors of smbd once no file of the share is among them any more. A socket is like another: smbd renews its own
/// from time to time.
fn settled_descriptors(server: Process) -> Vec<String> {
    eventually("the scans of closed files end", SOON, || {
        let mut descriptors = server.descriptors();
        descriptors.iter_mut().filter(|name| name.starts_with("socket:")).for_each(|name| name.truncate(6));
        (!descriptors.iter().any(|name| name.contains("/shares/s/"))).then_some(descriptors)
    })
}

#[test]
fn thousands_of_opens_and_closes_leave_descriptors_and_memory_flat() {
    let smbd = protected(&Clamd::shared().socket(), "infected file action = nothing\nsyslog = no");
    plant(&smbd.dir("s").join("known.txt"), &clean(1, 1000));
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    let client = Client::connect(&smbd, "s");
    let server = client.server();
    let (count, began) = (rounds(), Instant::now());
    let warm_up = count / 4;
    run(&client, &smbd, 0..warm_up);
    // The scans of the last files go on for a moment after their closes.
    let mut before = settled_descriptors(server);
    let memory = server.anonymous_kib();
    run(&client, &smbd, warm_up..count + warm_up);
    let mut after = settled_descriptors(server);
    let now = server.anonymous_kib();
    println!(
        "{count} rounds in {:.1} s after a warm-up of {warm_up}: {} -> {} descriptors, {memory} -> {now} KiB anonymous memory",
        began.elapsed().as_secs_f64(),
        before.len(),
        after.len(),
    );
    before.sort();
    after.sort();
    assert_eq!(before, after);
    assert!(now <= memory + WANDER_KIB, "{memory} KiB before, {now} KiB after");
}
