//! What an ICAP server's answer says about the file.
//!
//! There is no standard for it. Servers name a threat in extension headers, of their own head or of the HTTP head
//! within, or block with an encapsulated 403, or with an ICAP status of 403. Often it is clamd that stands behind, and
//! its names for what kept it from looking are understood.

use crate::clamav;
use crate::head::Head;
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{contains_ignoring_case, kind_of};

/// The heads of a final answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) icap: Head,
    pub(super) http: Option<Head>,
}

/// How much of the file the server was shown when it answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) of: u64,
}

/// Whether the verdict may depend on the HTTP head within the answer. An alarm needs no more to be heard.
pub(super) fn needs_http_head(icap: &Head) -> bool {
    let has_head = icap.value("encapsulated").is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.starts_with(b"res-hdr")
    });
    matches!(icap.status, 200 | 201) && has_head && finding(icap).is_none()
}

/// What the answer says.
pub(super) fn judge(answer: &Answer, seen: Seen, service: &str) -> Result<Verdict, Fault> {
    let heads = [Some(&answer.icap), answer.http.as_ref()].into_iter().flatten();
    if let Some(verdict) = heads.filter_map(finding).next() {
        return Ok(verdict);
    }
    match answer.icap.status {
        204 if seen.bytes == seen.of => Ok(Verdict::Clean),
        204 => {
            let text = format!("the ICAP service let it pass after {} of {} bytes", seen.bytes, seen.of);
            Ok(not_scannable(text.as_bytes()))
        }
        // Nothing came back because there was nothing.
        200 if seen.of == 0 && answer.http.as_ref().is_some_and(|http| http.status == 200) => {
            Ok(Verdict::Clean)
        }
        200 | 201 => Ok(without_finding(answer.http.as_ref())),
        _ => Err(failed(&answer.icap, service)),
    }
}

/// An answer with content, and nothing in its headers that tells why.
fn without_finding(http: Option<&Head>) -> Verdict {
    match http.map(|head| (head.status, head)) {
        Some((403, _)) => Verdict::Infected(ThreatName::new(b"")),
        Some((200, _)) | None => not_scannable(
            b"the ICAP service returned the file instead of saying 204: too large or of a kind it does not scan?",
        ),
        Some((_, head)) => {
            let text = format!("the ICAP service put another answer in its place: {}", head.status_text());
            not_scannable(text.as_bytes())
        }
    }
}

/// An ICAP status that is no answer about the file.
pub(super) fn failed(icap: &Head, service: &str) -> Fault {
    let advice = match icap.status {
        404 => format!("; is {service} the name of the service?"),
        403 => "; does it allow this client?".to_owned(),
        _ => String::new(),
    };
    Fault::Misbehaved(format!("the ICAP server says {}{advice}", icap.status_text()).into())
}

/// What a head's extension headers say about the file.
fn finding(head: &Head) -> Option<Verdict> {
    let verdicts = || {
        let found = head.values("x-infection-found").map(infection_found);
        found.chain(head.values("x-violations-found").filter_map(violations_found)).chain(virus_id(head))
    };
    let threat = verdicts().find(|verdict| matches!(verdict, Verdict::Infected(_)));
    threat.or_else(|| verdicts().next()).or_else(|| blocked(head))
}

/// `Type=0; Resolution=2; Threat=Name;`. Type 2 is a container that could not be scanned.
fn infection_found(value: &[u8]) -> Verdict {
    let field = |wanted: &[u8]| {
        value.split(|&byte| byte == b';').find_map(|field| {
            let equals = field.iter().position(|&byte| byte == b'=')?;
            let (name, value) = field.split_at_checked(equals)?;
            let is_it = name.trim_ascii().eq_ignore_ascii_case(wanted);
            is_it.then(|| value.strip_prefix(b"=").unwrap_or(value).trim_ascii())
        })
    };
    let threat = field(b"threat").unwrap_or_default();
    if field(b"type") == Some(b"2") { container(threat) } else { clamav::threat(threat) }
}

/// The number of violations, then four lines for each: file, threat, number of the problem, resolution.
fn violations_found(value: &[u8]) -> Option<Verdict> {
    let mut lines = value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    if lines.next() == Some(b"0") {
        return None;
    }
    let threat = lines.nth(1).unwrap_or_default();
    let is_container =
        contains_ignoring_case(threat, b"container") && contains_ignoring_case(threat, b"violation");
    Some(if is_container { container(threat) } else { clamav::threat(threat) })
}

/// Headers that hold nothing but a name.
fn virus_id(head: &Head) -> Option<Verdict> {
    let is_name = |name: &&[u8]| {
        !["", "no threats", "none", "-"].iter().any(|none| name.eq_ignore_ascii_case(none.as_bytes()))
    };
    let named =
        ["x-virus-id", "x-virus-name"].into_iter().flat_map(|header| head.values(header)).find(is_name);
    if let Some(name) = named {
        return Some(clamav::threat(name));
    }
    let result = head.value("x-fsecure-scan-result")?;
    result.eq_ignore_ascii_case(b"infected").then(|| {
        let name = head.value("x-fsecure-infection-name").unwrap_or_default();
        Verdict::Infected(ThreatName::new(
            name.trim_ascii_start()
                .strip_prefix(b"\"")
                .map_or(name, |name| name.strip_suffix(b"\"").unwrap_or(name)),
        ))
    })
}

/// Headers that tell of a block, for a threat or for another reason.
fn blocked(head: &Head) -> Option<Verdict> {
    let reasons = ["x-block-reason", "x-mwg-block-reason", "x-block-result", "x-blocked"];
    if let Some(reason) = reasons.into_iter().find_map(|header| head.value(header)) {
        let words: [&[u8]; 5] = [b"virus", b"malware", b"threat", b"infect", b"trojan"];
        let is_threat = words.iter().any(|word| contains_ignoring_case(reason, word));
        return Some(if is_threat { Verdict::Infected(ThreatName::new(reason)) } else { container(reason) });
    }
    let is_blocked = |value: &[u8]| value.eq_ignore_ascii_case(b"blocked");
    head.value("x-response-info").is_some_and(is_blocked).then(|| Verdict::Infected(ThreatName::new(b"")))
}

/// Why a file could not be scanned, in the server's words.
fn container(text: &[u8]) -> Verdict {
    Verdict::MinorError(MinorError::new(kind_of(text), text))
}

fn not_scannable(text: &[u8]) -> Verdict {
    Verdict::MinorError(MinorError::new(MinorErrorKind::NotScannable, text))
}
