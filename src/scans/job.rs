//! One file that is being scanned, or waits for it.

use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use vscan_engine::identity::{FileKey, Identity};
use vscan_engine::protection::{Judgement, Occasion, Scan, Settled};
use vscan_engine::queue::{Lane, Ticket};
use vscan_engine::scan::exchange::{Progress, Wait};

use super::wakeup::Wakeup;
use crate::host::park::RequestId;
use crate::share::Share;

pub(super) struct Job {
    pub(super) share: Rc<Share>,
    pub(super) key: FileKey,
    pub(super) path: Vec<u8>,
    pub(super) lane: Lane,
    /// It was changed and closed: wanted even if nobody waits.
    pub(super) was_closed: bool,
    pub(super) waiters: Vec<RequestId>,
    /// When it must be over, counted from when it was asked for.
    pub(super) deadline: Instant,
    // Before the stage, whose socket it watches: fields are dropped in order.
    wakeup: Wakeup,
    pub(super) stage: Stage,
}

/// How long a client's only request may keep smbd waiting before it is parked. smbd tells the client to wait after half a
/// millisecond, and a scanner that has not answered after two is one that takes its time.
const MOMENT: Duration = Duration::from_millis(2);

/// Whether to wait a moment for a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// No: others have news to be heard.
    None,
    /// As long as the client asks for nothing else.
    Moment,
}

pub(super) enum Stage {
    /// Closed a moment ago; not in the queue yet.
    Resting(OwnedFd),
    /// In the queue.
    Waiting(OwnedFd),
    Running(Box<Scan>),
    /// Its answer is on the way.
    Over,
}

impl Job {
    pub(super) fn new(share: &Rc<Share>, identity: &Identity, path: &[u8], stage: Stage) -> Self {
        let settings = share.protection().settings();
        let is_large = settings.large_file_size.is_some_and(|large| identity.size > large.0);
        Self {
            share: share.clone(),
            key: identity.key,
            path: path.to_vec(),
            lane: if is_large { Lane::Large } else { Lane::Documents },
            was_closed: false,
            waiters: Vec::new(),
            deadline: Instant::now() + settings.scan_timeout,
            wakeup: Wakeup::default(),
            stage,
        }
    }

    /// On whose behalf the file is scanned.
    fn occasion(&self) -> Occasion {
        if self.waiters.is_empty() { Occasion::Close } else { Occasion::Open }
    }

    /// Takes the scan as far as it goes without waiting; the judgement when it is over.
    ///
    /// With patience, it waits a moment for as long as nobody else has anything to do: most scans are over by then, and
    /// parking a request costs more than that.
    pub(super) fn go_on(&mut self, ticket: Ticket, patience: Patience) -> Option<Judgement> {
        let share = self.share.clone();
        let mut scan = self.take_scan()?;
        let until = match patience {
            Patience::None => None,
            Patience::Moment => Some(Instant::now() + MOMENT),
        };
        loop {
            let outcome = match share.protection().advance(&mut scan) {
                Progress::Waiting(Wait::Readable, _) if answers_within(&share, &scan, until) => continue,
                Progress::Waiting(wait, until) => {
                    self.wakeup.arm(scan.exchange.socket(), ticket, wait, until);
                    self.stage = Stage::Running(scan);
                    return None;
                }
                Progress::Done(outcome) => outcome,
            };
            // Before the exchange closes the socket that is watched.
            self.wakeup.stop_watching();
            let place = share.place(&self.path);
            match share.protection().settle(*scan, outcome, &place, &share.context()) {
                Settled::Again(next) => scan = next,
                Settled::Ended(ended) => {
                    return Some(share.protection().conclude(
                        &ended,
                        &place,
                        self.occasion(),
                        &share.context(),
                    ));
                }
            }
        }
    }

    /// Drives the scan to its end without smbd's loop, and waits for it.
    pub(super) fn run_to_end(&mut self) -> Option<Judgement> {
        self.wakeup = Wakeup::default();
        let share = self.share.clone();
        let scan = self.take_scan()?;
        let place = share.place(&self.path);
        Some(share.protection().wait_for(*scan, &place, self.occasion(), &share.context()))
    }

    /// Ends a scan that has waited for its turn until its time was up.
    pub(super) fn expire(&self) -> Judgement {
        let place = self.share.place(&self.path);
        self.share.protection().out_of_time(&place, self.occasion(), &self.share.context())
    }

    /// The scan, begun if it was not.
    fn take_scan(&mut self) -> Option<Box<Scan>> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Running(scan) => Some(scan),
            Stage::Resting(file) | Stage::Waiting(file) => {
                let place = self.share.place(&self.path);
                Some(Box::new(self.share.protection().begin(file, &place, self.deadline)))
            }
            Stage::Over => None,
        }
    }

    /// Has smbd's loop wake the job up at this time at the latest.
    pub(super) fn wake_at(&mut self, until: Instant, ticket: Ticket) {
        self.wakeup.at(until, ticket);
    }

    /// The timer has gone off.
    pub(super) fn woken(&mut self) {
        self.wakeup.woken();
    }
}

/// Whether the scanner answers before the client says anything else, and before the time is up.
fn answers_within(share: &Share, scan: &Scan, until: Option<Instant>) -> bool {
    match (scan.exchange.socket(), until) {
        (Some(socket), Some(until)) => share.sockets().wait_quietly(socket, until),
        (None, _) | (_, None) => false,
    }
}
