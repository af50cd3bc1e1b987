//! The client's connections of this smbd, to see whether it has anything else to ask.

use std::ffi::c_int;
use std::fs;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

/// The sockets on which requests come in.
///
/// They are found by what they are: smbd keeps their numbers in structures that differ between versions. A number that has
/// come to mean something else meanwhile costs a moment of patience, in one direction or the other, and nothing else.
pub struct ClientSockets(Vec<c_int>);

impl ClientSockets {
    /// All connected TCP sockets of the process.
    pub fn find() -> Self {
        let numbers = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(numbers.filter(|fd| is_tcp(*fd)).collect())
    }

    /// Waits until `socket` can be read, but only as long as the client says nothing, and not beyond `until`. Whether it
    /// can be read.
    pub fn wait_quietly(&self, socket: BorrowedFd<'_>, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if self.0.is_empty() || left.is_zero() {
            return false;
        }
        let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut watched: Vec<libc::pollfd> = self.0.iter().map(|fd| watch(*fd)).collect();
        watched.push(watch(socket.as_raw_fd()));
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds_below_a_second(left) };
        let count = libc::nfds_t::try_from(watched.len()).unwrap_or(0);
        // SAFETY: the array has `count` elements, and the kernel writes to nothing else; a null mask leaves signals as
        // they are. A number that is no descriptor gets POLLNVAL.
        let ready = unsafe { libc::ppoll(watched.as_mut_ptr(), count, &raw const timeout, std::ptr::null()) };
        ready > 0 && watched.last().is_some_and(|scanner| scanner.revents & libc::POLLIN != 0)
    }
}

fn nanoseconds_below_a_second(time: Duration) -> libc::c_long {
    libc::c_long::from(i32::try_from(time.as_nanos()).unwrap_or(999_999_999).min(999_999_999))
}

fn is_tcp(fd: c_int) -> bool {
    let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
    // SAFETY: the buffer is as long as `length` says. What is no connected socket gives an error.
    let found = unsafe { libc::getpeername(fd, address.as_mut_ptr().cast(), &raw mut length) } == 0;
    // SAFETY: all zeroes are a valid address, and the kernel has written a valid one over them.
    let family = unsafe { address.assume_init_ref() }.ss_family;
    found && [libc::AF_INET, libc::AF_INET6].contains(&c_int::from(family))
}
