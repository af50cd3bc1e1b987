//! A question for the version of a scanner's signatures, asked beside the scans. Nobody waits for it.

use std::rc::Rc;
use std::time::Instant;

use vscan_engine::queue::Ticket;
use vscan_engine::scan::exchange::{Progress, Wait};
use vscan_engine::scan::version::Check;

use crate::host::event::{Timer, Watch};
use crate::share::Share;

pub(super) struct Checking {
    share: Rc<Share>,
    // Before the check, whose socket it watches: fields are dropped in order.
    watch: Option<Watch>,
    timer: Option<Timer>,
    check: Check,
}

impl Checking {
    pub(super) fn new(share: &Rc<Share>, check: Check) -> Self {
        Self { share: share.clone(), watch: None, timer: None, check }
    }

    /// Takes it as far as it goes without waiting; None when it is over.
    pub(super) fn go_on(mut self, ticket: Ticket) -> Option<Self> {
        match self.share.protection().advance_check(&mut self.check) {
            Progress::Waiting(wait, until) => {
                self.arm(ticket, wait, until);
                Some(self)
            }
            Progress::Done(outcome) => {
                let Self { share, watch, timer, check } = self;
                // Before the check closes the socket that is watched.
                drop((watch, timer));
                check.finish(&outcome, share.log());
                None
            }
        }
    }

    fn arm(&mut self, ticket: Ticket, wait: Wait, until: Instant) {
        match (&mut self.watch, self.check.exchange.socket()) {
            (watch, None) => *watch = None,
            (Some(watch), Some(_)) => watch.set(wait),
            (watch @ None, Some(socket)) => *watch = Watch::new(socket, wait, ticket),
        }
        if self.timer.as_ref().is_none_or(|timer| timer.at() > until) {
            self.timer = Timer::new(until, ticket);
        }
    }

    /// The timer has gone off.
    pub(super) fn woken(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.has_fired();
        }
    }
}
