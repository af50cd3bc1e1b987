//! A scanner that does not answer is waited for, and not for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So many files in a row without a verdict: it is not about these files.
const MANY: usize = 10;

/// How long a scanner that has answered before is waited for: to be started anew with all its signatures takes it that long.
const WORTH_WAITING: Duration = Duration::from_secs(60);

/// The same for one that has never answered: nobody is about to come back.
const NEVER_HEARD_OF: Duration = Duration::from_secs(2);

/// What each worker waits before it tries the next file.
const REST: Duration = Duration::from_millis(500);

/// How often a worker that rests looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Of all workers.
#[derive(Default)]
pub struct Patience {
    so_far: Mutex<SoFar>,
    is_lost: AtomicBool,
}

#[derive(Default)]
struct SoFar {
    has_worked: bool,
    in_a_row: usize,
    since: Option<Instant>,
}

/// What follows from a file's result.
#[derive(Debug, PartialEq, Eq)]
enum Advice {
    GoOn,
    Rest,
    GiveUp,
}

impl Patience {
    /// Whether that was given up.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Takes note of a file's result. Rests if the scanner seems to be away, and has all stop if it does not come back.
    pub fn heed(&self, has_verdict: bool, stop: &AtomicBool) {
        let advice = {
            let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
            so_far.after(has_verdict, Instant::now())
        };
        match advice {
            Advice::GoOn => {}
            Advice::GiveUp => {
                self.is_lost.store(true, Ordering::Relaxed);
                stop.store(true, Ordering::Relaxed);
            }
            Advice::Rest => {
                let end = Instant::now() + REST;
                while Instant::now() < end && !stop.load(Ordering::Relaxed) {
                    thread::sleep(LOOK_EVERY);
                }
            }
        }
    }
}

impl SoFar {
    fn after(&mut self, has_verdict: bool, now: Instant) -> Advice {
        if has_verdict {
            *self = Self { has_worked: true, ..Self::default() };
            return Advice::GoOn;
        }
        self.in_a_row += 1;
        let since = *self.since.get_or_insert(now);
        let limit = if self.has_worked { WORTH_WAITING } else { NEVER_HEARD_OF };
        match self.in_a_row {
            ..MANY => Advice::GoOn,
            _ if now.saturating_duration_since(since) < limit => Advice::Rest,
            _ => Advice::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_that_has_answered_is_waited_for_longer() {
        for (has_worked, limit) in [(false, NEVER_HEARD_OF), (true, WORTH_WAITING)] {
            let mut so_far = SoFar { has_worked, ..SoFar::default() };
            let began = Instant::now();
            for _ in 1..MANY {
                assert_eq!(so_far.after(false, began), Advice::GoOn);
            }
            assert_eq!(so_far.after(false, began + limit / 2), Advice::Rest);
            assert_eq!(so_far.after(false, began + limit), Advice::GiveUp);
        }
    }

    #[test]
    fn a_verdict_makes_good_for_all_before() {
        let mut so_far = SoFar::default();
        let began = Instant::now();
        for _ in 0..MANY {
            so_far.after(false, began);
        }
        assert_eq!(so_far.after(true, began), Advice::GoOn);
        let late = began + WORTH_WAITING * 2;
        assert_eq!(so_far.after(false, late), Advice::GoOn);
        for _ in 0..MANY {
            so_far.after(false, late);
        }
        assert_eq!(so_far.after(false, late), Advice::Rest, "counted from the first one of these");
    }
}
