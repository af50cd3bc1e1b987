//! The record of a quarantined file: all that a restore needs, in JSON, beside the file.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Stat, fgetxattr, flistxattr};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::entry::links;
use super::{Find, NoteRecord, stamp};
use crate::identity::Identity;

/// Longest list of names, and longest value, of a file's extended attributes on Linux, in bytes.
const XATTR_MAX: usize = 65536;

/// All that was known of a file when it was quarantined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format: [`Record::VERSION`].
    pub version: u32,
    /// When the file was quarantined, in UTC as in RFC 3339.
    pub found: String,
    /// Where the file was.
    pub path: Bytes,
    /// The share through which it was found.
    pub share: String,
    /// That share's directory.
    pub share_path: Bytes,
    /// Who opened or closed it.
    pub user: String,
    /// From which address.
    pub client: String,
    /// The scanner's name for what it found.
    pub threat: String,
    /// Which scanner.
    pub scanner: String,
    /// Whether the file in quarantine is the inode itself or a copy of its content.
    pub method: Method,
    /// The device that it was on.
    pub dev: u64,
    /// Its inode number there.
    pub ino: u64,
    /// How many names it had: with more than one, the others were left.
    pub links: u64,
    /// Its bytes of content.
    pub size: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of content or attributes, before it was moved.
    pub ctime: Timestamp,
    /// All extended attributes, POSIX and NT access control lists among them.
    pub xattrs: Vec<Xattr>,
    /// The note that was left in its place, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<NoteRecord>,
}

/// How a file came to quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The inode itself, with owner, permissions and attributes unchanged.
    Moved,
    /// A copy of the content from another filesystem; everything else is in the record only.
    Copied,
}

/// Bytes in JSON: as text when they are UTF-8, in base64 when they are not. Nothing is lost either way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytes {
    /// They are UTF-8.
    Text(String),
    /// They are not.
    Base64(#[serde(with = "base64_text")] Vec<u8>),
}

/// A point of time, as the kernel keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Since 1970.
    pub seconds: i64,
    /// Within the second.
    pub nanoseconds: u32,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xattr {
    /// With its namespace: `user.DOSATTRIB`.
    pub name: Bytes,
    /// Its value, mostly binary.
    pub value: Bytes,
}

/// Why a record cannot be used.
#[derive(Debug)]
pub enum RecordError {
    /// It is not a record, or not a whole one.
    Malformed(serde_json::Error),
    /// It was written by another version of vscan.
    Version(u32),
    /// It cannot be read.
    Unreadable(rustix::io::Errno),
}

impl Record {
    /// The format that this version writes and reads.
    pub const VERSION: u32 = 1;

    /// What is to be known of a file now. `stat` is the file's.
    // The types of a stat's fields differ between platforms; on some of them a conversion is the identity.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn of(
        file: BorrowedFd<'_>,
        stat: &Stat,
        path: &Path,
        find: &Find<'_>,
        method: Method,
    ) -> rustix::io::Result<Self> {
        let identity = Identity::of(stat);
        Ok(Self {
            version: Self::VERSION,
            found: stamp::Utc::now().rfc3339(),
            path: path.as_os_str().as_bytes().into(),
            share: find.share.to_owned(),
            share_path: find.share_path.as_os_str().as_bytes().into(),
            user: find.user.to_owned(),
            client: find.client.to_owned(),
            threat: find.threat.to_owned(),
            scanner: find.scanner.to_owned(),
            method,
            dev: identity.key.dev,
            ino: identity.key.ino,
            links: links(stat),
            size: identity.size,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode,
            atime: Timestamp::new(stat.st_atime as i64, stat.st_atime_nsec as u32),
            mtime: Timestamp::new(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: Timestamp::new(stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            xattrs: xattrs(file)?,
            note: None,
        })
    }

    /// As it is written.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Only maps with odd keys and foreign code can fail, and there are neither in a record.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads what a quarantine wrote.
    pub fn from_json(json: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Format {
            version: u32,
        }
        let Format { version } = serde_json::from_slice(json).map_err(RecordError::Malformed)?;
        if version != Self::VERSION {
            return Err(RecordError::Version(version));
        }
        serde_json::from_slice(json).map_err(RecordError::Malformed)
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "the record is damaged: {error}"),
            Self::Version(version) => write!(
                f,
                "the record has format {version}, and this version of vscan reads format {} only",
                Record::VERSION
            ),
            Self::Unreadable(errno) => write!(f, "the record cannot be read: {errno}"),
        }
    }
}

impl std::error::Error for RecordError {}

impl Timestamp {
    pub(super) fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds }
    }
}

impl Bytes {
    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Base64(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(bytes.to_owned()),
        }
    }
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

fn xattrs(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<Xattr>> {
    let mut names = vec![0; XATTR_MAX];
    let length = match flistxattr(file, &mut names[..]) {
        // A filesystem without them.
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut value = vec![0; XATTR_MAX];
    let mut found = Vec::new();
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        match fgetxattr(file, name, &mut value[..]) {
            Ok(length) => found.push(Xattr { name: name.into(), value: value[..length].into() }),
            // Removed since it was listed.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were() {
        for bytes in [&b""[..], b"plain", "Größe".as_bytes(), b"a\0b\n\"", b"\xff\xfe\0", b"\xc3"] {
            let json = serde_json::to_string(&Bytes::from(bytes)).unwrap();
            assert_eq!(serde_json::from_str::<Bytes>(&json).unwrap().as_bytes(), bytes);
        }
        assert_eq!(serde_json::to_string(&Bytes::from(&b"a"[..])).unwrap(), r#"{"text":"a"}"#);
        assert_eq!(serde_json::to_string(&Bytes::from(&b"\xff"[..])).unwrap(), r#"{"base64":"/w=="}"#);
    }

    #[test]
    fn refuses_a_record_of_another_version_and_half_a_record() {
        let error = Record::from_json(br#"{"version": 2, "news": true}"#).unwrap_err();
        assert!(matches!(error, RecordError::Version(2)), "{error}");
        let error = Record::from_json(br#"{"version": 1, "path": "#).unwrap_err();
        assert!(matches!(error, RecordError::Malformed(_)), "{error}");
        let error = Record::from_json(br#"{"version": 1}"#).unwrap_err();
        assert!(matches!(error, RecordError::Malformed(_)), "{error}");
    }
}
