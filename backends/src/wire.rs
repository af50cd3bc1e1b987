//! What all dialogues need of the wire: bounded replies and requests. Every size limit of this crate is here.
//!
//! TCP and unix streams know no messages: a reply may come in any number of pieces. A dialogue pushes each piece into
//! a [`LineReader`] and looks whether a line is complete.

use crate::dialogue::Outcome;
use crate::verdict::{Fault, MinorErrorKind, ThreatName, Verdict};

/// The longest line that is accepted from a scanner, in bytes. A path (4096) and a name fit many times.
pub const MAX_LINE: usize = 64 * 1024;

/// The longest path that is sent to a scanner, in bytes: Linux' PATH_MAX without the NUL.
pub const MAX_PATH: usize = 4095;

/// The longest head of an HTTP or ICAP message that is accepted, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// The longest reply that is not made of lines, in bytes.
pub const MAX_REPLY: usize = 64 * 1024;

/// How much of a reply is quoted in an error, in bytes.
const MAX_QUOTED: usize = 100;

/// Collects a reply and hands it out line by line.
#[derive(Debug)]
pub struct LineReader {
    terminators: &'static [u8],
    bytes: Vec<u8>,
    /// No terminator is among this many first bytes.
    searched: usize,
}

impl LineReader {
    /// A reader of lines that each end with one of these bytes.
    pub fn new(terminators: &'static [u8]) -> Self {
        Self { terminators, bytes: Vec::new(), searched: 0 }
    }

    /// Takes bytes as they came. Fails when they would be a line longer than [`MAX_LINE`].
    pub fn push(&mut self, received: &[u8]) -> Result<(), Fault> {
        if self.bytes.len().saturating_add(received.len()) > MAX_LINE {
            let text = format!("over {MAX_LINE} bytes and no end, beginning with {}", quoted(&self.bytes));
            return Err(Fault::Garbled(text.into()));
        }
        self.bytes.extend_from_slice(received);
        Ok(())
    }

    /// The next complete line, without its terminator.
    pub fn take_line(&mut self) -> Option<Vec<u8>> {
        let is_end = |byte| self.terminators.contains(byte);
        let Some(ahead) = self.bytes.iter().skip(self.searched).position(is_end) else {
            self.searched = self.bytes.len();
            return None;
        };
        let mut line: Vec<u8> = self.bytes.drain(..=self.searched + ahead).collect();
        line.pop();
        self.searched = 0;
        Some(line)
    }

    /// What came after the last line that was taken.
    pub fn rest(&self) -> &[u8] {
        &self.bytes
    }
}

/// Judges a reply that should be one line; `None` while that line is not complete.
///
/// The first line decides, but it does not silence what came with it: a threat in a further line wins, and any other
/// second answer means that the scanner and we disagree about what was asked, so nothing it says is to be trusted.
pub fn judge_single_line(reply: &mut LineReader, judge: impl Fn(&[u8]) -> Outcome) -> Option<Outcome> {
    let first = judge(&reply.take_line()?);
    let mut further = Vec::new();
    while let Some(line) = reply.take_line() {
        further.push(line);
    }
    further.push(reply.rest().to_vec());
    further.retain(|line| !line.iter().all(u8::is_ascii_whitespace));
    if is_threat(&first) {
        return Some(first);
    }
    let Some(second) = further.first() else { return Some(first) };
    if let Some(threat) = further.iter().map(|line| judge(line)).find(is_threat) {
        return Some(threat);
    }
    let doubled = || Fault::Misbehaved(format!("a second answer to one request: {}", quoted(second)).into());
    Some(Err(first.err().unwrap_or_else(doubled)))
}

/// Judges a connection that ended before its line did. An alarm needs no full stop; anything else that was cut off
/// is not an answer.
pub fn judge_cut_off(reply: &LineReader, judge: impl Fn(&[u8]) -> Outcome) -> Outcome {
    let rest = reply.rest();
    if rest.is_empty() {
        return Err(Fault::Transport(
            "the scanner closed the connection without an answer; its own log may say why".into(),
        ));
    }
    let outcome = judge(rest);
    if is_threat(&outcome) {
        return outcome;
    }
    let text = format!(
        "the scanner closed the connection in the middle of its answer {}; its own log may say why",
        quoted(rest)
    );
    Err(Fault::Transport(text.into()))
}

