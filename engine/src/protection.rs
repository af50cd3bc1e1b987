//! One share's protection: rules, scanner, results and actions brought together.
//!
//! The embedder brings files and asks; what comes back is a [`Judgement`], and everything that had to be logged, cached
//! or done about the file has happened by then.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::fstat;
use vscan_backends::dialogue::Outcome;
use vscan_backends::verdict::{Fault, MinorError, MinorErrorKind, Verdict};

use crate::action::Action;
use crate::cache::{Cache, Found, Known};
use crate::counters::{Counters, Event, Parked, ShareCounters};
use crate::epoch::Epoch;
use crate::identity::Identity;
use crate::log::{Level, Log};
use crate::notify::{Channels, Notify, Session};
use crate::policy::{self, Access, Facts, Plan, Status};
use crate::privilege::Privilege;
use crate::report::{self, Finding};
use crate::scan::pool::{Answer, Pool};
use crate::scan::spool;
use crate::settings::Settings;
use crate::shared::SharedCache;
use crate::trusted::Trusted;

mod acting;
mod neighbours;
mod results;
mod scanning;
mod telling;

use acting::Catch;
use neighbours::Neighbours;
use results::Unversioned;
pub use results::key_of;
pub use scanning::{Ended, Scan, Settled};

/// A file that changes during a scan is scanned again, this often in all.
const MAX_SCANS: u32 = 3;

/// Rules, scanner and results of one share.
pub struct Protection {
    settings: Settings,
    pool: Pool,
    epoch: Epoch,
    trusted: Trusted,
    cache: RefCell<Cache>,
    shared: Option<Arc<SharedCache>>,
    neighbours: Neighbours,
    /// Under which results are shared.
    scanners: u64,
    counters: Option<ShareCounters>,
    /// Results that are to be shared as soon as a version of the signatures is known.
    unversioned: RefCell<Vec<Unversioned>>,
    log: Box<dyn Log>,
    privilege: Rc<dyn Privilege>,
    notify: Box<dyn Notify>,
    /// For its events: they all have the same.
    channels: Arc<Channels>,
    /// `on config error = deny`, and there was one.
    refuses_all: bool,
    /// One file after the other is scanned.
    opens_sessions: bool,
}

/// Who is asking for a file; for log lines and records.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The share's name.
    pub share: &'a str,
    /// The share's root directory.
    pub share_path: &'a [u8],
    /// The client's user.
    pub user: &'a str,
    /// The client's address.
    pub client: &'a str,
    /// All that is known of the two, for messages.
    pub session: &'a Session,
}

/// Where a file is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its absolute path.
    pub path: &'a [u8],
    /// The part below the share's root.
    pub path_in_share: &'a [u8],
}

/// Why a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A client opens it.
    Open,
    /// A client has closed it after a change.
    Close,
}

/// What is known of a file before a scan.
#[derive(Debug)]
pub enum Considered {
    /// No scan is needed.
    Judged(Judgement),
    /// It was found infected earlier and has not changed: see [`Protection::act_on_known`].
    KnownInfected(Found),
    /// Only a scan can tell.
    Unknown,
}

/// The answer about a file.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The file may be seen.
    Allowed(Allowance),
    /// It may not.
    Denied(Denial),
}

/// How far a permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// The file in this state, and no other.
    Exactly(Identity),
    /// Whatever is in it: it has no verdict, and the settings let it pass all the same.
    AnyContent,
}

impl Judgement {
    /// Denied without anything having been found.
    const DENIED_UNKNOWN: Self = Self::Denied(Denial { status: Status::AccessDenied, infected: false });
}

/// How a denied request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The status for the client.
    pub status: Status,
    /// Whether something was found, rather than not found out.
    pub infected: bool,
}

impl Protection {
    /// Protection by these settings. `refuses_all` closes the share for all reading.
    pub fn new(
        settings: Settings,
        pool: Pool,
        log: Box<dyn Log>,
        privilege: Box<dyn Privilege>,
        notify: Box<dyn Notify>,
        refuses_all: bool,
    ) -> Self {
        let cache = Cache::new(settings.cache.map_or(0, |limits| limits.entries));
        if let Some(directory) = &settings.spool_directory {
            // What an smbd that was killed has left behind.
            (*privilege).raised(|| spool::sweep(directory, SystemTime::now()));
        }
        let epoch = Epoch::new(settings.signature_epoch_file.clone());
        let scanners = results::fingerprint_of_scanners(&settings);
        let trusted = Trusted::new(settings.trusted_files.clone());
        Self {
            channels: Arc::new(settings.notify.channels.clone()),
            settings,
            pool,
            epoch,
            trusted,
            cache: RefCell::new(cache),
            shared: None,
            neighbours: Neighbours::default(),
            scanners,
            counters: None,
            unversioned: RefCell::default(),
            log,
            privilege: Rc::from(privilege),
            notify,
            refuses_all,
            opens_sessions: false,
        }
    }

