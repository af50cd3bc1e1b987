//! Content that an administrator trusts, whatever a scanner says of it: `trusted files`.
//!
//! A list of SHA-256 sums, one line each: the sum in hexadecimal, the size in bytes, and whatever helps a reader. It is
//! looked at only after a scanner has found something, and content is hashed only if its size is in the list: a find in
//! any other file costs no more than before.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lru::LruCache;
use rustix::fs::fstat;
use rustix::io::{Errno, pread};
use sha2::{Digest as _, Sha256};

use crate::identity::{FileTime, Identity, granularity};
use crate::privilege::Privilege;

/// A list of this size has 100,000 lines.
const LIST_MAX: u64 = 16 << 20;

/// Bytes per read of a file.
const BLOCK: usize = 256 * 1024;

/// How many files are remembered, so that they need not be hashed at each open.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// What is in a file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// Its SHA-256 sum.
    pub sha256: [u8; 32],
    /// Its bytes.
    pub size: u64,
}

impl Content {
    /// Of an open file, whose offset stays where it is.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        let (mut hash, mut size, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
        loop {
            match pread(file, &mut block[..], size) {
                Ok(0) => return Ok(Self { sha256: hash.finalize().into(), size }),
                Ok(count) => {
                    hash.update(&block[..count]);
                    size += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The sum, as sha256sum(1) prints it.
    pub fn hexadecimal(&self) -> String {
        self.sha256.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// From a line of the list; None for a comment and for what is none.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (sum, size) = (words.next()?, words.next()?.parse().ok()?);
        if sum.len() != 64 || !sum.is_ascii() {
            return None;
        }
        let mut sha256 = [0; 32];
        for (byte, digits) in sha256.iter_mut().zip(sum.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self { sha256, size })
    }
}

/// The list, as a share asks it.
pub(crate) struct Trusted {
    list: Option<PathBuf>,
    /// By the file and its state: the state of the list, and what came of the comparison.
    known: RefCell<LruCache<Identity, (Identity, bool)>>,
}

impl Trusted {
    pub(crate) fn new(list: Option<PathBuf>) -> Self {
        let mut known = LruCache::unbounded();
        known.resize(REMEMBERED);
        Self { list, known: RefCell::new(known) }
    }

    /// Whether the content of this file, in this state, is in the list. The error says why that cannot be told.
    pub(crate) fn covers(
        &self,
        file: BorrowedFd<'_>,
        identity: &Identity,
        privilege: &dyn Privilege,
    ) -> Result<bool, String> {
        let Some(list) = &self.list else { return Ok(false) };
        let unusable = |why: &dyn std::fmt::Display| format!("trusted files = {}: {why}", list.display());
        let opened = match privilege.raised(|| File::open(list)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(|error| unusable(&error))?,
        };
        check_owner(&opened).map_err(|error| unusable(&error))?;
        let state = fstat(&opened).map(|stat| Identity::of(&stat)).map_err(|errno| unusable(&errno))?;
        if let Some((list, is_trusted)) = self.known.borrow_mut().get(identity)
            && *list == state
        {
            return Ok(*is_trusted);
        }
        let began = FileTime::now();
        let is_trusted = is_in(opened, file, identity).map_err(|error| unusable(&error))?;
        // As with a verdict: a later change of the file, or of the list, must show.
        let tick = granularity(file);
        if identity.shows_changes_since(began, tick) && state.shows_changes_since(began, tick) {
            self.known.borrow_mut().put(*identity, (state, is_trusted));
        }
        Ok(is_trusted)
    }
}

fn is_in(list: File, file: BorrowedFd<'_>, identity: &Identity) -> io::Result<bool> {
    let contents = read(list)?;
    if !contents.iter().any(|content| content.size == identity.size) {
        return Ok(false);
    }
    let content = Content::of(file)?;
    let is_unchanged = fstat(file).is_ok_and(|stat| Identity::of(&stat) == *identity);
    Ok(is_unchanged && contents.contains(&content))
}

/// Whoever may write into the list can let any virus pass.
fn check_owner(list: &File) -> io::Result<()> {
    let metadata = list.metadata()?;
    let is_ours = metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if !is_ours || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "it belongs to or is writable for others than root, so it is not believed: chown root and chmod 600 it",
        ));
    }
    Ok(())
}

/// Whether there is such a list; an error if it would not be believed.
pub fn is_there(list: &Path) -> io::Result<bool> {
    match File::open(list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        opened => opened.and_then(|list| check_owner(&list)).map(|()| true),
    }
}

