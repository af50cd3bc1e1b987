//! Scans: from a file to an answer of the scanners, whoever drives them.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, statat};
use vscan_backends::dialogue::{Object, Outcome, Scanner, Takes};
use vscan_backends::verdict::Fault;

use super::{Context, Judgement, MAX_SCANS, Occasion, Place, Protection, identity_of, unsteady};
use crate::cache::{Circumstances, Known};
use crate::counters::Event;
use crate::identity::{FileTime, Identity, granularity};
use crate::log::Level;
use crate::policy::{self, Access};
use crate::report;
use crate::scan::exchange::{Exchange, Progress};
use crate::scan::pool::{Answer, Member, Round, Within};
use crate::scan::spool::Spooled;
use crate::scan::version::Check;
use crate::scan::{Timeouts, blocking};
use crate::shared::Generation;

/// A scan under way, for those who drive it by themselves.
pub struct Scan {
    /// Advance this until it is done.
    pub exchange: Exchange,
    round: Round,
    about: About,
}

/// What a scan is about.
struct About {
    identity: Identity,
    began: FileTime,
    started: Instant,
    deadline: Instant,
    signatures: u64,
    shared_signatures: Option<u64>,
    generation: Option<Generation>,
    /// Somebody could write to it when the scan began.
    had_writers: bool,
    attempt: u32,
    path: Vec<u8>,
}

/// On which connection a scanner is asked.
#[derive(Clone, Copy)]
enum Line {
    /// One that an earlier scan has left, or one that later scans may have.
    Any,
    /// A fresh one, and no session.
    ItsOwn,
}

/// What the end of an exchange leads to.
pub enum Settled {
    /// The file has changed meanwhile, or another scanner is to be asked: this scan goes on.
    Again(Box<Scan>),
    /// There is an outcome: see [`Protection::conclude`].
    Ended(Ended),
}

/// A scan that is over.
pub struct Ended {
    pub(super) file: OwnedFd,
    pub(super) identity: Identity,
    pub(super) answer: Answer,
}

impl Ended {
    /// What the scanners have said.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }
}

impl Protection {
    /// Scans a file and waits for the end. `file` is a private descriptor opened for reading.
    pub fn scan(
        &self,
        file: OwnedFd,
        place: &Place<'_>,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        let deadline = Instant::now() + self.settings.scan_timeout;
        self.wait_for(self.begin(file, place, deadline), place, occasion, context)
    }

    /// Waits for the end of a scan that was begun.
    pub fn wait_for(
        &self,
        scan: Scan,
        place: &Place<'_>,
        occasion: Occasion,
        context: &Context<'_>,
    ) -> Judgement {
        self.conclude(&self.wait_for_end(scan, place, context), place, occasion, context)
    }

    /// Waits for the end of a scan that was begun. The result is remembered, and nothing is done about the file.
    pub fn wait_for_end(&self, mut scan: Scan, place: &Place<'_>, context: &Context<'_>) -> Ended {
        loop {
            let outcome = blocking::run(&mut scan.exchange, &*self.privilege);
            match self.settle(scan, outcome, place, context) {
                Settled::Again(next) => scan = *next,
                Settled::Ended(ended) => return ended,
            }
        }
    }

    /// Advances a scan that was begun, with the rights that it needs.
    pub fn advance(&self, scan: &mut Scan) -> Progress {
        scan.exchange.advance(Instant::now(), &*self.privilege)
    }

    /// Starts a scan that the caller drives, and that is over by the deadline.
    pub fn begin(&self, file: OwnedFd, place: &Place<'_>, deadline: Instant) -> Scan {
        self.attempt(file, place.path.to_vec(), deadline, 1)
    }

    fn attempt(&self, file: OwnedFd, path: Vec<u8>, deadline: Instant, attempt: u32) -> Scan {
        // All before the scan: whatever happens to the file from here on makes a difference at the end.
        let began = FileTime::now();
        let signatures = self.signatures(Instant::now());
        let shared_signatures = self.shared_signatures();
        let generation = self.generation();
        let identity = identity_of(file.as_fd());
        // A mapped file can be written to without a trace if that has begun before the scan; whoever comes later leaves one.
        let had_writers = self.settings.cache.is_some() && self.has_writers(&file);
        let now = Instant::now();
        let mut round = Round::default();
        let exchange = match self.pool.next(&mut round, now) {
            Some(member) => self.ask(member, Line::Any, file, &path, &identity, deadline),
            // The round knows why.
            None => Exchange::failed(file, Fault::Caller("nobody was asked".into()), self.timeouts(), now),
        };
        let about = About {
            identity,
            began,
            started: now,
            deadline,
            signatures,
            shared_signatures,
            generation,
            had_writers,
            attempt,
            path,
        };
        Scan { exchange, round, about }
    }

