//! Starting a program that is on its own from then on, at next to no cost for smbd.
//!
//! A fork would copy the tables of all of smbd's memory, and afterwards each page that smbd writes to. Here the process in
//! the middle and the one that becomes the program borrow that memory, as those of vfork(2) and posix_spawn(3) do, each with
//! a stack of its own, and smbd's thread stands still until the program has memory of its own: a fraction of a
//! millisecond, however large smbd is.

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::{Mode, OFlags};

use super::child::{
    AllSignalsBlocked, close_from, errno, pointers, reset_signals, unblock_signals, wait_for,
};
use super::program::PATH;

/// Makes a process that borrows memory, and waits until it has ended or become a program. No exit signal: see `child`.
const BORROWING: c_int = libc::CLONE_VM | libc::CLONE_VFORK;

/// Far more than the functions below need.
const STACK_BYTES: usize = 64 << 10;

const FIRST_UNUSED: RawFd = 3;

/// What the processes need to know, and how they tell what went wrong: they write into our memory.
struct Plan {
    path: *const c_char,
    arguments: Vec<*const c_char>,
    environment: [*const c_char; 2],
    nothing: OwnedFd,
    niceness: c_int,
    second_stack: Stack,
    error: c_int,
}

/// Memory for a stack. Nobody initialises it: most of it is never touched.
struct Stack(Vec<u128>);

impl Stack {
    fn new() -> Self {
        Self(Vec::with_capacity(STACK_BYTES / size_of::<u128>()))
    }

    /// Stacks grow downwards from here, on all machines that smbd runs on.
    fn top(&mut self) -> *mut c_void {
        self.0.spare_capacity_mut().as_mut_ptr_range().end.cast()
    }
}

/// Starts it as root and says what is wrong if it cannot be run. Its standard descriptors lead nowhere, and it has no others;
/// for the rest, it begins as a [`Program`](super::program::Program) does, but so much nicer than this process
/// (setpriority(2)) soon after. The rights of root are needed, as there.
pub fn start(path: &CString, arguments: &[CString], niceness: i32) -> io::Result<()> {
    let mut plan = Plan {
        path: path.as_ptr(),
        arguments: pointers([path].into_iter().chain(arguments)),
        environment: [PATH.as_ptr(), ptr::null()],
        nothing: rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?,
        niceness,
        second_stack: Stack::new(),
        error: 0,
    };
    let mut stack = Stack::new();
    let blocked = AllSignalsBlocked::new()?;
    // SAFETY: the child runs on a stack of its own and keeps to what a copy of a process with threads may do: other threads
    // of smbd run on in the same memory. The plan outlives it, for the call returns when it has ended; until
    // then, nobody here looks at the plan.
    let middle = unsafe { libc::clone(middle, stack.top(), BORROWING, (&raw mut plan).cast()) };
    if middle == -1 {
        return Err(errno().into());
    }
    drop(blocked);
    wait_for(middle)?;
    // SAFETY: a number of our own. The compiler does not know who else has written to it.
    match unsafe { (&raw const plan.error).read_volatile() } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Its answer is its exit status: whether there is a process that becomes the program.
extern "C" fn middle(plan: *mut c_void) -> c_int {
    // SAFETY: start() passes its plan, and waits. The child is started as this process was.
    unsafe {
        let stack = (*plan.cast::<Plan>()).second_stack.top();
        let program = libc::clone(become_program, stack, BORROWING, plan);
        if program == -1 {
            return 1;
        }
        // Not earlier: until it has memory of its own, smbd stands still. It is our child and not reaped, so the number is its.
        let niceness = (*plan.cast::<Plan>()).niceness;
        libc::syscall(
            libc::SYS_setpriority,
            libc::PRIO_PROCESS,
            c_long::from(program),
            c_long::from(niceness),
        );
        0
    }
}

extern "C" fn become_program(plan: *mut c_void) -> c_int {
    // SAFETY: start() passes its plan, and waits. All calls are bare system calls or documented as safe after a fork
    // (signal-safety(7)); they change descriptors, signals, directory and user of this process alone, which shares nothing
    // but memory. A change of the user makes that memory undumpable, as smbd's own many changes do.
    unsafe {
        let plan = &mut *plan.cast::<Plan>();
        libc::setsid();
        let nothing = plan.nothing.as_raw_fd();
        for descriptor in 0..FIRST_UNUSED {
            // Should it be one of these itself, the copy would still be closed by the exec.
            if descriptor == nothing {
                libc::fcntl(descriptor, libc::F_SETFD, 0);
            } else {
                libc::dup2(nothing, descriptor);
            }
        }
        close_from(FIRST_UNUSED);
        // Nothing is kept busy that somebody wants to unmount.
        libc::chdir(c"/".as_ptr());
        libc::umask(0o077);
        reset_signals();
        // The rights are there, if not in force: without them, the user of the moment would run the program.
        if libc::syscall(libc::SYS_setresuid, 0, 0, 0) != -1
            && libc::syscall(libc::SYS_setgroups, 0, 0) != -1
            && libc::syscall(libc::SYS_setresgid, 0, 0, 0) != -1
        {
            unblock_signals();
            libc::execve(plan.path, plan.arguments.as_ptr(), plan.environment.as_ptr());
        }
        plan.error = errno().raw_os_error();
        127
    }
}
