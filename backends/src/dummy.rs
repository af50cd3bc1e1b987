//! No scanner at all: names decide. For tests of everything around a scan, without a daemon.

use crate::address::Endpoint;
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::verdict::{ThreatName, Verdict};

/// A scanner that calls those files infected whose name matches one of the patterns (`*eicar*;*.vir`), and all others
/// clean. `*` stands for any bytes, `?` for one; upper and lower case of ASCII letters are the same.
pub fn new(patterns: &str) -> Box<dyn Scanner> {
    let patterns = patterns.split(';').map(|pattern| pattern.trim().to_ascii_lowercase().into_bytes());
    Box::new(Dummy { infected: patterns.filter(|pattern| !pattern.is_empty()).collect() })
}

struct Dummy {
    infected: Vec<Vec<u8>>,
}

impl Scanner for Dummy {
    fn name(&self) -> &'static str {
        "dummy"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        None
    }

    fn takes(&self) -> Takes {
        Takes::Path
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        let name =
            object.path.rsplit(|&byte| byte == b'/').next().unwrap_or(object.path).to_ascii_lowercase();
        let infected = self.infected.iter().any(|pattern| matches(pattern, &name));
        Step::Done(Ok(if infected {
            Verdict::Infected(ThreatName::new(b"Dummy.Test"))
        } else {
            Verdict::Clean
        }))
    }
}

/// Whether the whole name fits the pattern. Only the last `*` is ever retried, so no pattern takes long.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        (pattern, name) = match (pattern, name, last_star) {
            ([b'*', after_star @ ..], _, _) => {
                last_star = Some((after_star, name));
                (after_star, name)
            }
            ([], [], _) => return true,
            ([wanted, pattern @ ..], [byte, name @ ..], _) if wanted == byte || *wanted == b'?' => {
                (pattern, name)
            }
            // The last star takes one byte more.
            (_, _, Some((after_star, [_, name @ ..]))) => {
                last_star = Some((after_star, name));
                (after_star, name)
            }
            (_, _, Some((_, [])) | None) => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Delivery, assert_recorded, play_reply};

    fn is_infected(patterns: &str, path: &[u8]) -> bool {
        let outcome = play_reply(&*new(patterns), &Object::new(path, 1), b"", Delivery::Whole);
        matches!(outcome.unwrap(), Verdict::Infected(_))
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("dummy");
    }

    #[test]
    fn finds_names_that_match_a_pattern() {
        for (patterns, path) in [
            ("*eicar*", "/share/EICAR.com"),
            ("*eicar*;*.vir", "/share/a.VIR"),
            ("; *.vir ;", "/share/.vir"),
            ("a?c", "/a*c"),
            ("*ab*ab", "/abxabxab"),
            ("*", "/x"),
            ("**", "/x"),
        ] {
            assert!(is_infected(patterns, path.as_bytes()), "{patterns} {path}");
        }
        assert!(is_infected("*\u{e9}?", b"/x\xc3\xa9\xff"));
    }

    #[test]
    fn passes_names_that_match_none() {
        for (patterns, path) in [
            ("", "/share/eicar"),
            (";", "/share/eicar"),
            ("*eicar*", "/eicar/clean"),
            ("*.vir", "/a.virus"),
            ("a?c", "/ac"),
            ("*ab*ab", "/xab"),
            ("a", "/ab"),
        ] {
            assert!(!is_infected(patterns, path.as_bytes()), "{patterns} {path}");
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        assert!(!is_infected(&"*a".repeat(100), &[b'a'; 99]));
        assert!(!is_infected(&format!("{}b", "*a".repeat(100)), &[b'a'; 4000]));
    }
}
