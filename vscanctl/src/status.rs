//! `vscanctl status`: what the smbds are doing.

use std::time::{Duration, Instant};

use vscan_engine::counters::Snapshot;

use crate::cli::{Cli, StatusArguments};
use crate::output::{Out, print_to_reader, table};
use crate::results::counted;
use crate::samba::SmbConf;
use crate::shares;
use crate::{Exit, Trouble};

pub fn run(arguments: &StatusArguments, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let shares = shares::with_a_protected_one(&SmbConf::read(cli.config.as_deref())?)?;
    let now = || -> Result<Vec<Snapshot>, Trouble> {
        let mut counted = counted(&shares)?;
        // A share that nobody has connected to since the machine was started.
        for share in shares.iter().filter(|share| share.protection.is_some()) {
            if counted.iter().all(|snapshot| !snapshot.share.eq_ignore_ascii_case(&share.name)) {
                counted.push(Snapshot { share: share.name.clone(), ..Snapshot::default() });
            }
        }
        Ok(counted)
    };
    let Some(every) = arguments.watch else {
        let counted = now()?;
        out.answer(&counted, |out| totals(&counted, out))?;
        return Ok(Exit::Good);
    };
    watch(now, every, out)
}

/// Until a signal ends it, or nobody reads it any more.
fn watch(
    now: impl Fn() -> Result<Vec<Snapshot>, Trouble>,
    every: Duration,
    out: &Out,
) -> Result<Exit, Trouble> {
    let mut before: Option<(Instant, Vec<Snapshot>)> = None;
    loop {
        let (at, counted) = (Instant::now(), now()?);
        let text = if out.is_json() {
            serde_json::to_string(&counted).map_err(|error| error.to_string())? + "\n"
        } else {
            let since = before.as_ref().map(|(then, counted)| (at.duration_since(*then), counted.as_slice()));
            let table = match since {
                None => totals(&counted, out),
                Some((took, before)) => rates(&counted, before, took, out),
            };
            // On a terminal the table stays in its place.
            out.clear().to_owned() + &table
        };
        if !print_to_reader(&text)? {
            return Ok(Exit::Good);
        }
        before = Some((at, counted));
        std::thread::sleep(every);
    }
}

const HEADLINE: [&str; 8] = ["SHARE", "OPENS", "HITS", "", "SCANS", "INFECTED", "ERRORS", "PARKED NOW"];

fn totals(counted: &[Snapshot], out: &Out) -> String {
    let row = |share: &Snapshot| {
        vec![
            share.share.clone(),
            share.opens.to_string(),
            hits(share).to_string(),
            percent(hits(share), share.opens),
            share.scans.to_string(),
            share.infected.to_string(),
            share.errors.to_string(),
            share.parked.to_string(),
        ]
    };
    with_headline(counted.iter().map(row).collect(), out)
}

/// Per second, but for what is waiting now.
fn rates(counted: &[Snapshot], before: &[Snapshot], took: Duration, out: &Out) -> String {
    let row = |share: &Snapshot| {
        let nothing = Snapshot::default();
        let then = before.iter().find(|then| then.share == share.share).unwrap_or(&nothing);
        let rate = |now: u64, then: u64| {
            format!("{:.0}/s", now.saturating_sub(then) as f64 / took.as_secs_f64().max(0.001))
        };
        let opens = share.opens.saturating_sub(then.opens);
        vec![
            share.share.clone(),
            rate(share.opens, then.opens),
            rate(hits(share), hits(then)),
            percent(hits(share).saturating_sub(hits(then)), opens),
            rate(share.scans, then.scans),
            share.infected.to_string(),
            share.errors.to_string(),
            share.parked.to_string(),
        ]
    };
    with_headline(counted.iter().map(row).collect(), out)
}

fn with_headline(mut rows: Vec<Vec<String>>, out: &Out) -> String {
    rows.insert(0, HEADLINE.map(str::to_owned).to_vec());
    let text = table(&rows, 0);
    let (headline, rest) = text.split_once('\n').unwrap_or((&text, ""));
    out.headline(headline) + rest
}

fn hits(share: &Snapshot) -> u64 {
    share.hits_own + share.hits_shared + share.hits_server
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.0} %", part as f64 * 100.0 / whole as f64) }
}
