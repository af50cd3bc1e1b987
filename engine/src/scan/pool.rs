//! The scanners of a share: which one is asked next, and what their answers mean together.
//!
//! A pool never drives a scan. Whoever does asks it for the next scanner of a [`Round`] until there is none, telling what
//! the one before has said; so waiting for one scanner or for several is the same code. In every mode, one scan asks one
//! scanner at a time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use vscan_backends::command::CommandOptions;
use vscan_backends::dialogue::{Outcome, Scanner};
use vscan_backends::registry::{SpecError, parse_scanner};
use vscan_backends::verdict::{Fault, ThreatName, Verdict};

use super::health::{Failure, Health, State, Turn};
use super::kept::Kept;
use crate::settings::ScannerMode;

/// The scanners of a share.
pub struct Pool {
    members: Vec<Member>,
    mode: ScannerMode,
    /// Where `balance` begins to look: many processes with one scan each should not all ask the first one.
    start: Cell<usize>,
    born: Instant,
}

/// One of them.
pub struct Member {
    /// As it is configured.
    pub(super) spec: String,
    pub(super) scanner: Box<dyn Scanner>,
    pub(super) health: Rc<Health>,
}

impl Member {
    /// How it is asked.
    pub fn scanner(&self) -> &dyn Scanner {
        &*self.scanner
    }

    /// The connections that it has left open.
    pub(crate) fn connections(&self) -> &Kept {
        &self.health.connections
    }

    /// What it is and where.
    pub(super) fn shown(&self) -> String {
        self.scanner.shown()
    }
}

/// One file's way through the pool.
#[derive(Default)]
pub struct Round {
    heard: Vec<(usize, Outcome)>,
    asked: Option<(usize, Turn)>,
}

/// What a pool has to say about a file.
pub struct Answer {
    /// As if it were one scanner.
    pub outcome: Outcome,
    /// Who said so.
    pub scanner: String,
}

impl Pool {
    /// From the words of the configuration.
    pub fn new(specs: &[String], command: &CommandOptions, mode: ScannerMode) -> Result<Self, SpecError> {
        let member = |spec: &String| {
            let scanner = parse_scanner(spec, command)?;
            // Shares may have different commands of the same name.
            let spec = format!("{spec} {}", scanner.shown());
            let health = Health::of(&spec);
            Ok(Member { spec, scanner, health })
        };
        let members = specs.iter().map(member).collect::<Result<_, _>>()?;
        // Any number does that differs between processes.
        let start = usize::try_from(std::process::id()).unwrap_or(0);
        Ok(Self { members, mode, start: Cell::new(start), born: Instant::now() })
    }

    /// The time by the clock of the pool's scanners.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// All their names, for what is nobody's word in particular.
    pub fn names(&self) -> String {
        names(self.members.iter())
    }

    /// The scanner to ask next, whose turn begins; None when the round is over.
    pub fn next(&self, round: &mut Round, now: Instant) -> Option<&Member> {
        if self.has_answer(round) {
            return None;
        }
        loop {
            let Some(index) = self.choose(round, now) else {
                self.leave_alone(round);
                return None;
            };
            let member = self.members.get(index)?;
            if member.health.state(now) == State::LeftAlone {
                round.heard.push((index, Err(member.health.why_left_alone())));
                continue;
            }
            round.asked = Some((index, member.health.take_turn(now)));
            return Some(member);
        }
    }

    /// The scanner whose turn it is.
    pub fn asked(&self, round: &Round) -> Option<&Member> {
        round.asked.as_ref().and_then(|(index, _)| self.members.get(*index))
    }

    /// Whether a verdict of the last one asked is the end of it.
    fn has_answer(&self, round: &Round) -> bool {
        match self.mode {
            ScannerMode::First | ScannerMode::Balance => matches!(round.heard.last(), Some((_, Ok(_)))),
            ScannerMode::All => false,
        }
    }

