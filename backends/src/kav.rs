//! Kaspersky's kavdaemon (versions 3 and 4): a path in, a number and perhaps a report back. The daemon opens the path
//! by itself.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Outcome, Scanner, Step, Takes};
use crate::single::{self, Connection};
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{path_for_line, quoted};

/// Before the path comes a time, which the daemon puts into its log; there is no clock here.
const REQUEST: &[u8] = b"<0>01 Jan 00:00:00:";

/// The second byte of an answer: a report follows.
const REPORT: u8 = 1;

/// kavdaemon at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "kav", endpoint, takes: Takes::Path, begin, version_query: None })
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_line(object.path) {
        Ok(path) => single::ask([REQUEST, path, b"\0"].concat(), judge),
        Err(fault) => Step::Done(Err(fault)),
    }
}

/// A digit that says what was found, a byte of flags, and if those say so a report behind its length (32 bits,
/// little-endian: the daemon ran on nothing else).
fn judge(reply: &[u8], _: Connection) -> Option<Outcome> {
    let (&[code, flags], rest) = reply.split_first_chunk()?;
    let (report, rest) = match flags {
        0 => ([].as_slice(), rest),
        REPORT => {
            let (length, text) = rest.split_first_chunk()?;
            text.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?
        }
        _ => return Some(Err(garbled(reply))),
    };
    let minor =
        |text: &[u8]| Some(Ok(Verdict::MinorError(MinorError::new(MinorErrorKind::NotScannable, text))));
    match code {
        b'0' if rest.is_empty() => Some(Ok(Verdict::Clean)),
        b'0' => {
            let text = format!("a second answer to one request: {}", quoted(rest));
            Some(Err(Fault::Misbehaved(text.into())))
        }
        b'1' => minor(b"the scan was not completed"),
        // Damaged or modified, suspicious, known; disinfected or deleted, which nobody asked for.
        b'2'..=b'6' => Some(Ok(Verdict::Infected(ThreatName::new(name(report))))),
        b'7' => Some(Err(Fault::Misbehaved("kavdaemon says that its program is damaged".into()))),
        b'8' => minor(b"the file is corrupt or cannot be read"),
        b'?' => Some(Err(Fault::Misbehaved("kavdaemon asks what to do: it is set to be interactive".into()))),
        _ => Some(Err(garbled(reply))),
    }
}

/// The first name in a report.
fn name(report: &[u8]) -> &[u8] {
    let find = |word: &[u8]| {
        let at = report.windows(word.len()).position(|window| window == word)?;
        report.get(at + word.len()..)?.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).next()
    };
    find(b"infected: ").or_else(|| find(b"suspicion: ")).unwrap_or_default()
}

fn garbled(reply: &[u8]) -> Fault {
    Fault::Garbled(format!("{} is not what kavdaemon says", quoted(reply)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Delivery, FILE, assert_blamed, assert_recorded, assert_refuses_paths, ending, infected, play_reply,
    };
    use crate::transcript::{Blame, Ending};

    fn scanner() -> Box<dyn Scanner> {
        new("/var/run/AvpCtl".parse().unwrap())
    }

    fn with_report(code: u8, report: &str) -> Vec<u8> {
        let length = u32::try_from(report.len()).unwrap().to_le_bytes();
        [&[code, REPORT][..], &length, report.as_bytes()].concat()
    }

    fn answer(reply: &[u8]) -> Ending {
        ending(&*scanner(), &[], reply)
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("kav");
    }

    #[test]
    fn refuses_paths_that_it_cannot_be_sent() {
        assert_refuses_paths(&*scanner(), &[b"/a\0/b", b"/a\n", b"a"]);
    }

    #[test]
    fn accepts_its_codes_and_refuses_others() {
        let minor = || Ending::MinorError(MinorErrorKind::NotScannable);
        for (reply, wanted) in [
            (b"0\0".to_vec(), Ending::Clean),
            (with_report(b'0', "/a ok\n"), Ending::Clean),
            (b"4\0".to_vec(), infected("unknown")),
            (with_report(b'4', "/a infected: Test-A\n/b infected: Test-B\n"), infected("Test-A")),
            (with_report(b'3', "/a suspicion: Test-A"), infected("Test-A")),
            (with_report(b'6', ""), infected("unknown")),
            (b"1\0".to_vec(), minor()),
            (b"8\0".to_vec(), minor()),
            (b"7\0".to_vec(), Ending::Fault(Blame::Misbehaved)),
            (b"?\0".to_vec(), Ending::Fault(Blame::Misbehaved)),
            (b"9\0".to_vec(), Ending::Fault(Blame::Garbled)),
            (b"\0\0".to_vec(), Ending::Fault(Blame::Garbled)),
            (b"0\x02".to_vec(), Ending::Fault(Blame::Garbled)),
            (b"OK".to_vec(), Ending::Fault(Blame::Garbled)),
        ] {
            assert_eq!(answer(&reply), wanted, "{}", reply.escape_ascii());
        }
    }

    #[test]
    fn refuses_a_reply_that_was_cut_off_or_has_no_end() {
        for reply in [b"0\0".to_vec(), with_report(b'0', "ok"), with_report(b'4', "infected: X")] {
            for length in 0..reply.len() {
                assert_eq!(answer(&reply[..length]), Ending::Fault(Blame::Transport));
            }
        }
        let endless = [b"0\x01\xff\xff\xff\x7f".to_vec(), vec![b'x'; 100_000]].concat();
        assert_blamed(Blame::Garbled, &play_reply(&*scanner(), &FILE, &endless, Delivery::Pieces(4096)));
    }

    #[test]
    fn refuses_a_second_answer() {
        assert_blamed(Blame::Misbehaved, &play_reply(&*scanner(), &FILE, b"0\x000\0", Delivery::Whole));
    }
}
