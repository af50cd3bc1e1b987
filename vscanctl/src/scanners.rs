//! `vscanctl scanners`: how the scanners are.

use crate::cli::Cli;
use crate::output::{Colour, Out, table};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::{Exit, Trouble, check};

pub fn run(cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let shares = shares::with_a_protected_one(&SmbConf::read(cli.config.as_deref())?)?;
    let reports = check::scanners(&shares.iter().collect::<Vec<&Share>>());
    out.answer(&reports, |out| {
        let headline = ["SCANNER", "STATE", "ROUND TRIP", "LOAD", "VERSION"].map(str::to_owned).to_vec();
        let rows = reports.iter().map(|report| {
            let or_dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
            let state = if report.answers { "up" } else { "down" };
            let round_trip = report.round_trip_ms.map(|time| format!("{time:.1} ms"));
            vec![
                report.scanner.clone(),
                state.to_owned(),
                or_dash(round_trip.as_ref()),
                or_dash(report.load.as_ref()),
                or_dash(report.version.as_ref()),
            ]
        });
        let text = table(&std::iter::once(headline).chain(rows).collect::<Vec<_>>(), 0);
        let (headline, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let down = reports
            .iter()
            .filter(|report| !report.answers)
            .map(|report| format!("{}\n", out.coloured(&report.remark.text, Colour::Red)));
        out.headline(headline) + rest + &down.collect::<String>()
    })?;
    let all_are_up = reports.iter().all(|report| report.answers);
    Ok(if all_are_up { Exit::Good } else { Exit::Bad })
}
