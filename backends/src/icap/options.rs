//! What a service says of itself, and for how long that holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::answer;
use crate::head::Head;
use crate::verdict::Fault;

/// The longest time for which an answer to OPTIONS is believed: servers tell an hour by custom, and some a year.
const LONGEST: Duration = Duration::from_secs(3600);

/// What an OPTIONS answer tells of a service, as far as a request depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// How many bytes of a file the service wants to see first, at most; `None` takes all at once.
    pub(super) preview: Option<u64>,
    /// The version of the service.
    pub(super) istag: Option<Vec<u8>>,
    /// How long this holds. A service that does not tell is asked again for each file.
    pub(super) lifetime: Duration,
}

impl Options {
    pub(super) fn of(head: &Head, service: &str) -> Result<Self, Fault> {
        let misbehaved = |text: String| Err(Fault::Misbehaved(text.into()));
        match head.status {
            200 => {}
            // Allowed by no RFC, but RESPMOD may work all the same.
            405 | 501 => return Ok(Self::default()),
            _ => return Err(answer::failed(head, service)),
        }
        if head.lists("connection", "close") {
            return misbehaved("the ICAP server hangs up after OPTIONS: it must keep the connection".into());
        }
        if head.value("methods").is_some() && !head.lists("methods", "RESPMOD") {
            return misbehaved(format!(
                "the ICAP service {service} does not scan (no RESPMOD in its Methods)"
            ));
        }
        let has_body = head.value("encapsulated").is_some_and(|value| value.starts_with(b"opt-body"));
        if has_body {
            return misbehaved(
                "the ICAP server's OPTIONS have a body, which nobody knows how to read".into(),
            );
        }
        let lifetime = Duration::from_secs(number(head, "options-ttl").unwrap_or(0)).min(LONGEST);
        let istag = head.value("istag").map(<[u8]>::to_vec);
        Ok(Self { preview: number(head, "preview"), istag, lifetime })
    }

    /// Whether an answer comes from the service that these were told by: a new ISTag is a new service (RFC 3507, 4.7).
    pub(super) fn are_of(&self, answer: &Head) -> bool {
        match (answer.value("istag"), &self.istag) {
            (Some(now), Some(then)) => now == then,
            (None, _) | (_, None) => true,
        }
    }
}

fn number(head: &Head, name: &str) -> Option<u64> {
    std::str::from_utf8(head.value(name)?).ok()?.parse().ok()
}

/// The options of one service, from one scan to the next.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Option<(Options, Duration)>>>);

impl Memory {
    /// What was told, if it still holds at this time.
    pub(super) fn recall(&self, now: Duration) -> Option<Options> {
        self.lock().as_ref().filter(|(_, until)| now < *until).map(|(options, _)| options.clone())
    }

    /// Keeps what was told at this time.
    pub(super) fn keep(&self, options: &Options, now: Duration) {
        *self.lock() = Some((options.clone(), now.saturating_add(options.lifetime)));
    }

    /// The service is to be asked again.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Options, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
