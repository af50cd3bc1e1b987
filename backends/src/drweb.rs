//! Dr.Web's drwebd (versions 4 to 6): big-endian numbers, and texts behind their lengths.
//!
//! Over a unix socket it is sent the path and opens it by itself; over TCP it is sent the content. It is asked for the
//! names of what it finds and for heuristics, and never to cure or remove anything.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Outcome, Scanner, Step, Takes};
use crate::single::{self, Connection};
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{MAX_PATH, quoted};

const SCAN: u32 = 1;
/// Return the names of viruses; use heuristics.
const FLAGS: u32 = 1 | 1 << 3;

/// drwebd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    let (takes, begin): (Takes, fn(&Object<'_>) -> Step) = match endpoint {
        Endpoint::Unix(_) => (Takes::Path, begin_with_path),
        Endpoint::Tcp { .. } | Endpoint::Datagram(_) => (Takes::Stream, begin_with_content),
    };
    Box::new(Daemon { name: "drweb", endpoint, takes, begin, version_query: None })
}

fn begin_with_path(object: &Object<'_>) -> Step {
    let path = object.path;
    let length = u32::try_from(path.len()).ok().filter(|_| path.len() <= MAX_PATH && path.starts_with(b"/"));
    let Some(length) = length.filter(|_| !path.contains(&0)) else {
        return Step::Done(Err(Fault::Caller(
            "the file's path is too long, not absolute or has a NUL".into(),
        )));
    };
    let head: Vec<u8> = [SCAN, FLAGS, length].iter().flat_map(|number| number.to_be_bytes()).collect();
    single::ask([&head, path, &0u32.to_be_bytes()].concat(), judge)
}

fn begin_with_content(object: &Object<'_>) -> Step {
    let Ok(size) = u32::try_from(object.size) else {
        let text = b"over 4 GiB, which drwebd cannot be sent";
        return Step::Done(Ok(Verdict::MinorError(MinorError::new(MinorErrorKind::OverScannerLimit, text))));
    };
    let head = [SCAN, FLAGS, 0, size].iter().flat_map(|number| number.to_be_bytes()).collect();
    single::ask_with_content(head, object.size, judge)
}

/// What the bits of a result mean, from the one that says most.
const THREATS: u32 = 0x20 | 0x40 | 0x80 | 0x07c0_0000;
/// Cured or deleted, which nobody asked for: there was a threat.
const CHANGED: u32 = 0x100 | 0x8_0000;
/// Read, write, memory, socket, bad call, licence.
const TROUBLE: u32 = 0x1 | 0x2 | 0x4 | 0x10 | 0x8000 | 0x20_0000;
/// Time, size, compression, depth.
const LIMITS: u32 = 0x200 | 0x2000 | 0x4000 | 0x4_0000;
/// A checksum, a symlink, not regular, skipped, rejected by a filter.
const NOT_SCANNED: u32 = 0x8 | 0x400 | 0x800 | 0x1000 | 0x2_0000;
const CLEAN: u32 = 0x10_0000;
/// An evaluation key, which is as good as another.
const EVALUATION: u32 = 0x1_0000;

/// The result, the number of texts, and the texts.
fn judge(reply: &[u8], _: Connection) -> Option<Outcome> {
    let (result, rest) = number(reply)?;
    let (count, mut rest) = number(rest)?;
    let mut first: Option<&[u8]> = None;
    for _ in 0..count {
        let (length, after) = number(rest)?;
        let length = usize::try_from(length).ok()?;
        let (text, after) = after.split_at_checked(length)?;
        first.get_or_insert(text);
        rest = after;
    }
    if result & (THREATS | CHANGED) != 0 || count > 0 {
        return Some(Ok(Verdict::Infected(ThreatName::new(name(first.unwrap_or_default())))));
    }
    if !rest.is_empty() {
        let text = format!("a second answer to one request: {}", quoted(rest));
        return Some(Err(Fault::Misbehaved(text.into())));
    }
    Some(judge_result(result))
}

fn judge_result(result: u32) -> Outcome {
    let minor = |kind| {
        let text = format!("drwebd's result is {result:#x}");
        Ok(Verdict::MinorError(MinorError::new(kind, text.as_bytes())))
    };
    if result & TROUBLE != 0 {
        return Err(Fault::Misbehaved(format!("drwebd's result is {result:#x}").into()));
    }
    if result & LIMITS != 0 {
        return minor(MinorErrorKind::OverScannerLimit);
    }
    if result & NOT_SCANNED != 0 {
        return minor(MinorErrorKind::NotScannable);
    }
    if result & !EVALUATION == CLEAN {
        return Ok(Verdict::Clean);
    }
    Err(Fault::Garbled(format!("{result:#x} is no result of drwebd").into()))
}

