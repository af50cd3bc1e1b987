//! One share's protection: rules, scanner, results and actions brought together.
//!
//! The embedder brings files and asks; what comes back is a [`Judgement`], and everything that had to be logged, cached
//! or done about the file has happened by then.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, fstat, statat};
use vscan_backends::dialogue::{Object, Outcome, Scanner, Takes};
use vscan_backends::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};

use crate::cache::{Cache, Known};
use crate::identity::{FileTime, Identity, granularity};
use crate::log::{Level, Log};
use crate::policy::{self, Decision, Facts, Plan};
use crate::privilege::Privilege;
use crate::report;
use crate::scan::exchange::Exchange;
use crate::scan::{Timeouts, blocking};
use crate::settings::{Lifetime, Settings};

/// A file that changes during a scan is scanned again, this often in all.
const MAX_SCANS: u32 = 3;

/// Rules, scanner and results of one share.
pub struct Protection {
    settings: Settings,
    scanner: Box<dyn Scanner>,
    cache: RefCell<Cache>,
    log: Box<dyn Log>,
    privilege: Box<dyn Privilege>,
    /// `on config error = deny`, and there was one.
    refuses_all: bool,
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
    KnownInfected(ThreatName),
    /// Only a scan can tell.
    Unknown,
}

/// The answer about a file.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The file may be seen in this state.
    Allowed(Identity),
    /// It may not.
    Denied(Denial),
}

/// How a denied request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The status for the client.
    pub status: policy::Status,
    /// Whether something was found, rather than not found out.
    pub infected: bool,
}

/// A scan under way, for those who drive it by themselves.
pub struct Scan {
    /// Advance this until it is done.
    pub exchange: Exchange,
    identity: Identity,
    began: FileTime,
    started: Instant,
    attempt: u32,
    path: Vec<u8>,
}

/// What the end of an exchange leads to.
pub enum Finished {
    /// The file has changed meanwhile; this scan is the next attempt.
    Again(Box<Scan>),
    /// This is the answer.
    Judged(Judgement),
}

impl Protection {
    /// Protection by these settings. `refuses_all` closes the share for all reading.
    pub fn new(
        settings: Settings,
        scanner: Box<dyn Scanner>,
        log: Box<dyn Log>,
        privilege: Box<dyn Privilege>,
        refuses_all: bool,
    ) -> Self {
        let cache = match settings.cache {
            None => Cache::new(0, None),
            Some(limits) => Cache::new(
                limits.entries,
                match limits.lifetime {
                    Lifetime::Unlimited => None,
                    Lifetime::Limited(lifetime) => Some(lifetime),
                },
            ),
        };
        Self { settings, scanner, cache: RefCell::new(cache), log, privilege, refuses_all }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the lines go.
    pub fn log(&self) -> &dyn Log {
        &*self.log
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
            return Considered::Judged(Judgement::Denied(Denial {
                status: policy::Status::AccessDenied,
                infected: false,
            }));
        }
        let facts =
            Facts { path: place.path, path_in_share: place.path_in_share, size: identity.size, file_type };
        match policy::before(&facts, &self.settings) {
            Plan::Skip(reason) => {
                report::decision(self.log(), place, &reason);
                Considered::Judged(Judgement::Allowed(*identity))
            }
            Plan::Refuse(reason) => Considered::Judged(self.refuse(place, identity, &reason)),
            Plan::Scan => match self.cache.borrow_mut().lookup(identity, Instant::now()) {
                Some(Known::Clean) => {
                    report::decision(self.log(), place, &"clean, as scanned earlier");
                    Considered::Judged(Judgement::Allowed(*identity))
                }
                Some(Known::Infected(threat)) => Considered::KnownInfected(threat.clone()),
                None => Considered::Unknown,
            },
        }
    }

    /// Scans a file and waits for the end. `file` is a private descriptor opened for reading.
    pub fn scan(&self, file: OwnedFd, place: &Place<'_>, occasion: Occasion, context: &Context<'_>) -> Judgement {
        let mut scan = self.begin(file, place);
        loop {
            let outcome = blocking::run(&mut scan.exchange, &*self.privilege);
            match self.finish(scan, outcome, place, occasion, context) {
                Finished::Again(next) => scan = *next,
                Finished::Judged(judgement) => return judgement,
            }
        }
    }

