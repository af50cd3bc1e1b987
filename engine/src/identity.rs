//! Which file this is, and in which state.

use rustix::fs::Stat;

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// The device it lives on.
    pub dev: u64,
    /// Its inode number there.
    pub ino: u64,
}

/// A point of the kernel's wall clock in nanoseconds since 1970, as in file times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub i128);

impl FileTime {
    /// From the kernel's pair of seconds and nanoseconds.
    pub fn new(seconds: i64, nanoseconds: i64) -> Self {
        Self(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
    }
}

/// A file in one state of its content: a verdict is about this, and about nothing else.
///
/// Any write moves the ctime, which no user can set back; size and mtime are kept because they cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}