/// A text is `<file> infected with <name>`, or a name alone; a NUL may end it.
fn name(text: &[u8]) -> &[u8] {
    const WITH: &[u8] = b"infected with ";
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let at = text.windows(WITH.len()).rposition(|window| window == WITH);
    at.and_then(|at| text.get(at + WITH.len()..)).unwrap_or(text)
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Delivery, FILE, assert_blamed, assert_recorded, assert_refuses_paths, ending, infected, is_minor,
        play_reply,
    };
    use crate::transcript::{Blame, Ending};

    fn over_unix() -> Box<dyn Scanner> {
        new("/var/drweb/run/drwebd.sock".parse().unwrap())
    }

    fn over_tcp() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:3000".parse().unwrap())
    }

    fn reply(result: u32, texts: &[&str]) -> Vec<u8> {
        let mut reply = [result.to_be_bytes(), u32::try_from(texts.len()).unwrap().to_be_bytes()].concat();
        for text in texts {
            reply.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            reply.extend(text.as_bytes());
        }
        reply
    }

    fn answer(result: u32, texts: &[&str]) -> Ending {
        let outcome = ending(&*over_unix(), &[], &reply(result, texts));
        assert_eq!(ending(&*over_tcp(), &[], &reply(result, texts)), outcome);
        outcome
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("drweb");
    }

    #[test]
    fn sends_any_name_and_refuses_what_is_no_path() {
        let Step::Ask(crate::dialogue::Ask::Write(bytes), _) =
            over_unix().begin(&Object::new(b"/a\n\xff", 1))
        else {
            panic!("asks to write")
        };
        assert_eq!(*bytes, *b"\0\0\0\x01\0\0\0\x09\0\0\0\x04/a\n\xff\0\0\0\0");
        let long = [b"/".as_slice(), &[b'x'; MAX_PATH]].concat();
        assert_refuses_paths(&*over_unix(), &[b"a", b"/a\0", &long]);
    }

    #[test]
    fn a_file_beyond_32_bits_is_not_sent() {
        let object = Object { size: 1 << 32, ..FILE };
        let Step::Done(outcome) = over_tcp().begin(&object) else { panic!("asks the daemon") };
        assert!(is_minor(MinorErrorKind::OverScannerLimit, &outcome));
    }

    #[test]
    fn accepts_its_results_and_refuses_others() {
        let minor = Ending::MinorError;
        for (result, texts, wanted) in [
            (CLEAN, [].as_slice(), Ending::Clean),
            (CLEAN | EVALUATION, &[], Ending::Clean),
            (0x20, &["/a infected with Test-A\0"], infected("Test-A")),
            (0x40, &["Test-A"], infected("Test-A")),
            (0x80, &[], infected("unknown")),
            (CLEAN, &["/a infected with Test-A", "x"], infected("Test-A")),
            (0x40_0000, &[], infected("unknown")),
            (CLEAN | 0x100, &[], infected("unknown")),
            (0x20 | 0x1, &["Test-A"], infected("Test-A")),
            (0x2000, &[], minor(MinorErrorKind::OverScannerLimit)),
            (CLEAN | 0x1000, &[], minor(MinorErrorKind::NotScannable)),
            (0x400, &[], minor(MinorErrorKind::NotScannable)),
            (0x1, &[], Ending::Fault(Blame::Misbehaved)),
            (CLEAN | 0x20_0000, &[], Ending::Fault(Blame::Misbehaved)),
            (0, &[], Ending::Fault(Blame::Garbled)),
            (CLEAN | 0x8000_0000, &[], Ending::Fault(Blame::Garbled)),
        ] {
            assert_eq!(answer(result, texts), wanted, "{result:#x} {texts:?}");
        }
    }

    #[test]
    fn refuses_a_reply_that_was_cut_off_or_has_no_end() {
        let whole = reply(0x20, &["Test-A"]);
        for length in 0..whole.len() {
            assert_eq!(ending(&*over_unix(), &[], &whole[..length]), Ending::Fault(Blame::Transport));
        }
        let clean = reply(CLEAN, &[]);
        for length in 0..clean.len() {
            assert_eq!(ending(&*over_unix(), &[], &clean[..length]), Ending::Fault(Blame::Transport));
        }
        let endless = [reply(CLEAN, &[""; 1]), vec![0xff; 100_000]].concat();
        let endless = [&[0, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff][..], &endless].concat();
        let outcome = play_reply(&*over_unix(), &FILE, &endless, Delivery::Pieces(4096));
        assert_blamed(Blame::Garbled, &outcome);
        for rubbish in ["220 ready\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
            assert!(matches!(ending(&*over_unix(), &[], rubbish.as_bytes()), Ending::Fault(_)));
        }
    }

    #[test]
    fn refuses_a_second_answer() {
        let two = [reply(CLEAN, &[]), reply(CLEAN, &[])].concat();
        assert_blamed(Blame::Misbehaved, &play_reply(&*over_unix(), &FILE, &two, Delivery::Whole));
    }
}
