//! Which file this is, and in which state.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{Stat, fstatfs};

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// The device it lives on.
    pub dev: u64,
    /// Its inode number there.
    pub ino: u64,
}

/// A point of the kernel's wall clock in nanoseconds since 1970, as in file times. All that lies before 1677 or after 2262
/// is the same: the first or last nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub i64);

impl FileTime {
    /// From the kernel's pair of seconds and nanoseconds.
    pub fn new(seconds: i64, nanoseconds: i64) -> Self {
        let all = seconds.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(nanoseconds));
        Self(all.unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The present.
    pub fn now() -> Self {
        // libc's clock, not rustix' own way to the kernel's: that one crashes under valgrind.
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(nanoseconds(since)),
            Err(before) => Self(-nanoseconds(before.duration())),
        }
    }

    /// How long after `earlier` this is; None if it is before that.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        u64::try_from(self.0.saturating_sub(earlier.0)).ok().map(Duration::from_nanos)
    }

    /// So long before this.
    pub fn before(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(length)))
    }
}

fn nanoseconds(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)
}

/// A file in one state of its content: a verdict is about this, and about nothing else.
///
/// Any write moves the ctime, which no user can set back; size and mtime are kept because they cost nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The file.
    pub key: FileKey,
    /// Bytes of content.
    pub size: u64,
    /// Last change of the content.
    pub mtime: FileTime,
    /// Last change of content or attributes.
    pub ctime: FileTime,
}

impl Identity {
    /// What the kernel says of a file.
    // The types of a stat's fields differ between platforms; on some of them a conversion is the identity.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    pub fn of(stat: &Stat) -> Self {
        Self {
            key: FileKey { dev: stat.st_dev as u64, ino: stat.st_ino as u64 },
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: FileTime::new(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: FileTime::new(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether every write at `since` or later moves the ctime away from what it is here.
    ///
    /// The kernel stamps files with a clock that ticks: a write in the same tick as an earlier change leaves the ctime
    /// as it was. Only when the tick of the last change was over by then does an equal ctime mean equal content.
    pub fn shows_changes_since(&self, since: FileTime, granularity: Duration) -> bool {
        // Many times count as the first nanosecond.
        let is_exact = self.ctime.0 != i64::MIN;
        is_exact && since.since(self.ctime).is_some_and(|passed| passed > granularity)
    }
}

/// How coarse the timestamps of a file's filesystem can be.
pub fn granularity(file: impl AsFd) -> Duration {
    // From linux/magic.h: ext2 to ext4, xfs, btrfs, tmpfs, zfs (OpenZFS), bcachefs. They take the kernel's clock as it is,
    // which ticks at least 100 times a second.
    const FINE: [u64; 6] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x2FC1_2FC1, 0xCA45_1A4E];
    match fstatfs(file) {
        Ok(fs) if FINE.contains(&u64::try_from(fs.f_type).unwrap_or(0)) => Duration::from_millis(20),
        // FAT counts in steps of 2 s, and a network filesystem's server has a clock of its own.
        _ => Duration::from_secs(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_the_range_hide_changes_and_say_so() {
        let far = FileTime::new(1 << 40, 0);
        assert_eq!(far, FileTime::new(1 << 50, 999_999_999));
        let file = Identity { ctime: far, ..Identity::default() };
        assert!(!file.shows_changes_since(far, Duration::ZERO));
        assert!(!file.shows_changes_since(FileTime::now(), Duration::ZERO));
        let file = Identity { ctime: FileTime::new(-(1 << 40), 0), ..Identity::default() };
        assert_eq!(file.ctime, FileTime::new(-(1 << 50), 5));
        assert!(!file.shows_changes_since(FileTime::now(), Duration::ZERO));
    }

    #[test]
    fn time_passes_in_one_direction() {
        let (earlier, later) = (FileTime::new(-1, 5), FileTime::new(1, 0));
        assert_eq!(later.since(earlier), Some(Duration::from_nanos(1_999_999_995)));
        assert_eq!(earlier.since(later), None);
        assert_eq!(later.before(Duration::from_nanos(1_999_999_995)), earlier);
        assert_eq!(FileTime(i64::MAX).since(FileTime(i64::MIN)), Some(Duration::from_nanos(i64::MAX as u64)));
    }
}
