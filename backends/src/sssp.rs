//! Sophos' savdid (SAVDI) in its own protocol, SSSP 1.0.
//!
//! Over a unix socket it is sent the path and opens it by itself; over TCP it is sent the content, which savdid.conf
//! must allow (`allowscandata`, `maxscandata`). What is looked into (archives, mail) is said there too.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn, split_once};
use crate::verdict::{Fault, MinorErrorKind, ThreatName};
use crate::wire::MAX_PATH;

/// What a path has as it is; every other byte is escaped, so that any name can be sent.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'/').remove(b'_');

/// Passwords and encryption.
const ENCRYPTED: &[u8] = b"0212";
/// A threat was found.
const VIRUS: &[u8] = b"0203";

/// savdid at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    let (takes, begin): (Takes, fn(&Object<'_>) -> Step) = match endpoint {
        Endpoint::Unix(_) => (Takes::Path, begin_with_path),
        Endpoint::Tcp { .. } | Endpoint::Datagram(_) => (Takes::Stream, begin_with_content),
    };
    Box::new(Daemon { name: "sssp", endpoint, takes, begin, version_query: None })
}

fn begin_with_path(object: &Object<'_>) -> Step {
    if object.path.len() > MAX_PATH || !object.path.starts_with(b"/") {
        return Step::Done(Err(Fault::Caller("the file's path is too long or not absolute".into())));
    }
    let path = percent_encode(object.path, PLAIN);
    begin(Request::Path(format!("SCANFILE {path}\n")))
}

fn begin_with_content(object: &Object<'_>) -> Step {
    begin(Request::Content(object.size))
}

fn begin(request: Request) -> Step {
    lines::listen(Sssp { request, stage: Stage::Greeting, failure: None })
}

enum Request {
    /// The line that is sent.
    Path(String),
    /// The size of the file.
    Content(u64),
}

struct Sssp {
    request: Request,
    stage: Stage,
    /// The first code that says why something was not scanned.
    failure: Option<Vec<u8>>,
}

/// What is awaited.
#[derive(Clone, Copy)]
enum Stage {
    Greeting,
    /// That the version is accepted.
    Session,
    /// That the request is accepted.
    Accepted,
    Results,
}

impl Protocol for Sssp {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        match split_once(line, b' ') {
            (b"VIRUS", rest) => Some(ThreatName::new(split_once(rest, b' ').0)),
            (b"DONE", rest) if split_once(rest, b' ').1.starts_with(VIRUS) => Some(ThreatName::new(b"")),
            _ => None,
        }
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        let (word, rest) = split_once(line, b' ');
        match (self.stage, word) {
            (Stage::Greeting, b"OK") if rest.starts_with(b"SSSP/") => {
                self.stage = Stage::Session;
                Turn::Say(b"SSSP/1.0\n".into())
            }
            (Stage::Session, b"ACC") => self.request_line(),
            (Stage::Accepted, b"ACC") => {
                self.stage = Stage::Results;
                match self.request {
                    Request::Path(_) => Turn::Listen,
                    Request::Content(size) => Turn::SendFile(size),
                }
            }
            (Stage::Accepted | Stage::Results, b"REJ") => self.rejected(line, rest),
            (Stage::Greeting | Stage::Session, b"REJ") => Turn::trouble(line),
            (Stage::Results, b"EVENT" | b"FILE" | b"TYPE" | b"OK") => Turn::Listen,
            (Stage::Results, b"FAIL") => {
                self.failure.get_or_insert_with(|| rest.to_vec());
                Turn::Listen
            }
            (Stage::Results, b"DONE") => self.done(line, rest),
            // Blank lines stand between messages.
            (Stage::Session | Stage::Accepted | Stage::Results, b"") => Turn::Listen,
            (Stage::Greeting | Stage::Session | Stage::Accepted | Stage::Results, _) => Turn::garbled(line),
        }
    }
}

impl Sssp {
    fn request_line(&mut self) -> Turn {
        self.stage = Stage::Accepted;
        Turn::Say(match &self.request {
            Request::Path(line) => line.clone().into_bytes().into(),
            Request::Content(size) => format!("SCANDATA {size}\n").into_bytes().into(),
        })
    }

    /// `4` is a request beyond what is configured.
    fn rejected(&self, line: &[u8], code: &[u8]) -> Turn {
        match (split_once(code, b' ').0, &self.request) {
            (b"4", Request::Content(_)) => Turn::minor(MinorErrorKind::OverScannerLimit, line),
            (b"4", Request::Path(_)) => Turn::minor(MinorErrorKind::NotScannable, line),
            (_, Request::Content(_) | Request::Path(_)) => Turn::trouble(line),
        }
    }

    /// `DONE OK|FAIL <code> <text>`.
    fn done(&self, line: &[u8], rest: &[u8]) -> Turn {
        let (word, code) = split_once(rest, b' ');
        let is_clean = split_once(code, b' ').0 == b"0000";
        match (word, &self.failure) {
            (b"OK", None) if is_clean => Turn::clean(),
            (b"OK", Some(code)) => minor(code),
            (b"FAIL", failure) => minor(failure.as_deref().unwrap_or(code)),
            (_, _) => Turn::garbled(line),
        }
    }
}

