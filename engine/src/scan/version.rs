//! Which signatures a scanner has: asked on a connection of its own, beside the scans.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vscan_backends::address::Endpoint;
use vscan_backends::dialogue::{Ask, Dialogue, News, Object, Outcome, Scanner, Step, Takes, VersionQuery};
use vscan_backends::verdict::{Fault, Verdict};

use super::Timeouts;
use super::exchange::Exchange;
use super::health::Health;
use super::pool::{Member, Pool};
use crate::log::{Level, Log};

/// What is known of a scanner's signatures.
#[derive(Default)]
pub(super) struct Signatures {
    version: RefCell<Option<String>>,
    asked: Cell<Option<Instant>>,
    is_asking: Cell<bool>,
    changes: Cell<u64>,
}

impl Signatures {
    /// Asks at the next opportunity.
    pub(super) fn ask_soon(&self) {
        self.asked.set(None);
    }

    /// How often they have changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes.get()
    }

    fn is_due(&self, now: Instant, interval: Duration) -> bool {
        let is_time = |asked: Instant| now.saturating_duration_since(asked) >= interval;
        !self.is_asking.get() && self.asked.get().is_none_or(is_time)
    }

    /// The former version, if this is another one. The first version that is heard of is no change.
    fn told(&self, version: &str) -> Option<String> {
        let former = self.version.replace(Some(version.to_owned())).filter(|former| former != version)?;
        self.changes.set(self.changes.get() + 1);
        Some(former)
    }
}

impl Pool {
    /// A number that is another one as soon as the signatures of any scanner have changed.
    pub fn signature_changes(&self) -> u64 {
        self.members().map(|member| member.health.signatures.changes()).sum()
    }

    /// The next question for a version that should be asked now, if any scanner is due.
    pub fn begin_check(&self, interval: Duration, timeouts: Timeouts, now: Instant) -> Option<Check> {
        let is_due =
            |member: &&Member| !member.health.is_down() && member.health.signatures.is_due(now, interval);
        self.members().filter(is_due).find_map(|member| Check::new(member, timeouts, now))
    }
}

/// A question for a scanner's version that is under way.
pub struct Check {
    /// Advance this until it is done.
    pub exchange: Exchange,
    told: Arc<Mutex<Option<String>>>,
    shown: String,
    asking: Asking,
}

/// That a scanner is being asked; over when this is dropped.
struct Asking(Rc<Health>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.signatures.is_asking.set(false);
    }
}

impl Check {
    /// None for a scanner that cannot be asked.
    fn new(member: &Member, timeouts: Timeouts, now: Instant) -> Option<Self> {
        // Whatever comes of it, the next question is an interval away.
        member.health.signatures.asked.set(Some(now));
        let query = member.scanner.version_query()?;
        let endpoint = member.scanner.endpoint()?.clone();
        // An exchange is about a file; this one is about none.
        let nothing: OwnedFd = std::fs::File::open("/dev/null").ok()?.into();
        let told = Arc::new(Mutex::new(None));
        let question = Question::new(endpoint, query, told.clone());
        let object = Object::new(b"", 0);
        let deadline = now + timeouts.connect + timeouts.io;
        let exchange = Exchange::new(&question, nothing, &object, timeouts, deadline, now);
        member.health.signatures.is_asking.set(true);
        Some(Self { exchange, told, shown: member.shown(), asking: Asking(member.health.clone()) })
    }

    /// Says so if the signatures have changed. A version that cannot be told changes nothing.
    pub fn finish(self, outcome: &Outcome, log: &dyn Log) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (outcome, told) {
            (Ok(_), Some(version)) => {
                if let Some(former) = self.asking.0.signatures.told(&version) {
                    let text = format!(
                        "scanner {} has new signatures ({version}, before: {former}): earlier results are void",
                        self.shown
                    );
                    log.line(Level::Notice, &text);
                }
            }
            (Err(fault), _) => {
                log.line(Level::Debug, &format!("scanner {} does not tell its version: {fault}", self.shown));
            }
            (Ok(_), None) => {}
        }
    }
}

/// A scanner that is asked for its version instead of a verdict.
pub(super) struct Question {
    endpoint: Endpoint,
    query: VersionQuery,
    told: Arc<Mutex<Option<String>>>,
}

impl Question {
    /// The answer goes to `told`.
    pub(super) fn new(endpoint: Endpoint, query: VersionQuery, told: Arc<Mutex<Option<String>>>) -> Self {
        Self { endpoint, query, told }
    }
}

impl Scanner for Question {
    fn name(&self) -> &'static str {
        "version"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        Takes::Stream
    }

    fn begin(&self, _: &Object<'_>) -> Step {
        let conversation =
            Conversation { answer: self.query.answer, received: Vec::new(), told: self.told.clone() };
        let ask = match self.query.request.as_slice() {
            [] => Ask::Read,
            request => Ask::Write(Cow::Owned(request.to_vec())),
        };
        Step::ask(ask, Box::new(conversation))
    }
}

struct Conversation {
    answer: fn(&[u8]) -> Option<Result<String, Fault>>,
    received: Vec<u8>,
    told: Arc<Mutex<Option<String>>>,
}

impl Dialogue for Conversation {
    fn told(mut self: Box<Self>, news: News<'_>) -> Step {
        match news {
            News::Sent | News::SendFailed => return Step::ask(Ask::Read, self),
            News::Received(bytes) => self.received.extend_from_slice(bytes),
            News::EndOfStream => {
                return Step::Done(Err(Fault::Transport("the scanner hung up before it told".into())));
            }
            News::FileEnded(_) => return Step::out_of_turn(news),
        }
        match (self.answer)(&self.received) {
            None => Step::ask(Ask::Read, self),
            Some(Err(fault)) => Step::Done(Err(fault)),
            Some(Ok(version)) => {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                *told = Some(version);
                mem::drop(told);
                // The driver knows no other way to end well.
                Step::Done(Ok(Verdict::Clean))
            }
        }
    }
}
