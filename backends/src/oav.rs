//! OpenAntiVirus' ScannerDaemon: `SCAN <path>`, and one line back. The daemon opens the path by itself.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn};
use crate::verdict::{MinorErrorKind, ThreatName};
use crate::wire::path_for_line;

/// ScannerDaemon at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "oav", endpoint, takes: Takes::Path, begin, version_query: None })
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_line(object.path) {
        Ok(path) => lines::say([b"SCAN ", path, b"\n"].concat(), Oav),
        Err(fault) => Step::Done(Err(fault)),
    }
}

struct Oav;

impl Protocol for Oav {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        line.strip_prefix(b"FOUND:").map(ThreatName::new)
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match line {
            b"OK" => Turn::clean(),
            // It says no more than that, and only of files that it cannot read.
            _ if line.starts_with(b"ERROR") => Turn::minor(MinorErrorKind::NotScannable, line),
            _ => Turn::garbled(line),
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

    fn scanner() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:8127".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("oav");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), &[], b"OK\r\n");
        assert_refuses_paths(&*scanner(), &[b"/a\nSCAN /b", b"/a\r", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        let minor = Ending::MinorError(MinorErrorKind::NotScannable);
        for (reply, wanted) in [
            ("OK\n", Ending::Clean),
            ("FOUND: Test-A\r\n", infected("Test-A")),
            ("FOUND:\n", infected("unknown")),
            ("FOUND: Test-A", infected("Test-A")),
            ("ERROR\n", minor),
            ("OK \n", Ending::Fault(Blame::Garbled)),
            ("ok\n", Ending::Fault(Blame::Garbled)),
            ("OK", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), wanted, "{reply:?}");
        }
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        for reply in clean_replies_of_noise(&*scanner(), &["OK", "FOUND: ", "ERROR", "\n", "\r", "X", " "]) {
            assert!(reply.starts_with("OK\n") || reply.starts_with("OK\r\n"), "{reply:?}");
            assert!(reply.trim() == "OK", "{reply:?}");
        }
    }
}
