//! F-Secure's fsavd: lines of fields with tabs between them. The daemon opens the path by itself.
//!
//! It greets with the version of its signatures, is told the version of the protocol and how to scan, and then gives a
//! line for each finding and `OK` at the end. Archives and mail are looked into, five levels deep.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes, VersionQuery};
use crate::lines::{self, Protocol, Turn, split_once};
use crate::verdict::{Fault, MinorErrorKind, ThreatName};
use crate::wire::{kind_of, path_for_fields, quoted, version_in_lines};

/// What is said before the path. Each is answered by `OK`.
const SETTINGS: [&[u8]; 6] = [
    b"PROTOCOL\t5\n",
    b"CONFIGURE\tSTOPONFIRST\t1\n",
    // No file is left out for its name.
    b"CONFIGURE\tFILTER\t0\n",
    b"CONFIGURE\tARCHIVE\t1\n",
    b"CONFIGURE\tMAXARCH\t5\n",
    b"CONFIGURE\tMIME\t1\n",
];

/// fsavd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "fsav", endpoint, takes: Takes::Path, begin, version_query: Some(version_query) })
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_fields(object.path) {
        Ok(path) => {
            let request = [b"SCAN\t", path, b"\n"].concat();
            lines::listen(Fsav { request, stage: Stage::Greeting, failure: None })
        }
        Err(fault) => Step::Done(Err(fault)),
    }
}

/// The greeting is the answer to a question that nobody needs to ask.
fn version_query() -> VersionQuery {
    let answer = |received: &[u8]| {
        version_in_lines(received, b'\n', |line| match split_once(line, b'\t') {
            (b"DBVERSION", version) if !version.is_empty() => Some(Ok(version)),
            _ => Some(Err(Fault::Garbled(format!("{} is no version of fsavd's", quoted(line)).into()))),
        })
    };
    VersionQuery { request: Vec::new(), answer }
}

struct Fsav {
    request: Vec<u8>,
    stage: Stage,
    /// What could not be scanned.
    failure: Option<Vec<u8>>,
}

/// What is awaited.
#[derive(Clone, Copy)]
enum Stage {
    Greeting,
    /// The answer to a setting, with these still to come.
    Setting(&'static [&'static [u8]]),
    Results,
}

impl Protocol for Fsav {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        let (word, fields) = split_once(line, b'\t');
        let word = word.strip_prefix(b"ARCHIVE_").or(word.strip_prefix(b"MIME_")).unwrap_or(word);
        let name = split_once(split_once(fields, b'\t').1, b'\t').0;
        matches!(word, b"INFECTED" | b"SUSPECTED" | b"RISKWARE").then(|| ThreatName::new(name))
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        let (word, fields) = split_once(line, b'\t');
        match (self.stage, word) {
            (Stage::Greeting, b"DBVERSION") => self.go_on(&SETTINGS),
            (Stage::Setting(left), b"OK") => self.go_on(left),
            (Stage::Results, b"CLEAN" | b"OPEN_ARCHIVE" | b"CLOSE_ARCHIVE") => Turn::Listen,
            (Stage::Results, b"SCAN_FAILURE") => {
                let reason = split_once(split_once(fields, b'\t').1, b'\t').1;
                self.failure.get_or_insert_with(|| reason.to_vec());
                Turn::Listen
            }
            (Stage::Results, b"OK") => match &self.failure {
                Some(reason) => Turn::minor(kind_of(reason), reason),
                None => Turn::clean(),
            },
            (Stage::Results, b"ERROR") => Turn::minor(MinorErrorKind::NotScannable, line),
            (Stage::Greeting | Stage::Setting(_), b"ERROR") => Turn::trouble(line),
            (Stage::Greeting | Stage::Setting(_) | Stage::Results, _) => Turn::garbled(line),
        }
    }
}

