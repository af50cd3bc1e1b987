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
use crate::fingerprint::Fingerprint;
use crate::log::{Level, Log};

/// What is known of a scanner's signatures.
#[derive(Default)]
pub(super) struct Signatures {
    version: RefCell<Option<String>>,
    asked: Cell<Option<Instant>>,
    is_asking: Cell<bool>,
    changes: Cell<u64>,
    /// It was asked and did not tell.
    is_silent: Cell<bool>,
    /// What other processes have heard is out of date.
    must_ask: Cell<bool>,
}

impl Signatures {
    /// Asks at the next opportunity.
    pub(super) fn ask_soon(&self) {
        self.asked.set(None);
        self.must_ask.set(true);
    }

    /// How often they have changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes.get()
    }

    fn are_told(&self) -> bool {
        self.version.borrow().is_some() && !self.is_silent.get()
    }

    fn is_due(&self, now: Instant, interval: Duration) -> bool {
        let is_time = |asked: Instant| now.saturating_duration_since(asked) >= interval;
        !self.is_asking.get() && self.asked.get().is_none_or(is_time)
    }

    /// The former version, if this is another one. The first version that is heard of is no change, unless it was asked
    /// for in vain before: nobody knows whether it was the same then.
    fn told(&self, version: &str) -> Option<String> {
        let was_silent = self.is_silent.replace(false);
        let former = self.version.replace(Some(version.to_owned()));
        if former.as_deref().map_or(was_silent, |former| former != version) {
            self.changes.set(self.changes.get() + 1);
        }
        former.filter(|former| former != version)
    }
}

impl Pool {
    /// A number that is another one as soon as the signatures of any scanner have changed.
    pub fn signature_changes(&self) -> u64 {
        self.members().map(|member| member.health.signatures.changes()).sum()
    }

    /// Whether new signatures of every scanner are noticed: each tells its version.
    pub(crate) fn tells_versions(&self) -> bool {
        self.members().map(|member| &member.health.signatures).all(Signatures::are_told)
    }

    /// Adds the versions of all scanners; none while one has not been asked yet. With `are_asked` false, nobody ever is.
    pub(crate) fn stamp(&self, are_asked: bool, all: Fingerprint) -> Option<Fingerprint> {
        self.members().try_fold(all, |all, member| {
            let signatures = &member.health.signatures;
            match &*signatures.version.borrow() {
                Some(version) if are_asked => Some(all.bytes(version.as_bytes())),
                _ if !are_asked || signatures.is_silent.get() || !can_be_asked(member) => {
                    Some(all.bytes(b""))
                }
                _ => None,
            }
        })
    }

    /// Whether the version of any scanner should be asked for now.
    pub(crate) fn is_check_due(&self, interval: Duration, now: Instant) -> bool {
        self.members().any(|member| member.health.signatures.is_due(now, interval))
    }

    /// Takes over what other processes have heard, of scanners whose version should be asked for now.
    pub(crate) fn adopt_due(&self, interval: Duration, now: Instant, heard: &Heard<'_>, log: &dyn Log) {
        let is_due = |member: &&Member| member.health.signatures.is_due(now, interval);
        self.members().filter(is_due).for_each(|member| adopt(member, interval, now, heard, log));
    }

    /// The same of all of them.
    pub(crate) fn adopt_all(&self, interval: Duration, now: Instant, heard: &Heard<'_>, log: &dyn Log) {
        self.members().for_each(|member| adopt(member, interval, now, heard, log));
    }

    /// The next question for a version that should be asked now, if any scanner is due.
    pub fn begin_check(&self, interval: Duration, timeouts: Timeouts, now: Instant) -> Option<Check> {
        let is_due =
            |member: &&Member| !member.health.is_down() && member.health.signatures.is_due(now, interval);
        self.members().filter(is_due).find_map(|member| Check::new(member, timeouts, now))
    }
}

/// What some process has heard of the version of a scanner, and how long ago.
pub(crate) type Heard<'a> = dyn Fn(&str) -> Option<(String, Duration)> + 'a;

fn can_be_asked(member: &Member) -> bool {
    member.scanner.endpoint().is_some() && member.scanner.version_query().is_some()
}

fn adopt(member: &Member, interval: Duration, now: Instant, heard: &Heard<'_>, log: &dyn Log) {
    let signatures = &member.health.signatures;
    if signatures.must_ask.get() {
        return;
    }
    let Some((version, age)) = heard(&member.spec) else { return };
    let is_news = |asked: Instant| now.saturating_duration_since(asked) > age;
    if age < interval && signatures.asked.get().is_none_or(is_news) {
        signatures.asked.set(now.checked_sub(age));
        tell(member.shown(), signatures, &version, log);
    }
}

/// Says so if the signatures have changed.
fn tell(scanner: String, signatures: &Signatures, version: &str, log: &dyn Log) {
    if let Some(former) = signatures.told(version) {
        let text = format!(
            "scanner {scanner} has new signatures ({version}, before: {former}): earlier results are void"
        );
        log.line(Level::Notice, &text);
    }
}

/// A question for a scanner's version that is under way.
pub struct Check {
    /// Advance this until it is done.
    pub exchange: Exchange,
    told: Arc<Mutex<Option<String>>>,
    shown: String,
    spec: String,
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
        member.health.signatures.must_ask.set(false);
        let query = member.scanner.version_query()?;
        let endpoint = member.scanner.endpoint()?.clone();
        // An exchange is about a file; this one is about none.
        let nothing: OwnedFd = std::fs::File::open("/dev/null").ok()?.into();
        let told = Arc::new(Mutex::new(None));
        let question = Question::new(endpoint, query, told.clone());
        let object = Object::new(b"", 0);
        let deadline = now + timeouts.connect + timeouts.io;
        let exchange = Exchange::new(&question, None, nothing, &object, timeouts, deadline, now);
        member.health.signatures.is_asking.set(true);
        let (shown, spec) = (member.shown(), member.spec.clone());
        Some(Self { exchange, told, shown, spec, asking: Asking(member.health.clone()) })
    }

    /// Says so if the signatures have changed. A version that cannot be told changes nothing. Which scanner has told which
    /// version, if it has.
    pub(crate) fn finish(self, outcome: &Outcome, log: &dyn Log) -> Option<(String, String)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let signatures = &self.asking.0.signatures;
        match (outcome, told) {
            (Ok(_), Some(version)) => {
                tell(self.shown, signatures, &version, log);
                return Some((self.spec, version));
            }
            (Err(fault), _) => {
                log.line(Level::Debug, &format!("scanner {} does not tell its version: {fault}", self.shown));
            }
            (Ok(_), None) => {}
        }
        // One that has told before, and cannot be reached now, has nothing new to tell.
        let was_asked = !matches!(outcome, Err(Fault::Transport(_) | Fault::Caller(_)));
        if was_asked || signatures.version.borrow().is_none() {
            signatures.is_silent.set(true);
        }
        None
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
