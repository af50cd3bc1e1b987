//! What the processes between smbd and a program have in common.
//!
//! Both ways to start one ([`keeper`](super::keeper), [`detached`](super::detached)) make two processes: the one in the
//! middle ends at once, so that init is the other one's parent and reaps it. The middle is a child without an exit signal:
//! smbd's SIGCHLD handler neither hears of it nor can reap it (`__WALL` in wait(2)), and the wait for it here can reap no
//! child of smbd's.

use std::ffi::{CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::RawFd;
use std::ptr;

use rustix::io::Errno;

/// Signals that there are on Linux.
const LAST_SIGNAL: c_int = 64;

/// The form in which execve(2) wants a list of texts; they must outlive it.
pub(super) fn pointers<'a>(texts: impl IntoIterator<Item = &'a CString>) -> Vec<*const c_char> {
    texts.into_iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The error of the call that has just failed.
pub(super) fn errno() -> Errno {
    // SAFETY: a pointer to this thread's own number, always valid.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// The caller's signals, held back: no handler of smbd's may run in a child, which would write into pipes that both share.
pub(super) struct AllSignalsBlocked {
    before: libc::sigset_t,
}

impl AllSignalsBlocked {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a set of signals is a plain array of bits, for which zero is a value; both calls write into our own.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) {
                0 => Ok(Self { before }),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for AllSignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the kernel. The call can only fail for a bad pointer or a bad word.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

/// Reaps the process in the middle, and says whether it left another one behind.
pub(super) fn wait_for(middle: libc::pid_t) -> io::Result<()> {
    let mut status = 0;
    loop {
        // SAFETY: the status is our own; the process is a child of ours that nobody else can reap.
        match unsafe { libc::waitpid(middle, &mut status, libc::__WALL) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ if status == 0 => return Ok(()),
            _ => return Err(io::Error::other("there is no room for another process")),
        }
    }
}

/// Closes all descriptors from this one on: smbd's sockets, files and databases.
///
/// # Safety
/// Only in a process that has just been made, and has a table of descriptors of its own.
pub(super) unsafe fn close_from(first: RawFd) {
    // SAFETY: only this process's own table of descriptors changes.
    unsafe {
        if libc::syscall(libc::SYS_close_range, c_long::from(first), c_long::from(u32::MAX), 0) == -1 {
            // Before Linux 5.9.
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            for descriptor in first..c_int::try_from(limit.rlim_max).unwrap_or(c_int::MAX) {
                libc::close(descriptor);
            }
        }
    }
}

/// All signals at their defaults; still blocked. libc would leave out those that it uses itself.
///
/// # Safety
/// Only in a process that has just been made, and shares no signal handlers.
pub(super) unsafe fn reset_signals() {
    /// Not smaller than the kernel's own structure, in which zero is the default, no flags and an empty set.
    const DEFAULT: [u64; 8] = [0; 8];
    /// Of the kernel's set of signals.
    const SET_BYTES: c_long = 8;
    for signal in 1..=c_long::from(LAST_SIGNAL) {
        // SAFETY: only read from; signals that cannot be changed are not.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), 0, SET_BYTES) };
    }
}

/// No signal is blocked from here on.
///
/// # Safety
/// Only in a process that has just been made, after [`reset_signals`].
pub(super) unsafe fn unblock_signals() {
    // SAFETY: zero is a value of a set of signals, which is our own.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}
