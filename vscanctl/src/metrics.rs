//! `vscanctl metrics`: numbers for Prometheus.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use vscan_engine::action::{Quarantine, State};
use vscan_engine::counters::Snapshot;

use crate::check::ScannerReport;
use crate::cli::{Cli, MetricsArguments};
use crate::output::{Out, print, reason, shown};
use crate::protection::OnlyTrouble;
use crate::results::{self, Results};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::{Exit, Trouble, check};

/// What the file in the directory of node_exporter's textfile collector is called.
const FILE: &str = "vscan.prom";

pub fn run(arguments: &MetricsArguments, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    if out.is_json() {
        return Err("metrics are in Prometheus' own format; for JSON, see status, cache stats and scanners"
            .to_owned());
    }
    let shares = shares::all(&SmbConf::read(cli.config.as_deref())?);
    let text = text(&shares)?;
    match &arguments.textfile {
        None => print(&text)?,
        Some(directory) => write(directory, &text)
            .map_err(|error| format!("{}: {}", shown(&directory.join(FILE)), reason(&error)))?,
    }
    Ok(Exit::Good)
}

/// Whole or not at all: the collector may read at any moment.
fn write(directory: &Path, text: &str) -> std::io::Result<()> {
    let draft = directory.join(format!("{FILE}.{}", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(draft, directory.join(FILE))
}

fn text(shares: &[Share]) -> Result<String, Trouble> {
    let mut metrics = Metrics::default();
    metrics.counters(&results::counted(shares)?);
    let wanted: Vec<&Share> = shares.iter().collect();
    metrics.scanners(&check::scanners(&wanted));
    // Without shared results there is nothing to tell of them.
    for Results { directory, cache } in results::of(shares, &OnlyTrouble).unwrap_or_default() {
        let labels = label("directory", &shown(&directory));
        let stats = cache.stats(&OnlyTrouble).map_err(|error| error.to_string())?;
        metrics.gauge("vscan_cache_entries", "Results that are shared.", &labels, stats.entries as f64);
        metrics.gauge(
            "vscan_cache_entries_limit",
            "Most results that are shared.",
            &labels,
            stats.limit as f64,
        );
        metrics.gauge(
            "vscan_cache_bytes",
            "Bytes of the shared results on disk.",
            &labels,
            stats.bytes as f64,
        );
    }
    metrics.quarantines(shares)?;
    Ok(metrics.0.into_iter().map(|family| family.text).collect())
}

/// Families of metrics, each with its help before its numbers.
#[derive(Default)]
struct Metrics(Vec<Family>);

struct Family {
    name: &'static str,
    text: String,
}

impl Metrics {
    fn add(&mut self, name: &'static str, kind: &str, help: &str, labels: &str, value: f64) {
        let at = self.0.iter().position(|family| family.name == name).unwrap_or_else(|| {
            let text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
            self.0.push(Family { name, text });
            self.0.len() - 1
        });
        if let Some(family) = self.0.get_mut(at) {
            // Writing to a String cannot fail.
            let _ = writeln!(family.text, "{name}{{{labels}}} {value}");
        }
    }

    fn gauge(&mut self, name: &'static str, help: &str, labels: &str, value: f64) {
        self.add(name, "gauge", help, labels, value);
    }

    fn counters(&mut self, counted: &[Snapshot]) {
        for share in counted {
            let labels = label("share", &share.share);
            let mut count = |name, help, value: u64| self.add(name, "counter", help, &labels, value as f64);
            count("vscan_opens_total", "Opens that wanted a verdict.", share.opens);
            count("vscan_scans_total", "Scans that are over.", share.scans);
            count("vscan_infected_total", "Infected files that were dealt with.", share.infected);
            count("vscan_errors_total", "Files without a verdict.", share.errors);
            for (level, hits) in
                [("process", share.hits_own), ("shared", share.hits_shared), ("server", share.hits_server)]
            {
                let labels = format!("{labels},{}", label("level", level));
                let help = "Results that were known, by who knew them.";
                self.add("vscan_cache_hits_total", "counter", help, &labels, hits as f64);
            }
            let help = "Requests that wait for a scan now.";
            self.gauge("vscan_parked", help, &labels, share.parked as f64);
        }
    }

    fn scanners(&mut self, scanners: &[ScannerReport]) {
        for scanner in scanners {
            let labels = label("scanner", &scanner.scanner);
            let up = f64::from(u8::from(scanner.answers));
            self.gauge("vscan_scanner_up", "Whether the scanner answers.", &labels, up);
            if let Some(milliseconds) = scanner.round_trip_ms {
                let help = "Time of a question and its answer.";
                self.gauge("vscan_scanner_round_trip_seconds", help, &labels, milliseconds / 1000.0);
            }
        }
    }

    fn quarantines(&mut self, shares: &[Share]) -> Result<(), Trouble> {
        let mut directories: Vec<_> =
            results::settings(shares).map(|settings| settings.quarantine_directory.as_path()).collect();
        directories.sort_unstable();
        directories.dedup();
        for directory in directories {
            let quarantine = Quarantine::open(directory).map_err(|error| error.to_string())?;
            let items = quarantine.map_or(Ok(Vec::new()), |quarantine| quarantine.items());
            let items = items.map_err(|error| error.to_string())?;
            let kept = items.iter().filter(|item| item.state == State::Kept).count();
            let labels = label("directory", &shown(directory));
            self.gauge("vscan_quarantine_files", "Files in quarantine.", &labels, kept as f64);
        }
        Ok(())
    }
}

/// A label with its value escaped as the format wants it.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_once_and_its_labels_escaped() {
        let mut metrics = Metrics::default();
        for share in ["a\"b", "c"] {
            metrics.counters(&[Snapshot { share: share.to_owned(), opens: 3, ..Snapshot::default() }]);
        }
        let opens = &metrics.0[0].text;
        let expected = "# HELP vscan_opens_total Opens that wanted a verdict.\n# TYPE vscan_opens_total counter\n\
                        vscan_opens_total{share=\"a\\\"b\"} 3\nvscan_opens_total{share=\"c\"} 3\n";
        assert_eq!(opens, expected);
    }
}
