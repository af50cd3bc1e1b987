//! What a guarded connection takes in memory.

use crate::fresh::Visitor;
use crate::ground::{Ground, Guard, Seeds};
use crate::measure::pss_kib;
use crate::table::{Row, Table, Target};
use crate::{SMALL, settle};

/// Prints part (e). `visitors` have come from the work of the parts before.
pub fn run(ground: &Ground, visitors: &[Visitor; 3], seeds: &mut Seeds) {
    // A second client of each contender: what all of its processes share counts by halves in both rows.
    let newcomers = Guard::ALL.map(|guard| {
        let names = ground.plant(guard, seeds, 1, SMALL);
        settle();
        let mut client = ground.connect(guard);
        client.visit_all(&names, 1);
        client
    });
    let worked = visitors.each_ref().map(|visitor| pss_kib(visitor.process));
    let fresh = newcomers.each_ref().map(|client| pss_kib(ground.serving(client)));
    let mut table = Table::new("(e) memory of one smbd (PSS)");
    let added = |kib: [f64; 3]| kib.map(|one| one - kib[0]);
    table.row(Row::kib("after one file", fresh));
    table.row(Row::kib("   more than plain", added(fresh)));
    table.row(Row::kib("after all of the above", worked));
    table.row(Row::kib("   more than plain", added(worked)));
    let most = added(fresh)[1].max(added(worked)[1]);
    table.target(Target::at_most("more than plain, MiB", most / 1024.0, 4.0));
    table.print();
}