    /// Begins to ask one scanner.
    fn ask(
        &self,
        member: &Member,
        line: Line,
        file: OwnedFd,
        path: &[u8],
        identity: &Identity,
        deadline: Instant,
    ) -> Exchange {
        let (now, timeouts, scanner) = (Instant::now(), self.timeouts(), member.scanner());
        if let Some(directory) = self.spool_for(scanner) {
            return self.ask_about_copy(member, file, directory, identity, deadline);
        }
        if scanner.takes() == Takes::Copy {
            let why = format!("{} is told of copies alone, and there is no spool directory", scanner.name());
            return Exchange::failed(file, Fault::Transport(why.into()), timeouts, now);
        }
        if !finds_by_path(scanner, path, identity) {
            let why = "its path leads to another file than the one that was opened";
            return Exchange::failed(file, Fault::Caller(why.into()), timeouts, now);
        }
        let path = match (scanner.takes(), scanner.endpoint()) {
            (Takes::Path, Some(_)) => self.settings.path_map.seen_by_scanner(path),
            (Takes::Path | Takes::Descriptor | Takes::Stream | Takes::Copy, _) => path.into(),
        };
        let (kept, has_sessions) = match line {
            Line::Any => (member.connections().take(now), self.opens_sessions && scanner.has_sessions()),
            Line::ItsOwn => (None, false),
        };
        let series = match &kept {
            Some(used) => used.series.map(|series| series.scans),
            None => has_sessions.then_some(0),
        };
        let object = Object { asked_at: self.pool.age(now), series, ..Object::new(&path, identity.size) };
        Exchange::new(scanner, kept, file, &object, timeouts, deadline, now)
    }

    /// The same with a copy of the file, for a scanner that cannot see it.
    fn ask_about_copy(
        &self,
        member: &Member,
        file: OwnedFd,
        directory: &Path,
        identity: &Identity,
        deadline: Instant,
    ) -> Exchange {
        let (now, timeouts) = (Instant::now(), self.timeouts());
        let create = match member.scanner().takes() {
            Takes::Copy => Spooled::create_for_marks,
            Takes::Path | Takes::Descriptor | Takes::Stream => Spooled::create,
        };
        let spooled = match create(directory, &self.privilege) {
            Ok(spooled) => spooled,
            // No file has done anything wrong: the scanner cannot be asked.
            Err(why) => return Exchange::failed(file, Fault::Transport(why.into()), timeouts, now),
        };
        let path = self.settings.path_map.seen_by_scanner(spooled.path()).into_owned();
        let object = Object { asked_at: self.pool.age(now), ..Object::new(&path, identity.size) };
        // Only streams leave connections behind, and those need no copy.
        Exchange::new(member.scanner(), None, file, &object, timeouts, deadline, now).with_copy(spooled)
    }

    /// Where the files that this scanner is told of are copied to. What has no daemon runs here, and sees the files.
    fn spool_for(&self, scanner: &dyn Scanner) -> Option<&Path> {
        match (scanner.takes(), scanner.endpoint()) {
            (Takes::Path | Takes::Copy, Some(_)) => self.settings.spool_directory.as_deref(),
            (Takes::Path | Takes::Copy | Takes::Descriptor | Takes::Stream, _) => None,
        }
    }

