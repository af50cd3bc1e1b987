//! The daemon of vfs_scannedonly: is sent a path in a datagram, and never answers. It leaves an empty file beside the one that
//! it has scanned, whose name is a mark and the name of that one.
//!
//! A mark says nothing but its name, so whoever may write to a directory can make one, or give that of a clean file to
//! another. It is worth something beside a private copy alone ([`Takes::Copy`]).

use crate::address::{AddressError, Endpoint};
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn};
use crate::verdict::{Fault, MinorErrorKind, ThreatName};
use crate::wire::path_for_line;

const CLEAN: &[u8] = b".scanned:";
const INFECTED: &[u8] = b".virus:";
const FAILED: &[u8] = b".failed:";

/// The daemon at this address: the path of a socket, or `udp:host:port`.
pub fn new(address: &str) -> Result<Box<dyn Scanner>, AddressError> {
    let endpoint = Endpoint::of_datagrams(address)?;
    Ok(Box::new(Daemon { name: "scannedonly", endpoint, takes: Takes::Copy, begin, version_query: None }))
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_line(object.path) {
        Ok(path) => {
            let copy = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path).to_vec();
            lines::say([path, b"\n"].concat(), Marks { copy, seen: Seen::default() })
        }
        Err(fault) => Step::Done(Err(fault)),
    }
}

struct Marks {
    /// The name of the copy.
    copy: Vec<u8>,
    seen: Seen,
}

/// What is in the directory, as far as it was told.
#[derive(Default)]
struct Seen {
    copy: bool,
    clean: bool,
    failed: bool,
    others: usize,
}

impl Marks {
    fn is_marked(&self, line: &[u8], mark: &[u8]) -> bool {
        line.strip_prefix(mark) == Some(&self.copy)
    }

    /// All that is there was told.
    fn judge(&mut self) -> Turn {
        match std::mem::take(&mut self.seen) {
            Seen { failed: true, .. } => {
                Turn::minor(MinorErrorKind::NotScannable, b"the scanner marked it as failed")
            }
            Seen { clean: true, copy: true, others: 0, .. } => Turn::clean(),
            Seen { clean: true, .. } => {
                let why =
                    "it marked a copy as scanned that is no longer as it was, or left other files beside it";
                Turn::Done(Err(Fault::Misbehaved(why.into())))
            }
            Seen { clean: false, .. } => Turn::Listen,
        }
    }
}

impl Protocol for Marks {
    /// The daemon does not say which.
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        self.is_marked(line, INFECTED).then(|| ThreatName::new(b""))
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match line {
            b"" => return self.judge(),
            _ if line == self.copy => self.seen.copy = true,
            _ if self.is_marked(line, CLEAN) => self.seen.clean = true,
            _ if self.is_marked(line, FAILED) => self.seen.failed = true,
            _ => self.seen.others += 1,
        }
        Turn::Listen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_bounded_and_deaf_to_noise, assert_recorded, assert_refuses_paths, clean_replies_of_noise,
        ending, infected,
    };
    use crate::transcript::{Blame, Ending};

    fn scanner() -> Box<dyn Scanner> {
        new("/var/lib/scannedonly/scan").unwrap()
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("scannedonly");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), &[], b".scanned:letter.doc\nletter.doc\n\n");
        assert_refuses_paths(&*scanner(), &[b"/spool/a\n/etc/motd", b"a"]);
    }

    #[test]
    fn the_worst_mark_counts_and_none_is_no_verdict() {
        let (minor, misbehaved) =
            (Ending::MinorError(MinorErrorKind::NotScannable), Ending::Fault(Blame::Misbehaved));
        for (names, wanted) in [
            (".virus:letter.doc\n\n", infected("unknown")),
            (".scanned:letter.doc\n.virus:letter.doc\nletter.doc\n\n", infected("unknown")),
            (".failed:letter.doc\n.scanned:letter.doc\nletter.doc\n\n", minor),
            (".scanned:letter.doc\n\n", misbehaved.clone()),
            (".scanned:letter.doc\nletter.doc\nletter.doc.txt\n\n", misbehaved),
            (".scanned:letter.do\nletter.doc\n\n", Ending::Fault(Blame::Transport)),
            ("letter.doc\n\n", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(ending(&*scanner(), &[], names.as_bytes()), wanted, "{names:?}");
        }
    }

    #[test]
    fn noise_is_clean_only_with_the_copy_and_its_mark_alone() {
        let words = [".scanned:letter.doc\n", "letter.doc\n", "\n", "x\n", ".failed:letter.doc\n"];
        for names in clean_replies_of_noise(&*scanner(), &words) {
            let last = names.trim_end().rsplit("\n\n").next().unwrap();
            let mut lines: Vec<&str> = last.lines().filter(|line| !line.is_empty()).collect();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines, [".scanned:letter.doc", "letter.doc"], "{names:?}");
        }
    }
}