    /// Asks scanners in sessions, where they have them. For those who scan one file after the other, and say so when they
    /// pause ([`crate::scan::close_connections`]): to clamd, a session is a client that it waits for, and there can be few.
    pub fn in_sessions(mut self) -> Self {
        self.opens_sessions = true;
        self
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the lines go.
    pub fn log(&self) -> &dyn Log {
        &*self.log
    }

    /// Counts what happens in this share, if the settings say where. In smbd, not before the fork: in `connect`.
    pub fn with_counters(mut self, share: &str) -> Self {
        if let Some(file) = &self.settings.counters_file {
            match self.privilege.raised(|| Counters::open(file)) {
                Ok(counters) => self.counters = Some(counters.share(share)),
                Err(error) => {
                    let text = format!("nothing is counted: counters file {}: {error}", file.display());
                    self.log.line(Level::Error, &text);
                }
            }
        }
        self
    }

    /// Counts something.
    pub fn count(&self, event: Event) {
        if let Some(counters) = &self.counters {
            counters.count(event);
        }
    }

    /// Counts a request as parked, until what this gives is dropped.
    pub fn count_parked(&self) -> Option<Parked> {
        self.counters.as_ref().map(ShareCounters::park)
    }

    /// Whether this process has found the file clean in this state and no rule says otherwise: what most opens are about,
    /// and cheaper to hear than by [`Protection::consider`]. `path` is for the log.
    pub fn recalls_clean(&self, identity: &Identity, path: impl FnOnce() -> Vec<u8>) -> bool {
        let is_clean = !self.refuses_all
            && !policy::refuses_size(identity.size, &self.settings)
            && self.recall(identity) == Some(Known::Clean);
        if is_clean {
            self.count(Event::HitOwn);
            if self.log.wants(Level::Decision) {
                let path = &path();
                report::known_clean(self.log(), &Place { path, path_in_share: path });
            }
        }
        is_clean
    }

    /// What the rules and earlier scans say. `file_type` is asked only if a rule needs it.
    pub fn consider(
        &self,
        place: &Place<'_>,
        identity: &Identity,
        file_type: &dyn Fn() -> Option<String>,
    ) -> Considered {
        if self.refuses_all {
            report::config_error(self.log(), place);
            return Considered::Judged(Judgement::DENIED_UNKNOWN);
        }
        // Before the rules, which cost more: what they would leave alone is allowed as well.
        if self.recalls_clean(identity, || place.path.to_vec()) {
            return Considered::Judged(Judgement::Allowed(Allowance::Exactly(*identity)));
        }
        let facts =
            Facts { path: place.path, path_in_share: place.path_in_share, size: identity.size, file_type };
        match policy::before(&facts, &self.settings) {
            Plan::Skip(reason) => {
                report::not_scanned(self.log(), place, &reason);
                Considered::Judged(Judgement::Allowed(Allowance::Exactly(*identity)))
            }
            Plan::Refuse(reason) => {
                report::refused(self.log(), place, &reason);
                Considered::Judged(Judgement::DENIED_UNKNOWN)
            }
            Plan::Scan => match self.recall_any(place, identity) {
                Some(Known::Clean) => {
                    report::known_clean(self.log(), place);
                    Considered::Judged(Judgement::Allowed(Allowance::Exactly(*identity)))
                }
                Some(Known::Infected(found)) => Considered::KnownInfected(found),
                None => Considered::Unknown,
            },
        }
    }

    /// Does and says what follows from a scan that is over.
    pub fn conclude(
        &self,
        ended: &Ended,
        place: &Place<'_>,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        let Ended { file, identity, answer } = ended;
        let heard = Heard { answer, is_remembered: false, file: Some(file.as_fd()), identity: *identity };
        self.judge(&heard, place, occasion, context)
    }

    /// Answers for a file whose scan did not come to its turn before its deadline.
    pub fn out_of_time(&self, place: &Place<'_>, occasion: Occasion, context: &Context<'_>) -> Judgement {
        let limit = self.settings.scan_timeout.as_secs_f64();
        let why =
            format!("it waited for other scans for all of its {limit} s (scan timeout, max scans in flight)");
        let outcome = Err(Fault::Transport(why.into()));
        self.judge(&Heard::nothing(&self.nobodys(outcome)), place, occasion, context)
    }

    /// Answers for a file that has changed after each of several scans that a client has waited for.
    pub fn give_up(&self, place: &Place<'_>, identity: &Identity, context: &Context<'_>) -> Judgement {
        let answer = &self.nobodys(unsteady(Ok(Verdict::Clean)));
        let heard = Heard { identity: *identity, ..Heard::nothing(answer) };
        self.judge(&heard, place, Occasion::Open, context)
    }

    /// Answers for a file that is known to be infected, and tries once more what is to be done with it.
    pub fn act_on_known(
        &self,
        found: &Found,
        file: impl AsFd,
        place: &Place<'_>,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        let outcome = Ok(Verdict::Infected(found.threat.clone()));
        let answer = Answer { outcome, scanner: found.scanner.clone() };
        let identity = identity_of(file.as_fd());
        let heard = Heard { answer: &answer, is_remembered: true, file: Some(file.as_fd()), identity };
        self.judge(&heard, place, occasion, context)
    }

    /// Answers for a file that smbd has open and vscan cannot read.
    pub fn cannot_read(
        &self,
        place: &Place<'_>,
        identity: &Identity,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        let outcome = Err(Fault::Caller("vscan cannot open it for reading".into()));
        let answer = &self.nobodys(outcome);
        self.judge(&Heard { identity: *identity, ..Heard::nothing(answer) }, place, occasion, context)
    }

    /// What follows from an outcome: the action, the line in the log, the answer.
    fn judge(
        &self,
        heard: &Heard<'_>,
        place: &Place<'_>,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        let Heard { answer: Answer { outcome, scanner }, is_remembered, file, identity } = heard;
        if self.trusts(heard, place) {
            return Judgement::Allowed(Allowance::Exactly(*identity));
        }
        match outcome {
            Ok(Verdict::Clean) => {}
            Ok(Verdict::Infected(_)) => self.count(Event::Infected),
            Ok(Verdict::MinorError(_)) | Err(_) => self.count(Event::Error),
        }
        let decision = policy::after(outcome, &self.settings);
        let action = match (decision.action, outcome, *file) {
            (Action::Nothing, ..) => None,
            (action, Ok(Verdict::Infected(threat)), Some(file)) => {
                let catch = Catch { file, identity: *identity, threat, scanner, place, occasion, context };
                Some(self.act(action, &catch))
            }
            (_, Ok(_) | Err(_), _) => None,
        };
        let is_remembered = *is_remembered;
        let decided = &decision;
        self.tell(&Finding {
            place,
            occasion,
            context,
            scanner,
            outcome,
            decision: decided,
            is_remembered,
            action,
        });
        match decision.access {
            Access::Allow if matches!(outcome, Ok(Verdict::Clean)) => {
                Judgement::Allowed(Allowance::Exactly(*identity))
            }
            Access::Allow | Access::AllowUnenforced(_) => Judgement::Allowed(Allowance::AnyContent),
            Access::Deny(status) => {
                let infected = matches!(outcome, Ok(Verdict::Infected(_)));
                Judgement::Denied(Denial { status, infected })
            }
        }
    }

    /// Whether something was found in content that the administrator trusts.
    fn trusts(&self, heard: &Heard<'_>, place: &Place<'_>) -> bool {
        let (Ok(Verdict::Infected(threat)), Some(file)) = (&heard.answer.outcome, heard.file) else {
            return false;
        };
        let is_trusted = self.trusted.covers(file, &heard.identity, &*self.privilege);
        match &is_trusted {
            Ok(true) => report::trusted(self.log(), place, &heard.answer.scanner, threat),
            Ok(false) => {}
            Err(why) => self.log().line(Level::Error, why),
        }
        is_trusted == Ok(true)
    }

    /// An answer that no scanner in particular has given.
    fn nobodys(&self, outcome: Outcome) -> Answer {
        Answer { outcome, scanner: self.pool.names() }
    }
}

/// What there is to judge a file by.
struct Heard<'a> {
    answer: &'a Answer,
    /// Whether that is the answer of an earlier scan.
    is_remembered: bool,
    /// The file, if something can be done with it.
    file: Option<BorrowedFd<'a>>,
    identity: Identity,
}

impl<'a> Heard<'a> {
    /// An answer, and no file.
    fn nothing(answer: &'a Answer) -> Self {
        Self { answer, is_remembered: false, file: None, identity: Identity::default() }
    }
}

/// The state of an open file. A file that the kernel cannot look at (a network filesystem gone) equals no other.
fn identity_of(file: BorrowedFd<'_>) -> Identity {
    fstat(file).map_or_else(|_| Identity::default(), |stat| Identity::of(&stat))
}

/// The outcome for a file that did not hold still: a threat that was seen is a threat, but nothing else is certain.
fn unsteady(outcome: Outcome) -> Outcome {
    match outcome {
        Ok(Verdict::Clean | Verdict::MinorError(_)) => Ok(Verdict::MinorError(MinorError::new(
            MinorErrorKind::NotScannable,
            format!("it kept changing while it was scanned {MAX_SCANS} times").as_bytes(),
        ))),
        found @ (Ok(Verdict::Infected(_)) | Err(_)) => found,
    }
}

#[cfg(test)]
mod tests;
