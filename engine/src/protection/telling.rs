//! Telling people what has happened: in the log, and by events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use vscan_backends::verdict::Verdict;

use super::{Context, Occasion, Protection};
use crate::log::Level;
use crate::notify::{ActionTaken, Event, FileEvent, Occurrence};
use crate::policy::Access;
use crate::report::Finding;
use crate::scan::pool::Change;

impl Protection {
    /// Logs what was found, and has those told of it who want to hear of such things.
    pub(super) fn tell(&self, finding: &Finding<'_>) {
        let Some((level, line)) = finding.line() else { return };
        let file = FileEvent {
            path: finding.place.path.into(),
            path_in_share: finding.place.path_in_share.into(),
            was_closed: finding.occasion == Occasion::Close,
            was_known: finding.is_remembered,
            is_denied: matches!(finding.decision.access, Access::Deny(_)),
        };
        let occurrence = match finding.outcome {
            Ok(Verdict::Clean) => return,
            Ok(Verdict::Infected(threat)) => Occurrence::Infected {
                file,
                threat: threat.as_str().to_owned(),
                action: finding.action.clone().unwrap_or_else(ActionTaken::nothing),
            },
            Ok(Verdict::MinorError(error)) => Occurrence::ScanError { file, reason: error.text.clone() },
            Err(fault) => Occurrence::ScanError { file, reason: fault.to_string() },
        };
        self.tell_event(level, &line, self.event(occurrence, finding.scanner, finding.context));
    }

    /// The same for a scanner that came or went.
    pub(super) fn tell_change(&self, change: Change, context: &Context<'_>) {
        let Change { scanner, is_up, reason, line } = change;
        let level = if is_up { Level::Notice } else { Level::Error };
        let event = self.event(Occurrence::ScannerState { is_up, reason }, &scanner, context);
        self.tell_event(level, &line, event);
    }

    fn tell_event(&self, level: Level, line: &str, event: Event) {
        self.log().event(level, line, &event);
        if self.channels.want(event.kind()) {
            self.notify.notify(event);
        }
    }

    pub(super) fn event(&self, occurrence: Occurrence, scanner: &str, context: &Context<'_>) -> Event {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Event {
            id: new_id(since_1970.as_micros()),
            time: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            occurrence,
            share: context.share.to_owned(),
            share_path: context.share_path.into(),
            scanner: scanner.to_owned(),
            session: context.session.clone(),
            channels: self.channels.clone(),
        }
    }
}

/// A name for an event. Two processes have different numbers, and one process counts.
fn new_id(microseconds: u128) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{microseconds:020}-{}-{count}", rustix::process::getpid().as_raw_nonzero())
}