    fn choose(&self, round: &Round, now: Instant) -> Option<usize> {
        let count = self.members.len();
        let start = match self.mode {
            ScannerMode::First | ScannerMode::All => 0,
            ScannerMode::Balance => self.start.replace(self.start.get().wrapping_add(1)),
        };
        let order = (0..count).map(|step| (start % count.max(1) + step) % count);
        let mut left = order.filter(|index| round.heard.iter().all(|(heard, _)| heard != index));
        let load = |index: &usize| self.members.get(*index).map_or(0, |member| member.health.outstanding());
        let is = |index: &usize, state| {
            self.members.get(*index).is_some_and(|member| member.health.state(now) == state)
        };
        match self.mode {
            ScannerMode::All => left.next(),
            ScannerMode::First => {
                let mut again = left.clone();
                left.find(|index| is(index, State::Available))
                    .or_else(|| again.find(|index| is(index, State::LastResort)))
            }
            ScannerMode::Balance => {
                let again = left.clone();
                left.filter(|index| is(index, State::Available))
                    .min_by_key(load)
                    .or_else(|| again.filter(|index| is(index, State::LastResort)).min_by_key(load))
            }
        }
    }

    /// Those that are not asked have something to say all the same: why not.
    fn leave_alone(&self, round: &mut Round) {
        for (index, member) in self.members.iter().enumerate() {
            if round.heard.iter().all(|(heard, _)| *heard != index) {
                round.heard.push((index, Err(member.health.why_left_alone())));
            }
        }
    }

    /// Ends the turn of the scanner that was asked. What that says about the scanner itself is told once.
    pub fn heard(
        &self,
        round: &mut Round,
        outcome: &Outcome,
        was_connected: bool,
        within: &Within<'_>,
    ) -> Option<&Member> {
        let (index, turn) = round.asked.take()?;
        let member = self.members.get(index)?;
        let took = within.now.saturating_duration_since(turn.began);
        match outcome {
            Ok(_) => {
                if member.health.succeeded() {
                    let scanner = member.shown();
                    let line = format!("scanner {scanner} is back");
                    (within.tell)(Change { scanner, is_up: true, reason: String::new(), line });
                }
            }
            // Our own doing.
            Err(Fault::Caller(_)) => {}
            Err(fault @ (Fault::Transport(_) | Fault::Misbehaved(_) | Fault::Garbled(_))) => {
                let failure = Failure { fault: fault.clone(), was_connected, took };
                // A file that takes all the time there is says nothing of its scanner.
                if within.now < within.deadline && member.health.failed(&failure, within.now) {
                    self.say_down(index, member, fault, within);
                }
            }
        }
        round.heard.push((index, outcome.clone()));
        Some(member)
    }

    fn say_down(&self, index: usize, member: &Member, fault: &Fault, within: &Within<'_>) {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != index);
        let mut others = others.filter(|(_, other)| other.health.state(within.now) == State::Available);
        let using = match (self.mode, others.next()) {
            (ScannerMode::All, _) => String::new(),
            (ScannerMode::First | ScannerMode::Balance, Some((_, other))) => {
                format!("; using {}", other.shown())
            }
            (ScannerMode::First | ScannerMode::Balance, None) if self.members.len() == 1 => String::new(),
            (ScannerMode::First | ScannerMode::Balance, None) => "; there is no other".to_owned(),
        };
        let (scanner, reason) = (member.shown(), fault.to_string());
        let line = format!("scanner {scanner} is down ({reason}){using}");
        (within.tell)(Change { scanner, is_up: false, reason, line });
    }

    /// What a round that is over means. Where it matters, an outcome that is denied goes before one that is not.
    pub fn answer(&self, round: &Round, is_denied: impl Fn(&Outcome) -> bool) -> Answer {
        match self.mode {
            ScannerMode::First | ScannerMode::Balance => match round.heard.last() {
                Some((index, outcome @ Ok(_))) => {
                    Answer { outcome: outcome.clone(), scanner: self.names_of(&[*index]) }
                }
                Some((_, Err(_))) | None => self.no_verdict(round),
            },
            ScannerMode::All => self.together(round, is_denied),
        }
    }

