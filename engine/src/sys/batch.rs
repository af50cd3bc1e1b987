//! Work that no person waits for.

/// Has the calling thread, and all that it starts from here on, make way for threads that wake up, and not the other way
/// round (SCHED_BATCH): it goes on when its turn comes, and then with all that has come together. Its share of the
/// processor stays what it was.
pub fn become_batch() {
    // SAFETY: asks for the calling thread's policy, and touches no memory.
    let is_usual = unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER;
    if is_usual {
        // SAFETY: zero is a value of the structure, and the one that this policy takes.
        let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: reads the structure, which outlives the call. That it is refused somewhere is no reason not to work.
        let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &parameters) };
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_started_from_there_on_are_batch_as_well() {
        // SAFETY: as above.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let [itself, child] = thread::spawn(move || {
            become_batch();
            [policy(), thread::spawn(policy).join().unwrap()]
        })
        .join()
        .unwrap();
        assert_eq!((itself, child), (libc::SCHED_BATCH, libc::SCHED_BATCH));
    }
}
