//! F-Prot's f-protd (versions 3 and 4): a path in an HTTP request, XML back. The daemon opens the path by itself.
//!
//! It restarts itself on the next free port when its signatures change (10200 to 10204), so an address may be only
//! one of several. Its lines are judged when it has closed the connection, for a clean summary may come before more.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Outcome, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn};
use crate::verdict::{Fault, MinorError, ThreatName, Verdict};
use crate::wire::{kind_of, path_for_line};

/// What a path has as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'/').remove(b'_');

/// f-protd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "fprotd", endpoint, takes: Takes::Path, begin })
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
            lines::say(request, Fprotd { clean: false, error: None })
        }
        Err(fault) => Step::Done(Err(fault)),
    }
}

struct Fprotd {
    /// The summary was there, and it says `clean`.
    clean: bool,
    error: Option<Vec<u8>>,
}

impl Protocol for Fprotd {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        if let Some(name) = element(line, b"<name>") {
            return Some(ThreatName::new(name));
        }
        (summary(line) == Some(b"infected")).then(|| ThreatName::new(b""))
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match summary(line) {
            Some(b"clean") => self.clean = true,
            Some(_) => return Turn::trouble(line),
            None if line.trim_ascii().starts_with(b"<error") => {
                self.error.get_or_insert_with(|| line.to_vec());
            }
            None if line.starts_with(b"HTTP/") && !contains(line, b" 200") => return Turn::trouble(line),
            None => {}
        }
        Turn::Listen
    }

    fn ended(&self) -> Option<Outcome> {
        match (&self.error, self.clean) {
            (Some(error), _) => Some(Ok(Verdict::MinorError(MinorError::new(kind_of(error), error)))),
            (None, true) => Some(Ok(Verdict::Clean)),
            (None, false) => None,
        }
    }
}

/// The text of a summary that stands at the beginning of a line.
fn summary(line: &[u8]) -> Option<&[u8]> {
    line.trim_ascii().starts_with(b"<summary").then(|| element(line, b">").unwrap_or_default())
}

/// What stands between this and the next `<`.
fn element<'a>(line: &'a [u8], begin: &[u8]) -> Option<&'a [u8]> {
    let at = line.windows(begin.len()).position(|window| window == begin)?;
    let text = line.get(at + begin.len()..)?;
    let end = text.iter().position(|&byte| byte == b'<').unwrap_or(text.len());
    text.get(..end)
}

fn contains(line: &[u8], phrase: &[u8]) -> bool {
    line.windows(phrase.len()).any(|window| window == phrase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_recorded, assert_refuses_paths, clean_replies_of_noise, ending, infected};
    use crate::transcript::{Blame, Ending};
    use crate::verdict::MinorErrorKind;

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
            (" <summary code=\"0\">clean</summary>\n</fprot-results>\n", Ending::Clean),
            ("<summary>clean</summary>\n", Ending::Clean),
            ("<detected type=\"virus\"><name>Test-A</name>\n</detected>\n", infected("Test-A")),
            (" <name>Test-A</name>\n <summary code=\"11\">infected</summary>\n", infected("Test-A")),
            ("<summary>clean</summary>\n<name>Test-A</name>\n", infected("Test-A")),
            ("<summary code=\"11\">infected</summary>\n", infected("unknown")),
            ("<name>Test-A", infected("Test-A")),
            (
                "<error>No such file</error>\n<summary code=\"0\">clean</summary>\n",
                Ending::MinorError(MinorErrorKind::NotScannable),
            ),
            ("<error>encrypted</error>\n", Ending::MinorError(MinorErrorKind::Encrypted)),
            ("<summary code=\"9\">strange</summary>\n", Ending::Fault(Blame::Misbehaved)),
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
