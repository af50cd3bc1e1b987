//! Sophie (for Sophos' engine) and its sister Trophie (for Trend Micro's): one line with a path, one line back.
//!
//! `0` is clean, `1:<name>` a threat, `-1` or `-1:<text>` a file that could not be scanned. Sophos' savdid answers the
//! same when it is configured to. The daemon opens the path by itself, so it must have the right to.

use crate::address::Endpoint;
use crate::dialogue::{Ask, Dialogue, News, Object, Outcome, Scanner, Step, Takes};
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{LineReader, judge_cut_off, judge_single_line, path_for_line, quoted};

/// Daemons differ in how they end their line; a carriage return may stand before the newline.
const TERMINATORS: &[u8] = b"\n\0";

/// A daemon of this scheme, `sophie` or `trophie`, at this address.
pub fn new(scheme: &'static str, endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Sophie { scheme, endpoint })
}

struct Sophie {
    scheme: &'static str,
    endpoint: Endpoint,
}

impl Scanner for Sophie {
    fn name(&self) -> &'static str {
        self.scheme
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        Takes::Path
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        match path_for_line(object.path) {
            Ok(path) => Step::ask(Ask::Write([path, b"\n"].concat().into()), Box::new(SendPath)),
            Err(fault) => Step::Done(Err(fault)),
        }
    }
}

struct SendPath;

impl Dialogue for SendPath {
    fn told(self: Box<Self>, news: News<'_>) -> Step {
        match news {
            News::Sent => Step::ask(Ask::Read, Box::new(AwaitReply { reply: LineReader::new(TERMINATORS) })),
            News::SendFailed => Step::Done(Err(Fault::Transport(
                "the scanner hung up before it was sent the file's path".into(),
            ))),
            News::FileEnded(_) | News::Received(_) | News::EndOfStream => Step::out_of_turn(news),
        }
    }
}

struct AwaitReply {
    reply: LineReader,
}

impl Dialogue for AwaitReply {
    fn told(mut self: Box<Self>, news: News<'_>) -> Step {
        match news {
            News::Received(bytes) => match self.reply.push(bytes) {
                Err(fault) => Step::Done(Err(fault)),
                Ok(()) => match judge_single_line(&mut self.reply, judge) {
                    Some(outcome) => Step::Done(outcome),
                    None => Step::ask(Ask::Read, self),
                },
            },
            News::EndOfStream => Step::Done(match self.reply.rest() {
                // Some daemons end their line by closing. No other answer begins with 0, so nothing was cut off.
                b"0" => Ok(Verdict::Clean),
                _ => judge_cut_off(&self.reply, judge),
            }),
            News::Sent | News::SendFailed | News::FileEnded(_) => Step::out_of_turn(news),
        }
    }
}

/// What one line of the daemon says.
fn judge(line: &[u8]) -> Outcome {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line == b"0" {
        return Ok(Verdict::Clean);
    }
    if let Some(name) = line.strip_prefix(b"1:") {
        return Ok(Verdict::Infected(ThreatName::new(name)));
    }
    if let Some(text) = line.strip_prefix(b"-1:") {
        return Ok(Verdict::MinorError(MinorError::new(MinorErrorKind::NotScannable, text)));
    }
    if line == b"-1" {
        return Ok(Verdict::MinorError(MinorError::new(MinorErrorKind::NotScannable, b"no reason given")));
    }
    Err(Fault::Garbled(format!("{} is neither 0, 1:<name> nor -1:<text>", quoted(line)).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Delivery, FILE, assert_blamed, assert_recorded, clean_replies_of_noise, is_minor, judge_everywhere,
        play_reply,
    };
    use crate::transcript::Blame;

    fn scanner() -> Box<dyn Scanner> {
        new("sophie", "/var/run/sophie".parse().unwrap())
    }

    fn answer(reply: &[u8]) -> Outcome {
        judge_everywhere(&*scanner(), &FILE, reply)
    }

    fn infected(name: &str) -> Outcome {
        Ok(Verdict::Infected(ThreatName::new(name.as_bytes())))
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("sophie");
        assert_recorded("trophie");
    }

    #[test]
    fn accepts_every_end_of_a_line() {
        for end in ["\n", "\r\n", "\0", "\n\0", ""] {
            assert_eq!(answer(format!("0{end}").as_bytes()), Ok(Verdict::Clean), "{end:?}");
            assert_eq!(answer(format!("1:W32/Test{end}").as_bytes()), infected("W32/Test"), "{end:?}");
        }
    }

    #[test]
    fn a_threat_needs_no_name() {
        assert_eq!(answer(b"1:\n"), infected("unknown"));
    }

    #[test]
    fn what_the_daemon_could_not_scan_is_a_minor_error() {
        for reply in ["-1\n", "-1:\n", "-1:No such file or directory\r\n"] {
            assert!(is_minor(MinorErrorKind::NotScannable, &answer(reply.as_bytes())), "{reply:?}");
        }
    }

    #[test]
    fn refuses_every_other_word() {
        for reply in
            ["\n", "1\n", "00\n", "0 \n", " 0\n", "-10\n", "-0\n", "2\n", "0:x\n", "OK\n", "\r\n", "0\r\r\n"]
        {
            assert_blamed(Blame::Garbled, &answer(reply.as_bytes()));
        }
    }

    #[test]
    fn refuses_a_reply_that_was_cut_off() {
        for reply in ["", "-", "-1", "-1:te", "1", "0\r\r", "00"] {
            assert_blamed(Blame::Transport, &answer(reply.as_bytes()));
        }
    }

    #[test]
    fn refuses_a_reply_without_end() {
        let endless = [b"-1:".as_slice(), &[b'x'; 70_000]].concat();
        assert_blamed(Blame::Garbled, &play_reply(&*scanner(), &FILE, &endless, Delivery::Pieces(4096)));
    }

    #[test]
    fn no_threat_is_lost_behind_another_answer() {
        assert_eq!(play_reply(&*scanner(), &FILE, b"0\n1:X\n", Delivery::Whole), infected("X"));
        assert_blamed(Blame::Misbehaved, &play_reply(&*scanner(), &FILE, b"0\n0\n", Delivery::Whole));
    }

    #[test]
    fn refuses_a_name_that_would_be_a_second_request_before_it_connects() {
        let object = Object::new(b"/share/x\n/etc/motd", 1);
        let Step::Done(outcome) = scanner().begin(&object) else { panic!("asks the daemon") };
        assert_blamed(Blame::Caller, &outcome);
    }

    #[test]
    fn a_daemon_that_hangs_up_gives_no_verdict() {
        let Step::Ask(_, sending) = scanner().begin(&FILE) else { panic!("asks to write") };
        let Step::Done(outcome) = sending.told(News::SendFailed) else { panic!("is done") };
        assert_blamed(Blame::Transport, &outcome);
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        for reply in clean_replies_of_noise(&*scanner(), &["0", "1", "-1", ":", "\n", "\r", "\0", "X", " "]) {
            let rest = reply.strip_prefix('0').unwrap_or("x");
            assert!(rest.chars().all(|c| c.is_whitespace() || c == '\0'), "{reply:?}");
        }
    }
}
