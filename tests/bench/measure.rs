//! Numbers and what is made of them.

use std::fs;
use std::time::Duration;

use vscan_tests::process::Process;

/// Ticks per second in /proc/PID/stat, on every Linux that is not an Alpha.
const TICKS: f64 = 100.0;

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The value that so many of 100 do not exceed.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// In seconds.
pub fn seconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(Duration::as_secs_f64).collect()
}

/// Seconds of CPU that a process has used so far, with all its threads.
pub fn cpu_seconds(process: Process) -> f64 {
    let stat = proc_file(process, "stat");
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th field behind it.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

/// The memory of a process in KiB, what it shares counted in proportion.
pub fn pss_kib(process: Process) -> f64 {
    let rollup = proc_file(process, "smaps_rollup");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn proc_file(process: Process, name: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{name}", process.0.as_raw_nonzero())).unwrap()
}
