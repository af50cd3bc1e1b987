//! What clamd's words mean.

use super::{Command, Request, Sent};
use crate::dialogue::Outcome;
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::quoted;

/// Errors that are not about this file: the daemon is in trouble, or it did not get what we meant to send.
const DAEMON_TROUBLE: [&[u8]; 10] = [
    b"No file descriptor received",
    b"PROTOCOL ERROR",
    b"Error processing command",
    b"UNKNOWN COMMAND",
    b"COMMAND UNAVAILABLE",
    b"COMMAND READ TIMED OUT",
    b"temporary file",
    b"temporary directory",
    b"Can't write to file",
    b"Can't allocate memory",
];

/// Errors that say that the file exceeds what the daemon is willing to look at.
const LIMITS: [&[u8]; 3] = [b"size limit exceeded", b"Time limit reached", b"CL_EMAX"];

/// What one line of clamd says. Lines are read from their end, where the verdict is.
pub(super) fn judge(line: &[u8], request: Request) -> Outcome {
    let answer = match request.number {
        Some(number) => line.strip_prefix(format!("{number}: ").as_bytes()),
        None => Some(line),
    };
    let Some(about_file) = answer.and_then(|answer| after_label(answer, request.command)) else {
        return judge_unlabelled(answer.unwrap_or(line));
    };
    if let Some(name) = about_file.strip_suffix(b" FOUND") {
        return Ok(threat(name));
    }
    if let Some(text) = about_file.strip_suffix(b" ERROR") {
        return judge_error(text);
    }
    match (about_file, request.sent) {
        (b"OK", Sent::All) => Ok(Verdict::Clean),
        (b"OK", Sent::Part) => {
            Err(Fault::Misbehaved("clamd said OK before it was sent the whole file".into()))
        }
        // Only worth its name when the file is: otherwise clamd did not look at the file that was meant.
        (b"Empty file", Sent::All) if request.size == 0 => Ok(Verdict::Clean),
        (b"Empty file" | b"Excluded", _) => {
            Ok(Verdict::MinorError(MinorError::new(MinorErrorKind::NotScannable, about_file)))
        }
        _ => Err(garbled(line)),
    }
}

/// What follows the label of an answer about the file: `fd[<number>]: ` or `stream: `.
fn after_label(line: &[u8], command: Command) -> Option<&[u8]> {
    match command {
        Command::Instream => line.strip_prefix(b"stream: "),
        Command::Fildes => skip_digits(line.strip_prefix(b"fd[")?)?.strip_prefix(b"]: "),
    }
}

/// An answer that names no file.
fn judge_unlabelled(line: &[u8]) -> Outcome {
    if skip_digits(line).is_some_and(|rest| rest.starts_with(b": ")) {
        let text = format!("{} answers another request than ours", quoted(line));
        return Err(Fault::Misbehaved(text.into()));
    }
    if line == b"INSTREAM size limit exceeded. ERROR" || contains_any(line, &DAEMON_TROUBLE) {
        return judge_error(line.strip_suffix(b" ERROR").unwrap_or(line));
    }
    Err(garbled(line))
}

fn judge_error(text: &[u8]) -> Outcome {
    if contains_any(text, &DAEMON_TROUBLE) {
        return Err(Fault::Misbehaved(format!("clamd says {}", quoted(text)).into()));
    }
    let kind = if contains_any(text, &LIMITS) {
        MinorErrorKind::OverScannerLimit
    } else {
        MinorErrorKind::NotScannable
    };
    Ok(Verdict::MinorError(MinorError::new(kind, text)))
}

/// clamd reports as "found" also what kept it from looking.
pub(crate) fn threat(name: &[u8]) -> Verdict {
    let name = without_details(name);
    if name.starts_with(b"Heuristics.Limits.Exceeded") {
        return Verdict::MinorError(MinorError::new(MinorErrorKind::OverScannerLimit, name));
    }
    if name.starts_with(b"Heuristics.Encrypted.") {
        return Verdict::MinorError(MinorError::new(MinorErrorKind::Encrypted, name));
    }
    Verdict::Infected(ThreatName::new(name))
}

/// Old daemons with ExtendedDetectionInfo add `(<MD5 in hexadecimal>:<size>)` to a name.
fn without_details(name: &[u8]) -> &[u8] {
    let details = || {
        let open = name.iter().rposition(|&byte| byte == b'(')?;
        let (name, details) = name.split_at_checked(open)?;
        let inner = details.strip_prefix(b"(")?.strip_suffix(b")")?;
        let colon = inner.iter().position(|&byte| byte == b':')?;
        let (hash, size) = inner.split_at_checked(colon)?;
        let is_hash = !hash.is_empty() && hash.iter().all(u8::is_ascii_hexdigit);
        let is_size = skip_digits(size.strip_prefix(b":")?)?.is_empty();
        (is_hash && is_size).then_some(name)
    };
    details().unwrap_or(name)
}

/// What follows one or more digits.
fn skip_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { None } else { text.get(digits..) }
}

fn contains_any(text: &[u8], phrases: &[&[u8]]) -> bool {
    phrases.iter().any(|phrase| text.windows(phrase.len()).any(|window| window == *phrase))
}

pub(super) fn garbled(line: &[u8]) -> Fault {
    Fault::Garbled(format!("{} is not what clamd says; is it clamd that listens there?", quoted(line)).into())
}