/// Whether an outcome is a threat.
pub(crate) fn is_threat(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(Verdict::Infected(_)))
}

/// Checks that a path fits into a line of a protocol that knows no escapes. With a line break in it, the rest of the
/// name would be the user's own command to the scanner.
pub fn path_for_line(path: &[u8]) -> Result<&[u8], Fault> {
    if path.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        let text = "the file's path has a line break or a NUL, which this scanner's protocol cannot carry";
        return Err(Fault::Caller(text.into()));
    }
    if path.len() > MAX_PATH {
        let text = format!("the file's path is {} bytes long, over {MAX_PATH}", path.len());
        return Err(Fault::Caller(text.into()));
    }
    if !path.starts_with(b"/") {
        return Err(Fault::Caller("the file's path is not absolute".into()));
    }
    Ok(path)
}

/// [`path_for_line`], for protocols whose lines have fields with a tab between them.
pub fn path_for_fields(path: &[u8]) -> Result<&[u8], Fault> {
    if path.contains(&b'\t') {
        return Err(Fault::Caller(
            "the file's path has a tab, which this scanner's protocol cannot carry".into(),
        ));
    }
    path_for_line(path)
}

/// Whether a piece of a reply has this phrase, in whatever case.
pub(crate) fn contains_ignoring_case(text: &[u8], phrase: &[u8]) -> bool {
    text.windows(phrase.len()).any(|window| window.eq_ignore_ascii_case(phrase))
}

/// The first line of an answer that says the version of signatures: what `tell` finds in it, made printable.
pub(crate) fn version_in_lines(
    received: &[u8],
    terminator: u8,
    tell: impl Fn(&[u8]) -> Option<Result<&[u8], Fault>>,
) -> Option<Result<String, Fault>> {
    let whole = received.iter().rposition(|&byte| byte == terminator).and_then(|end| received.get(..end));
    let mut lines = whole.into_iter().flat_map(|lines| lines.split(|&byte| byte == terminator));
    let told = lines.find_map(|line| tell(line.strip_suffix(b"\r").unwrap_or(line)));
    let too_long = || {
        let fault = Fault::Garbled(format!("{} is no version", quoted(received)).into());
        (received.len() > MAX_REPLY).then_some(Err(fault))
    };
    told.map(|line| line.map(version)).or_else(too_long)
}

/// A version as the scanner says it, fit for a log line.
pub(crate) fn version(raw: &[u8]) -> String {
    ThreatName::new(raw).as_str().to_owned()
}

/// The kind of a minor error, as far as the scanner's words tell.
pub(crate) fn kind_of(text: &[u8]) -> MinorErrorKind {
    let says = |words: &[&[u8]]| words.iter().any(|word| contains_ignoring_case(text, word));
    if says(&[b"encrypt", b"password"]) {
        MinorErrorKind::Encrypted
    } else if says(&[b"size", b"limit", b"depth", b"exceed", b"large", b"bomb", b"timeout", b"timed out"]) {
        MinorErrorKind::OverScannerLimit
    } else {
        MinorErrorKind::NotScannable
    }
}

/// The file has fewer bytes than its scan was begun with.
pub(crate) fn shrank(from: u64, to: u64) -> Fault {
    Fault::Caller(format!("the file shrank from {from} to {to} bytes during the scan").into())
}

