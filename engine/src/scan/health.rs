//! How each scanner is, as far as this process has noticed: shared by all shares that ask it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use vscan_backends::verdict::Fault;

use super::kept::Kept;
use super::version::Signatures;

/// How long a scanner is left alone after its first failure. The pause doubles with each failed trial.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A scanner that takes longer than this to be unreachable is not asked again before its pause is over.
const COSTLY: Duration = Duration::from_millis(100);

thread_local! {
    /// By the scanner as it is configured. There are as many as there are scanners in the configuration.
    static KNOWN: RefCell<HashMap<String, Rc<Health>>> = RefCell::default();
}

/// Closes the connections to scanners that no scan has used for a while. When to come back, if some are still kept.
pub fn close_idle_connections(now: Instant) -> Option<Instant> {
    KNOWN.with_borrow(|known| known.values().filter_map(|health| health.connections.close_idle(now)).min())
}

/// Closes all connections to scanners that this thread has kept.
pub fn close_connections() {
    KNOWN.with_borrow(|known| known.values().for_each(|health| health.connections.close()));
}

/// What is known of one scanner.
#[derive(Default)]
pub(super) struct Health {
    down: RefCell<Option<Down>>,
    outstanding: Cell<usize>,
    pub(super) signatures: Signatures,
    pub(super) connections: Kept,
}

struct Down {
    until: Instant,
    pause: Duration,
    /// The pause is over, and one scan finds out.
    on_trial: bool,
    /// Only waiting tells that it cannot be reached.
    costly: bool,
    fault: Fault,
}

/// Whether to ask a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Yes; for one that was down, this is the trial.
    Available,
    /// Rather not, but it costs no time.
    LastResort,
    /// No.
    LeftAlone,
}

/// How a scanner came to give no verdict.
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// Whether there was a connection.
    pub(super) was_connected: bool,
    pub(super) took: Duration,
}

impl Health {
    /// Of the scanner that is configured like this.
    pub(super) fn of(spec: &str) -> Rc<Self> {
        KNOWN.with_borrow_mut(|known| known.entry(spec.to_owned()).or_default().clone())
    }

    pub(super) fn state(&self, now: Instant) -> State {
        match &*self.down.borrow() {
            None => State::Available,
            Some(down) if now >= down.until && !down.on_trial => State::Available,
            Some(Down { costly: true, .. }) => State::LeftAlone,
            Some(Down { costly: false, .. }) => State::LastResort,
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.borrow().is_some()
    }

    /// How many scans it is busy with.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.get()
    }

    /// A scan is about to ask it.
    pub(super) fn take_turn(self: &Rc<Self>, now: Instant) -> Turn {
        self.outstanding.set(self.outstanding.get() + 1);
        let is_trial = match &mut *self.down.borrow_mut() {
            Some(down) if now >= down.until && !down.on_trial => {
                down.on_trial = true;
                true
            }
            Some(_) | None => false,
        };
        Turn { health: self.clone(), is_trial, began: now }
    }

    /// It gave a verdict. Whether that is news.
    pub(super) fn succeeded(&self) -> bool {
        let was_down = self.down.borrow_mut().take().is_some();
        if was_down {
            // It may have been started anew, with other signatures.
            self.signatures.ask_soon();
        }
        was_down
    }

    /// It gave none. Whether that is news.
    pub(super) fn failed(&self, failure: &Failure, now: Instant) -> bool {
        let costly = !failure.was_connected && failure.took >= COSTLY;
        let fault = failure.fault.clone();
        let mut down = self.down.borrow_mut();
        let is_news = down.is_none();
        let (until, pause, on_trial) = match &*down {
            None => (now + FIRST_PAUSE, FIRST_PAUSE, false),
            // One of several scans that began before it was noticed, or a last resort.
            Some(down) if now < down.until => (down.until, down.pause, down.on_trial),
            Some(down) => {
                let pause = (down.pause * 2).min(LONGEST_PAUSE);
                (now + pause, pause, down.on_trial)
            }
        };
        *down = Some(Down { until, pause, on_trial, costly, fault });
        is_news
    }

    /// Why it is not asked.
    pub(super) fn why_left_alone(&self) -> Fault {
        match &*self.down.borrow() {
            Some(down) => Fault::Transport(format!("{}; it is left alone for now", down.fault).into()),
            None => Fault::Transport("it was not asked".into()),
        }
    }
}

/// A scan's turn with a scanner; over when it is dropped, however the scan ends.
pub(super) struct Turn {
    health: Rc<Health>,
    is_trial: bool,
    pub(super) began: Instant,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.health.outstanding.set(self.health.outstanding.get().saturating_sub(1));
        if self.is_trial
            && let Some(down) = &mut *self.health.down.borrow_mut()
        {
            down.on_trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(was_connected: bool, took: Duration) -> Failure {
        Failure { fault: Fault::Transport("no".into()), was_connected, took }
    }

    const SLOW: Duration = Duration::from_secs(5);

    #[test]
    fn a_pause_doubles_with_each_failed_trial_up_to_a_minute() {
        let health = Rc::new(Health::default());
        let mut now = Instant::now();
        assert!(health.failed(&failure(false, SLOW), now));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(
                health.state(now + Duration::from_secs(pause) - Duration::from_millis(1)),
                State::LeftAlone
            );
            now += Duration::from_secs(pause);
            assert_eq!(health.state(now), State::Available);
            let turn = health.take_turn(now);
            assert_eq!(health.state(now), State::LeftAlone, "one scan tries");
            assert!(!health.failed(&failure(false, SLOW), now));
            drop(turn);
        }
        assert!(health.succeeded() && !health.succeeded());
        assert_eq!(health.state(now), State::Available);
    }

    #[test]
    fn failures_at_once_count_once() {
        let health = Rc::new(Health::default());
        let now = Instant::now();
        for _ in 0..8 {
            health.failed(&failure(true, SLOW), now);
        }
        assert_eq!(health.state(now), State::LastResort);
        assert_eq!(health.state(now + FIRST_PAUSE), State::Available);
    }

    #[test]
    fn a_trial_that_is_cancelled_is_not_the_last() {
        let health = Rc::new(Health::default());
        let now = Instant::now();
        health.failed(&failure(false, SLOW), now);
        let later = now + FIRST_PAUSE;
        drop(health.take_turn(later));
        assert_eq!((health.state(later), health.outstanding()), (State::Available, 0));
    }

    #[test]
    fn only_one_that_keeps_us_waiting_is_left_alone() {
        let health = Rc::new(Health::default());
        let now = Instant::now();
        health.failed(&failure(false, Duration::ZERO), now);
        assert_eq!(health.state(now), State::LastResort);
        health.failed(&failure(true, SLOW), now);
        assert_eq!(health.state(now), State::LastResort);
    }
}
