//! How a result is written down: the bytes of keys and values. Whatever cannot be read is no result.

use std::time::Duration;

use vscan_backends::verdict::ThreatName;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::filesystem::FilesystemId;
use crate::cache::{Found, Known};
use crate::identity::{FileKey, FileTime, Identity};

/// What a result is kept under: the file, and who has judged it. Files come first, so that all that is known of one file
/// stands together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Where the file lives, also after the machine was started anew.
    pub filesystem: FilesystemId,
    /// The file there.
    pub ino: u64,
    /// The scanners, as they are configured: another share's scanners may think otherwise.
    pub scanners: u64,
}

impl Key {
    pub(super) const LENGTH: usize = 32;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let (filesystem, rest) = bytes.split_at_mut(16);
        filesystem.copy_from_slice(&self.filesystem.0);
        let (ino, scanners) = rest.split_at_mut(8);
        ino.copy_from_slice(&self.ino.to_be_bytes());
        scanners.copy_from_slice(&self.scanners.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let key = Self {
            filesystem: FilesystemId(reader.array()?),
            ino: u64::from_be_bytes(reader.array()?),
            scanners: u64::from_be_bytes(reader.array()?),
        };
        reader.0.is_empty().then_some(key)
    }

    /// The beginning of all keys of this file.
    pub(super) fn file_prefix(filesystem: FilesystemId, ino: u64) -> Vec<u8> {
        [filesystem.0.as_slice(), &ino.to_be_bytes()].concat()
    }
}

/// A result, and all that says whether it still counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The state of the file; the device is left out, for it has another number tomorrow.
    pub identity: Identity,
    /// What was found.
    pub known: Known,
    /// The signatures by which.
    pub signatures: u64,
    /// When the scan was over.
    pub stored: FileTime,
    /// How long it took.
    pub took: Duration,
}

/// The time between two flushes, known by when it began. What a scan finds that began in one generation is not written in
/// another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation(FileTime);

impl Generation {
    /// That of a database in which nothing was flushed yet: before all scans, and in no two databases the same.
    pub(super) fn first() -> Self {
        Self(FileTime(-FileTime::now().0))
    }

    /// Another one, also if the clock was set back.
    pub(super) fn next(self) -> Self {
        Self(FileTime::now().max(FileTime(self.0.0.saturating_add(1))))
    }

    /// Whether it had begun by then, as far as the clock tells.
    pub(super) fn had_begun(self, time: FileTime) -> bool {
        self.0 < time
    }

    /// Changes with every flush.
    pub(crate) fn number(self) -> u64 {
        self.0.0.cast_unsigned()
    }

    pub(super) fn to_bytes(self) -> [u8; 8] {
        self.0.0.to_le_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(FileTime(bytes.try_into().map(i64::from_le_bytes).unwrap_or_default()))
    }
}

/// More than the longest result takes: the names of a threat, and of all scanners that have found it.
const LONGEST: usize = 4096;

const CLEAN: u8 = 0;
const INFECTED: u8 = 1;

impl Entry {
    /// Whether it is about the file in exactly this state.
    pub fn is_about(&self, identity: &Identity) -> bool {
        let Identity { key: _, size, mtime, ctime } = self.identity;
        (size, mtime, ctime) == (identity.size, identity.mtime, identity.ctime)
    }

    /// When the scan began.
    pub(super) fn began(&self) -> FileTime {
        self.stored.before(self.took)
    }

    /// With a checksum at the end, of this and the key: what is not as it was written is no result.
    pub(super) fn to_bytes(&self, key: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend(self.stored.0.to_le_bytes());
        bytes.extend(self.identity.size.to_le_bytes());
        bytes.extend(self.identity.mtime.0.to_le_bytes());
        bytes.extend(self.identity.ctime.0.to_le_bytes());
        bytes.extend(self.signatures.to_le_bytes());
        bytes.extend(u32::try_from(self.took.as_micros()).unwrap_or(u32::MAX).to_le_bytes());
        match &self.known {
            Known::Clean => bytes.push(CLEAN),
            Known::Infected(found) => {
                bytes.push(INFECTED);
                for text in [found.threat.as_str(), &found.scanner] {
                    let text = text.as_bytes();
                    bytes.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
                    bytes.extend(text);
                }
            }
        }
        bytes.extend(checksum(key, &bytes));
        bytes
    }

