//! Waiting for events. Nothing else in the rig sleeps.

use std::time::{Duration, Instant};

/// How long anything may take that should happen at once; generous, because it is only spent on failure.
pub const SOON: Duration = Duration::from_secs(20);

/// `deadline`, or ten times that when smbd runs under valgrind.
pub fn patience(deadline: Duration) -> Duration {
    if std::env::var_os("VSCAN_VALGRIND").is_some() { deadline * 10 } else { deadline }
}

/// Asks again and again until there is an answer; panics with `what` when the deadline passes.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, ask: impl FnMut() -> Option<T>) -> T {
    let Some(answer) = within(deadline, ask) else {
        panic!("waited {:?} in vain: {what}", patience(deadline))
    };
    answer
}

/// The same for those who can go on without an answer.
pub fn within<T>(deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience(deadline);
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= end {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
