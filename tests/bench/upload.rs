//! How long the client waits for the CLOSE of a file that it has written.

use vscan_tests::samples::clean;

use crate::Plan;
use crate::client::PIECE;
use crate::fresh::Visitor;
use crate::ground::{Ground, Seeds};
use crate::measure::median;
use crate::table::{Row, Table, Target};

/// virusfilter scans before it answers, which is not to be mistaken for noise: it has its turn less often.
const SELDOM: usize = 5;

/// Prints part (d).
pub fn run(ground: &Ground, visitors: &mut [Visitor; 3], seeds: &mut Seeds, plan: &Plan) {
    let mut times = [const { Vec::new() }; 3];
    for turn in 0..plan.uploads {
        let contenders = if turn % SELDOM == 0 { 3 } else { 2 };
        for which in (0..contenders).map(|place| (place + turn) % contenders) {
            let visitor = &mut visitors[which];
            let name = format!("upload-{turn}.bin");
            let piece = clean(seeds.next(), PIECE);
            times[which].push(visitor.client.upload(&name, plan.upload_mib, &piece).as_secs_f64());
            // An open waits for the scan that the close has started: it shall not disturb the next one.
            visitor.client.visit_all(std::slice::from_ref(&name), 1);
            ground.remove(visitor.guard, &name);
        }
    }
    let mut table = Table::new(&format!("(d) CLOSE after an upload of {} MiB", plan.upload_mib));
    table.row(Row::counts("uploads", times.each_ref().map(|times| Some(times.len() as f64))));
    let middle = times.each_ref().map(|times| median(times));
    table.row(Row::times("median", middle.map(Some)));
    table.row(Row::times("longest", times.each_ref().map(|times| times.iter().copied().reduce(f64::max))));
    let ratio = middle.map(|time| time / middle[0]);
    table.row(Row::ratios("median / plain", ratio.map(Some)));
    table.target(Target::at_most("median / plain", ratio[1], 1.1));
    table.print();
}