/// A piece of a reply for an error message: printable, in quotes, cut to a readable length.
pub fn quoted(reply: &[u8]) -> String {
    match reply.get(..MAX_QUOTED) {
        Some(beginning) if reply.len() > MAX_QUOTED => format!("\"{}\"...", beginning.escape_ascii()),
        Some(_) | None => format!("\"{}\"", reply.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut reader = LineReader::new(b"\0\n");
        let mut lines = Vec::new();
        for piece in pieces {
            reader.push(piece).unwrap();
            while let Some(line) = reader.take_line() {
                lines.push(line);
            }
        }
        lines
    }

    /// `threat`, `clean`, or garbled.
    fn judge(line: &[u8]) -> Outcome {
        match line {
            b"clean" => Ok(Verdict::Clean),
            b"threat" => Ok(Verdict::Infected(ThreatName::new(b"X"))),
            other => Err(Fault::Garbled(quoted(other).into())),
        }
    }

    fn judged(reply: &[u8]) -> Option<Outcome> {
        let mut reader = LineReader::new(b"\n");
        reader.push(reply).unwrap();
        judge_single_line(&mut reader, judge)
    }

    #[test]
    fn finds_the_same_lines_wherever_a_reply_is_split() {
        let reply = b"one\0\0two\nthree";
        for at in 0..=reply.len() {
            let (head, tail) = reply.split_at(at);
            assert_eq!(
                lines_of(&[head, tail]),
                [b"one".to_vec(), b"".to_vec(), b"two".to_vec()],
                "split at {at}"
            );
        }
    }

    #[test]
    fn accepts_a_line_of_the_greatest_length() {
        let mut reader = LineReader::new(b"\n");
        reader.push(&[b'x'; MAX_LINE - 1]).unwrap();
        reader.push(b"\n").unwrap();
        assert_eq!(reader.take_line().unwrap().len(), MAX_LINE - 1);
        reader.push(&[b'x'; MAX_LINE]).unwrap();
    }

    #[test]
    fn refuses_a_line_without_end() {
        let mut reader = LineReader::new(b"\n");
        reader.push(&[b'x'; MAX_LINE]).unwrap();
        let fault = reader.push(b"x").unwrap_err();
        assert!(matches!(fault, Fault::Garbled(ref text) if text.len() < 250), "{fault}");
    }

    #[test]
    fn waits_for_a_whole_line() {
        assert_eq!(judged(b"clea"), None);
        assert_eq!(judged(b"clean\n"), Some(Ok(Verdict::Clean)));
        assert_eq!(judged(b"clean\n\r\n"), Some(Ok(Verdict::Clean)));
    }

    #[test]
    fn a_threat_beside_another_answer_wins() {
        for reply in ["clean\nthreat\n", "clean\nthreat", "junk\nthreat\n", "threat\nclean\n", "threat\njunk"]
        {
            assert!(is_threat(&judged(reply.as_bytes()).unwrap()), "{reply:?}");
        }
    }

    #[test]
    fn refuses_two_answers_to_one_request() {
        for reply in ["clean\nclean\n", "clean\njunk", "clean\n thr"] {
            assert!(matches!(judged(reply.as_bytes()), Some(Err(Fault::Misbehaved(_)))), "{reply:?}");
        }
        assert!(
            matches!(judged(b"junk\nclean\n"), Some(Err(Fault::Garbled(_)))),
            "the first error is the telling one"
        );
    }

    #[test]
    fn a_cut_off_reply_is_no_answer_but_a_threat_is_heard() {
        let cut_off = |reply: &[u8]| {
            let mut reader = LineReader::new(b"\n");
            reader.push(reply).unwrap();
            judge_cut_off(&reader, judge)
        };
        for reply in ["", "clean", "cle"] {
            assert!(matches!(cut_off(reply.as_bytes()), Err(Fault::Transport(_))), "{reply:?}");
        }
        assert!(is_threat(&cut_off(b"threat")));
    }

    #[test]
    fn accepts_any_path_that_is_one_line() {
        for path in [b"/a b/\xe9\xff: OK".as_slice(), b"/"] {
            assert_eq!(path_for_line(path), Ok(path));
        }
    }

    #[test]
    fn refuses_paths_that_fields_cannot_carry() {
        assert_eq!(path_for_fields(b"/a b"), Ok(b"/a b".as_slice()));
        for path in [b"/a\tb".as_slice(), b"/a\nb"] {
            assert!(matches!(path_for_fields(path), Err(Fault::Caller(_))), "{}", quoted(path));
        }
    }

    #[test]
    fn refuses_paths_that_a_line_cannot_carry() {
        let long = [b"/".as_slice(), &[b'x'; MAX_PATH]].concat();
        for path in [b"/a\n/b".as_slice(), b"/a\r", b"/a\0b", b"a", b"", &long] {
            assert!(matches!(path_for_line(path), Err(Fault::Caller(_))), "{}", quoted(path));
        }
    }
}