fn read(list: File) -> io::Result<Vec<Content>> {
    let mut text = String::new();
    list.take(LIST_MAX).read_to_string(&mut text)?;
    Ok(text.lines().filter_map(Content::parse).collect())
}

/// Adds content to a list, which is made if it is missing. Whether it was not there before. `remark` is for readers.
pub fn add(list: &Path, content: &Content, remark: &str) -> io::Result<bool> {
    if let Some(directory) = list.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(list)?;
    check_owner(&file)?;
    if read(file.try_clone()?)?.contains(content) {
        return Ok(false);
    }
    let remark: String = remark.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    // In one piece: another process may add something at the same time.
    file.write_all(format!("{} {} {remark}\n", content.hexadecimal(), content.size).as_bytes())?;
    file.sync_all()?;
    Ok(true)
}

/// Takes content out of a list.
pub fn remove(list: &Path, content: &Content) -> io::Result<()> {
    let text = std::fs::read_to_string(list)?;
    let kept = text.lines().filter(|line| Content::parse(line) != Some(*content));
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    let draft = list.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(kept.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(draft, list)
}

/// All content in a list, with the rest of its line.
pub fn all(list: &Path) -> io::Result<HashMap<Content, String>> {
    let text = std::fs::read_to_string(list)?;
    let remark = |line: &str| line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
    Ok(text.lines().filter_map(|line| Some((Content::parse(line)?, remark(line)))).collect())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::privilege::AsIs;

    /// Any sum.
    const SUM: &str = "cc0f8ecfde8e6c83b0ad2a2c21fb4a8fe3c2a6b4b0e6ad6a3c7c1b5b0d4f7c4e";

    struct Bench {
        home: tempfile::TempDir,
        trusted: Trusted,
    }

    impl Bench {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let trusted = Trusted::new(Some(home.path().join("var/trusted")));
            Self { home, trusted }
        }

        fn list(&self) -> PathBuf {
            self.home.path().join("var/trusted")
        }

        fn file(&self, content: &str) -> File {
            let path = self.home.path().join("file");
            std::fs::write(&path, content).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
            File::open(path).unwrap()
        }

        fn covers(&self, file: &File) -> Result<bool, String> {
            let identity = Identity::of(&fstat(file).unwrap());
            self.trusted.covers(file.as_fd(), &identity, &AsIs)
        }
    }

    #[test]
    fn covers_what_was_added_until_it_is_removed() {
        let bench = Bench::new();
        let file = bench.file("trusted");
        assert_eq!(bench.covers(&file), Ok(false), "there is no list yet");
        let content = Content::of(file.as_fd()).unwrap();
        assert!(add(&bench.list(), &content, "/srv/a\nb").unwrap());
        assert!(!add(&bench.list(), &content, "again").unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        for _ in 0..2 {
            assert_eq!(bench.covers(&file), Ok(true));
        }
        assert_eq!(bench.covers(&bench.file("another")), Ok(false), "of the same size");
        assert_eq!(bench.covers(&bench.file("longer than that")), Ok(false));
        assert_eq!(all(&bench.list()).unwrap()[&content], "/srv/a?b");
        remove(&bench.list(), &content).unwrap();
        assert_eq!(bench.covers(&bench.file("trusted")), Ok(false));
        assert!(add(&bench.list(), &content, "").unwrap());
        assert_eq!(bench.covers(&bench.file("trusted")), Ok(true));
    }

    #[test]
    fn a_list_that_others_can_write_to_is_not_believed() {
        let bench = Bench::new();
        let file = bench.file("trusted");
        add(&bench.list(), &Content::of(file.as_fd()).unwrap(), "").unwrap();
        std::fs::set_permissions(bench.list(), std::fs::Permissions::from_mode(0o666)).unwrap();
        let error = bench.covers(&file).unwrap_err();
        assert!(error.contains("not believed"), "{error}");
    }

    #[test]
    fn a_line_is_a_sum_a_size_and_a_remark() {
        let content = Content::parse(&format!("{SUM}  7 /srv/a b")).unwrap();
        assert_eq!((content.hexadecimal().as_str(), content.size), (SUM, 7));
        for line in ["", "# comment", SUM, "abc 7 x", &format!("{SUM}0 7"), &format!("{SUM} seven")] {
            assert_eq!(Content::parse(line), None, "{line}");
        }
    }

    #[test]
    fn hashes_as_sha256sum_does() {
        let content = Content::of(Bench::new().file("abc").as_fd()).unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((content.hexadecimal().as_str(), content.size), (expected, 3));
    }
}
