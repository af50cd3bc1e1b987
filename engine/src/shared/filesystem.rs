//! Which filesystem a file lives on, by a name that means the same after a reboot, and on every node of a cluster.
//!
//! A device number is no such name: it is given out anew with every boot.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, fstat, fstatfs, fstatvfs, openat};

use crate::identity::{FileKey, Identity};
use crate::sys;

/// A filesystem's own name, or what comes closest to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilesystemId(pub(crate) [u8; 16]);

// From linux/magic.h and OpenZFS.
const EXT: u64 = 0xEF53;
const BTRFS: u64 = 0x9123_683E;
const ZFS: u64 = 0x2FC1_2FC1;
const CEPH: u64 = 0x00C3_6400;
const OCFS2: u64 = 0x7461_636F;
const XFS: u64 = 0x5846_5342;
const GFS2: u64 = 0x0116_1970;
const F2FS: u64 = 0xF2F5_2010;

/// Those whose statfs gives a number made of their UUID (and, on Btrfs and ZFS, of the subvolume or dataset).
const TELL_BY_STATFS: [u64; 5] = [EXT, BTRFS, ZFS, CEPH, OCFS2];
/// Those whose statfs gives the device's number instead, but that have a UUID and no subvolumes.
const HAVE_A_UUID: [u64; 3] = [XFS, GFS2, F2FS];

/// How long an answer counts: another filesystem may be mounted under the same device number.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Filesystems by device number.
#[derive(Default)]
pub(super) struct Filesystems(Mutex<HashMap<u64, (FilesystemId, Instant)>>);

impl Filesystems {
    /// The filesystem of a file; `open` gives a descriptor of it, which may be an O_PATH one.
    pub(super) fn of(
        &self,
        key: FileKey,
        now: Instant,
        open: impl FnOnce() -> Option<OwnedFd>,
    ) -> Option<FilesystemId> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&key.dev) {
            Some((id, asked)) if now.saturating_duration_since(*asked) < TRUSTED_FOR => Some(*id),
            Some(_) | None => {
                let file = open()?;
                // A name may have come to mean another file meanwhile.
                let is_there = fstat(&file).is_ok_and(|stat| Identity::of(&stat).key.dev == key.dev);
                let id = identify(file.as_fd(), key.dev).filter(|_| is_there)?;
                known.insert(key.dev, (id, now));
                Some(id)
            }
        }
    }
}

fn identify(file: BorrowedFd<'_>, dev: u64) -> Option<FilesystemId> {
    let kind = u64::try_from(fstatfs(file).ok()?.f_type).ok()?;
    if TELL_BY_STATFS.contains(&kind) {
        let number = fstatvfs(file).ok()?.f_fsid;
        if number != 0 {
            return Some(named(kind, number));
        }
    }
    if HAVE_A_UUID.contains(&kind) {
        return Some(FilesystemId(uuid(file, kind)?));
    }
    // Good until the machine is started anew.
    Some(named(boot()?, dev))
}

fn named(first: u64, second: u64) -> FilesystemId {
    let mut id = [0; 16];
    let (start, end) = id.split_at_mut(8);
    start.copy_from_slice(&first.to_be_bytes());
    end.copy_from_slice(&second.to_be_bytes());
    FilesystemId(id)
}

fn uuid(file: BorrowedFd<'_>, kind: u64) -> Option<[u8; 16]> {
    // What is asked here cannot be asked through an O_PATH descriptor.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), flags, Mode::empty()).ok()?;
    let uuid = sys::filesystem::uuid(&file);
    if kind == XFS { uuid.or_else(|| sys::filesystem::xfs_uuid(&file)) } else { uuid }
}

/// A number that another boot of the machine does not have.
fn boot() -> Option<u64> {
    let digits: String = boot_id()?.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).ok()
}

/// The kernel's name for this boot of the machine.
pub(super) fn boot_id() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = text.trim();
        (!id.is_empty()).then(|| id.to_owned())
    };
    BOOT.get_or_init(read).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_number_counts_only_where_there_is_nothing_better_and_for_one_boot() {
        for path in ["/", "/dev/shm"] {
            let file = fs::File::open(path).unwrap();
            let kind = u64::try_from(fstatfs(&file).unwrap().f_type).unwrap();
            let has_a_name = TELL_BY_STATFS.contains(&kind) || HAVE_A_UUID.contains(&kind);
            let [today, tomorrow] = [1, 2].map(|dev| identify(file.as_fd(), dev).unwrap());
            assert_eq!(today == tomorrow, has_a_name, "{path}: {kind:#x}");
            assert!(has_a_name || today == named(boot().unwrap(), 1), "{path}: {kind:#x}");
        }
        assert_ne!(named(1, 7), named(2, 7), "the same number after another boot");
    }
}
