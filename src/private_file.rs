//! Descriptors of our own for the files that smbd opens.
//!
//! A scanner that is passed a descriptor moves its offset, and reports files clean that it cannot read through it:
//! so smbd's descriptors are never passed, and ours are always opened for reading.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, fcntl_setfl, fstat, openat};
use rustix::io::Errno;
use vscan_engine::identity::Identity;
use vscan_engine::privilege::Privilege;

use crate::host::root::Root;
use crate::share::Share;

/// Opens the file behind a name, with the rights of the client's user.
///
/// `None` when it is no longer the file that was looked up, when the user may not read it, or when the name leads out of
/// the share: all of that is for smbd to judge, and for `openat` to check.
pub fn open_by_name(share: &Share, path: &[u8], identity: &Identity) -> Option<OwnedFd> {
    // O_PATH first: opening a device or FIFO that took the file's place could have effects, or wait.
    let anchor = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    if Identity::of(&fstat(&anchor).ok()?).key != identity.key || !share.contains(&anchor) {
        return None;
    }
    reopen(&anchor)
}

/// Opens the file of a descriptor once more. smbd has let the client have it, so root may help where the user
/// cannot read, as after a close of a file that may only be written.
pub fn open_again(descriptor: impl AsFd) -> Option<OwnedFd> {
    let descriptor = descriptor.as_fd();
    let privilege: &dyn Privilege = &Root;
    reopen(descriptor).or_else(|| privilege.raised(|| reopen(descriptor)))
}

fn reopen(descriptor: impl AsFd) -> Option<OwnedFd> {
    let name = proc_name(descriptor);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = openat(CWD, name, flags, Mode::empty()).ok()?;
    keep_access_time(&file);
    Some(file)
}

/// Keeps a scan from counting as an access: smbd does not let a client take up a durable handle again if the file's
/// time of access has changed meanwhile.
fn keep_access_time(file: &OwnedFd) {
    let set = || fcntl_setfl(file, OFlags::NONBLOCK | OFlags::NOATIME);
    let privilege: &dyn Privilege = &Root;
    // The owner may do this, and root. That a filesystem may not know it is no reason not to scan.
    if set() == Err(Errno::PERM) {
        let _ = privilege.raised(set);
    }
}

/// The kernel's name for an open file.
pub fn proc_name(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}
