//! The driver that waits: for vscanctl, for tests, and for opens that cannot be parked.

use std::time::Instant;

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

/// Waits until the socket is ready or the time has come; a signal ends the wait early, which does no harm.
fn pause(exchange: &Exchange, wait: Wait, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).ok();
    let flags = match wait {
        Wait::Readable => PollFlags::IN,
        Wait::Writable => PollFlags::OUT,
        Wait::Both => PollFlags::IN | PollFlags::OUT,
        Wait::Pause => PollFlags::empty(),
    };
    let mut fds: Vec<PollFd<'_>> = match (wait, exchange.socket()) {
        (Wait::Pause, _) | (_, None) => Vec::new(),
        (_, Some(socket)) => vec![PollFd::from_borrowed_fd(socket, flags)],
    };
    // EINTR is no news: the caller looks at the exchange and at the clock in any case.
    let _ = poll(&mut fds, timeout.as_ref());
}
