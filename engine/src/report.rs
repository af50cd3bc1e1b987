//! The lines that say what was found, decided and done. One event, one line.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use rustix::io::Errno;
use vscan_backends::dialogue::Outcome;
use vscan_backends::verdict::{ThreatName, Verdict};

use crate::log::{Level, Log, Printable};
use crate::notify::ActionTaken;
use crate::policy::{Access, Decision, Reason};
use crate::protection::{Context, Occasion, Place};

/// A decision that was made without a scan.
pub(crate) fn decision(log: &dyn Log, place: &Place<'_>, why: &dyn Display) {
    if log.wants(Level::Decision) {
        log.line(Level::Decision, &format!("{}: {why}", quoted(place)));
    }
}

/// A file that an earlier scan has found clean.
pub(crate) fn known_clean(log: &dyn Log, place: &Place<'_>) {
    decision(log, place, &"clean, as scanned earlier");
}

/// A scan that came to its end.
pub(crate) fn scanned(log: &dyn Log, place: &Place<'_>, scanner: &str, outcome: &Outcome, took: Duration) {
    if log.wants(Level::Decision) {
        let took = took.as_secs_f64() * 1000.0;
        let says = match outcome {
            Ok(Verdict::Clean) => "clean".to_owned(),
            Ok(Verdict::Infected(threat)) => format!("infected with {threat}"),
            Ok(Verdict::MinorError(error)) => format!("not scannable: {}", error.text),
            Err(fault) => format!("no verdict: {fault}"),
        };
        log.line(
            Level::Decision,
            &format!("{}: {says} (scanned by {scanner} in {took:.1} ms)", quoted(place)),
        );
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
    /// Whether the outcome is that of an earlier scan.
    pub(crate) is_remembered: bool,
    /// What was done with the file, or why that failed.
    pub(crate) action: Option<ActionTaken>,
}

impl Finding<'_> {
    /// The line; a clean file has none here.
    pub(crate) fn line(&self) -> Option<(Level, String)> {
        let (level, what) = match self.outcome {
            Ok(Verdict::Clean) => return None,
            Ok(Verdict::Infected(threat)) => (Level::Alert, format!("is infected with {threat}")),
            Ok(Verdict::MinorError(error)) => {
                (Level::Error, format!("could not be scanned ({})", error.text))
            }
            Err(fault) => (Level::Error, format!("could not be scanned ({fault})")),
        };
        let mut line = format!("{} {what}: {}", quoted(self.place), self.consequence());
        if let Some(action) = &self.action {
            // Writing to a String cannot fail.
            let _ = write!(line, "; {}", action.text);
        }
        let Context { share, user, client, .. } = self.context;
        let when = match self.occasion {
            Occasion::Open => "open",
            Occasion::Close => "close",
        };
        let _ = write!(line, " ({when}, share {}, user {}, client {client}", text(share), text(user));
        let _ = write!(line, ", scanner {})", self.scanner);
        Some((level, line))
    }

    fn consequence(&self) -> &'static str {
        match (self.decision.access, self.occasion) {
            (Access::Deny(_), Occasion::Open) => "access denied",
            // There is no access to deny: the content is there already, and the next open is what counts.
            (Access::Deny(_), Occasion::Close) => "access denied from now on",
            (Access::AllowUnenforced(_), _) => "would be denied, but allowed because of \"enforce = no\"",
            (Access::Allow, Occasion::Open) => "allowed by the settings",
            (Access::Allow, Occasion::Close) => "kept by the settings",
        }
    }
}

/// A file that the rules leave alone.
pub(crate) fn not_scanned(log: &dyn Log, place: &Place<'_>, reason: &Reason) {
    // What `enforce = no` lets pass has to be seen in a trial, the rest only by those who ask for it.
    let level = match reason {
        Reason::OverMaxSize { unenforced: true, .. } => Level::Error,
        Reason::OverMaxSize { unenforced: false, .. }
        | Reason::Empty
        | Reason::UnderMinSize { .. }
        | Reason::ExcludedByRegexp
        | Reason::ExcludedPath(_)
        | Reason::NotIncluded
        | Reason::ExcludedType(_) => Level::Decision,
    };
    if log.wants(level) {
        log.line(level, &format!("{}: not scanned: {reason}", quoted(place)));
    }
}

/// A find in content that the administrator trusts.
pub(crate) fn trusted(log: &dyn Log, place: &Place<'_>, scanner: &str, threat: &ThreatName) {
    let says = format!("{scanner} finds {threat}, but its content is trusted (trusted files)");
    log.line(Level::Notice, &format!("{}: {says}: allowed", quoted(place)));
}

/// A file that the rules refuse without a scan.
pub(crate) fn refused(log: &dyn Log, place: &Place<'_>, reason: &Reason) {
    log.line(Level::Error, &format!("{}: not scanned: {reason}: access denied", quoted(place)));
}

/// A note beside an infected file that is not as it should be.
pub(crate) fn no_note(log: &dyn Log, place: &Place<'_>, why: &str, errno: Errno) {
    let reason = std::io::Error::from(errno);
    log.line(
        Level::Error,
        &format!("{}: the note beside it {why} ({reason}): see \"warning file\"", quoted(place)),
    );
}

/// A file of a share that is closed because of its configuration.
pub(crate) fn config_error(log: &dyn Log, place: &Place<'_>) {
    let why = "access denied because the configuration has errors (see above) and \"on config error = deny\"";
    log.line(Level::Error, &format!("{}: {why}", quoted(place)));
}

/// A quote in the name must not look like the end of it: what follows could read like a find in another file.
fn quoted(place: &Place<'_>) -> String {
    format!("\"{}\"", text_of(place.path).replace('"', "\\\""))
}

fn text(name: &str) -> String {
    text_of(name.as_bytes())
}

fn text_of(bytes: &[u8]) -> String {
    Printable(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_own_quotes() {
        let place = Place { path: br#"/s/a" is infected: \"#, path_in_share: b"" };
        assert_eq!(quoted(&place), r#""/s/a\" is infected: \\""#);
    }
}