    pub(super) fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self> {
        // Before all of it is read: where foreign bytes have got in, the length may be any.
        let (content, sum) = bytes.split_last_chunk().filter(|_| bytes.len() <= LONGEST)?;
        if checksum(key, content) != *sum {
            return None;
        }
        let mut reader = Reader(content);
        let stored = reader.time()?;
        let identity = Identity {
            key: FileKey::default(),
            size: u64::from_le_bytes(reader.array()?),
            mtime: reader.time()?,
            ctime: reader.time()?,
        };
        let signatures = u64::from_le_bytes(reader.array()?);
        let took = Duration::from_micros(u32::from_le_bytes(reader.array()?).into());
        let known = match reader.array()? {
            [CLEAN] => Known::Clean,
            [INFECTED] => {
                let threat = ThreatName::new(reader.text()?);
                let scanner = String::from_utf8(reader.text()?.to_vec()).ok()?;
                Known::Infected(Found { threat, scanner })
            }
            _ => return None,
        };
        reader.0.is_empty().then_some(Self { identity, known, signatures, stored, took })
    }

    /// When it was stored; all that is needed to keep the order by age.
    pub(super) fn stored_in(bytes: &[u8]) -> Option<FileTime> {
        Reader(bytes).time()
    }
}

fn checksum(key: &[u8], content: &[u8]) -> [u8; 8] {
    xxh3_64_with_seed(content, xxh3_64(key)).to_le_bytes()
}

/// A key by which entries stand in the order of their age.
pub(super) fn age_key(stored: FileTime, key: &[u8]) -> Vec<u8> {
    let stored = u64::try_from(stored.0).unwrap_or(0);
    [stored.to_be_bytes().as_slice(), key].concat()
}

/// The entry's own key, out of that.
pub(super) fn key_of_age(age_key: &[u8]) -> &[u8] {
    age_key.get(8..).unwrap_or_default()
}

/// What a scanner has last said of its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its words.
    pub text: String,
    /// When it said so.
    pub heard: FileTime,
}

impl Version {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [i128::from(self.heard.0).to_le_bytes().as_slice(), self.text.as_bytes()].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let heard = FileTime(i64::try_from(i128::from_le_bytes(reader.array()?)).ok()?);
        Some(Self { text: String::from_utf8(reader.0.to_vec()).ok()?, heard })
    }
}

/// Bytes that can run out.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn time(&mut self) -> Option<FileTime> {
        Some(FileTime(i64::from_le_bytes(self.array()?)))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"key";

    fn entry(known: Known) -> Entry {
        Entry {
            identity: Identity {
                key: FileKey::default(),
                size: 5,
                mtime: FileTime(-7),
                ctime: FileTime(1 << 62),
            },
            known,
            signatures: 9,
            stored: FileTime(1_700_000_000_000_000_000),
            took: Duration::from_micros(1234),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let found = Found { threat: ThreatName::new(b"Eicar"), scanner: "clamav, icap".to_owned() };
        for known in [Known::Clean, Known::Infected(found)] {
            let entry = entry(known);
            let bytes = entry.to_bytes(KEY);
            assert_eq!(Entry::from_bytes(KEY, &bytes).as_ref(), Some(&entry));
            assert_eq!(Entry::stored_in(&bytes), Some(entry.stored));
        }
        let key = Key { filesystem: FilesystemId([3; 16]), ino: 1 << 40, scanners: 4 };
        assert_eq!(Key::from_bytes(&key.to_bytes()), Some(key));
        assert_eq!(key_of_age(&age_key(FileTime(5), &key.to_bytes())), key.to_bytes());
    }

    #[test]
    fn what_is_not_as_it_was_written_is_no_result() {
        let found = Found { threat: ThreatName::new(b"Eicar"), scanner: "clamav".to_owned() };
        let bytes = entry(Known::Infected(found)).to_bytes(KEY);
        for at in 0..bytes.len() {
            assert_eq!(Entry::from_bytes(KEY, &bytes[..at]), None, "{at}");
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(Entry::from_bytes(KEY, &other), None, "{at}");
        }
        assert_eq!(Entry::from_bytes(KEY, &[bytes.as_slice(), b"x"].concat()), None);
        assert_eq!(Entry::from_bytes(b"other", &bytes), None, "that of another file");
    }
}
