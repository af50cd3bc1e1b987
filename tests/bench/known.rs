//! Files whose verdict is known: idle, and while another file of the same connection is scanned for long.

use std::time::Duration;

use crate::client::Client;
use crate::ground::{Ground, Guard, SLOW, Seeds};
use crate::measure::{median, percentile, seconds};
use crate::table::{Row, Table, Target};
use crate::{Plan, SMALL, pin, settle};

/// How many files are visited in turn.
const FILES: usize = 50;

/// Prints part (a).
pub fn run(ground: &Ground, seeds: &mut Seeds, plan: &Plan) {
    let mut clients: Vec<(Guard, Client, Vec<String>)> = Guard::ALL
        .into_iter()
        .map(|guard| (guard, ground.connect_to_slow(guard), ground.plant_in_slow(guard, seeds, FILES, SMALL)))
        .collect();
    settle();
    let _pinned = pin::to_one_cpu(clients.iter().map(|(_, client, _)| ground.serving(client)));
    let mut idle = [const { Vec::new() }; 3];
    // The first round has the files scanned.
    for round in 0..=plan.rounds * 5 {
        for (times, (_, client, names)) in idle.iter_mut().zip(&mut clients) {
            let visits = seconds(&client.visit_all(names, 1));
            if round > 0 {
                times.extend(visits);
            }
        }
    }
    let busy: [Option<Vec<f64>>; 3] = [0, 1, 2].map(|which| {
        let (guard, client, names) = &mut clients[which];
        (*guard != Guard::Plain).then(|| visit_during_a_scan(ground, client, names, plan.slow_scan))
    });
    print(&idle, &busy, plan);
}

/// Visits known files for as long as a slow scan goes on.
fn visit_during_a_scan(ground: &Ground, client: &mut Client, names: &[String], length: Duration) -> Vec<f64> {
    let scanner = ground.slow_scanner();
    let before = scanner.scans();
    scanner.hold_only(SLOW.as_bytes());
    let slow = client.start_open(SLOW);
    scanner.wait_for_scans(before + 1, Duration::from_secs(20));
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(length);
            scanner.release();
        });
        for name in names.chunks(1).cycle() {
            if client.has_answered(slow) {
                break;
            }
            times.extend(seconds(&client.visit_all(name, 1)));
        }
    });
    client.finish_open(slow);
    times
}

fn print(idle: &[Vec<f64>; 3], busy: &[Option<Vec<f64>>; 3], plan: &Plan) {
    let mut table = Table::new("(a) open, read and close of a known 8 KiB file");
    let of = |times: &[Vec<f64>; 3], what: fn(&[f64]) -> f64| times.each_ref().map(|times| Some(what(times)));
    let of_busy = |what: fn(&[f64]) -> f64| busy.each_ref().map(|times| times.as_deref().map(what));
    let p99: fn(&[f64]) -> f64 = |times| percentile(times, 99);
    table.row(Row::times("idle, median", of(idle, median)));
    table.row(Row::times("idle, 99 of 100", of(idle, p99)));
    let scan = format!("during a scan of {} s", plan.slow_scan.as_secs());
    table.row(Row::times(&format!("{scan}, median"), of_busy(median)));
    table.row(Row::times(&format!("{scan}, 99 of 100"), of_busy(p99)));
    table.row(Row::counts(&format!("{scan}, files visited"), of_busy(|times| times.len() as f64)));
    let ratio = [0, 1, 2].map(|which| busy[which].as_deref().map(|times| p99(times) / p99(&idle[which])));
    table.row(Row::ratios("99 of 100, during / idle", ratio));
    table.target(Target::at_most("99 of 100 during the scan / idle", ratio[1].unwrap_or(f64::NAN), 2.0));
    table.print();
}
