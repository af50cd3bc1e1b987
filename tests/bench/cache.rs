//! The shared cache by itself, without smbd: what a lookup costs as the number of results grows, and whether processes
//! that use it all at once keep each other waiting.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vscan_engine::cache::Known;
use vscan_engine::counters::{Counters, Event};
use vscan_engine::identity::{FileTime, Identity};
use vscan_engine::log::{Level, Log};
use vscan_engine::privilege::AsIs;
use vscan_engine::shared::{Entry, Key, Lookup, Question, SharedCache};

use crate::measure::{median, percentile};

const PROCESSES: u64 = 64;
const LOOKUPS: u64 = 20_000;
const SIGNATURES: u64 = 1;

/// Says what goes wrong, which nothing should.
struct Loud;

impl Log for Loud {
    fn wants(&self, _: Level) -> bool {
        true
    }

    fn line(&self, _: Level, text: &str) {
        eprintln!("{text}");
    }
}

/// Prints all of it; up to so many results.
pub fn run(most: u64) {
    lookups(most);
    stalls();
    counters();
}

fn lookups(most: u64) {
    println!("\nlookup among so many results, in an order of no use to any cache");
    println!("{:>12} {:>12} {:>14} {:>12}", "results", "median", "99 of 100", "file");
    let home = tempfile::tempdir().unwrap();
    let cache = open(&home.path().join("cache"), most + 1);
    let sizes = [10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|size| *size <= most);
    let (mut filled, generation) = (0, cache.generation(&Loud));
    for size in sizes {
        for number in filled..size {
            cache.store(key(&cache, home.path(), number), entry(number), generation);
            if number % 64 == 63 {
                while cache.write_pending(&Loud, &AsIs) {}
            }
        }
        while cache.write_pending(&Loud, &AsIs) {}
        filled = size;
        let look = |turn: u64| {
            let number = scramble(turn) % size;
            let (key, identity) = (key(&cache, home.path(), number), entry(number).identity);
            let started = Instant::now();
            let found = look_up(&cache, key, &identity);
            let took = started.elapsed();
            assert!(matches!(found, Lookup::Known(_)), "{number} of {size}");
            took.as_secs_f64() * 1e6
        };
        for turn in 0..LOOKUPS {
            look(turn);
        }
        let times: Vec<f64> = (LOOKUPS..2 * LOOKUPS).map(look).collect();
        let bytes = home.path().join("cache/results/data.mdb").metadata().unwrap().len();
        println!(
            "{size:>12} {:>9.2} µs {:>11.2} µs {:>8} MiB",
            median(&times),
            percentile(&times, 99),
            bytes >> 20
        );
    }
}

