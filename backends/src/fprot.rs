//! F-PROT 6's fpscand: the content behind one line, and one line back.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn, split_once};
use crate::verdict::{MinorErrorKind, ThreatName};
use crate::wire::kind_of;

/// fpscand at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "fprot", endpoint, takes: Takes::Stream, begin, version_query: None })
}

fn begin(object: &Object<'_>) -> Step {
    // The name is only repeated in the answer.
    let command = format!("SCAN STREAM file SIZE {}\n", object.size).into_bytes();
    lines::say_and_send_file(command, object.size, Fprot)
}

struct Fprot;

/// The bits of the number that an answer begins with.
const INFECTED_OR_SUSPICIOUS: u16 = 1 | 2;
const RESTRICTED: u16 = 8;
const NOT_SCANNED: u16 = 64;

impl Protocol for Fprot {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        let (code, text) = answer(line)?;
        // `infected: <name>`, `contains infected objects: <name>`.
        let begin = text.windows(2).position(|window| window == b": ").map_or(text.len(), |at| at + 2);
        let name = text.get(begin..).unwrap_or_default();
        (code & INFECTED_OR_SUSPICIOUS != 0).then(|| ThreatName::new(name))
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match answer(line) {
            Some((0, b"clean")) => Turn::clean(),
            Some((code, text)) if code & (RESTRICTED | NOT_SCANNED) == code && code != 0 => {
                let kind =
                    if code & RESTRICTED != 0 { MinorErrorKind::OverScannerLimit } else { kind_of(text) };
                Turn::minor(kind, text)
            }
            Some(_) => Turn::trouble(line),
            None => Turn::garbled(line),
        }
    }
}

/// `<code> <text> <object>`, with the text in angle brackets.
fn answer(line: &[u8]) -> Option<(u16, &[u8])> {
    let (code, rest) = split_once(line, b' ');
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    let end = rest.iter().position(|&byte| byte == b'>')?;
    Some((code, rest.get(..end)?.strip_prefix(b"<")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_bounded_and_deaf_to_noise, assert_recorded, clean_replies_of_noise, ending, infected,
    };
    use crate::transcript::{Blame, Ending};

    fn scanner() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:10200".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("fprot");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), &[], b"0 <clean> file\n");
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        let minor = Ending::MinorError;
        for (reply, wanted) in [
            ("0 <clean> file\r\n", Ending::Clean),
            ("1 <infected: Test-A> file\n", infected("Test-A")),
            ("1 <contains infected objects: Test-A> file->a\n", infected("Test-A")),
            ("3 <infected> file\n", infected("unknown")),
            ("0 <infected: Test-A> file\n", Ending::Fault(Blame::Misbehaved)),
            ("2 <suspicious: Test-A> file\n", infected("Test-A")),
            ("9 <infected: Test-A> file\n", infected("Test-A")),
            ("1 <infected: Test-A>", infected("Test-A")),
            ("8 <archive too deep> file\n", minor(MinorErrorKind::OverScannerLimit)),
            ("64 <encrypted> file\n", minor(MinorErrorKind::Encrypted)),
            ("64 <corrupted> file\n", minor(MinorErrorKind::NotScannable)),
            ("16 <platform error> file\n", Ending::Fault(Blame::Misbehaved)),
            ("36 <internal error> file\n", Ending::Fault(Blame::Misbehaved)),
            ("0 <not clean> file\n", Ending::Fault(Blame::Misbehaved)),
            ("32 internal error\n", Ending::Fault(Blame::Garbled)),
            ("0 clean file\n", Ending::Fault(Blame::Garbled)),
            ("-1 <clean> file\n", Ending::Fault(Blame::Garbled)),
            ("0 <clean> f", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), wanted, "{reply:?}");
        }
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["0", "1", " <", "clean", "0 <clean>", "infected: ", ">", "\n", "X", " "];
        for reply in clean_replies_of_noise(&*scanner(), &words) {
            let digits = reply.trim_start_matches('0');
            assert!(digits.starts_with(" <clean>"), "{reply:?}");
        }
    }
}
