//! `vscanctl metrics`: numbers for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;
use vscan_engine::action::{Quarantine, State};
use vscan_engine::counters::Snapshot;

use crate::check::ScannerReport;
use crate::cli::{Cli, MetricsArguments};
use crate::output::{Out, complain, reason, shown};
use crate::protection::OnlyTrouble;
use crate::results::{self, Results};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::{Exit, Trouble, check};

type Label = (&'static str, String);

/// What the file in the directory of node_exporter's textfile collector is called.
const FILE: &str = "vscan.prom";

pub fn run(arguments: &MetricsArguments, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let shares = shares::all(&SmbConf::read(cli.config.as_deref())?);
    let (metrics, troubles) = gather(&shares);
    troubles.iter().for_each(|trouble| complain(trouble));
    match &arguments.textfile {
        None => out.answer(&metrics.0, |_| metrics.text())?,
        Some(_) if out.is_json() => {
            return Err(
                "--textfile writes what Prometheus reads, which is no JSON: leave out --json".to_owned()
            );
        }
        Some(directory) => write(directory, &metrics.text())
            .map_err(|error| format!("{}: {}", shown(&directory.join(FILE)), reason(&error)))?,
    }
    Ok(if troubles.is_empty() { Exit::Good } else { Exit::Trouble })
}

/// Whole or not at all: the collector may read at any moment. Whoever owns the directory need not be root, so no link is
/// followed there.
fn write(directory: &Path, text: &str) -> std::io::Result<()> {
    let draft = directory.join(format!("{FILE}.{}", std::process::id()));
    // Left by an earlier process of this number, or put there by somebody.
    let _ = std::fs::remove_file(&draft);
    let mut file = File::options().write(true).create_new(true).open(&draft)?;
    let written = file
        .write_all(text.as_bytes())
        // The collector is another user, whatever root's umask is.
        .and_then(|()| file.set_permissions(Permissions::from_mode(0o644)))
        .and_then(|()| std::fs::rename(&draft, directory.join(FILE)));
    if written.is_err() {
        let _ = std::fs::remove_file(draft);
    }
    written
}

/// All that can be told; where one thing is in trouble, the others are wanted even more.
fn gather(shares: &[Share]) -> (Metrics, Vec<Trouble>) {
    let mut metrics = Metrics::default();
    let wanted: Vec<&Share> = shares.iter().collect();
    let counted = results::counted(shares).map(|counted| metrics.counters(&counted));
    metrics.scanners(&check::scanners(&wanted));
    let parts = [counted, metrics.results(shares), metrics.quarantines(shares)];
    (metrics, parts.into_iter().filter_map(Result::err).collect())
}

/// Families of metrics, each with its help before its numbers.
#[derive(Default)]
struct Metrics(Vec<Family>);

#[derive(Serialize)]
struct Family {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    help: &'static str,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Sample {
    labels: BTreeMap<&'static str, String>,
    value: f64,
}

impl Metrics {
    fn add(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        labels: &[Label],
        value: f64,
    ) {
        let sample = Sample { labels: labels.iter().cloned().collect(), value };
        match self.0.iter_mut().find(|family| family.name == name) {
            Some(family) => family.samples.push(sample),
            None => self.0.push(Family { name, kind, help, samples: vec![sample] }),
        }
    }

    /// In Prometheus' text format.
    fn text(&self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples } in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for Sample { labels, value } in samples {
                let labels: Vec<String> = labels.iter().map(|(name, value)| label(name, value)).collect();
                let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
            }
        }
        text
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, labels: &[Label], value: f64) {
        self.add(name, "gauge", help, labels, value);
    }

    fn counters(&mut self, counted: &[Snapshot]) {
        for share in counted {
            let labels = [("share", share.share.clone())];
            let mut count = |name, help, value: u64| self.add(name, "counter", help, &labels, value as f64);
            count("vscan_opens_total", "Opens that wanted a verdict.", share.opens);
            count("vscan_scans_total", "Scans that are over.", share.scans);
            count("vscan_infected_total", "Infected files that were dealt with.", share.infected);
            count("vscan_errors_total", "Files without a verdict.", share.errors);
            for (level, hits) in
                [("process", share.hits_own), ("shared", share.hits_shared), ("server", share.hits_server)]
            {
                let [of_share] = labels.clone();
                let labels = [of_share, ("level", level.to_owned())];
                let help = "Results that were known, by who knew them.";
                self.add("vscan_cache_hits_total", "counter", help, &labels, hits as f64);
            }
            let help = "Requests that wait for a scan now.";
            self.gauge("vscan_parked", help, &labels, share.parked as f64);
        }
    }

    fn scanners(&mut self, scanners: &[ScannerReport]) {
        for scanner in scanners {
            let labels = [("scanner", scanner.scanner.clone())];
            let up = f64::from(u8::from(scanner.answers));
            self.gauge("vscan_scanner_up", "Whether the scanner answers.", &labels, up);
            if let Some(milliseconds) = scanner.round_trip_ms {
                let help = "Time of a question and its answer.";
                self.gauge("vscan_scanner_round_trip_seconds", help, &labels, milliseconds / 1000.0);
            }
        }
    }

    fn results(&mut self, shares: &[Share]) -> Result<(), Trouble> {
        // Without shared results there is nothing to tell of them.
        for Results { directory, cache } in results::of(shares, &OnlyTrouble).unwrap_or_default() {
            let stats = cache.stats(&OnlyTrouble).map_err(|error| error.to_string())?;
            let labels = [("directory", shown(&directory))];
            self.gauge("vscan_cache_entries", "Results that are shared.", &labels, stats.entries as f64);
            let help = "Most results that are shared.";
            self.gauge("vscan_cache_entries_limit", help, &labels, stats.limit as f64);
            let help = "Bytes of the shared results on disk.";
            self.gauge("vscan_cache_bytes", help, &labels, stats.bytes as f64);
        }
        Ok(())
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
            let labels = [("directory", shown(directory))];
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
    fn the_file_is_for_the_collector_and_follows_no_link() {
        let home = tempfile::tempdir().unwrap();
        let (victim, draft) = (home.path().join("victim"), format!("{FILE}.{}", std::process::id()));
        std::fs::write(&victim, "precious").unwrap();
        for name in [FILE, &draft] {
            std::os::unix::fs::symlink(&victim, home.path().join(name)).unwrap();
        }
        write(home.path(), "vscan_up 1\n").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        let about = home.path().join(FILE).symlink_metadata().unwrap();
        assert!(about.is_file() && about.permissions().mode() & 0o777 == 0o644, "{about:?}");
        // What cannot take its place leaves nothing behind.
        std::fs::remove_file(home.path().join(FILE)).unwrap();
        std::fs::create_dir(home.path().join(FILE)).unwrap();
        assert!(write(home.path(), "vscan_up 1\n").is_err());
        assert!(!home.path().join(draft).exists());
    }

    #[test]
    fn a_family_has_its_help_once_and_its_labels_escaped() {
        let mut metrics = Metrics::default();
        for share in ["a\"b", "c"] {
            metrics.counters(&[Snapshot { share: share.to_owned(), opens: 3, ..Snapshot::default() }]);
        }
        let text = metrics.text();
        let expected = "# HELP vscan_opens_total Opens that wanted a verdict.\n# TYPE vscan_opens_total counter\n\
                        vscan_opens_total{share=\"a\\\"b\"} 3\nvscan_opens_total{share=\"c\"} 3\n";
        assert!(text.starts_with(expected), "{text}");
        let hits = "vscan_cache_hits_total{level=\"shared\",share=\"c\"} 0\n";
        assert!(text.contains(hits), "{text}");
    }
}
