//! A small file that several processes have in memory, as numbers that each of them may change at any time.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd as _;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;

/// The numbers of such a file, for as long as this lives.
pub(crate) struct Mapped {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: atomic numbers may be used by any thread, and unmapped by any.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps the first `count` numbers of a file that has them, and whose blocks are there: writing to a hole on a full disk
    /// would be a SIGBUS. So would be reading after somebody has cut the file short; it is for root only.
    pub(crate) fn new(file: &File, count: usize) -> io::Result<Self> {
        let bytes = count * size_of::<AtomicU64>();
        if file.metadata()?.len() < bytes as u64 {
            return Err(io::Error::other("it is too short"));
        }
        // SAFETY: asks for new pages anywhere; nothing that exists is touched. The kernel checks the rest.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("it cannot be mapped"))?;
        Ok(Self { start, count })
    }
}

impl Deref for Mapped {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: mapped by new(), page-aligned, of this length, until drop(). Any bytes are a number, and whoever else has
        // the file mapped changes them by atomic operations, too: this program is the only one that does.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: what new() has mapped; no reference outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}
