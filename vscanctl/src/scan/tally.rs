//! How many files there were of each kind.

use std::time::Duration;

use serde::Serialize;
use vscan_engine::settings::Size;

use super::file::{Outcome, Report};

#[derive(Default, Serialize)]
pub struct Tally {
    pub files: u64,
    pub bytes: u64,
    pub clean: u64,
    pub infected: u64,
    pub trusted: u64,
    /// Of the clean and infected ones, those that were known and not scanned again.
    pub known: u64,
    pub not_scanned: u64,
    pub errors: u64,
    pub gone: u64,
    /// The scanner did not answer again and again.
    pub is_hopeless: bool,
}

impl Tally {
    pub fn add(&mut self, report: &Report) {
        self.files += 1;
        self.bytes += report.size;
        match &report.result {
            Outcome::Clean { was_known } => {
                self.clean += 1;
                self.known += u64::from(*was_known);
            }
            Outcome::Infected { was_known, .. } => {
                self.infected += 1;
                self.known += u64::from(*was_known);
            }
            Outcome::Trusted { .. } => self.trusted += 1,
            Outcome::NotScanned(_) => self.not_scanned += 1,
            Outcome::Unscannable(_) | Outcome::NoVerdict(_) => self.errors += 1,
            Outcome::Gone => self.gone += 1,
        }
    }

    /// In one or two lines.
    pub fn text(&self, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        let rate = self.files as f64 / seconds.max(0.001);
        let mut text = format!(
            "{} files, {} in {seconds:.1} s ({rate:.0}/s): {} infected, {} clean",
            self.files,
            Size(self.bytes).rounded(),
            self.infected,
            self.clean
        );
        let others = [
            (self.known, "known from earlier scans"),
            (self.not_scanned, "not scanned, by the settings"),
            (self.trusted, "trusted"),
            (self.gone, "gone meanwhile"),
            (self.errors, "that could not be scanned"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {count} {what}");
        }
        text + "\n"
    }
}
