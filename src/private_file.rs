//! Descriptors of our own for the files that smbd opens.
//!
//! A scanner that is passed a descriptor moves its offset, and reports files clean that it cannot read through it:
//! so smbd's descriptors are never passed, and ours are always opened for reading.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, fcntl_setfl, fstat, openat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
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
    let is_it = |anchor: &OwnedFd| fstat(anchor).is_ok_and(|stat| Identity::of(&stat).key == identity.key);
    let anchor = share.find_inside(path).filter(is_it).or_else(|| {
        let anchor = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        (is_it(&anchor) && share.contains(&anchor)).then_some(anchor)
    })?;
    reopen(&anchor)
}

/// Opens the file of a descriptor once more. smbd has let the client have it, so root may help where the user
/// cannot read, as after a close of a file that may only be written.
pub fn open_again(descriptor: impl AsFd) -> Option<OwnedFd> {
    let descriptor = descriptor.as_fd();
    let privilege: &dyn Privilege = &Root;
    reopen(descriptor).or_else(|| privilege.raised(|| reopen(descriptor)))
}

/// Points at the file of a descriptor, whatever becomes of its name; to be [opened again](open_again) later on.
///
/// It is O_PATH: unlike a duplicate it keeps no lock of smbd's alive.
pub fn anchor(descriptor: impl AsFd) -> Option<OwnedFd> {
    openat(CWD, proc_name(descriptor), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// An [`anchor`] to be kept for as long as the file is open; `None` if that could take descriptors from smbd.
pub fn lasting_anchor(descriptor: impl AsFd) -> Option<OwnedFd> {
    let anchor = anchor(descriptor)?;
    // The kernel gives out the lowest number that is free.
    let number = u64::try_from(anchor.as_raw_fd()).ok()?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (number < limit / 8).then_some(anchor)
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
