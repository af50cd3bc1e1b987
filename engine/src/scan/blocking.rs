//! The driver that waits: for vscanctl, for tests, and for opens that cannot be parked.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vscan_backends::dialogue::Outcome;

use super::exchange::{Exchange, Progress, Wait};
use crate::privilege::Privilege;

/// Drives an exchange to its end. Its deadlines bound the wait.
pub fn run(exchange: &mut Exchange, privilege: &dyn Privilege) -> Outcome {
    loop {
        match exchange.advance(Instant::now(), privilege) {
            Progress::Done(outcome) => return outcome,
            Progress::Waiting(wait, until) => pause(exchange, wait, until),
        }
    }
}

/// The same for those who have less patience: None when it is at an end.
pub fn run_until(exchange: &mut Exchange, privilege: &dyn Privilege, end: Instant) -> Option<Outcome> {
    loop {
        match exchange.advance(Instant::now(), privilege) {
            Progress::Done(outcome) => return Some(outcome),
            Progress::Waiting(..) if Instant::now() >= end => return None,
            Progress::Waiting(wait, until) => pause(exchange, wait, until.min(end)),
        }
    }
}

/// An exchange that cannot go on for now.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    /// Which one.
    pub exchange: &'a Exchange,
    /// For what it waits.
    pub wait: Wait,
    /// When it is to go on in any case.
    pub until: Instant,
}

/// Waits until some of them can go on, but not longer than this; says of each whether it can.
pub fn wait_for_any(all: &[Waiting<'_>], longest: Duration) -> Vec<bool> {
    let now = Instant::now();
    let left = all.iter().map(|waiting| waiting.until.saturating_duration_since(now)).min();
    let timeout = Timespec::try_from(left.unwrap_or_default().min(longest)).ok();
    let mut fds: Vec<PollFd<'_>> = all.iter().filter_map(Waiting::watched).collect();
    // EINTR is no news: nothing is ready then, and whoever waits looks at the clock in any case.
    let _ = poll(&mut fds, timeout.as_ref());
    let now = Instant::now();
    let mut fds = fds.iter();
    let is_ready = |waiting: &Waiting<'_>| {
        let fd = waiting.watched().and_then(|_| fds.next());
        fd.is_some_and(|fd| !fd.revents().is_empty()) || now >= waiting.until
    };
    all.iter().map(is_ready).collect()
}

impl<'a> Waiting<'a> {
    /// The socket and what of it is waited for, if it is not time alone.
    fn watched(&self) -> Option<PollFd<'a>> {
        let flags = match self.wait {
            Wait::Readable => PollFlags::IN,
            Wait::Writable => PollFlags::OUT,
            Wait::Both => PollFlags::IN | PollFlags::OUT,
            Wait::Pause => return None,
        };
        Some(PollFd::from_borrowed_fd(self.exchange.socket()?, flags))
    }
}

/// Waits until the exchange can go on or the time has come; a signal ends the wait early, which does no harm.
fn pause(exchange: &Exchange, wait: Wait, until: Instant) {
    wait_for_any(&[Waiting { exchange, wait, until }], Duration::MAX);
}
