//! Somebody writes into the file of results while it is in use, which nothing can set aside in time. SAFETY.md says what
//! that may cost; it never costs a verdict.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use super::tests::{Bench, SIGNATURES, entry, infected, key};
use super::*;
use crate::cache::Known;
use crate::privilege::AsIs;

const FILES: u64 = 500;

/// Two out of three are infected.
fn known(ino: u64) -> Known {
    if ino.is_multiple_of(3) { Known::Clean } else { infected() }
}

fn fill(bench: &Bench) {
    for ino in 0..FILES {
        bench.hand_over(key(ino), entry(ino, known(ino)));
    }
    while bench.cache.write_pending(&bench.log, &AsIs) {}
}

/// Looks all files up; how many are known still. None of them as another one than it is.
fn look_at_all(bench: &Bench) -> usize {
    let is_known = |ino: &u64| match bench.look(*ino, SIGNATURES) {
        Lookup::Known(found) => {
            assert_eq!(found.known, known(*ino), "{ino}");
            true
        }
        Lookup::OtherSignatures => panic!("{ino} has other signatures"),
        Lookup::Unknown => false,
    };
    let count = (0..FILES).filter(is_known).count();
    let mut told = 0;
    for ino in 0..FILES {
        let identity = entry(ino, Known::Clean).identity;
        let question =
            Question { key: key(ino), identity: &identity, signatures: SIGNATURES, lifetime: None };
        let learn = |other: Key, found: Entry| {
            assert_eq!(found.known, known(other.ino), "{}", other.ino);
            told += usize::from(other.ino == ino + 1);
        };
        bench.cache.lookup_with(&question, &(ino..=ino + 1), learn, &bench.log);
    }
    assert!(told <= count);
    count
}

/// Numbers in no order, the same ones each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = xxhash_rust::xxh3::xxh3_64(&self.0.to_le_bytes());
        self.0 % below
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.roll(256).to_le_bytes()[0]).collect()
    }

    fn bytes_up_to(&mut self, most: u64) -> Vec<u8> {
        let count = 1 + self.roll(most);
        self.bytes(count)
    }
}

#[test]
fn in_a_result_they_make_none_of_it() {
    let bench = Bench::new(10_000);
    fill(&bench);
    let content = fs::read(bench.data()).unwrap();
    let data = File::options().write(true).open(bench.data()).unwrap();
    let mut dice = Dice(1);
    for ino in 0..FILES / 2 {
        let found = bench.cache.peek(&key(ino), &bench.log).unwrap();
        let value = found.to_bytes(&key(ino).to_bytes());
        let length = value.len() as u64;
        let from = dice.roll(length);
        let foreign = dice.bytes_up_to(length - from);
        // In each copy that the file has of it.
        let copies = content.windows(value.len()).enumerate().filter(|(_, window)| *window == value);
        for (at, _) in copies {
            data.write_all_at(&foreign, at as u64 + from).unwrap();
        }
    }
    let left = look_at_all(&bench);
    // One byte of 256 is no other one.
    assert!((FILES / 2..FILES / 2 + 10).contains(&(left as u64)), "{left}");
    fill(&bench);
    assert_eq!((look_at_all(&bench) as u64, bench.lines()), (FILES, Vec::new()));
}

const PROCESSES: u64 = 12;
const SEED: &str = "VSCAN_TEST_SEED";

/// Runs in a child process of the test below, and does nothing when it is run as a test.
#[test]
fn child() {
    let Ok(seed) = env::var(SEED) else { return };
    let mut dice = Dice(seed.parse().unwrap());
    let bench = Bench::new(10_000);
    fill(&bench);
    let data = File::options().write(true).open(bench.data()).unwrap();
    let length = data.metadata().unwrap().len();
    for _ in 0..20 {
        let at = dice.roll(length - 4096);
        let foreign = match dice.roll(3) {
            0 => dice.bytes(4096),
            _ => dice.bytes_up_to(64),
        };
        data.write_all_at(&foreign, at).unwrap();
        look_at_all(&bench);
        fill(&bench);
    }
}

#[test]
fn anywhere_they_end_a_process_at_worst() {
    let (mut ended, mut died) = (0, 0);
    for seed in 0..PROCESSES {
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "shared::foreign_bytes::child", "--nocapture"])
            .env("TMPDIR", home.path())
            .env(SEED, seed.to_string())
            .output()
            .unwrap();
        match (output.status.success(), output.status.signal()) {
            (true, _) => ended += 1,
            (false, Some(_)) => died += 1,
            (false, None) => panic!("{seed}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
    println!("{ended} ended, {died} died");
    assert!(ended > 0 && ended + died == PROCESSES);
}
