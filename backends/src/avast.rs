//! Avast's daemon for Linux (avast-protocol(5)). The daemon opens the path by itself.
//!
//! `SCAN <path>` is answered between `210` and `200` by a line for each file and each member of an archive:
//! the path, a tab and `[+]` for clean, `[L]` and a name, or `[E]` and what kept it from looking.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes, VersionQuery};
use crate::lines::{self, Protocol, Turn, split_once};
use crate::verdict::{Fault, ThreatName};
use crate::wire::{kind_of, path_for_fields, quoted, version_in_lines};

/// Avast's daemon at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon {
        name: "avast",
        endpoint,
        takes: Takes::Path,
        begin,
        version_query: Some(version_query),
    })
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_fields(object.path) {
        Ok(path) => {
            let mut request = b"SCAN ".to_vec();
            for &byte in path {
                if byte == b'\\' || byte.is_ascii_whitespace() {
                    request.push(b'\\');
                }
                request.push(byte);
            }
            request.push(b'\n');
            lines::listen(Avast { request, stage: Stage::Greeting, looked: Looked::Nowhere })
        }
        Err(fault) => Step::Done(Err(fault)),
    }
}

/// Asked without waiting for the greeting: `220`, `210 VPS DATA`, `VPS <number>`, `200 VPS OK`.
fn version_query() -> VersionQuery {
    let answer = |received: &[u8]| {
        version_in_lines(received, b'\n', |line| {
            let misbehaved = || Fault::Misbehaved(format!("it says {}", quoted(line)).into());
            match line.strip_prefix(b"VPS ") {
                Some(version) => Some(Ok(version)),
                None if line.starts_with(b"220 ") || line.starts_with(b"210 ") => None,
                None => Some(Err(misbehaved())),
            }
        })
    };
    VersionQuery { request: b"VPS\n".to_vec(), answer }
}

struct Avast {
    request: Vec<u8>,
    stage: Stage,
    looked: Looked,
}

/// What is awaited.
#[derive(Clone, Copy)]
enum Stage {
    Greeting,
    /// `210`.
    Opening,
    Results,
}

/// Where the daemon has looked, as far as its results tell.
enum Looked {
    Nowhere,
    Everywhere,
    /// Not at everything, and why not.
    Partly(Vec<u8>),
}

/// What one line of results says of one file or member.
enum Finding<'a> {
    Clean,
    Threat(&'a [u8]),
    Error(&'a [u8]),
}

impl Protocol for Avast {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        match result(line)? {
            Finding::Threat(name) => Some(ThreatName::new(&unescaped(name))),
            Finding::Clean | Finding::Error(_) => None,
        }
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match self.stage {
            Stage::Greeting if line.starts_with(b"220 ") => {
                self.stage = Stage::Opening;
                Turn::Say(std::mem::take(&mut self.request).into())
            }
            Stage::Opening if line.starts_with(b"210 ") => {
                self.stage = Stage::Results;
                Turn::Listen
            }
            Stage::Results => self.heard_result(line),
            Stage::Opening if line.starts_with(b"4") => Turn::minor(kind_of(line), line),
            Stage::Greeting | Stage::Opening if is_refusal(line) => Turn::trouble(line),
            Stage::Greeting | Stage::Opening => Turn::garbled(line),
        }
    }
}

impl Avast {
    fn heard_result(&mut self, line: &[u8]) -> Turn {
        match (result(line), &self.looked) {
            (Some(Finding::Clean), Looked::Nowhere) => self.looked = Looked::Everywhere,
            (Some(Finding::Error(reason)), Looked::Nowhere | Looked::Everywhere) => {
                self.looked = Looked::Partly(reason.to_vec());
            }
            (Some(_), _) => {}
            (None, Looked::Everywhere) if line == b"200 SCAN OK" => return Turn::clean(),
            (None, Looked::Partly(reason)) if line == b"200 SCAN OK" => {
                return Turn::minor(kind_of(reason), reason);
            }
            (None, _) if line.starts_with(b"4") => return Turn::minor(kind_of(line), line),
            (None, _) if is_refusal(line) => return Turn::trouble(line),
            (None, _) => return Turn::garbled(line),
        }
        Turn::Listen
    }
}

/// Whether the daemon says that something is wrong, or that all is well with a file that it said nothing about.
fn is_refusal(line: &[u8]) -> bool {
    line == b"200 SCAN OK" || line.starts_with(b"4") || line.starts_with(b"5")
}

/// `<path>\t[L]0.0\t0 <name>`: the result stands behind the first tab that is not escaped.
fn result(line: &[u8]) -> Option<Finding<'_>> {
    let mut escaped = false;
    let tab = line.iter().position(|&byte| {
        let is_tab = byte == b'\t' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_tab
    })?;
    let (flag, rest) = line.get(tab + 1..)?.strip_prefix(b"[")?.split_first()?;
    let text = split_once(rest.strip_prefix(b"]")?, b'\t').1;
    match flag {
        // Behind it is a number, and nothing that could be another result.
        b'+' if !rest.contains(&b'\t') => Some(Finding::Clean),
        b'L' => {
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let behind_flag = text.get(digits..).and_then(|rest| rest.strip_prefix(b" "));
            Some(Finding::Threat(behind_flag.unwrap_or(text)))
        }
        b'E' => Some(Finding::Error(text)),
        _ => None,
    }
}

