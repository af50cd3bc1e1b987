//! Files that nobody has scanned before, and the same files again.

use std::time::{Duration, Instant};

use vscan_tests::process::Process;

use crate::client::Client;
use crate::ground::{Ground, Guard, Seeds};
use crate::measure::{cpu_seconds, median, seconds};
use crate::table::{Row, Table, Target};
use crate::{Plan, SMALL, clamd, pin, settle};

/// How many scans are in flight in the second mode.
const AT_ONCE: [usize; 2] = [1, 8];

/// Files of one block of (c): few, because a ratio is taken of neighbouring blocks.
const BLOCK: usize = 25;

/// A connection, and what was visited over it.
pub struct Visitor {
    pub guard: Guard,
    pub client: Client,
    pub process: Process,
    names: Vec<String>,
}

impl Visitor {
    fn new(ground: &Ground, guard: Guard, names: Vec<String>) -> Self {
        let client = ground.connect(guard);
        let process = ground.serving(&client);
        Self { guard, client, process, names }
    }
}

/// What was measured of one mode: per file and in seconds, one number for each round.
#[derive(Default, Clone)]
struct Mode {
    times: [Vec<f64>; COLUMNS],
    cpu: [Cpu; COLUMNS],
    files: usize,
}

/// Seconds of CPU in all rounds.
#[derive(Default, Clone, Copy)]
struct Cpu {
    smbd: f64,
    clamd: f64,
    client: f64,
}

/// The contenders and two more.
const COLUMNS: usize = 5;

/// The column of clamd by itself.
const ALONE: usize = 3;

/// The column of the plain share where the client itself asks clamd about each file that it has visited, one at a time:
/// smbd and clamd take turns there as they do for a guard, and drive each other's code and data out of the processor's caches.
const BY_TURNS: usize = 4;

/// A connection to each share that has visited nothing.
pub fn visitors(ground: &Ground) -> [Visitor; 3] {
    Guard::ALL.map(|guard| Visitor::new(ground, guard, Vec::new()))
}

/// Prints part (b). The visitors remember the files, for (c).
pub fn never_seen(ground: &Ground, visitors: &mut [Visitor; 3], seeds: &mut Seeds, plan: &Plan) {
    let mut modes = [Mode::default(), Mode::default()];
    let count = plan.files / plan.rounds;
    // The first round warms up.
    for round in 0..=plan.rounds {
        for (mode, at_once) in modes.iter_mut().zip(AT_ONCE) {
            let mut unmeasured = Mode::default();
            let mode = if round > 0 { mode } else { &mut unmeasured };
            mode.files += count;
            for (which, visitor) in visitors.iter_mut().enumerate() {
                let names = ground.plant(visitor.guard, seeds, count, SMALL);
                settle();
                let before = Cpu::now(ground, Some(visitor.process));
                let started = Instant::now();
                visitor.client.visit_all(&names, at_once);
                mode.add(which, started.elapsed(), count, before, Cpu::now(ground, Some(visitor.process)));
                visitor.names.extend(names);
            }
            let files = ground.plant_beside(seeds, count, SMALL);
            let before = Cpu::now(ground, None);
            let time = clamd::scan_all(&ground.clamd().socket(), &files, at_once);
            mode.add(ALONE, time, count, before, Cpu::now(ground, None));
            if at_once == 1 {
                by_turns(ground, &mut visitors[0], seeds, mode, count);
            }
        }
    }
    print_never_seen(&modes, plan);
}

fn by_turns(ground: &Ground, plain: &mut Visitor, seeds: &mut Seeds, mode: &mut Mode, count: usize) {
    let names = ground.plant(Guard::Plain, seeds, count, SMALL);
    settle();
    let (directory, socket) = (ground.dir(Guard::Plain), ground.clamd().socket());
    let before = Cpu::now(ground, Some(plain.process));
    let started = Instant::now();
    for name in &names {
        plain.client.visit_all(std::slice::from_ref(name), 1);
        clamd::scan(&socket, &directory.join(name));
    }
    mode.add(BY_TURNS, started.elapsed(), count, before, Cpu::now(ground, Some(plain.process)));
}

impl Mode {
    fn add(&mut self, which: usize, time: Duration, count: usize, before: Cpu, after: Cpu) {
        self.times[which].push(time.as_secs_f64() / count as f64);
        let cpu = &mut self.cpu[which];
        cpu.smbd += after.smbd - before.smbd;
        cpu.clamd += after.clamd - before.clamd;
        cpu.client += after.client - before.client;
    }

    /// Seconds per file, where that was measured.
    fn per_file(&self) -> [Option<f64>; COLUMNS] {
        self.times.each_ref().map(|times| (!times.is_empty()).then(|| median(times)))
    }

    /// Seconds of CPU per file, where that was measured.
    fn cpu(&self, of: fn(&Cpu) -> f64) -> [Option<f64>; COLUMNS] {
        std::array::from_fn(|which| {
            (!self.times[which].is_empty()).then(|| of(&self.cpu[which]) / self.files as f64)
        })
    }
}

