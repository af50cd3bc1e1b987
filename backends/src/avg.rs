//! AVG's avgtcpd: a banner, `SCAN <path>`, and one line back. The daemon opens the path by itself.

use crate::address::Endpoint;
use crate::daemon::Daemon;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn};
use crate::verdict::ThreatName;
use crate::wire::path_for_line;

/// avgtcpd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(Daemon { name: "avg", endpoint, takes: Takes::Path, begin, version_query: None })
}

fn begin(object: &Object<'_>) -> Step {
    match path_for_line(object.path) {
        Ok(path) => lines::listen(Avg::Greeting([b"SCAN ", path, b"\r\n"].concat())),
        Err(fault) => Step::Done(Err(fault)),
    }
}

/// What is awaited.
enum Avg {
    /// The banner, before this request.
    Greeting(Vec<u8>),
    Answer,
}

impl Protocol for Avg {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        const IDENTIFIED: &[u8] = b"Virus identified ";
        let text = line.strip_prefix(b"403")?;
        let identified = text.windows(IDENTIFIED.len()).rposition(|window| window == IDENTIFIED);
        let colon = text.windows(2).rposition(|window| window == b": ");
        let begin = identified.map(|at| at + IDENTIFIED.len()).or(colon.map(|at| at + 2)).unwrap_or(0);
        Some(ThreatName::new(text.get(begin..).unwrap_or_default()))
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        match self {
            Self::Greeting(request) if line.starts_with(b"220") => {
                let request = std::mem::take(request);
                *self = Self::Answer;
                Turn::Say(request.into())
            }
            Self::Answer if line == b"200 OK" || line.starts_with(b"200 OK ") => Turn::clean(),
            Self::Greeting(_) | Self::Answer if is_status(line) => Turn::trouble(line),
            Self::Greeting(_) | Self::Answer => Turn::garbled(line),
        }
    }
}

/// Whether a line begins with a number of three digits.
fn is_status(line: &[u8]) -> bool {
    line.split_at_checked(3).is_some_and(|(number, rest)| {
        number.iter().all(u8::is_ascii_digit) && rest.first().is_none_or(|byte| matches!(byte, b' ' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_bounded_and_deaf_to_noise, assert_recorded, assert_refuses_paths, clean_turns_of_noise,
        ending, infected,
    };
    use crate::transcript::{Blame, Ending};

    const BANNER: &[&[u8]] = &[b"220 AVG daemon ready\r\n"];

    fn scanner() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:55555".parse().unwrap())
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("avg");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), BANNER, b"200 OK\r\n");
        assert_refuses_paths(&*scanner(), &[b"/a\nSCAN /b", b"/a\r", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        for (reply, wanted) in [
            ("200 OK\n", Ending::Clean),
            ("403 File /share/a: b: Virus identified Test-A\r\n", infected("Test-A")),
            ("403 /share/a: b: Test-A\r\n", infected("Test-A")),
            ("403 Test-A", infected("Test-A")),
            ("406 no such file\r\n", Ending::Fault(Blame::Misbehaved)),
            ("220 AVG daemon ready\r\n", Ending::Fault(Blame::Misbehaved)),
            ("200\r\n", Ending::Fault(Blame::Misbehaved)),
            ("200 OKAY\r\n", Ending::Fault(Blame::Misbehaved)),
            ("2000 OK\r\n", Ending::Fault(Blame::Garbled)),
            ("200 O", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(ending(&*scanner(), BANNER, reply.as_bytes()), wanted, "{reply:?}");
        }
        assert_eq!(ending(&*scanner(), &[], b"421 not ready\r\n"), Ending::Fault(Blame::Misbehaved));
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["200", " OK", "OK", "403", "\n", "\r", "X", " "];
        for reply in clean_turns_of_noise(&*scanner(), BANNER, &words) {
            assert!(reply.starts_with("200 OK"), "{reply:?}");
            assert!(reply.lines().skip(1).all(|line| line.trim().is_empty()), "{reply:?}");
        }
    }
}
