//! The heads of HTTP and ICAP messages: a status line and headers, up to the empty line.

use crate::verdict::Fault;
use crate::wire::{LineReader, MAX_HEAD, quoted};

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number in the status line.
    pub(crate) status: u16,
    /// The text behind it.
    pub(crate) reason: String,
    /// Names in lower case, values trimmed. A folded value keeps its lines.
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    fn parse(lines: &[Vec<u8>], protocol: &[u8]) -> Result<Self, Fault> {
        let (first, rest) = lines.split_first().ok_or(Fault::Garbled("an answer without a status".into()))?;
        let (status, reason) = status_line(first, protocol).ok_or_else(|| {
            let protocol = String::from_utf8_lossy(protocol);
            Fault::Garbled(format!("{} is not {protocol}; what listens there?", quoted(first)).into())
        })?;
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for line in rest {
            let garbled = || Fault::Garbled(format!("{} is no header", quoted(line)).into());
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                let (_, value) = headers.last_mut().ok_or_else(garbled)?;
                value.push(b'\n');
                value.extend_from_slice(line.trim_ascii());
            } else {
                let colon = line.iter().position(|&byte| byte == b':').ok_or_else(garbled)?;
                let (name, value) = line.split_at_checked(colon).ok_or_else(garbled)?;
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                headers.push((name, value.strip_prefix(b":").unwrap_or(value).trim_ascii().to_vec()));
            }
        }
        Ok(Self { status, reason, headers })
    }

    /// The values of all headers of this name (lower case).
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The value of the first header of this name (lower case).
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Whether a header that is a list separated by commas has this word.
    pub(crate) fn lists(&self, name: &str, word: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|byte| matches!(byte, b',' | b'\n')))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The status line's number and text, for a message.
    pub(crate) fn status_text(&self) -> String {
        format!("{} {}", self.status, self.reason)
    }
}

/// `ICAP/1.0 204 No modifications needed`: the number and the text.
fn status_line(line: &[u8], protocol: &[u8]) -> Option<(u16, String)> {
    let (word, rest) = line.split_at_checked(protocol.len())?;
    let version = rest.strip_prefix(b"/")?;
    let space = version.iter().position(|&byte| byte == b' ')?;
    let (version, rest) = version.split_at_checked(space)?;
    let is_version = !version.is_empty() && version.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    if !word.eq_ignore_ascii_case(protocol) || !is_version {
        return None;
    }
    let (status, reason) = rest.trim_ascii_start().split_at_checked(3)?;
    let is_status = status.iter().all(u8::is_ascii_digit) && reason.first().is_none_or(|&byte| byte == b' ');
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    is_status.then(|| (status, quoted_reason(reason)))
}

fn quoted_reason(reason: &[u8]) -> String {
    quoted(reason.trim_ascii()).trim_matches('"').to_owned()
}

/// Collects heads from a stream of bytes.
#[derive(Debug)]
pub(crate) struct HeadReader {
    stream: LineReader,
    lines: Vec<Vec<u8>>,
    size: usize,
}

impl HeadReader {
    pub(crate) fn new() -> Self {
        Self { stream: LineReader::new(b"\n"), lines: Vec::new(), size: 0 }
    }

    /// Takes bytes as they came.
    pub(crate) fn push(&mut self, received: &[u8]) -> Result<(), Fault> {
        self.stream.push(received)
    }

    /// The next head when all of it is there. `protocol` is what its first line begins with: `ICAP` or `HTTP`.
    pub(crate) fn take(&mut self, protocol: &'static [u8]) -> Option<Result<Head, Fault>> {
        while let Some(mut line) = self.stream.take_line() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.is_empty() {
                self.size = 0;
                return Some(Head::parse(&std::mem::take(&mut self.lines), protocol));
            }
            self.size = self.size.saturating_add(line.len()).saturating_add(1);
            if self.size > MAX_HEAD {
                return Some(Err(Fault::Garbled(format!("a head of over {MAX_HEAD} bytes").into())));
            }
            self.lines.push(line);
        }
        None
    }

    /// What came after the last head that was taken, as far as it is no head yet.
    pub(crate) fn rest(&self) -> &[u8] {
        self.stream.rest()
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn is_in_midst(&self) -> bool {
        !self.lines.is_empty() || !self.stream.rest().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &[u8]) -> Option<Result<Head, Fault>> {
        let mut reader = HeadReader::new();
        reader.push(text).unwrap();
        reader.take(b"ICAP")
    }

    #[test]
    fn reads_names_in_any_case_and_folded_values() {
        let head = head(b"ICAP/1.0 200 OK\r\nx-Test:  a \r\nX-VIOLATIONS-found: 1\r\n\t-\r\n  Name\r\nAllow: 206, 204\n\r\n");
        let head = head.unwrap().unwrap();
        assert_eq!((head.status, head.status_text().as_str()), (200, "200 OK"));
        assert_eq!(head.value("x-test"), Some(b"a".as_slice()));
        assert_eq!(head.value("x-violations-found"), Some(b"1\n-\nName".as_slice()));
        assert!(head.lists("allow", "204") && !head.lists("allow", "20"));
        assert_eq!(head.value("x-other"), None);
    }

    #[test]
    fn reads_one_head_after_the_other_however_they_are_split() {
        let text = b"ICAP/1.0 200 OK\r\nA: 1\r\n\r\nICAP/1.0 204\r\n\r\nrest";
        for at in 0..=text.len() {
            let (one, two) = text.split_at(at);
            let mut reader = HeadReader::new();
            let mut found = Vec::new();
            for piece in [one, two] {
                reader.push(piece).unwrap();
                while let Some(head) = reader.take(b"ICAP") {
                    found.push(head.unwrap().status);
                }
            }
            assert_eq!(
                (found.as_slice(), reader.rest()),
                ([200, 204].as_slice(), b"rest".as_slice()),
                "{at}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_head() {
        let texts = "|HTTP/1.1 200 OK|ICAP 200 OK|ICAP/1.0 20|ICAP/1.0 2000 OK|ICAP/1.0 -20 OK|ICAP/ 200 OK|ICAP/1.0 200 OK\n a\
                     |ICAP/1.0 200 OK\nno colon|220 ready";
        for text in texts.split('|') {
            let head = head(format!("{text}\r\n\r\n").as_bytes());
            assert!(matches!(head, Some(Err(Fault::Garbled(_)))), "{text:?}: {head:?}");
        }
    }

    #[test]
    fn refuses_a_head_without_end() {
        let mut reader = HeadReader::new();
        reader.push(b"ICAP/1.0 200 OK\r\n").unwrap();
        let endless = (0..100_000).find_map(|_| {
            reader.push(b"A: b\r\n").unwrap();
            reader.take(b"ICAP")
        });
        assert!(matches!(endless, Some(Err(Fault::Garbled(_)))));
    }
}