    /// Whether the scanner was given this file; one that has a copy of it was.
    fn still_finds(&self, scanner: &dyn Scanner, path: &[u8], identity: &Identity) -> bool {
        self.spool_for(scanner).is_some() || finds_by_path(scanner, path, identity)
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: self.settings.connect_timeout,
            io: self.settings.io_timeout,
            scan: self.settings.scan_timeout,
        }
    }

    /// Takes the outcome of an exchange to the end of the scan, or to the next scanner, or to the next attempt.
    pub fn settle(&self, scan: Scan, outcome: Outcome, place: &Place<'_>, context: &Context<'_>) -> Settled {
        let Scan { exchange, mut round, about } = scan;
        let About { identity, deadline, attempt, .. } = about;
        let now = Instant::now();
        let was_connected = exchange.was_connected();
        let was_stale = exchange.was_stale();
        let (file, connection) = exchange.end();
        if was_stale && let Some(member) = self.pool.asked(&round) {
            // That is no news of the scanner.
            member.connections().close();
            let exchange = self.ask(member, Line::ItsOwn, file, &about.path, &identity, deadline);
            return Settled::Again(Box::new(Scan { exchange, round, about }));
        }
        let tell = |change| self.tell_change(change, context);
        let within = Within { now, deadline, tell: &tell };
        let asked = self.pool.heard(&mut round, &outcome, was_connected, &within);
        if let Some(member) = asked {
            if let Some(connection) = connection {
                member.connections().keep(connection, now);
            }
            let took = now.saturating_duration_since(about.started);
            report::scanned(self.log(), place, member.scanner().name(), &outcome, took);
        }
        let changed = outcome.is_ok()
            && (identity_of(file.as_fd()) != identity
                || asked.is_some_and(|member| !self.still_finds(member.scanner(), &about.path, &identity)));
        if changed && attempt < MAX_SCANS {
            return Settled::Again(Box::new(self.attempt(file, about.path, deadline, attempt + 1)));
        }
        if !changed
            && now < deadline
            && let Some(member) = self.pool.next(&mut round, now)
        {
            let exchange = self.ask(member, Line::Any, file, &about.path, &identity, deadline);
            return Settled::Again(Box::new(Scan { exchange, round, about }));
        }
        Settled::Ended(self.end(file, round, &about, changed))
    }

    /// Remembers what the scanners have said, if that is possible.
    fn end(&self, file: OwnedFd, round: Round, about: &About, changed: bool) -> Ended {
        self.count(Event::Scan);
        let is_denied = |outcome: &Outcome| policy::after(outcome, &self.settings).access != Access::Allow;
        let mut answer = self.pool.answer(&round, is_denied);
        if changed {
            answer.outcome = unsteady(answer.outcome);
        }
        let known = |verdict| Known::from_verdict(verdict, &answer.scanner);
        if let Some(known) = answer.outcome.as_ref().ok().and_then(known).filter(|_| !changed)
            && self.may_be_kept(&known, &file, about)
        {
            let circumstances = Circumstances {
                began: about.began,
                signatures: about.signatures,
                shared_signatures: about.shared_signatures,
                generation: about.generation,
                granularity: granularity(file.as_fd()),
                ended: Instant::now(),
            };
            self.remember(&file, about.identity, known, &circumstances);
        }
        Ended { file, identity: about.identity, answer }
    }

    /// A clean file may not be clean for long while somebody can write to it.
    fn may_be_kept(&self, known: &Known, file: &OwnedFd, about: &About) -> bool {
        match known {
            Known::Clean => self.settings.cache.is_some() && !about.had_writers && !self.has_writers(file),
            Known::Infected(_) => true,
        }
    }

    /// A number that changes with anything that voids all results.
    pub(super) fn signatures(&self, now: Instant) -> u64 {
        if let Some(file) = self.epoch.look(now, &*self.privilege) {
            let text = format!("{} was touched: earlier results are void", file.display());
            self.log().line(Level::Notice, &text);
        }
        let flushes = match &self.counters {
            Some(counters) => counters.flushes(),
            None => self.generation().map_or(0, Generation::number),
        };
        flushes.wrapping_add(self.epoch.changes() + self.pool.signature_changes())
    }

    /// Advances a question for a scanner's version, with the rights that it needs.
    pub fn advance_check(&self, check: &mut Check) -> Progress {
        check.exchange.advance(Instant::now(), &*self.privilege)
    }
}

/// Whether a scanner that is given a path gets this file; others always do.
fn finds_by_path(scanner: &dyn Scanner, path: &[u8], identity: &Identity) -> bool {
    match scanner.takes() {
        Takes::Descriptor | Takes::Stream | Takes::Copy => true,
        Takes::Path => statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| Identity::of(&stat).key == identity.key),
    }
}
