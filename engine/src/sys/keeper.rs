//! The process between smbd and a program: the code that runs after a fork.
//!
//! Two forks, so that init is the keeper's parent: see `child`.
//!
//! smbd may have threads (its own, for asynchronous I/O), and a fork takes along only the thread that calls it. Whatever
//! another thread had locked stays locked for ever in the copy: so after the fork, there is no allocation, no panic, and no
//! function of libc that takes a lock or waits for threads. That is why forks and changes of the user are bare system
//! calls, and why everything is prepared before.

use std::ffi::{CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

use rustix::io::Errno;

use super::child::{
    AllSignalsBlocked, close_from, errno, pointers, reset_signals, unblock_signals, wait_for,
};
use super::program::{Ending, Identity, Lifetime};

/// What the keeper needs to know.
pub(super) struct Plan<'a> {
    pub(super) path: &'a CString,
    pub(super) arguments: &'a [CString],
    pub(super) environment: &'a [CString],
    pub(super) input: BorrowedFd<'a>,
    pub(super) output: BorrowedFd<'a>,
    /// Where the keeper tells how the program ended.
    pub(super) report: BorrowedFd<'a>,
    pub(super) identity: &'a Identity,
    pub(super) limit: Duration,
    pub(super) lifetime: Lifetime,
}

/// What the keeper writes into its pipe: once, and in one piece.
#[derive(Clone, Copy)]
pub(super) struct Report {
    kind: i32,
    value: i32,
}

impl Report {
    pub(super) const BYTES: usize = 8;

    const EXITED: i32 = 1;
    const KILLED: i32 = 2;
    const OUT_OF_TIME: i32 = 3;
    const NOT_STARTED: i32 = 4;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let ([a, b, c, d], [e, f, g, h]) = (self.kind.to_ne_bytes(), self.value.to_ne_bytes());
        [a, b, c, d, e, f, g, h]
    }

    pub(super) fn from_bytes([a, b, c, d, e, f, g, h]: [u8; Self::BYTES]) -> Self {
        Self { kind: i32::from_ne_bytes([a, b, c, d]), value: i32::from_ne_bytes([e, f, g, h]) }
    }

    pub(super) fn ending(self) -> Ending {
        match self.kind {
            Self::EXITED => Ending::Exited(self.value),
            Self::KILLED => Ending::Killed(self.value),
            Self::OUT_OF_TIME => Ending::OutOfTime,
            Self::NOT_STARTED => Ending::NotStarted(Errno::from_raw_os_error(self.value)),
            _ => Ending::Lost,
        }
    }
}

/// The descriptors of the keeper: 0 to 2 are those of the program.
const REPORT: RawFd = 3;
const FIRST_UNUSED: RawFd = 4;

/// Descriptors are moved out of the way to numbers from here on, before they get their places.
const ASIDE: c_int = 16;

/// A [`Plan`] in the form that system calls want.
struct Prepared<'a> {
    plan: &'a Plan<'a>,
    path: *const c_char,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    limit: libc::timespec,
}

/// Starts a keeper and with it the program. Returns as soon as there is a keeper.
pub(super) fn start(plan: &Plan<'_>) -> io::Result<()> {
    let prepared = Prepared {
        plan,
        path: plan.path.as_ptr(),
        arguments: pointers([plan.path].into_iter().chain(plan.arguments)),
        environment: pointers(plan.environment),
        limit: libc::timespec {
            tv_sec: libc::time_t::try_from(plan.limit.as_secs()).unwrap_or(libc::time_t::MAX),
            // All zero would be no limit.
            tv_nsec: c_long::from(plan.limit.subsec_nanos().max(1)),
        },
    };
    let blocked = AllSignalsBlocked::new()?;
    // SAFETY: the child goes on in a function that never returns and, as the module says, does nothing that a copy of a
    // process with threads cannot do.
    let middle = match unsafe { fork(0) } {
        Err(error) => return Err(error.into()),
        // SAFETY: this is that child.
        Ok(0) => unsafe { become_middle(&prepared) },
        Ok(middle) => middle,
    };
    drop(blocked);
    wait_for(middle)
}