impl Cpu {
    fn now(ground: &Ground, smbd: Option<Process>) -> Self {
        Self {
            smbd: smbd.map_or(0.0, cpu_seconds),
            clamd: cpu_seconds(ground.clamd().process()),
            client: cpu_seconds(Process(rustix::process::getpid())),
        }
    }

    fn all(&self) -> f64 {
        self.smbd + self.clamd + self.client
    }
}

fn print_never_seen(modes: &[Mode; 2], plan: &Plan) {
    let title = format!("(b) {} files of 8 KiB that were never seen before", plan.files);
    let mut table = Table::new(&title).with_clamd();
    let [one, eight] = modes.each_ref().map(Mode::per_file);
    for (mode, name) in modes.iter().zip(["one at a time", "8 in flight"]) {
        let per_file = mode.per_file();
        table.row(Row::rates(&format!("{name}, files/s"), per_file.map(|time| time.map(f64::recip))));
        table.row(Row::times(&format!("{name}, time per file"), per_file));
        table.row(Row::times("   CPU per file, smbd", mode.cpu(|cpu| cpu.smbd)));
        table.row(Row::times("   CPU per file, clamd", mode.cpu(|cpu| cpu.clamd)));
        table.row(Row::times("   CPU per file, client", mode.cpu(|cpu| cpu.client)));
        table.row(Row::ratios("   CPUs busy", quotients(mode.cpu(Cpu::all), per_file)));
    }
    let gain = quotients(one, eight);
    table.row(Row::ratios("8 in flight / one at a time", gain));
    let [plain, vscan, _, alone, by_turns] = one.map(|time| time.unwrap_or(f64::NAN));
    for (what, value) in [
        ("time per file / clamd alone", vscan / alone),
        ("(vscan - plain) / (plain, clamd - plain)", (vscan - plain) / (by_turns - plain)),
    ] {
        table.target(Target::at_most(&format!("one at a time: {what}"), value, 1.15));
    }
    let [_, gain, _, gain_alone, _] = gain.map(|gain| gain.unwrap_or(f64::NAN));
    table.target(Target::at_least("8 in flight / one at a time", gain, 2.0));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let demand = modes[1].cpu(Cpu::all)[1].unwrap_or(f64::NAN);
    table.note(format!(
        "8 in flight cannot exceed {:.0} files/s here: a file takes {:.2} ms of CPU in all, of {cpus} CPUs. \
         clamd alone gains {:.2} by 8 at once.",
        cpus as f64 / demand,
        demand * 1000.0,
        gain_alone,
    ));
    table.print();
}

fn quotients(these: [Option<f64>; COLUMNS], those: [Option<f64>; COLUMNS]) -> [Option<f64>; COLUMNS] {
    std::array::from_fn(|which| Some(these[which]? / those[which]?))
}

/// Prints part (c).
pub fn again(ground: &Ground, visitors: &mut [Visitor; 3], plan: &Plan) {
    let same = visit_in_blocks(visitors, plan.passes);
    let mut newcomers =
        visitors.each_ref().map(|visitor| Visitor::new(ground, visitor.guard, visitor.names.clone()));
    let new = visit_in_blocks(&mut newcomers, 1);
    let mut table = Table::new("(c) the same files again, one at a time");
    let mut of_plain = [f64::NAN; 2];
    for ((name, blocks), of_plain) in
        [("same connection", same), ("new connection", new)].iter().zip(&mut of_plain)
    {
        let rate = blocks.each_ref().map(|times| Some(1.0 / median(times)));
        table.row(Row::rates(&format!("{name}, files/s"), rate));
        let ratio = blocks.each_ref().map(|times| Some(ratio_to(&blocks[0], times)));
        table.row(Row::ratios(&format!("{name}, rate / plain"), ratio));
        *of_plain = ratio[1].unwrap_or(f64::NAN);
    }
    table.target(Target::at_least("same connection: rate / plain", of_plain[0], 0.97));
    table.target(Target::at_least("new connection: rate / plain", of_plain[1], 0.97));
    table.print();
}

/// The middle one of the ratios of neighbouring blocks: what disturbs the machine disturbs both.
fn ratio_to(plain: &[f64], times: &[f64]) -> f64 {
    let ratios: Vec<f64> = plain.iter().zip(times).map(|(plain, time)| plain / time).collect();
    median(&ratios)
}

/// Visits all files, a block of each visitor in turn; the median of each block.
fn visit_in_blocks(visitors: &mut [Visitor; 3], passes: usize) -> [Vec<f64>; 3] {
    let _pinned = pin::to_one_cpu(visitors.each_ref().map(|visitor| visitor.process));
    let mut times = [const { Vec::new() }; 3];
    let blocks = visitors[0].names.len().div_ceil(BLOCK);
    for turn in 0..passes * blocks {
        let first = turn % blocks * BLOCK;
        // Everybody is first, second and third equally often.
        for which in [0, 1, 2].map(|place| (place + turn) % 3) {
            let visitor = &mut visitors[which];
            let end = visitor.names.len().min(first + BLOCK);
            let names = &visitor.names[first..end];
            // Not the sum: on a busy machine that would be about the few visits that were interrupted.
            times[which].push(median(&seconds(&visitor.client.visit_all(names, 1))));
        }
    }
    times
}
