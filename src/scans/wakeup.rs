//! What wakes up something that is under way: its socket, and a moment.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use vscan_engine::queue::Ticket;
use vscan_engine::scan::exchange::Wait;

use crate::host::event::{Timer, Watch};

/// Must be dropped, or [cleared](Wakeup::stop_watching), before the socket that it watches is closed.
#[derive(Default)]
pub(super) struct Wakeup {
    watch: Option<Watch>,
    timer: Option<Timer>,
}

impl Wakeup {
    /// Has smbd's loop say when the socket is ready or the time has come.
    pub(super) fn arm(&mut self, socket: Option<BorrowedFd<'_>>, ticket: Ticket, wait: Wait, until: Instant) {
        match (&mut self.watch, socket) {
            (watch, None) => *watch = None,
            (Some(watch), Some(_)) => watch.set(wait),
            (watch @ None, Some(socket)) => *watch = Watch::new(socket, wait, ticket),
        }
        self.at(until, ticket);
    }

    /// Has smbd's loop say when this time has come, or earlier. A timer that goes off early does no harm, and deadlines move
    /// on with each sign of life: so an earlier one is left as it is.
    pub(super) fn at(&mut self, until: Instant, ticket: Ticket) {
        if self.timer.as_ref().is_none_or(|timer| timer.at() > until) {
            self.timer = Timer::for_scan(until, ticket);
        }
    }

    /// The socket is about to be closed.
    pub(super) fn stop_watching(&mut self) {
        self.watch = None;
    }

    /// The timer has gone off.
    pub(super) fn woken(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.has_fired();
        }
    }
}