/// What a failure means for the file.
fn minor(code: &[u8]) -> Turn {
    let kind = if split_once(code, b' ').0 == ENCRYPTED {
        MinorErrorKind::Encrypted
    } else {
        MinorErrorKind::NotScannable
    };
    Turn::minor(kind, code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Delivery, FILE, assert_blamed, assert_bounded_and_deaf_to_noise, assert_recorded,
        assert_refuses_paths, clean_turns_of_noise, ending, infected, play_turns,
    };
    use crate::transcript::{Blame, Ending};

    const BY_PATH: &[&[u8]] = &[b"OK SSSP/1.0\r\n", b"ACC 4F1\r\n"];
    const BY_CONTENT: &[&[u8]] = &[b"OK SSSP/1.0\r\n", b"ACC 4F1\r\n", b"ACC 4F1/1\r\n"];

    fn over_unix() -> Box<dyn Scanner> {
        new("/var/run/savdi/sssp.sock".parse().unwrap())
    }

    fn over_tcp() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:4010".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("sssp");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        let clean = b"ACC 4F1/1\r\nDONE OK 0000 The function call succeeded\r\n";
        assert_bounded_and_deaf_to_noise(&*over_unix(), BY_PATH, clean);
        assert_bounded_and_deaf_to_noise(&*over_tcp(), BY_CONTENT, b"DONE OK 0000 done\r\n");
        let long = [b"/".as_slice(), &[b'x'; MAX_PATH]].concat();
        assert_refuses_paths(&*over_unix(), &[b"a", b"", &long]);
    }

    #[test]
    fn no_name_is_a_second_request() {
        let object = Object::new(b"/a\nSCANFILE /b \xff%", 1);
        let _ = over_unix().begin(&object);
        assert_eq!(percent_encode(object.path, PLAIN).to_string(), "/a%0ASCANFILE%20/b%20%FF%25");
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        let minor = Ending::MinorError;
        for (results, wanted) in [
            ("DONE OK 0000 fine\r\n\r\n", Ending::Clean),
            ("EVENT x\r\nFILE /a\r\nTYPE 1\r\nOK 0000 /a\r\nDONE OK 0000 fine\r\n", Ending::Clean),
            (
                "VIRUS Test-A /share/letter.doc\r\nOK 0203 /a\r\nDONE OK 0203 found\r\n\r\n",
                infected("Test-A"),
            ),
            ("VIRUS Test-A", infected("Test-A")),
            ("FAIL 0210 /a\r\nVIRUS Test-A /b\r\nDONE FAIL 0210 x\r\n", infected("Test-A")),
            ("DONE OK 0203 found\r\n", infected("unknown")),
            ("FAIL 0212 /a\r\nDONE OK 0000 x\r\n", minor(MinorErrorKind::Encrypted)),
            ("DONE FAIL 0212 password\r\n", minor(MinorErrorKind::Encrypted)),
            ("DONE FAIL 0210 could not open\r\n", minor(MinorErrorKind::NotScannable)),
            ("DONE OK 00000\r\n", Ending::Fault(Blame::Garbled)),
            ("DONE OK\r\n", Ending::Fault(Blame::Garbled)),
            ("DONE 0000\r\n", Ending::Fault(Blame::Garbled)),
            ("OK 0000 /a\r\n\r\n", Ending::Fault(Blame::Transport)),
            ("REJ 1\r\n", Ending::Fault(Blame::Misbehaved)),
        ] {
            let reply = format!("ACC 4F1/1\r\n{results}");
            assert_eq!(ending(&*over_unix(), BY_PATH, reply.as_bytes()), wanted, "{results:?}");
            assert_eq!(ending(&*over_tcp(), BY_CONTENT, results.as_bytes()), wanted, "{results:?}");
        }
    }

    #[test]
    fn what_the_daemon_is_not_configured_for_is_a_minor_error() {
        let by_content = ending(&*over_tcp(), BY_PATH, b"REJ 4\r\n");
        assert_eq!(by_content, Ending::MinorError(MinorErrorKind::OverScannerLimit));
        let by_path = ending(&*over_unix(), BY_PATH, b"REJ 4\r\n");
        assert_eq!(by_path, Ending::MinorError(MinorErrorKind::NotScannable));
        for turns in [&[], &BY_PATH[..1]] {
            assert_eq!(ending(&*over_unix(), turns, b"REJ 4\r\n"), Ending::Fault(Blame::Misbehaved));
        }
    }

    #[test]
    fn refuses_an_answer_before_the_content_was_sent() {
        let early = b"ACC 4F1/1\r\nDONE OK 0000 fine\r\n";
        assert_blamed(Blame::Misbehaved, &play_turns(&*over_tcp(), &FILE, BY_PATH, early, Delivery::Whole));
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["DONE ", "OK ", "FAIL ", "0000", "VIRUS ", "\r\n", "X", " "];
        for reply in clean_turns_of_noise(&*over_tcp(), BY_CONTENT, &words) {
            assert!(reply.contains("DONE OK 0000"), "{reply:?}");
            assert!(!reply.starts_with("VIRUS") && !reply.contains("\nVIRUS"), "{reply:?}");
        }
    }
}
