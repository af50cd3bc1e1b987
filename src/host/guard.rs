//! The one edge where a panic of ours ends. Unwinding into C would be undefined behaviour, and aborting would take a
//! client's smbd down with everything it has not saved.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::Once;

use rustix::io::Errno;
use vscan_engine::log::Level;

use super::log;
use crate::scans;

/// Runs a hook's own work. When it panics, the panic is logged and `instead` gives the hook's answer.
///
/// errno is afterwards what it was before: smbd reads it after calls that succeeded, too.
pub(super) fn guarded<T>(instead: impl FnOnce() -> T, work: impl FnOnce() -> T) -> T {
    let errno = errno_of_thread();
    // SAFETY: readable and writable for as long as this thread lives.
    let before = unsafe { errno.read() };
    // What the work had changed by then stays as it is: a context too many or too few on a stack of grants, which
    // leads to a scan that was not needed, never to one that is missing.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        // A second panic has nobody to tell that the first one has not told.
        let _ = catch_unwind(scans::recover_from_panic);
        instead()
    });
    // SAFETY: as above.
    unsafe { errno.write(before) };
    result
}

/// Sends the message of every panic in the module to Samba's log, once per process.
pub(super) fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        set_hook(Box::new(|info: &PanicHookInfo<'_>| {
            // The message follows the place in a line of its own, and may have several.
            let panic = info.to_string().replace('\n', " ");
            let text = format!(
                "vscan has a bug, please report it: {panic}; the file is treated as after a scan error"
            );
            log::line(Level::Error, &text);
        }));
    });
}

/// Where this thread's errno is.
fn errno_of_thread() -> *mut i32 {
    // SAFETY: __errno_location() has no preconditions.
    unsafe { libc::__errno_location() }
}

/// This thread's errno.
pub(super) fn errno() -> i32 {
    // SAFETY: always readable.
    unsafe { errno_of_thread().read() }
}

/// Sets this thread's errno: part of the answer of a hook that returns -1.
pub(super) fn set_errno(value: i32) {
    // SAFETY: always writable.
    unsafe { errno_of_thread().write(value) };
}

/// EACCES, the answer for a file that may not be opened.
pub(super) fn set_access_denied() {
    set_errno(Errno::ACCESS.raw_os_error());
}
