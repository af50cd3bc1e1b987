//! A question for the version of a scanner's signatures, asked beside the scans. Nobody waits for it.

use std::rc::Rc;

use vscan_engine::queue::Ticket;
use vscan_engine::scan::exchange::Progress;
use vscan_engine::scan::version::Check;

use super::wakeup::Wakeup;
use crate::share::Share;

pub(super) struct Checking {
    share: Rc<Share>,
    // Before the check, whose socket it watches: fields are dropped in order.
    wakeup: Wakeup,
    check: Check,
}

impl Checking {
    pub(super) fn new(share: &Rc<Share>, check: Check) -> Self {
        Self { share: share.clone(), wakeup: Wakeup::default(), check }
    }

    /// Takes it as far as it goes without waiting; None when it is over.
    pub(super) fn go_on(mut self, ticket: Ticket) -> Option<Self> {
        match self.share.protection().advance_check(&mut self.check) {
            Progress::Waiting(wait, until) => {
                self.wakeup.arm(self.check.exchange.socket(), ticket, wait, until);
                Some(self)
            }
            Progress::Done(outcome) => {
                let Self { share, wakeup, check } = self;
                // Before the check closes the socket that is watched.
                drop(wakeup);
                share.protection().finish_check(check, &outcome);
                super::write_results_soon(&share);
                None
            }
        }
    }

    /// smbd ends.
    pub(super) fn end(self) {
        let Self { share, wakeup, check } = self;
        drop(wakeup);
        share.protection().finish_check_now(check);
    }

    /// The timer has gone off.
    pub(super) fn woken(&mut self) {
        self.wakeup.woken();
    }
}
