use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vscan_tests::process::Process;
use vscan_tests::samples::{clean, eicar};

use crate::protected::Protected;

const FILES: u64 = 40;
const READERS: usize = 6;
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn killing_smbds_at_random_leads_to_no_wrong_verdict() {
    kill_for(Duration::from_secs(8));
}

#[test]
#[ignore = "takes a minute"]
fn killing_smbds_at_random_for_a_minute_leads_to_no_wrong_verdict() {
    kill_for(Duration::from_secs(60));
}

/// Clients read clean and infected files, with room for few results so that old ones are removed all the time, while every
/// 50 ms one of their smbds is killed.
fn kill_for(time: Duration) {
    let it = Protected::with("infected file action = nothing\ncache entries = 20\nmax lru files entries = 5");
    for number in 0..FILES {
        it.plant(&name(number), &content(number));
    }
    let helpers: HashSet<_> = it.smbd.process().children().into_iter().map(|child| child.0).collect();
    let (is_over, killed, reads) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for reader in 0..READERS as u64 {
            let (it, is_over, reads) = (&it, &is_over, &reads);
            scope.spawn(move || {
                for turn in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // Every reader has an order of its own.
                    let number = (turn * (2 * reader + 7)) % FILES;
                    match it.get(&name(number)) {
                        Ok(read) => {
                            assert!(!is_infected(number), "an infected file was let through");
                            assert!(read == clean(number, 500), "{} came back wrong", name(number));
                            reads.fetch_add(1, Ordering::Relaxed);
                        }
                        // Whatever the end of its smbd looks like to a client, it looks like no verdict.
                        Err(outcome) => assert!(
                            is_infected(number) || !outcome.output.contains("VIRUS"),
                            "{} was found infected",
                            name(number)
                        ),
                    }
                }
            });
        }
        let end = Instant::now() + time;
        while Instant::now() < end {
            let serving: Vec<Process> = it
                .smbd
                .process()
                .children()
                .into_iter()
                .filter(|child| !helpers.contains(&child.0))
                .collect();
            if let Some(victim) = serving.get(killed.load(Ordering::Relaxed) % serving.len().max(1)) {
                // It may have ended by itself by now.
                let _ = rustix::process::kill_process(victim.0, Signal::KILL);
                killed.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(PAUSE);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let (killed, reads) = (killed.into_inner(), reads.into_inner());
    assert!(killed > 10 && reads > 2, "{killed} killed, {reads} reads: that was no trial");
    for number in 0..FILES {
        let read = it.get(&name(number));
        assert_eq!(read.is_err(), is_infected(number), "{}", name(number));
    }
    let log = it.smbd.log();
    let trouble = |line: &&str| line.contains("cache of results") || line.to_lowercase().contains("panic");
    assert_eq!(log.lines().find(trouble), None, "after {killed} kills");
}

fn name(number: u64) -> String {
    format!("{number}.doc")
}

fn is_infected(number: u64) -> bool {
    number.is_multiple_of(5)
}

fn content(number: u64) -> Vec<u8> {
    if is_infected(number) { eicar() } else { clean(number, 500) }
}
