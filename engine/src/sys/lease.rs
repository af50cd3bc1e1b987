//! Whether anybody has a file open for writing: the kernel grants a read lease only if nobody has.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// From linux/fcntl.h (asm-generic): which signal a descriptor's events send.
const F_SETSIG: libc::c_int = 10;

/// What the kernel says of a file's writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Nobody has it open for writing, or mapped.
    None,
    /// Somebody has.
    Some,
    /// Only its owner and root may ask.
    MayNotAsk,
    /// The filesystem does not know leases.
    Unknown,
}

/// Asks by taking a read lease and giving it back at once.
///
/// Whoever opens the file for writing in between (a microsecond) waits until it is given back; whoever does so with
/// O_NONBLOCK gets EWOULDBLOCK and has to try again, as smbd does by itself.
pub(crate) fn writers(file: impl AsFd) -> Writers {
    let fd = file.as_fd().as_raw_fd();
    // The kernel tells the holder of a lease that somebody waits for it. Its usual SIGIO would end smbd; SIGURG is ignored
    // by whoever does not ask for it.
    // SAFETY: changes which signal this descriptor's events send, and touches no memory.
    let is_harmless = unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) } == 0;
    if !is_harmless {
        return Writers::Unknown;
    }
    // SAFETY: asks for a lease, and touches no memory.
    if unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) } == 0 {
        // SAFETY: as above. The lease would end with the descriptor in any case.
        unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
        return Writers::None;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN) => Writers::Some,
        Some(libc::EACCES | libc::EPERM) => Writers::MayNotAsk,
        _ => Writers::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_writer_shows_also_one_that_has_the_file_mapped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let reader = File::open(file.path()).unwrap();
        assert_eq!(writers(&reader), Writers::Some);
        // SAFETY: maps four kilobytes anywhere; nobody looks at them.
        let map = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), 4096, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(map, libc::MAP_FAILED);
        let path = file.into_temp_path();
        assert_eq!(writers(&reader), Writers::Some, "closed, but mapped");
        // SAFETY: what was mapped above.
        unsafe { libc::munmap(map, 4096) };
        // A program that another test starts at this moment has a copy of every descriptor until it is executed.
        let patience = Instant::now() + Duration::from_secs(10);
        while writers(&reader) == Writers::Some && Instant::now() < patience {
            std::thread::yield_now();
        }
        assert_eq!(writers(&reader), Writers::None);
        let _other_reader = File::open(&path).unwrap();
        assert_eq!(writers(&reader), Writers::None);
        let _writer = File::options().write(true).open(&path).unwrap();
        assert_eq!(writers(&reader), Writers::Some);
    }
}