impl Fsav {
    /// Says the next setting, or the path after the last.
    fn go_on(&mut self, settings: &'static [&'static [u8]]) -> Turn {
        match settings.split_first() {
            Some((next, left)) => {
                self.stage = Stage::Setting(left);
                Turn::Say((*next).into())
            }
            None => {
                self.stage = Stage::Results;
                Turn::Say(std::mem::take(&mut self.request).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Delivery, FILE, assert_blamed, assert_bounded_and_deaf_to_noise, assert_recorded,
        assert_refuses_paths, clean_turns_of_noise, ending, infected, play_turns,
    };
    use crate::transcript::{Blame, Ending};

    const OK: &[u8] = b"OK\tdone\n";
    const BEFORE: &[&[u8]] = &[b"DBVERSION\t2009-01-01_01\n", OK, OK, OK, OK, OK, OK];

    fn scanner() -> Box<dyn Scanner> {
        new("/tmp/.fsav-0".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("fsav");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), BEFORE, b"CLEAN\t/share/letter.doc\nOK\tScan ok.\n");
        assert_refuses_paths(&*scanner(), &[b"/a\nSCAN\t/b", b"/a\tb", b"/a\r", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        let minor = |kind| Ending::MinorError(kind);
        for (reply, wanted) in [
            ("OK\tScan ok.\n", Ending::Clean),
            ("INFECTED\t/a\tTest-A\tengine\nOK\tScan ok.\n", infected("Test-A")),
            ("ARCHIVE_INFECTED\t/a\tTest-A\tengine\t1\t2\n", infected("Test-A")),
            ("MIME_SUSPECTED\t/a\tTest-A", infected("Test-A")),
            ("RISKWARE\t/a\n", infected("unknown")),
            ("SCAN_FAILURE\t/a\t0x1\tNo such file [E]\nOK\t\n", minor(MinorErrorKind::NotScannable)),
            (
                "OPEN_ARCHIVE\t/a\nCLEAN\t/a/b\nSCAN_FAILURE\t/a\t0x2\tEncrypted [E]\nCLOSE_ARCHIVE\t/a\nOK\n",
                minor(MinorErrorKind::Encrypted),
            ),
            ("SCAN_FAILURE\t/a\t0x1\tx\nINFECTED\t/a/b\tTest-A\tE\n", infected("Test-A")),
            ("ERROR\tno\n", minor(MinorErrorKind::NotScannable)),
            ("CLEAN\t/share/letter.doc\n", Ending::Fault(Blame::Transport)),
            ("OKAY\n", Ending::Fault(Blame::Garbled)),
            ("DBVERSION\tx\n", Ending::Fault(Blame::Garbled)),
        ] {
            assert_eq!(ending(&*scanner(), BEFORE, reply.as_bytes()), wanted, "{reply:?}");
        }
    }

    #[test]
    fn refuses_to_scan_with_settings_that_were_not_taken() {
        for done in 1..BEFORE.len() {
            let error = ending(&*scanner(), &BEFORE[..done], b"ERROR\tunknown\n");
            assert_eq!(error, Ending::Fault(Blame::Misbehaved), "after {done}");
            let early = b"OK\tdone\nOK\tScan ok.\n";
            let early = play_turns(&*scanner(), &FILE, &BEFORE[..done], early, Delivery::Whole);
            assert_blamed(Blame::Misbehaved, &early);
        }
    }

    #[test]
    fn the_greeting_is_the_version_of_the_signatures() {
        let query = scanner().version_query().unwrap();
        assert!(query.request.is_empty());
        assert_eq!((query.answer)(b"DBVERSION\t2009-01"), None);
        assert_eq!((query.answer)(BEFORE[0]).unwrap().unwrap(), "2009-01-01_01");
        assert!((query.answer)(b"ERROR\tbusy\n").unwrap().is_err());
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["OK", "\t", "CLEAN", "INFECTED", "SCAN_FAILURE", "\n", "X", " "];
        for reply in clean_turns_of_noise(&*scanner(), BEFORE, &words) {
            let last = reply.trim_end().lines().last().unwrap();
            assert!(last == "OK" || last.starts_with("OK\t"), "{reply:?}");
            let is_bad = |line: &str| line.starts_with("INFECTED\t") || line.starts_with("SCAN_FAILURE\t");
            assert!(!reply.lines().any(is_bad), "{reply:?}");
        }
    }
}