/// fork(2) without what libc adds to it. Zero in the child.
///
/// # Safety
/// The child must keep to the rules of this module, and never return to its caller's caller.
unsafe fn fork(exit_signal: c_int) -> Result<libc::pid_t, Errno> {
    // SAFETY: without CLONE_VM and with no stack of its own, this is what fork(2) does.
    let pid = unsafe { libc::syscall(libc::SYS_clone, c_long::from(exit_signal), 0, 0, 0, 0) };
    match pid {
        -1 => Err(errno()),
        pid => Ok(pid as libc::pid_t),
    }
}

/// # Safety
/// Only in a process that has just been forked.
unsafe fn become_middle(prepared: &Prepared<'_>) -> ! {
    // SAFETY: the child keeps to the rules as this process does.
    match unsafe { fork(0) } {
        // SAFETY: this is that child.
        Ok(0) => unsafe { become_keeper(prepared) },
        // SAFETY: _exit runs nothing of the process that was copied.
        Ok(_) => unsafe { libc::_exit(0) },
        // SAFETY: the same.
        Err(_) => unsafe { libc::_exit(1) },
    }
}

/// # Safety
/// Only in a process that has just been forked.
unsafe fn become_keeper(prepared: &Prepared<'_>) -> ! {
    // SAFETY: all calls are bare system calls or documented as safe after a fork (signal-safety(7)).
    unsafe {
        libc::setsid();
        // The user of the moment could not kill the program. Without the right to it, all stays as it is.
        libc::syscall(libc::SYS_setresuid, 0, 0, 0);
        take_only_our_descriptors(prepared.plan);
        // Nothing is kept busy that somebody wants to unmount.
        libc::chdir(c"/".as_ptr());
        libc::umask(0o077);
        reset_signals();
        let program = match fork(libc::SIGCHLD) {
            Ok(0) => become_program(prepared),
            Ok(program) => program,
            Err(error) => {
                report(Report::NOT_STARTED, error.raw_os_error());
                libc::_exit(1)
            }
        };
        // What the program reads and writes is between it and smbd.
        for descriptor in 0..REPORT {
            libc::close(descriptor);
        }
        watch_over(program, prepared);
        libc::_exit(0)
    }
}

/// Puts the plan's descriptors into their places and closes all others: smbd's sockets, files and databases.
///
/// # Safety
/// Only in a process that has just been forked.
unsafe fn take_only_our_descriptors(plan: &Plan<'_>) {
    // SAFETY: only this process's own table of descriptors changes.
    unsafe {
        let aside = |descriptor: BorrowedFd<'_>| libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD, ASIDE);
        let (input, output, report) = (aside(plan.input), aside(plan.output), aside(plan.report));
        libc::dup2(input, 0);
        libc::dup2(output, 1);
        libc::dup2(output, 2);
        libc::dup3(report, REPORT, libc::O_CLOEXEC);
        close_from(FIRST_UNUSED);
    }
}

/// # Safety
/// Only in a process that has just been forked.
unsafe fn become_program(prepared: &Prepared<'_>) -> ! {
    // SAFETY: bare system calls and such that are safe after a fork. The pointers are those of the plan, which this copy
    // of the process has as its parent had; both lists end with null.
    unsafe {
        libc::setsid();
        if take_identity(prepared.plan.identity).is_ok() {
            // Should the keeper be killed. Changing the user takes this back, so it comes after.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            unblock_signals();
            libc::execve(prepared.path, prepared.arguments.as_ptr(), prepared.environment.as_ptr());
        }
        report(Report::NOT_STARTED, errno().raw_os_error());
        libc::_exit(127)
    }
}

/// # Safety
/// Only in a process that has just been forked.
unsafe fn take_identity(identity: &Identity) -> Result<(), ()> {
    // SAFETY: system calls about this process only. Through libc they would involve threads that are not here.
    unsafe {
        let groups = identity.groups.as_slice();
        let (user, group) = (c_long::from(identity.user), c_long::from(identity.group));
        if libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == -1
            || libc::syscall(libc::SYS_setresgid, group, group, group) == -1
            || libc::syscall(libc::SYS_setresuid, user, user, user) == -1
        {
            return Err(());
        }
    }
    Ok(())
}

