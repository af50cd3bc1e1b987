//! What protection costs: a plain share, vscan and Samba's own virusfilter side by side, with one smbd and one clamd.
//!
//! All contenders run in one process of this program and take turns in short rounds, so that whatever else the machine
//! does meets all of them; what is printed are medians over the rounds, and ratios taken within a round. See
//! docs/benchmark.md.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod cache;
mod clamd;
mod client;
mod fresh;
mod ground;
mod known;
mod measure;
mod memory;
mod pin;
mod table;
mod tell;
mod tree;
mod upload;
mod wire;

use std::process::{Command, ExitCode};
use std::time::Duration;

use ground::{Ground, Seeds};

/// Bytes of a small file.
const SMALL: usize = 8192;

/// How much is done.
struct Plan {
    /// Never-seen files for each contender and mode, in all rounds.
    files: usize,
    rounds: usize,
    /// How often the files of (c) are visited.
    passes: usize,
    slow_scan: Duration,
    /// Of plain and of vscan.
    uploads: usize,
    upload_mib: usize,
    /// How often a tree is scanned that was never seen, an even number, and how many files are in it.
    trees: usize,
    tree_files: usize,
    /// How often each way to tell people has its turn, and how long that is.
    tell_rounds: usize,
    tell_turn: Duration,
}

impl Plan {
    const FULL: Self = Self {
        files: 2000,
        rounds: 20,
        passes: 3,
        slow_scan: Duration::from_secs(30),
        uploads: 40,
        upload_mib: 256,
        trees: 6,
        tree_files: 20_000,
        tell_rounds: 9,
        tell_turn: Duration::from_millis(300),
    };

    /// Enough to see that all of it works.
    const QUICK: Self = Self {
        files: 40,
        rounds: 2,
        passes: 1,
        slow_scan: Duration::from_secs(2),
        uploads: 1,
        upload_mib: 8,
        trees: 2,
        tree_files: 400,
        tell_rounds: 1,
        tell_turn: Duration::from_millis(50),
    };
}

const ALL_PARTS: &str = "abcdefg";

const USAGE: &str = "usage: bench [--quick] [--only PARTS] [--slow-scan SECONDS]\n       bench cache [MOST RESULTS]\n\
                     Prints what a scan costs. --quick: only to see that it works; its numbers mean nothing.\n\
                     --only bd: parts (b) and (d) alone; (c) needs (b).";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["cache"] => return cache_alone("10000000"),
        ["cache", most] => return cache_alone(most),
        ["cache-worker", directory, number] => {
            cache::work(directory, number.parse().unwrap());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let Some((plan, parts)) = plan(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    print_circumstances();
    let ground = Ground::prepare();
    let mut seeds = Seeds::new();
    let wanted = |part| parts.contains(part);
    if wanted('a') {
        known::run(&ground, &mut seeds, &plan);
    }
    let mut visitors = fresh::visitors(&ground);
    if wanted('b') {
        fresh::never_seen(&ground, &mut visitors, &mut seeds, &plan);
    }
    if wanted('c') {
        fresh::again(&ground, &mut visitors, &plan);
    }
    if wanted('d') {
        upload::run(&ground, &mut visitors, &mut seeds, &plan);
    }
    if wanted('e') {
        memory::run(&ground, &visitors, &mut seeds);
    }
    if wanted('f') {
        tree::run(&mut seeds, &plan);
    }
    if wanted('g') {
        tell::run(&plan);
    }
    println!("\nload while this ran: {}", first_words("/proc/loadavg", 3));
    ExitCode::SUCCESS
}

/// The shared cache without smbd.
fn cache_alone(most: &str) -> ExitCode {
    let Ok(most) = most.parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    print_circumstances();
    cache::run(most);
    ExitCode::SUCCESS
}

/// What is to be done, and which parts of it.
fn plan(mut arguments: impl Iterator<Item = String>) -> Option<(Plan, String)> {
    let mut plan = Plan::FULL;
    let mut parts = ALL_PARTS.to_owned();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => plan = Plan::QUICK,
            "--only" => parts = arguments.next()?,
            "--slow-scan" => plan.slow_scan = Duration::from_secs(arguments.next()?.parse().ok()?),
            _ => return None,
        }
    }
    let known = parts.chars().all(|part| ALL_PARTS.contains(part));
    let has_files = !parts.contains('c') || parts.contains('b');
    (known && has_files).then_some((plan, parts))
}

/// What the numbers depend on.
fn print_circumstances() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}; {}", first_line("smbd"), first_line("clamd"));
    println!("Linux {}, {cpus} CPUs", first_words("/proc/sys/kernel/osrelease", 1));
    println!("load before: {}", first_words("/proc/loadavg", 3));
    if cfg!(debug_assertions) {
        println!("NOT OPTIMISED (run with --release): these numbers mean nothing");
    }
}

fn first_line(program: &str) -> String {
    let output = Command::new(program).arg("--version").output().expect("run tests/setup.sh first");
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

fn first_words(file: &str, count: usize) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

/// Files that are scanned in the tick of the kernel's clock in which they were written are scanned again next time.
fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}
