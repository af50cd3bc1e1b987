//! Kaspersky's aveserver (version 5): a banner, `SCAN <switches> <path>`, a line for each threat, and a last one. The
//! daemon opens the path by itself.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn, split_once};
use crate::verdict::{MinorErrorKind, ThreatName};
use crate::wire::path_for_line;

/// aveserver at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "aveserver", endpoint, takes: Takes::Path, begin, version_query: None })
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_line(object.path) {
        Ok(path) => {
            let request = [b"SCAN bPQRSTUW ", path, b"\r\n"].concat();
            lines::listen(AveServer { awaited: Awaited::Greeting(request), notice: None })
        }
        Err(fault) => Step::Done(Err(fault)),
    }
}

struct AveServer {
    awaited: Awaited,
    /// Something that was said of the file and is no threat.
    notice: Option<Vec<u8>>,
}

enum Awaited {
    /// The banner, before this request.
    Greeting(Vec<u8>),
    Results,
}

impl Protocol for AveServer {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        let text = line.strip_prefix(b"322")?;
        let text = text.strip_prefix(b" ").or(text.strip_prefix(b"-"))?;
        Some(ThreatName::new(split_once(text, b' ').0))
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match (&mut self.awaited, kind(line)) {
            (Awaited::Greeting(request), Some(b'2')) => {
                let request = std::mem::take(request);
                self.awaited = Awaited::Results;
                Turn::Say(request.into())
            }
            (Awaited::Results, Some(b'2')) => match &self.notice {
                None => Turn::clean(),
                Some(notice) => Turn::minor(MinorErrorKind::NotScannable, notice),
            },
            (Awaited::Results, Some(b'3')) => {
                self.notice.get_or_insert_with(|| line.to_vec());
                Turn::Listen
            }
            (Awaited::Greeting(_) | Awaited::Results, Some(_)) => Turn::trouble(line),
            (Awaited::Greeting(_) | Awaited::Results, None) => Turn::garbled(line),
        }
    }
}

/// The first of the three digits that a line begins with.
fn kind(line: &[u8]) -> Option<u8> {
    let (code, rest) = line.split_at_checked(3)?;
    let is_code =
        code.iter().all(u8::is_ascii_digit) && rest.first().is_none_or(|byte| matches!(byte, b' ' | b'-'));
    if is_code { code.first().copied() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_bounded_and_deaf_to_noise, assert_recorded, assert_refuses_paths, clean_turns_of_noise,
        ending, infected,
    };
    use crate::transcript::{Blame, Ending};

    const BANNER: &[&[u8]] = &[b"201 ready\r\n"];

    fn scanner() -> Box<dyn Scanner> {
        new("/var/run/aveserver".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("aveserver");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), BANNER, b"220 done\r\n");
        assert_refuses_paths(&*scanner(), &[b"/a\r\nSCAN b /b", b"/a\r", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        for (reply, wanted) in [
            ("220 done\r\n", Ending::Clean),
            ("322 Test-A /share/letter.doc\r\n220 done\r\n", infected("Test-A")),
            ("322-Test-A /share/letter.doc\r\n", infected("Test-A")),
            ("322 Test-A", infected("Test-A")),
            ("301 password protected\r\n220 done\r\n", Ending::MinorError(MinorErrorKind::NotScannable)),
            ("526 no such file\r\n", Ending::Fault(Blame::Misbehaved)),
            ("0220 done\r\n", Ending::Fault(Blame::Garbled)),
            ("2200\r\n", Ending::Fault(Blame::Garbled)),
            ("301 x\r\n", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(ending(&*scanner(), BANNER, reply.as_bytes()), wanted, "{reply:?}");
        }
        assert_eq!(ending(&*scanner(), &[], b"520 busy\r\n"), Ending::Fault(Blame::Misbehaved));
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["220", "322 ", "301", "\n", "\r", "X", " "];
        for reply in clean_turns_of_noise(&*scanner(), BANNER, &words) {
            assert!(reply.starts_with("220"), "{reply:?}");
            assert!(reply.lines().skip(1).all(|line| line.trim().is_empty()), "{reply:?}");
        }
    }
}