fn stalls() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cache");
    drop(open(&directory, 50_000));
    let program = std::env::current_exe().unwrap();
    let worker = |number: u64| {
        let mut command = Command::new(&program);
        command.args(["cache-worker", directory.to_str().unwrap(), &number.to_string()]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let stolen = stolen_ms();
    let workers: Vec<_> = (0..PROCESSES).map(worker).collect();
    let (mut calls, mut longest, mut with_queue) = (0.0, 0.0_f64, 0.0_f64);
    let (mut taking_part, mut came) = (0, 0.0_f64);
    for mut worker in workers {
        let mut line = String::new();
        BufReader::new(worker.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        calls += said[0];
        longest = longest.max(said[1]);
        with_queue = with_queue.max(said[2]);
        taking_part += u64::from(said[3] < f64::INFINITY);
        came = came.max(said[3]);
        assert!(worker.wait().unwrap().success());
    }
    println!("\n{PROCESSES} processes that find, store and write, in a cache that is full: {calls} calls");
    println!("{taking_part} of them have found something, the last of them after {came:.0} ms");
    println!(
        "longest call, without the time in which its process could have run: {longest:.2} ms, to be <= 5.00"
    );
    println!("the same with that time, which is the machine's: {with_queue:.2} ms");
    println!(
        "CPU time that a hypervisor took away meanwhile, which counts in both: {:.0} ms",
        stolen_ms() - stolen
    );
}

/// One of those processes: prints how many calls it has made, the longest, the longest with all waiting for a CPU, and
/// when it first found a result.
pub fn work(directory: &str, worker: u64) {
    const TIME: Duration = Duration::from_secs(5);
    let (directory, began) = (Path::new(directory), Instant::now());
    let cache = open(directory, 50_000);
    let mut came = f64::INFINITY;
    let (mut calls, mut longest, mut with_queue) = (0_u64, 0.0_f64, 0.0_f64);
    let queue = File::open("/proc/thread-self/schedstat").unwrap();
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        let number = scramble(calls + (worker << 32)) % 200_000;
        let (key, entry) = (key(&cache, directory, number), entry(number));
        let (started, queued) = moment(&queue);
        let found = look_up(&cache, key, &entry.identity);
        if found == Lookup::Unknown {
            cache.store(key, entry, cache.generation(&Loud));
            cache.write_pending(&Loud, &AsIs);
        }
        let (ended, queued_since) = moment(&queue);
        let (took, queued) = (ended - started, queued_since - queued);
        if matches!(found, Lookup::Known(_)) {
            came = came.min(began.elapsed().as_secs_f64() * 1e3);
        }
        longest = longest.max(took.saturating_sub(queued).as_secs_f64() * 1e3);
        with_queue = with_queue.max(took.as_secs_f64() * 1e3);
        calls += 1;
    }
    println!("{calls} {longest} {with_queue} {came}");
}

/// The time, and [`waited_for_cpu`] at that time, not before or after a wait that lies between the two.
fn moment(schedstat: &File) -> (Instant, Duration) {
    loop {
        let (before, now, after) = (waited_for_cpu(schedstat), Instant::now(), waited_for_cpu(schedstat));
        if before == after {
            return (now, after);
        }
    }
}

/// CPU time that this machine, if it is a virtual one, wanted and did not get, in steps of 10 ms.
fn stolen_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    // Behind "cpu": user, nice, system, idle, iowait, irq, softirq, steal.
    stat.split_whitespace().nth(8).unwrap().parse::<f64>().unwrap() * 10.0
}

/// How long this thread has been ready to run, and has not run (Linux, sched-stats.rst).
fn waited_for_cpu(schedstat: &File) -> Duration {
    let mut text = [0; 80];
    let length = schedstat.read_at(&mut text, 0).unwrap();
    let text = std::str::from_utf8(&text[..length]).unwrap();
    Duration::from_nanos(text.split_whitespace().nth(1).unwrap().parse().unwrap())
}

fn counters() {
    const COUNTS: u32 = 10_000_000;
    let home = tempfile::tempdir_in("/dev/shm").unwrap();
    let share = Counters::open(&home.path().join("counters")).unwrap().share("data");
    let started = Instant::now();
    for _ in 0..COUNTS {
        share.count(Event::HitOwn);
    }
    let each = started.elapsed().as_nanos() as f64 / f64::from(COUNTS);
    println!("\nto count something: {each:.1} ns, to be <= 50.0");
}

fn open(directory: &Path, entries: u64) -> Arc<SharedCache> {
    SharedCache::open(directory, entries, &Loud, &AsIs)
}

fn look_up(cache: &SharedCache, key: Key, identity: &Identity) -> Lookup {
    cache.lookup(&Question { key, identity, signatures: SIGNATURES, lifetime: None }, &Loud)
}

fn key(cache: &SharedCache, file: &Path, number: u64) -> Key {
    let stat = rustix::fs::stat(file).unwrap();
    let open = || Some(File::open(file).unwrap().into());
    let mut key = cache.key(Identity::of(&stat).key, 1, open).unwrap();
    key.ino = scramble(number);
    key
}

fn entry(number: u64) -> Entry {
    let identity = Identity { size: number, ..Identity::default() };
    let took = Duration::from_millis(1);
    Entry { identity, known: Known::Clean, signatures: SIGNATURES, stored: FileTime::now(), took }
}

/// Another number for each number, in no order.
fn scramble(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