/// Without the backslashes that stand before blanks and backslashes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_bounded_and_deaf_to_noise, assert_recorded, assert_refuses_paths, clean_turns_of_noise,
        ending, infected,
    };
    use crate::transcript::{Blame, Ending};
    use crate::verdict::MinorErrorKind;

    const BANNER: &[&[u8]] = &[b"220 DAEMON\r\n"];

    fn scanner() -> Box<dyn Scanner> {
        new("/var/run/avast/scan.sock".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("avast");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        let clean = b"210 SCAN DATA\r\nSCAN /share/letter.doc\t[+]0.0\r\n200 SCAN OK\r\n";
        assert_bounded_and_deaf_to_noise(&*scanner(), BANNER, clean);
        assert_refuses_paths(&*scanner(), &[b"/a\nSCAN /b", b"/a\tb", b"/a\r", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        let minor = Ending::MinorError;
        let garbled = || Ending::Fault(Blame::Garbled);
        for (results, wanted) in [
            ("/a\t[+]0.0", Ending::Clean),
            ("/a\\ b\\\tc\t[+]0.0|/a|>b\t[+]1.0", Ending::Clean),
            ("SCAN /a\t[L]0.0\t0 Test A!!!", infected("Test A!!!")),
            ("/a\t[+]0.0|/a|>b\t[L]1.0\t0 2Test", infected("2Test")),
            ("/a\\\t[+]\t[L]0.0\t12 Test", infected("Test")),
            ("/a\t[L]0.0\t0 Test\\ A\\\\B", infected("Test A\\B")),
            ("/a\t[L]0.0", infected("unknown")),
            (
                "/a\t[E]3.0\tError 41120 The file is a decompression bomb",
                minor(MinorErrorKind::OverScannerLimit),
            ),
            (
                "/a|>b\t[E]1.0\tError 42056 Archive is password protected|/a\t[+]0.0",
                minor(MinorErrorKind::Encrypted),
            ),
            ("/a\t[+]0.0|/a|>b\t[E]1.0\tError 42001 corrupt", minor(MinorErrorKind::NotScannable)),
            ("", garbled()),
            ("/a\t[X]0.0", garbled()),
            ("/a [+]0.0", garbled()),
            ("210 SCAN DATA", garbled()),
        ] {
            let reply =
                format!("210 SCAN DATA|{results}|200 SCAN OK|").replace('|', "\r\n").replace("\r\n>", "|>");
            assert_eq!(ending(&*scanner(), BANNER, reply.as_bytes()), wanted, "{reply:?}");
        }
    }

    #[test]
    fn an_error_of_the_engine_is_a_minor_error_and_a_refusal_is_none() {
        for (turns, reply, wanted) in [
            (
                BANNER,
                "451 SCAN Engine error 2 No such file\r\n",
                Ending::MinorError(MinorErrorKind::NotScannable),
            ),
            (
                BANNER,
                "210 SCAN DATA\r\n451 SCAN Engine error 42 x\r\n",
                Ending::MinorError(MinorErrorKind::NotScannable),
            ),
            (BANNER, "501 Syntax error\r\n", Ending::Fault(Blame::Misbehaved)),
            (BANNER, "200 SCAN OK\r\n", Ending::Fault(Blame::Misbehaved)),
            (BANNER, "210 SCAN DATA\r\n200 SCAN OK\r\n", Ending::Fault(Blame::Misbehaved)),
            (&[], "421 not ready\r\n", Ending::Fault(Blame::Misbehaved)),
            (&[], "/a\t[+]0.0\r\n", Ending::Fault(Blame::Garbled)),
        ] {
            assert_eq!(ending(&*scanner(), turns, reply.as_bytes()), wanted, "{reply:?}");
        }
    }

    #[test]
    fn asks_for_the_version_of_the_signatures() {
        let query = scanner().version_query().unwrap();
        let told = b"220 DAEMON\r\n210 VPS DATA\r\nVPS 24123000\r\n200 VPS OK\r\n";
        assert_eq!((query.answer)(&told[..30]), None);
        assert_eq!((query.answer)(told).unwrap().unwrap(), "24123000");
        assert!((query.answer)(b"220 DAEMON\r\n501 Syntax error\r\n").unwrap().is_err());
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["210 SCAN DATA\n", "200 SCAN OK", "\t[+]", "\t[L]", "\t[E]", "\n", "X", " "];
        for reply in clean_turns_of_noise(&*scanner(), BANNER, &words) {
            assert!(reply.starts_with("210 SCAN DATA\n") && reply.contains("\n200 SCAN OK"), "{reply:?}");
            assert!(reply.contains("\t[+]") && !reply.contains("[L]"), "{reply:?}");
        }
    }
}
