//! Files that nobody has scanned before, and the same files again.

use std::time::{Duration, Instant};

use vscan_tests::process::Process;

use crate::client::Client;
use crate::ground::{Ground, Guard, Seeds};
use crate::measure::{cpu_seconds, median, seconds};
use crate::table::{Row, Table, Target};
use crate::{Plan, SMALL, clamd, settle};

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
    times: [Vec<f64>; 4],
    cpu: [Cpu; 4],
    files: usize,
}

/// Seconds of CPU in all rounds.
#[derive(Default, Clone, Copy)]
struct Cpu {
    smbd: f64,
    clamd: f64,
    client: f64,
}

/// The column of clamd by itself.
const ALONE: usize = 3;

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
        }
    }
    print_never_seen(&modes, plan);
}

impl Mode {
    fn add(&mut self, which: usize, time: Duration, count: usize, before: Cpu, after: Cpu) {
        self.times[which].push(time.as_secs_f64() / count as f64);
        let cpu = &mut self.cpu[which];
        cpu.smbd += after.smbd - before.smbd;
        cpu.clamd += after.clamd - before.clamd;
        cpu.client += after.client - before.client;
    }

    fn per_file(&self) -> [f64; 4] {
        self.times.each_ref().map(|times| median(times))
    }

    /// Seconds of CPU per file.
    fn cpu(&self, of: fn(&Cpu) -> f64) -> [Option<f64>; 4] {
        self.cpu.each_ref().map(|cpu| Some(of(cpu) / self.files as f64))
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
        table.row(Row::rates(&format!("{name}, files/s"), per_file.map(|time| Some(1.0 / time))));
        table.row(Row::times(&format!("{name}, time per file"), per_file.map(Some)));
        table.row(Row::times("   CPU per file, smbd", mode.cpu(|cpu| cpu.smbd)));
        table.row(Row::times("   CPU per file, clamd", mode.cpu(|cpu| cpu.clamd)));
        table.row(Row::times("   CPU per file, client", mode.cpu(|cpu| cpu.client)));
        let total: [Option<f64>; 4] = mode.cpu(Cpu::all);
        let busy = [0, 1, 2, 3].map(|which| total[which].map(|cpu| cpu / per_file[which]));
        table.row(Row::ratios("   CPUs busy", busy));
    }
    let gain = [0, 1, 2, 3].map(|which| Some(one[which] / eight[which]));
    table.row(Row::ratios("8 in flight / one at a time", gain));
    let [plain, vscan, _, alone] = one;
    table.target(Target::at_most("one at a time: time per file / clamd alone", vscan / alone, 1.15));
    table.target(Target::at_most(
        "one at a time: (vscan - plain) / clamd alone",
        (vscan - plain) / alone,
        1.15,
    ));
    let sum = plain + alone;
    table.target(Target::at_most("one at a time: time per file / (plain + clamd alone)", vscan / sum, 1.15));
    table.target(Target::at_least("8 in flight / one at a time", one[1] / eight[1], 2.0));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let demand = modes[1].cpu(Cpu::all)[1].unwrap_or(f64::NAN);
    table.note(format!(
        "8 in flight cannot exceed {:.0} files/s here: a file takes {:.2} ms of CPU in all, of {cpus} CPUs. \
         clamd alone gains {:.2} by 8 at once.",
        cpus as f64 / demand,
        demand * 1000.0,
        one[ALONE] / eight[ALONE],
    ));
    table.print();
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
