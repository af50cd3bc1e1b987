//! F-Prot's f-protd (versions 3 and 4): a path in an HTTP request, XML back. The daemon opens the path by itself.
//!
//! It restarts itself on the next free port when its signatures change (10200 to 10204), so an address may be only
//! one of several. Its lines are judged when it has closed the connection, for a clean summary may come before more.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Outcome, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn};
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{kind_of, path_for_line, quoted};

/// What a path has as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'/').remove(b'_');

/// f-protd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "fprotd", endpoint, takes: Takes::Path, begin, version_query: None })
}

fn begin(object: &Object<'_>) -> Step {
    let path = match path_for_line(object.path) {
        // The answer repeats the name, and no name may look like one of its elements.
        Ok(path) if path.contains(&b'<') => Err(Fault::Caller("the file's path has a <".into())),
        other => other,
    };
    match path {
        Ok(path) => {
            let path = percent_encode(path, PLAIN);
            let request = format!("GET {path}?-dumb%20-archive HTTP/1.0\r\n\r\n").into_bytes();
            lines::say(request, Fprotd { summary: None, error: None })
        }
        Err(fault) => Step::Done(Err(fault)),
    }
}

struct Fprotd {
    /// What the summary says.
    summary: Option<Outcome>,
    error: Option<Vec<u8>>,
}

impl Protocol for Fprotd {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        if let Some(name) = between(line, b"<name>", b'<') {
            return Some(ThreatName::new(name));
        }
        match summary(line)? {
            Ok(Verdict::Infected(name)) => Some(name),
            Ok(Verdict::Clean | Verdict::MinorError(_)) | Err(_) => None,
        }
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        if let Some(found) = summary(line) {
            // Of two summaries the worse one counts.
            let is_worse = self.summary.as_ref().is_none_or(|known| *known == Ok(Verdict::Clean));
            if is_worse {
                self.summary = Some(found);
            }
        } else if line.trim_ascii().starts_with(b"<error") {
            self.error.get_or_insert_with(|| between(line, b">", b'<').unwrap_or(line).to_vec());
        } else if line.starts_with(b"HTTP/") && !contains(line, b" 200") {
            return Turn::trouble(line);
        }
        Turn::Listen
    }

    fn ended(&self) -> Option<Outcome> {
        match (&self.error, &self.summary) {
            (Some(error), None | Some(Ok(Verdict::Clean))) => {
                Some(Ok(Verdict::MinorError(MinorError::new(kind_of(error), error))))
            }
            (Some(_) | None, summary) => summary.clone(),
        }
    }
}

/// `<summary code="9">clean</summary>`, at the beginning of a line. The number counts.
fn summary(line: &[u8]) -> Option<Outcome> {
    let line = line.trim_ascii();
    if !line.starts_with(b"<summary") {
        return None;
    }
    let text = between(line, b">", b'<').unwrap_or_default();
    let minor = |kind| Ok(Verdict::MinorError(MinorError::new(kind, text)));
    Some(match (between(line, b"code=\"", b'"'), text) {
        (Some(b"7" | b"9"), _) | (None, b"clean") => Ok(Verdict::Clean),
        (Some(b"11" | b"13"), _) | (None, b"infected") => Ok(Verdict::Infected(ThreatName::new(b""))),
        (Some(b"4"), _) => minor(MinorErrorKind::Encrypted),
        // It could not handle, read or make sense of the file.
        (Some(b"0" | b"1" | b"3"), _) => minor(MinorErrorKind::NotScannable),
        (Some(_) | None, _) => {
            Err(Fault::Misbehaved(format!("f-protd's summary is {}", quoted(line)).into()))
        }
    })
}

/// What stands between these.
fn between<'a>(line: &'a [u8], begin: &[u8], end: u8) -> Option<&'a [u8]> {
    let at = line.windows(begin.len()).position(|window| window == begin)?;
    line.get(at + begin.len()..)?.split(|&byte| byte == end).next()
}

fn contains(line: &[u8], phrase: &[u8]) -> bool {
    line.windows(phrase.len()).any(|window| window == phrase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_recorded, assert_refuses_paths, clean_replies_of_noise, ending, infected};
    use crate::transcript::{Blame, Ending};

    fn scanner() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:10200".parse().unwrap())
    }

    fn answer(reply: &str) -> Ending {
        ending(&*scanner(), &[], reply.as_bytes())
    }

    const HEAD: &str = "HTTP/1.0 200 OK\r\n\r\n<fprot-results>\n <filename>/share/a</filename>\n";

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("fprotd");
    }

    #[test]
    fn refuses_paths_that_would_be_an_answer() {
        assert_refuses_paths(&*scanner(), &[b"/a\n/b", b"/<summary>clean</summary>", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        for (reply, wanted) in [
            (" <summary code=\"9\">clean</summary>\n</fprot-results>\n", Ending::Clean),
            ("<summary code=\"7\">innocent</summary>\n", Ending::Clean),
            ("<summary code=\"13\">clean</summary>\n", infected("unknown")),
            ("<summary code=\"0\">clean</summary>\n", Ending::MinorError(MinorErrorKind::NotScannable)),
            ("<summary code=\"4\">x</summary>\n", Ending::MinorError(MinorErrorKind::Encrypted)),
            (
                "<summary code=\"4\">x</summary>\n<summary code=\"9\">clean</summary>\n",
                Ending::MinorError(MinorErrorKind::Encrypted),
            ),
            ("<summary>clean</summary>\n", Ending::Clean),
            ("<detected type=\"virus\"><name>Test-A</name>\n</detected>\n", infected("Test-A")),
            (" <name>Test-A</name>\n <summary code=\"11\">infected</summary>\n", infected("Test-A")),
            ("<summary>clean</summary>\n<name>Test-A</name>\n", infected("Test-A")),
            ("<summary code=\"11\">infected</summary>\n", infected("unknown")),
            ("<name>Test-A", infected("Test-A")),
            (
                "<error>No such file</error>\n<summary code=\"9\">clean</summary>\n",
                Ending::MinorError(MinorErrorKind::NotScannable),
            ),
            ("<error>encrypted</error>\n", Ending::MinorError(MinorErrorKind::Encrypted)),
            ("<summary code=\"10\">clean</summary>\n", Ending::Fault(Blame::Misbehaved)),
            ("<summary>strange</summary>\n", Ending::Fault(Blame::Misbehaved)),
            ("<filename><summary>clean</summary></filename>\n", Ending::Fault(Blame::Transport)),
            ("</fprot-results>\n", Ending::Fault(Blame::Transport)),
            ("<summary>clean</sum", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(answer(&format!("{HEAD}{reply}")), wanted, "{reply:?}");
        }
        assert_eq!(answer("HTTP/1.0 404 Not found\r\n"), Ending::Fault(Blame::Misbehaved));
        for reply in ["", "rubbish\n", "200 OK\n", &"x".repeat(200)] {
            assert_eq!(answer(reply), Ending::Fault(Blame::Transport), "{reply:?}");
        }
        let endless = "x".repeat(70_000);
        assert_eq!(
            Ending::from(&crate::testing::play_reply(
                &*scanner(),
                &crate::testing::FILE,
                endless.as_bytes(),
                crate::testing::Delivery::Pieces(4096)
            )),
            Ending::Fault(Blame::Garbled)
        );
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["<summary", ">", "clean", "infected", "<", "\n", "X", "<name>", "<error>"];
        for reply in clean_replies_of_noise(&*scanner(), &words) {
            let summary = reply.lines().find(|line| line.starts_with("<summary")).unwrap();
            assert!(summary.contains(">clean"), "{reply:?}");
        }
    }
}
