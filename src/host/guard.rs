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
    let errno = errno();
    // What the work had changed by then stays as it is: a context too many or too few on a stack of grants, which
    // leads to a scan that was not needed, never to one that is missing.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        // A second panic has nobody to tell that the first one has not told.
        let _ = catch_unwind(scans::recover_from_panic);
        instead()
    });
    set_errno(errno);
    result
}

/// Sends the message of every panic in the module to Samba's log, once per process.
pub(super) fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        set_hook(Box::new(|info: &PanicHookInfo<'_>| {
            let text = format!(
                "vscan has a bug, please report it: {info}; the file is treated as after a scan error"
            );
            log::line(Level::Error, &text);
        }));
    });
}

/// This thread's errno.
pub(super) fn errno() -> i32 {
    // SAFETY: __errno_location() has no preconditions and returns this thread's errno, which is always readable.
    unsafe { *libc::__errno_location() }
}

/// Sets this thread's errno: part of the answer of a hook that returns -1.
pub(super) fn set_errno(value: i32) {
    // SAFETY: as in errno(); it is always writable.
    unsafe { *libc::__errno_location() = value };
}

/// EACCES, the answer for a file that may not be opened.
pub(super) fn set_access_denied() {
    set_errno(Errno::ACCESS.raw_os_error());
}