    /// Starts a scan that the caller drives.
    pub fn begin(&self, file: OwnedFd, place: &Place<'_>) -> Scan {
        self.attempt(file, place.path.to_vec(), 1)
    }

    fn attempt(&self, file: OwnedFd, path: Vec<u8>, attempt: u32) -> Scan {
        // Taken before the scan: a change during it makes the difference at the end.
        let began = FileTime::now();
        let identity = identity_of(file.as_fd());
        let object = Object { path: &path, size: identity.map_or(0, |i| i.size) };
        let started = Instant::now();
        let timeouts = Timeouts {
            connect: self.settings.connect_timeout,
            io: self.settings.io_timeout,
            scan: self.settings.scan_timeout,
        };
        let exchange = match identity {
            Some(identity) if self.finds_by_path(&path, &identity) => {
                Exchange::new(&*self.scanner, file, &object, timeouts, started)
            }
            _ => Exchange::failed(
                file,
                Fault::Caller("the scanner would find another file at its path than the one opened".into()),
            ),
        };
        let identity = identity.unwrap_or(Identity::NONE);
        Scan { exchange, identity, began, started, attempt, path }
    }

    /// Whether a scanner that is given a path gets this file; others always do.
    fn finds_by_path(&self, path: &[u8], identity: &Identity) -> bool {
        match self.scanner.takes() {
            Takes::Descriptor | Takes::Stream => true,
            Takes::Path => statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| Identity::of(&stat).key == identity.key),
        }
    }

    /// Takes the outcome of an exchange to an answer, or to the next attempt.
    pub fn finish(
        &self,
        scan: Scan,
        outcome: Outcome,
        place: &Place<'_>,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Finished {
        let Scan { exchange, identity, began, started, attempt, path } = scan;
        let file = exchange.into_file();
        let changed = outcome.is_ok()
            && (identity_of(file.as_fd()) != Some(identity) || !self.finds_by_path(&path, &identity));
        if changed && attempt < MAX_SCANS {
            return Finished::Again(Box::new(self.attempt(file, path, attempt + 1)));
        }
        let outcome = if changed { unsteady(outcome) } else { outcome };
        report::scanned(self.log(), place, self.scanner.name(), &outcome, started.elapsed());
        if let Some(known) = outcome.as_ref().ok().and_then(Known::from_verdict).filter(|_| !changed) {
            let tick = granularity(file.as_fd());
            self.cache.borrow_mut().store(identity, known, began, tick, Instant::now());
        }
        Finished::Judged(self.conclude(&outcome, file.as_fd(), &identity, place, occasion, context))
    }

    /// Answers for a file that is known to be infected, and tries once more what is to be done with it.
    pub fn act_on_known(
        &self,
        threat: &ThreatName,
        file: impl AsFd,
        place: &Place<'_>,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        let identity = identity_of(file.as_fd()).unwrap_or(Identity::NONE);
        let outcome = Ok(Verdict::Infected(threat.clone()));
        self.conclude(&outcome, file.as_fd(), &identity, place, occasion, context)
    }

    /// Answers for a file that smbd has open and vscan cannot read.
    pub fn cannot_read(
        &self,
        place: &Place<'_>,
        identity: &Identity,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        let fault = Fault::Caller("vscan cannot open it for reading".into());
        let outcome = Err(fault);
        let decision = policy::after(&outcome, &self.settings);
        report::judged(self.log(), place, occasion, context, self.scanner.name(), &outcome, &decision, None);
        judgement(&decision, identity)
    }

    fn refuse(&self, place: &Place<'_>, identity: &Identity, reason: &policy::Reason) -> Judgement {
        let enforced = self.settings.enforce;
        report::refused(self.log(), place, reason, enforced);
        if enforced {
            Judgement::Denied(Denial { status: policy::Status::AccessDenied, infected: false })
        } else {
            Judgement::Allowed(*identity)
        }
    }
}
