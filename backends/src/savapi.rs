//! Avira's SAVAPI service: lines that begin with a number. The daemon opens the path by itself.
//!
//! The service may want the number of a licensed product before it scans: `savapi:12345@tcp:127.0.0.1:4444`.

use crate::address::{AddressError, Endpoint};
use crate::dialogue::{Object, Scanner, Step, Takes};
use crate::lines::{self, Protocol, Turn};
use crate::verdict::{MinorErrorKind, ThreatName};
use crate::wire::{kind_of, path_for_line};

const FORMS: &str = "tcp:host:port or /path/of/socket, with <product>@ before it if the licence is for one";

/// SAVAPI at this address, with or without a product before it.
pub fn new(address: &str) -> Result<Box<dyn Scanner>, AddressError> {
    let (product, endpoint) = match address.split_once('@') {
        Some((product, endpoint)) => (Some(product.trim()), endpoint),
        None => (None, address),
    };
    if product.is_some_and(|product| {
        product.is_empty() || !product.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }) {
        return Err(AddressError::new(address, "a product is letters and digits", FORMS));
    }
    Ok(Box::new(Savapi { product: product.map(str::to_owned), endpoint: endpoint.parse()? }))
}

struct Savapi {
    product: Option<String>,
    endpoint: Endpoint,
}

impl Scanner for Savapi {
    fn name(&self) -> &'static str {
        "savapi"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        Takes::Path
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        match path_for_line(object.path) {
            Ok(path) => {
                // Said from the last to the first.
                let mut to_say = vec![[b"SCAN ", path, b"\n"].concat(), b"SET ARCHIVE_SCAN 1\n".to_vec()];
                to_say.extend(self.product.as_ref().map(|id| format!("SET PRODUCT {id}\n").into_bytes()));
                lines::listen(Conversation { to_say, unscanned: None })
            }
            Err(fault) => Step::Done(Err(fault)),
        }
    }
}

struct Conversation {
    to_say: Vec<Vec<u8>>,
    /// What an information says that was not scanned.
    unscanned: Option<Vec<u8>>,
}

impl Protocol for Conversation {
    fn threat(&self, line: &[u8]) -> Option<ThreatName> {
        match code(line)? {
            // `[<path in an archive> <<< ]<name> ; <type> ; <message>`
            (310, text) => {
                const WITHIN: &[u8] = b" <<< ";
                let end = text.windows(3).position(|window| window == b" ; ").unwrap_or(text.len());
                let text = text.get(..end).unwrap_or(text);
                let begin = text.windows(WITHIN.len()).rposition(|window| window == WITHIN);
                Some(ThreatName::new(begin.and_then(|at| text.get(at + WITHIN.len()..)).unwrap_or(text)))
            }
            (319, _) => Some(ThreatName::new(b"")),
            _ => None,
        }
    }

    fn heard(&mut self, line: &[u8]) -> Turn {
        let Some((code, text)) = code(line) else { return Turn::garbled(line) };
        if code == 100 {
            return self.to_say.pop().map_or_else(|| Turn::garbled(line), |bytes| Turn::Say(bytes.into()));
        }
        if !self.to_say.is_empty() {
            return Turn::trouble(line);
        }
        match (code, &self.unscanned) {
            (200 | 210, None) => Turn::clean(),
            (200 | 210, Some(what)) => Turn::minor(MinorErrorKind::Encrypted, what),
            (350, _) => Turn::minor(kind_of(text), text),
            // Informations; macros and the like are no threats by themselves.
            (401 | 420..=423 | 430 | 440 | 450 | 499, _) => {
                if kind_of(text) == MinorErrorKind::Encrypted {
                    self.unscanned = Some(text.to_vec());
                }
                Turn::Listen
            }
            (_, _) => Turn::trouble(line),
        }
    }
}

/// A number of three digits, and the text behind it.
fn code(line: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = line.split_at_checked(3)?;
    if !number.iter().all(u8::is_ascii_digit) || rest.first().is_some_and(|&byte| byte != b' ') {
        return None;
    }
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_bounded_and_deaf_to_noise, assert_recorded, assert_refuses_paths, clean_turns_of_noise,
        ending, infected,
    };
    use crate::transcript::{Blame, Ending};

    const BEFORE: &[&[u8]] = &[b"100 SAVAPI:4.0\n", b"100 PRODUCT:12345\n", b"100 ARCHIVE_SCAN:1\n"];

    fn scanner() -> Box<dyn Scanner> {
        new("12345@tcp:127.0.0.1:4444").unwrap()
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("savapi");
    }

    #[test]
    fn refuses_a_product_that_is_none() {
        for address in ["@tcp:h:1", "a b@tcp:h:1", "1\nSCAN /@tcp:h:1"] {
            assert!(new(address).err().unwrap().to_string().contains("letters and digits"), "{address}");
        }
        assert!(new("1@nowhere").is_err());
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        assert_bounded_and_deaf_to_noise(&*scanner(), BEFORE, b"210 CLEAN\n");
        assert_refuses_paths(&*scanner(), &[b"/a\nSCAN /b", b"/a\r", b"a"]);
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        let minor = Ending::MinorError;
        for (reply, wanted) in [
            ("200\n", Ending::Clean),
            ("401 info\n422 macro\n210 /a\r\n", Ending::Clean),
            ("310 Test-A ; virus ; Contains Test-A\n319 done\n", infected("Test-A")),
            ("310 /a --> b <<< Test-A ; virus ; Contains\n", infected("Test-A")),
            ("310 Test-A", infected("Test-A")),
            ("319 done\n", infected("unknown")),
            ("350 Error opening file\n", minor(MinorErrorKind::NotScannable)),
            ("350 Archive is encrypted\n", minor(MinorErrorKind::Encrypted)),
            ("499 a member is password protected\n210 x\n", minor(MinorErrorKind::Encrypted)),
            ("404 too many clients\n", Ending::Fault(Blame::Misbehaved)),
            ("220 timeout\n", Ending::Fault(Blame::Misbehaved)),
            ("199 PONG\n", Ending::Fault(Blame::Misbehaved)),
            ("100 again\n", Ending::Fault(Blame::Garbled)),
            ("2000\n", Ending::Fault(Blame::Garbled)),
            ("401 info\n", Ending::Fault(Blame::Transport)),
        ] {
            assert_eq!(ending(&*scanner(), BEFORE, reply.as_bytes()), wanted, "{reply:?}");
        }
    }

    #[test]
    fn refuses_to_scan_before_it_is_ready() {
        for done in 0..BEFORE.len() {
            for early in ["210 clean\n", "350 no licence\n", "404 x\n"] {
                let outcome = ending(&*scanner(), &BEFORE[..done], early.as_bytes());
                assert_eq!(outcome, Ending::Fault(Blame::Misbehaved), "{early:?} after {done}");
            }
        }
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["200", "210", "310", "401", "\n", "\r", "X", " "];
        for reply in clean_turns_of_noise(&*scanner(), BEFORE, &words) {
            let last = reply.trim_end().lines().last().unwrap();
            assert!(last.starts_with("200") || last.starts_with("210"), "{reply:?}");
            assert!(!reply.lines().any(|line| line.starts_with("310 ")), "{reply:?}");
        }
    }
}
