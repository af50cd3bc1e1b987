//! mks_vir's mksd: a letter for the kind of scan and a path, and one line back. The daemon opens the path by itself.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn, split_once};
use crate::verdict::ThreatName;
use crate::wire::{kind_of, path_for_line};

/// mksd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "mks", endpoint, takes: Takes::Path, begin, version_query: None })
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_line(object.path) {
        Ok(path) => lines::say([b"S", path, b"\n"].concat(), Mks),
        Err(fault) => Step::Done(Err(fault)),
    }
}

struct Mks;

impl Protocol for Mks {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        match split_once(line, b' ') {
            (b"VIR", rest) => Some(ThreatName::new(split_once(rest, b' ').0)),
            _ => None,
        }
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match (split_once(line, b' ').0, line.first()) {
            (b"OK", _) => Turn::clean(),
            // Errors of several kinds, all about this file.
            (_, Some(b'E' | b'A')) => Turn::minor(kind_of(line), line),
            (_, _) => Turn::garbled(line),
        }
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
    use crate::verdict::MinorErrorKind;

    fn scanner() -> Box<dyn Scanner> {
        new("/var/run/mksd/socket".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("mks");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), &[], b"OK\n");
        assert_refuses_paths(&*scanner(), &[b"/a\nS/b", b"/a\0", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        let minor = Ending::MinorError(MinorErrorKind::NotScannable);
        for (reply, wanted) in [
            ("OK /share/letter.doc\n", Ending::Clean),
            ("VIR Test-A /share/letter.doc\n", infected("Test-A")),
            ("VIR\n", infected("unknown")),
            ("VIR Test-A", infected("Test-A")),
            ("ERR no such file\n", minor.clone()),
            ("ABORT\n", minor),
            ("ERR password\n", Ending::MinorError(MinorErrorKind::Encrypted)),
            ("OKAY\n", Ending::Fault(Blame::Garbled)),
            ("VIRUS\n", Ending::Fault(Blame::Garbled)),
            ("\n", Ending::Fault(Blame::Garbled)),
            ("OK /sh", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), wanted, "{reply:?}");
        }
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        for reply in clean_replies_of_noise(&*scanner(), &["OK", "VIR", "ERR", "\n", "\r", "X", " "]) {
            let line = reply.split('\n').next().unwrap();
            assert!(line.trim_end() == "OK" || line.starts_with("OK "), "{reply:?}");
            assert!(reply.lines().skip(1).all(|line| line.trim().is_empty()), "{reply:?}");
        }
    }
}