    fn together(&self, round: &Round, is_denied: impl Fn(&Outcome) -> bool) -> Answer {
        let infected = |outcome: &Outcome| match outcome {
            Ok(Verdict::Infected(threat)) => Some(threat.clone()),
            Ok(Verdict::Clean | Verdict::MinorError(_)) | Err(_) => None,
        };
        let finders: Vec<usize> = round
            .heard
            .iter()
            .filter(|(_, outcome)| infected(outcome).is_some())
            .map(|(index, _)| *index)
            .collect();
        let all: Vec<usize> = round.heard.iter().map(|(index, _)| *index).collect();
        if let Some(threat) = round.heard.iter().find_map(|(_, outcome)| infected(outcome)) {
            let found = found_by(&threat, finders.len(), self.members.len());
            return Answer { outcome: Ok(Verdict::Infected(found)), scanner: self.names_of(&finders) };
        }
        let trouble = |(_, outcome): &&(usize, Outcome)| !matches!(outcome, Ok(Verdict::Clean));
        let mut troubles: Vec<_> = round.heard.iter().filter(trouble).collect();
        troubles.sort_by_key(|(_, outcome)| !is_denied(outcome));
        match troubles.first() {
            Some((index, outcome @ Ok(_))) => {
                Answer { outcome: outcome.clone(), scanner: self.names_of(&[*index]) }
            }
            Some((_, Err(_))) => self.no_verdict(round),
            // Not all, when the time was up: then somebody has said that.
            None if all.len() == self.members.len() => {
                Answer { outcome: Ok(Verdict::Clean), scanner: self.names_of(&all) }
            }
            None => {
                let why = "there was no time left to ask all scanners (scan timeout)";
                Answer { outcome: Err(Fault::Transport(why.into())), scanner: self.names() }
            }
        }
    }

    /// All that went wrong.
    fn no_verdict(&self, round: &Round) -> Answer {
        let failed: Vec<(usize, &Fault)> = round
            .heard
            .iter()
            .filter_map(|(index, outcome)| Some((*index, outcome.as_ref().err()?)))
            .collect();
        let fault = match failed.as_slice() {
            [] => Fault::Transport("there was no time left to ask a scanner (scan timeout)".into()),
            [(_, fault)] => (*fault).clone(),
            several => {
                let each =
                    several.iter().map(|(index, fault)| format!("{}: {fault}", self.names_of(&[*index])));
                Fault::Transport(each.collect::<Vec<_>>().join("; ").into())
            }
        };
        let who: Vec<usize> = failed.iter().map(|(index, _)| *index).collect();
        Answer { outcome: Err(fault), scanner: self.names_of(&who) }
    }

    fn names_of(&self, indices: &[usize]) -> String {
        names(indices.iter().filter_map(|index| self.members.get(*index)))
    }
}

/// Circumstances of an answer.
pub struct Within<'a> {
    /// The present.
    pub now: Instant,
    /// When the scan must be over.
    pub deadline: Instant,
    /// Who is told when the scanner comes or goes.
    pub tell: &'a dyn Fn(Change),
}

/// A scanner came or went, as far as this process has noticed.
pub struct Change {
    /// Its name and address.
    pub scanner: String,
    /// Whether it gives verdicts.
    pub is_up: bool,
    /// Why not; empty if it does.
    pub reason: String,
    /// All that in one line, and what follows from it.
    pub line: String,
}

fn names<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    members.map(|member| member.scanner.name()).collect::<Vec<_>>().join(", ")
}

fn found_by(threat: &ThreatName, finders: usize, all: usize) -> ThreatName {
    if all == 1 {
        return threat.clone();
    }
    // A name is cut where it is too long, and this is what must not be lost.
    let name: String = threat.as_str().chars().take(ThreatName::MAX_CHARS - 40).collect();
    ThreatName::new(format!("{name} (found by {finders} of {all})").as_bytes())
}

#[cfg(test)]
mod tests;
