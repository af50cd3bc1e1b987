//! Telling people what has been judged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use vscan_backends::dialogue::Outcome;
use vscan_backends::verdict::Verdict;

use super::{Context, Occasion, Place, Protection};
use crate::notify::{ActionTaken, Event, FileEvent, Kind, Occurrence};

/// A file that was judged, and by whose doing.
pub(super) struct Seen<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) occasion: Occasion,
    pub(super) context: &'a Context<'a>,
    pub(super) scanner: &'a str,
    pub(super) is_denied: bool,
}

impl Protection {
    /// Makes an event of an outcome, if anybody wants to hear of it.
    pub(super) fn tell(&self, seen: &Seen<'_>, outcome: &Outcome, action: Option<ActionTaken>) {
        let kind = match outcome {
            Ok(Verdict::Clean) => return,
            Ok(Verdict::Infected(_)) => Kind::Infected,
            Ok(Verdict::MinorError(_)) | Err(_) => Kind::ScanError,
        };
        if !self.settings.notify.channels.want(kind) {
            return;
        }
        let file = FileEvent {
            path: seen.place.path.into(),
            path_in_share: seen.place.path_in_share.into(),
            was_closed: seen.occasion == Occasion::Close,
            is_denied: seen.is_denied,
        };
        let occurrence = match outcome {
            Ok(Verdict::Clean) => return,
            Ok(Verdict::Infected(threat)) => Occurrence::Infected {
                file,
                threat: threat.as_str().to_owned(),
                action: action.unwrap_or_else(ActionTaken::nothing),
            },
            Ok(Verdict::MinorError(error)) => Occurrence::ScanError { file, reason: error.text.clone() },
            Err(fault) => Occurrence::ScanError { file, reason: fault.to_string() },
        };
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.notify.notify(Event {
            id: new_id(since_1970.as_micros()),
            time: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            occurrence,
            share: seen.context.share.to_owned(),
            share_path: seen.context.share_path.into(),
            scanner: seen.scanner.to_owned(),
            session: seen.context.session.clone(),
            channels: self.settings.notify.channels.clone(),
        });
    }
}

/// A name for an event. Two processes have different numbers, and one process counts.
fn new_id(microseconds: u128) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{microseconds:020}-{}-{count}", rustix::process::getpid().as_raw_nonzero())
}
