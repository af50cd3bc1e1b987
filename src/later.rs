//! What this smbd does later: which work there is, when it is done, and by whom.
//!
//! Work is put off so that no client waits for it, or so that more of its kind is done at once. What there is to do is known
//! to those who do it; here is only the time. What is still planned when smbd ends is for
//! [`finish_at_exit`](crate::host::event::finish_at_exit).
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::time::{Duration, Instant};

use vscan_engine::scan;

use crate::host::event::Timer;
use crate::{notices, scans};

/// Work that can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Looks at the files that were closed, and starts the scans that wait for their turn.
    StartScans,
    /// Writes results for other processes.
    WriteResults,
    /// Tells people what has happened.
    SendNotices,
    /// Closes the connections to scanners that no scan has used for a while.
    CloseConnections,
}

impl Work {
    /// How long it is put off.
    fn delay(self) -> Duration {
        match self {
            // As soon as smbd has answered its client.
            Self::StartScans => Duration::ZERO,
            // In one transaction: what is written between a client's answer and its next request keeps that waiting.
            // Another process that opens the same file within this time scans it once more.
            Self::WriteResults => Duration::from_millis(50),
            // Whoever comes upon one infected file soon asks for the next, and that request would wait while the first
            // event is written and the program started that sends it. People learn of it within a second all the same.
            Self::SendNotices => Duration::from_millis(150),
            // None can be due before.
            Self::CloseConnections => scan::LONGEST_IDLE,
        }
    }

    /// Does it. When to come back, if something is left.
    fn run(self) -> Option<Instant> {
        match self {
            Self::StartScans => {
                scans::start();
                None
            }
            Self::WriteResults => scans::write_results(),
            Self::SendNotices => {
                notices::send_all();
                None
            }
            Self::CloseConnections => scan::close_idle_connections(Instant::now()),
        }
    }
}

thread_local! {
    /// Once each at most.
    static PLANNED: RefCell<Vec<(Work, Timer)>> = RefCell::default();
}

/// Has this done when its time comes, with all of its kind that there is by then.
pub fn plan(work: Work) {
    plan_at(work, Instant::now() + work.delay());
}

fn plan_at(work: Work, at: Instant) {
    PLANNED.with_borrow_mut(|planned| {
        if !planned.iter().any(|(other, _)| *other == work) {
            planned.extend(Timer::for_work(at, work).map(|timer| (work, timer)));
        }
    });
}

/// The time has come for the work with this number.
pub fn on_time(number: usize) {
    let due = PLANNED.with_borrow_mut(|planned| {
        let place = planned.iter().position(|(work, _)| *work as usize == number)?;
        Some(planned.swap_remove(place))
    });
    let Some((work, timer)) = due else { return };
    timer.has_fired();
    if let Some(at) = work.run() {
        plan_at(work, at);
    }
}

/// smbd ends, and no time will come any more.
pub fn forget_all() {
    PLANNED.with_borrow_mut(Vec::clear);
}