/// What can end the wait for a program.
enum Event {
    /// Its process has ended; it is not reaped yet.
    Ended(Report),
    /// Its time is up.
    OutOfTime,
    /// Nobody reads what would be reported.
    Unwanted,
}

/// Waits for the program's end, or brings it about when it is due, and reports.
///
/// # Safety
/// Only in the keeper.
unsafe fn watch_over(program: libc::pid_t, prepared: &Prepared<'_>) {
    // SAFETY: system calls. The program is our child and not reaped yet, so its number is nobody else's.
    unsafe {
        let kill = || {
            // The group that it made, or will not come to make.
            libc::kill(-program, libc::SIGKILL);
            libc::kill(program, libc::SIGKILL);
        };
        match (wait_for_event(program, prepared), prepared.plan.lifetime) {
            (Event::Ended(Report { kind, value }), Lifetime::UntilDropped) => {
                kill();
                report(kind, value);
            }
            (Event::Ended(Report { kind, value }), Lifetime::Independent) => report(kind, value),
            (Event::OutOfTime, _) => {
                kill();
                report(Report::OUT_OF_TIME, 0);
            }
            (Event::Unwanted, _) => kill(),
        }
    }
}

/// # Safety
/// Only in the keeper.
unsafe fn wait_for_event(program: libc::pid_t, prepared: &Prepared<'_>) -> Event {
    // SAFETY: system calls with our own memory; zero is a value of all these structures. SIGCHLD is blocked like all
    // signals, so that it comes through the descriptor.
    unsafe {
        let mut child_signal: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut child_signal, libc::SIGCHLD);
        let signals = libc::signalfd(-1, &child_signal, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        let timer = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC);
        let once = libc::itimerspec { it_interval: std::mem::zeroed(), it_value: prepared.limit };
        libc::timerfd_settime(timer, 0, &once, ptr::null_mut());
        let reader = match prepared.plan.lifetime {
            Lifetime::UntilDropped => REPORT,
            // poll(2) skips what is negative.
            Lifetime::Independent => -1,
        };
        // Of the report nothing is asked but the error that its other end is closed.
        let polled = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut events = [polled(signals, libc::POLLIN), polled(timer, libc::POLLIN), polled(reader, 0)];
        loop {
            if let Some(report) = ended(program) {
                return Event::Ended(report);
            }
            libc::poll(events.as_mut_ptr(), 3, -1);
            let [signalled, timed, unread] = &events;
            if unread.revents != 0 {
                return Event::Unwanted;
            }
            if timed.revents != 0 {
                return Event::OutOfTime;
            }
            if signalled.revents != 0 {
                // Also of a program that was merely stopped. What it says is looked up above.
                let mut signal: libc::signalfd_siginfo = std::mem::zeroed();
                libc::read(signals, (&raw mut signal).cast(), size_of_val(&signal));
            }
        }
    }
}

/// How the program ended, if it has; it stays to be reaped, so that its number remains its own.
///
/// # Safety
/// Only in the keeper.
unsafe fn ended(program: libc::pid_t) -> Option<Report> {
    // SAFETY: the structure is ours, and zero is a value of it. A child that has ended fills the members that are read.
    unsafe {
        let mut end: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // A process number is never negative.
        libc::waitid(libc::P_PID, program as libc::id_t, &mut end, flags);
        if end.si_pid() != program {
            return None;
        }
        let kind = if end.si_code == libc::CLD_EXITED { Report::EXITED } else { Report::KILLED };
        Some(Report { kind, value: end.si_status() })
    }
}

/// Tells how it ended. Only the first report is read.
fn report(kind: i32, value: i32) {
    let bytes = Report { kind, value }.to_bytes();
    // SAFETY: the bytes are ours; a pipe that nobody reads any more makes the call fail, for SIGPIPE is blocked.
    unsafe { libc::write(REPORT, bytes.as_ptr().cast(), Report::BYTES) };
}
