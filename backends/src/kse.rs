//! Kaspersky Scan Engine in its HTTP mode: the content in a request, one line in the answer. (In its ICAP mode it is
//! an `icap` scanner.)

use crate::address::{AddressError, Endpoint};
use crate::dialogue::{Object, Outcome, Scanner, Step, Takes};
use crate::head::HeadReader;
use crate::single::{self, Connection};
use crate::verdict::{Fault, MinorError, ThreatName, Verdict};
use crate::wire::{kind_of, quoted};

/// Kaspersky Scan Engine at this address.
pub fn new(address: &str) -> Result<Box<dyn Scanner>, AddressError> {
    let endpoint: Endpoint = address.parse()?;
    let host = match &endpoint {
        Endpoint::Unix(_) | Endpoint::Datagram(_) => "localhost".to_owned(),
        Endpoint::Tcp { host, .. } if !host.bytes().all(|byte| byte.is_ascii_graphic()) => {
            return Err(AddressError::new(
                address,
                "a host's name has no letters beyond ASCII",
                "tcp:host:port",
            ));
        }
        Endpoint::Tcp { .. } => endpoint.to_string().trim_start_matches("tcp:").to_owned(),
    };
    Ok(Box::new(Kse { endpoint, host }))
}

struct Kse {
    endpoint: Endpoint,
    /// As a request names it.
    host: String,
}

impl Scanner for Kse {
    fn name(&self) -> &'static str {
        "kse"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        Takes::Stream
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        let Self { host, .. } = self;
        let size = object.size;
        // Of an answer in HTTP/1.1 nobody knows the framing beforehand.
        let request = format!(
            "POST /scanmemory HTTP/1.0\r\nHost: {host}\r\nX-KAV-ProtocolVersion: 1\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        );
        single::ask_with_content(request.into_bytes(), size, judge)
    }
}

/// A head with status 200, and one line.
fn judge(reply: &[u8], connection: Connection) -> Option<Outcome> {
    let mut heads = HeadReader::new();
    if let Err(fault) = heads.push(reply) {
        return Some(Err(fault));
    }
    let head = match heads.take(b"HTTP")? {
        Ok(head) => head,
        Err(fault) => return Some(Err(fault)),
    };
    if head.status != 200 || head.value("transfer-encoding").is_some() {
        let text = format!("Kaspersky Scan Engine's answer is {}", head.status_text());
        return Some(Err(Fault::Misbehaved(text.into())));
    }
    let body = heads.rest();
    let length =
        head.value("content-length").map(|length| std::str::from_utf8(length).ok()?.parse::<usize>().ok());
    match (length, connection) {
        (Some(None), _) => Some(Err(Fault::Garbled("an answer with a length that is no number".into()))),
        (Some(Some(length)), _) if body.len() < length => None,
        (Some(Some(length)), _) if body.len() > length => {
            Some(Err(Fault::Misbehaved(format!("{} is longer than it was to be", quoted(body)).into())))
        }
        (Some(Some(_)), _) | (None, Connection::Ended) => Some(judge_text(body.trim_ascii())),
        (None, Connection::Open) => None,
    }
}

fn judge_text(text: &[u8]) -> Outcome {
    if let Some(name) = text.strip_prefix(b"DETECT ") {
        return Ok(Verdict::Infected(ThreatName::new(name)));
    }
    match text {
        b"CLEAN" | b"CLEAN AND CONTAINS OFFICE MACRO" => Ok(Verdict::Clean),
        b"DETECT" => Ok(Verdict::Infected(ThreatName::new(b""))),
        b"SERVER_ERROR" => Err(Fault::Misbehaved("Kaspersky Scan Engine says SERVER_ERROR".into())),
        _ if text.starts_with(b"NON_SCANNED") => {
            Ok(Verdict::MinorError(MinorError::new(kind_of(text), text)))
        }
        _ => Err(Fault::Garbled(format!("{} is not what Kaspersky Scan Engine says", quoted(text)).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_bounded_and_deaf_to_noise, assert_recorded, clean_replies_of_noise, ending, infected,
    };
    use crate::transcript::{Blame, Ending};
    use crate::verdict::MinorErrorKind;

    fn scanner() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:9999").unwrap()
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("kse");
    }

    #[test]
    fn keeps_what_every_scanner_owes() {
        let clean = b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nCLEAN\r\n";
        assert_bounded_and_deaf_to_noise(&*scanner(), &[], clean);
        assert!(new("tcp:\u{e9}:9999").is_err());
    }

    #[test]
    fn accepts_its_words_and_refuses_others() {
        for (text, wanted) in [
            ("CLEAN", Ending::Clean),
            ("CLEAN AND CONTAINS OFFICE MACRO\r\n", Ending::Clean),
            ("DETECT Test-A", infected("Test-A")),
            ("DETECT", infected("unknown")),
            ("NON_SCANNED (PASSWORD PROTECTED)", Ending::MinorError(MinorErrorKind::Encrypted)),
            ("NON_SCANNED (corrupt)", Ending::MinorError(MinorErrorKind::NotScannable)),
            ("SERVER_ERROR", Ending::Fault(Blame::Misbehaved)),
            ("", Ending::Fault(Blame::Garbled)),
            ("CLEANED", Ending::Fault(Blame::Garbled)),
            ("CLEAN\nDETECT Test-A", Ending::Fault(Blame::Garbled)),
        ] {
            let reply = format!("HTTP/1.1 200 OK\r\n\r\n{text}");
            assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), wanted, "{text:?}");
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), wanted, "{text:?}");
        }
    }

    #[test]
    fn refuses_an_answer_that_is_not_whole_or_not_an_answer() {
        for (reply, blame) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nCLEAN", Blame::Transport),
            ("HTTP/1.1 200 OK\r\nCLEAN", Blame::Transport),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nCLEAN", Blame::Garbled),
            ("HTTP/1.1 500 Error\r\n\r\nCLEAN", Blame::Misbehaved),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nCLEAN\r\n0\r\n\r\n",
                Blame::Misbehaved,
            ),
        ] {
            assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), Ending::Fault(blame), "{reply:?}");
        }
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let words = ["HTTP/1.1 200 OK\r\n", "\r\n", "CLEAN", "DETECT ", "X", " "];
        for reply in clean_replies_of_noise(&*scanner(), &words) {
            let (_, body) = reply.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.trim(), "CLEAN", "{reply:?}");
        }
    }
}
