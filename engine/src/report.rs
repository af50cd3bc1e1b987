//! The lines that say what was found, decided and done. One event, one line.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use vscan_backends::dialogue::Outcome;
use vscan_backends::verdict::Verdict;

use crate::log::{Level, Log, Printable};
use crate::policy::{Access, Decision};
use crate::protection::{Context, Occasion, Place};

/// A decision that was made without a scan.
pub(crate) fn decision(log: &dyn Log, place: &Place<'_>, why: &dyn Display) {
    if log.wants(Level::Decision) {
        log.line(Level::Decision, &format!("{}: {why}", quoted(place)));
    }
}

/// A scan that came to its end.
pub(crate) fn scanned(
    log: &dyn Log,
    place: &Place<'_>,
    scanner: &str,
    outcome: &Outcome,
    took: Duration,
) {
    if log.wants(Level::Decision) {
        let took = took.as_secs_f64() * 1000.0;
        let says = match outcome {
            Ok(Verdict::Clean) => "clean".to_owned(),
            Ok(Verdict::Infected(threat)) => format!("infected with {threat}"),
            Ok(Verdict::MinorError(error)) => format!("not scannable: {}", error.text),
            Err(fault) => format!("no verdict: {fault}"),
        };
        log.line(Level::Decision, &format!("{}: {says} (scanned by {scanner} in {took:.1} ms)", quoted(place)));
    }
}

/// Everything an administrator wants to know of a file that is not simply clean.
pub(crate) struct Finding<'a> {
    pub(crate) place: &'a Place<'a>,
    pub(crate) occasion: Occasion,
    pub(crate) context: &'a Context<'a>,
    pub(crate) scanner: &'a str,
    pub(crate) outcome: &'a Outcome,
    pub(crate) decision: &'a Decision,
    /// What was done with the file, or why that failed.
    pub(crate) action: Option<String>,
}

impl Finding<'_> {
    /// Writes the line; a clean file has none here.
    pub(crate) fn report(&self, log: &dyn Log) {
        let (level, what) = match self.outcome {
            Ok(Verdict::Clean) => return,
            Ok(Verdict::Infected(threat)) => (Level::Alert, format!("is infected with {threat}")),
            Ok(Verdict::MinorError(error)) => (Level::Error, format!("could not be scanned ({})", error.text)),
            Err(fault) => (Level::Error, format!("could not be scanned ({fault})")),
        };
        let mut line = format!("{} {what}: {}", quoted(self.place), self.consequence());
        if let Some(action) = &self.action {
            // Writing to a String cannot fail.
            let _ = write!(line, "; {action}");
        }
        let Context { share, user, client, .. } = self.context;
        let when = match self.occasion {
            Occasion::Open => "open",
            Occasion::Close => "close",
        };
        let _ = write!(line, " ({when}, share {}, user {}, client {client}", text(share), text(user));
        let _ = write!(line, ", scanner {})", self.scanner);
        log.line(level, &line);
    }

    fn consequence(&self) -> &'static str {
        match (self.decision.access, self.occasion) {
            (Access::Denied(_), _) => "access denied",
            (Access::AllowedNotEnforced, _) => "would be denied, but allowed because of \"enforce = no\"",
            (Access::Allowed, Occasion::Open) => "allowed by the settings",
            (Access::Allowed, Occasion::Close) => "kept by the settings",
        }
    }
}

/// A file that the rules refuse without a scan.
pub(crate) fn refused(log: &dyn Log, place: &Place<'_>, why: &dyn Display, enforced: bool) {
    let consequence =
        if enforced { "access denied" } else { "would be denied, but allowed because of \"enforce = no\"" };
    log.line(Level::Error, &format!("{}: {why}: {consequence}", quoted(place)));
}

/// A file of a share that is closed because of its configuration.
pub(crate) fn config_error(log: &dyn Log, place: &Place<'_>) {
    let why = "access denied because the configuration has errors (see above) and \"on config error = deny\"";
    log.line(Level::Error, &format!("{}: {why}", quoted(place)));
}

fn quoted(place: &Place<'_>) -> String {
    format!("\"{}\"", Printable(place.path))
}

fn text(name: &str) -> String {
    Printable(name.as_bytes()).to_string()
}
