//! Recorded dialogues, as `transcripts/<scheme>.txt` holds them.
//!
//! One file has many recordings. Tests play them against the dialogues, and a fake daemon can play the server's part.
//!
//! ```text
//! # A comment. A recording begins with its title:
//! [infected file over a unix socket]
//! scanner: clamav:/run/clamav/clamd.ctl
//! file: /share/letter.doc 12
//! C+FD: zFILDES\0\0
//! S: fd[11]: Test FOUND\0
//! S-EOF
//! = infected Test
//! ```
//!
//! | line | meaning |
//! |---|---|
//! | `scanner:` | the scanner as the configuration names it |
//! | `file:` | absolute path and size in bytes of the file |
//! | `series:` | so many files were asked about on this connection before, in a session; without this line, there is none |
//! | `C:` | the client sends these bytes |
//! | `C+FD:` | the same, in one message with a descriptor of the file |
//! | `C-FILE:` | the client sends the file's content, or the next part of it, framed `raw`, `length-prefixed` or `http-chunks` |
//! | `C-FILE-CUT:` | the same, but the server stops listening on the way |
//! | `S:` | the server sends these bytes |
//! | `S-EOF` | the server closes |
//! | `RUN:` | a program is run with these arguments, with blanks in between, and the file as its input |
//! | `EXIT:` | the program, which wrote what the `S:` lines before say, ends with this exit code, or by `signal <number>` |
//! | `=` | how it ends: `clean`, `infected <name>`, `minor encrypted`, `minor over-scanner-limit`, `minor not-scannable`, `fault garbled`, `fault misbehaved`, `fault transport`, `fault caller` |
//!
//! Bytes are written as text with the escapes `\0 \n \r \t \\ \xNN`; trailing spaces count. All after `S-EOF` or `=`
//! on its line is part of it, so there are no comments at the end of a line.

use std::fmt;

use crate::dialogue::{Exit, Framing, Object, Outcome};
use crate::verdict::{Fault, MinorErrorKind, Verdict};

/// One dialogue from beginning to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What the dialogue shows.
    pub title: String,
    /// For [`parse_scanner`](crate::registry::parse_scanner).
    pub scanner: String,
    /// The path of the file.
    pub path: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// How many files came before it in a session.
    pub series: Option<u64>,
    /// What happens on the wire, in order; nothing for a dialogue that needs no connection.
    pub events: Vec<Event>,
    /// How it must end.
    pub ending: Ending,
}

/// One thing that happens on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client sends bytes.
    Client(Vec<u8>),
    /// The client sends bytes and a descriptor in one message.
    ClientWithDescriptor(Vec<u8>),
    /// The client sends the content of the file.
    ClientContent(Framing),
    /// The client sends content until the server stops listening.
    ClientContentCut(Framing),
    /// The server sends bytes.
    Server(Vec<u8>),
    /// The server closes.
    ServerEnd,
    /// A program is run with these arguments, with blanks in between.
    Run(Vec<u8>),
    /// The program ends.
    Exit(Exit),
}

impl Recording {
    /// The file, as the dialogue is told of it.
    pub fn object(&self) -> Object<'_> {
        Object { series: self.series, ..Object::new(&self.path, self.size) }
    }
}

impl Event {
    /// What the scanner, or the program, says; `None` if that is not what happens.
    pub fn said_by_server(&self) -> Option<&[u8]> {
        match self {
            Self::Server(bytes) => Some(bytes),
            Self::Client(_)
            | Self::ClientWithDescriptor(_)
            | Self::ClientContent(_)
            | Self::ClientContentCut(_)
            | Self::ServerEnd
            | Self::Run(_)
            | Self::Exit(_) => None,
        }
    }
}

/// The end of a dialogue, without the words that may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// [`Verdict::Clean`].
    Clean,
    /// [`Verdict::Infected`] with this name.
    Infected(String),
    /// [`Verdict::MinorError`] of this kind.
    MinorError(MinorErrorKind),
    /// A [`Fault`] of this side.
    Fault(Blame),
}

/// The variants of [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// [`Fault::Garbled`].
    Garbled,
    /// [`Fault::Misbehaved`].
    Misbehaved,
    /// [`Fault::Transport`].
    Transport,
    /// [`Fault::Caller`].
    Caller,
}

impl From<&Outcome> for Ending {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Ok(Verdict::Clean) => Self::Clean,
            Ok(Verdict::Infected(name)) => Self::Infected(name.as_str().to_owned()),
            Ok(Verdict::MinorError(error)) => Self::MinorError(error.kind),
            Err(Fault::Garbled(_)) => Self::Fault(Blame::Garbled),
            Err(Fault::Misbehaved(_)) => Self::Fault(Blame::Misbehaved),
            Err(Fault::Transport(_)) => Self::Fault(Blame::Transport),
            Err(Fault::Caller(_)) => Self::Fault(Blame::Caller),
        }
    }
}

/// A transcript that cannot be read: which line, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for TranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the transcript: {}", self.line, self.problem)
    }
}

impl std::error::Error for TranscriptError {}

/// Reads a transcript.
pub fn parse(text: &str) -> Result<Vec<Recording>, TranscriptError> {
    let mut recordings = Vec::new();
    let mut open: Option<Draft> = None;
    for (number, line) in text.lines().enumerate() {
        let here = |problem| TranscriptError { line: number + 1, problem };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        open = match (open.take(), title(line)) {
            (None, Some(title)) => Some(Draft::new(title)),
            (Some(_), Some(_)) => return Err(here("the recording before this one has no `=` line")),
            (None, None) => return Err(here("a recording begins with its [title]")),
            (Some(draft), None) => match line.strip_prefix("= ") {
                Some(words) => {
                    recordings.push(draft.finish(ending(words).map_err(here)?).map_err(here)?);
                    None
                }
                None => Some(draft.with(line).map_err(here)?),
            },
        };
    }
    match open {
        None => Ok(recordings),
        Some(_) => {
            Err(TranscriptError { line: text.lines().count(), problem: "the last recording has no `=` line" })
        }
    }
}

fn title(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

/// A recording of which not all lines were read.
struct Draft {
    title: String,
    scanner: Option<String>,
    file: Option<(Vec<u8>, u64)>,
    series: Option<u64>,
    events: Vec<Event>,
}

impl Draft {
    fn new(title: &str) -> Self {
        Self { title: title.to_owned(), scanner: None, file: None, series: None, events: Vec::new() }
    }

    fn with(mut self, line: &str) -> Result<Self, &'static str> {
        if line == "S-EOF" {
            self.events.push(Event::ServerEnd);
            return Ok(self);
        }
        let (key, value) = line.split_once(": ").ok_or("this is not `<key>: <value>`")?;
        match key {
            "scanner" => self.scanner = Some(value.to_owned()),
            "file" => self.file = Some(file(value)?),
            "series" => self.series = Some(value.parse().map_err(|_| "a series is a number of files")?),
            "C" => self.events.push(Event::Client(unescape(value)?)),
            "C+FD" => self.events.push(Event::ClientWithDescriptor(unescape(value)?)),
            "C-FILE" => self.events.push(Event::ClientContent(framing(value)?)),
            "C-FILE-CUT" => self.events.push(Event::ClientContentCut(framing(value)?)),
            "S" => self.events.push(Event::Server(unescape(value)?)),
            "RUN" => self.events.push(Event::Run(unescape(value)?)),
            "EXIT" => self.events.push(Event::Exit(exit(value)?)),
            _ => return Err("there is no such key"),
        }
        Ok(self)
    }

    fn finish(self, ending: Ending) -> Result<Recording, &'static str> {
        let scanner = self.scanner.ok_or("this recording has no `scanner:` line")?;
        let (path, size) = self.file.ok_or("this recording has no `file:` line")?;
        let Self { title, series, events, .. } = self;
        Ok(Recording { title, scanner, path, size, series, events, ending })
    }
}

fn file(value: &str) -> Result<(Vec<u8>, u64), &'static str> {
    let (path, size) = value.rsplit_once(' ').ok_or("a file has a path and a size")?;
    Ok((unescape(path)?, size.parse().map_err(|_| "the size of a file is a number")?))
}

fn framing(value: &str) -> Result<Framing, &'static str> {
    match value {
        "raw" => Ok(Framing::Raw),
        "length-prefixed" => Ok(Framing::LengthPrefixed),
        "http-chunks" => Ok(Framing::HttpChunks),
        _ => Err("a framing is raw, length-prefixed or http-chunks"),
    }
}

fn exit(value: &str) -> Result<Exit, &'static str> {
    let exit = match value.strip_prefix("signal ") {
        Some(signal) => signal.parse().map(Exit::Signal),
        None => value.parse().map(Exit::Code),
    };
    exit.map_err(|_| "a program ends with an exit code or by `signal <number>`")
}

fn ending(words: &str) -> Result<Ending, &'static str> {
    if let Some(name) = words.strip_prefix("infected ") {
        return Ok(Ending::Infected(name.to_owned()));
    }
    Ok(match words {
        "clean" => Ending::Clean,
        "minor encrypted" => Ending::MinorError(MinorErrorKind::Encrypted),
        "minor over-scanner-limit" => Ending::MinorError(MinorErrorKind::OverScannerLimit),
        "minor not-scannable" => Ending::MinorError(MinorErrorKind::NotScannable),
        "fault garbled" => Ending::Fault(Blame::Garbled),
        "fault misbehaved" => Ending::Fault(Blame::Misbehaved),
        "fault transport" => Ending::Fault(Blame::Transport),
        "fault caller" => Ending::Fault(Blame::Caller),
        _ => return Err("no dialogue ends like this"),
    })
}

/// The bytes that a transcript means by this text.
fn unescape(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'\\', [b'0', tail @ ..]) => (0, tail),
            (b'\\', [b'n', tail @ ..]) => (b'\n', tail),
            (b'\\', [b'r', tail @ ..]) => (b'\r', tail),
            (b'\\', [b't', tail @ ..]) => (b'\t', tail),
            (b'\\', [b'\\', tail @ ..]) => (b'\\', tail),
            (b'\\', [b'x', high, low, tail @ ..]) => (hex(*high)? * 16 + hex(*low)?, tail),
            (b'\\', _) => return Err(r"an escape is \0 \n \r \t \\ or \xNN"),
            (plain, tail) => (*plain, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    Ok(bytes)
}

fn hex(digit: u8) -> Result<u8, &'static str> {
    let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    value.ok_or(r"after \x come two hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[t]\nscanner: clamav\nfile: /a\\x20b 12\nseries: 3\n";

    #[test]
    fn reads_every_kind_of_line() {
        let text = format!(
            "# comment\n\n{HEAD}C: a\\0\nC+FD: b\nC-FILE: raw\nC-FILE-CUT: http-chunks\nS: x: \\n\\r\\t\\\\\\xfF \nS-EOF\n\
             RUN: a b\nEXIT: 3\nEXIT: signal 9\n\
             = infected A b\n\n[u]\nscanner: dummy\nfile: / 0\n= clean\n"
        );
        let recordings = parse(&text).unwrap();
        let [first, second] = recordings.as_slice() else { panic!("two recordings") };
        assert_eq!((first.title.as_str(), first.scanner.as_str(), first.size), ("t", "clamav", 12));
        assert_eq!((first.path.as_slice(), first.series), (b"/a b".as_slice(), Some(3)));
        assert_eq!(
            first.events,
            [
                Event::Client(b"a\0".to_vec()),
                Event::ClientWithDescriptor(b"b".to_vec()),
                Event::ClientContent(Framing::Raw),
                Event::ClientContentCut(Framing::HttpChunks),
                Event::Server(b"x: \n\r\t\\\xff ".to_vec()),
                Event::ServerEnd,
                Event::Run(b"a b".to_vec()),
                Event::Exit(Exit::Code(3)),
                Event::Exit(Exit::Signal(9)),
            ]
        );
        assert_eq!(first.ending, Ending::Infected("A b".to_owned()));
        assert_eq!((second.events.as_slice(), &second.ending), ([].as_slice(), &Ending::Clean));
        assert_eq!(second.series, None);
    }

    #[test]
    fn refuses_what_it_cannot_read_and_names_the_line() {
        for (text, line) in [
            ("S: early\n", 1),
            ("[t]\n[u]\n", 2),
            ("[t]\nscanner: clamav\n= clean\n", 3),
            ("[t]\nfile: /a 1\n= clean\n", 3),
            (HEAD, 4),
            (&format!("{HEAD}= fine\n"), 5),
            (&format!("{HEAD}= minor headache\n"), 5),
            (&format!("{HEAD}X: what\n"), 5),
            (&format!("{HEAD}S:no space\n"), 5),
            (&format!("{HEAD}S: \\q\n"), 5),
            (&format!("{HEAD}S: \\\n"), 5),
            (&format!("{HEAD}S: \\x4\n"), 5),
            (&format!("{HEAD}S: \\xgg\n"), 5),
            (&format!("{HEAD}C-FILE: gzip\n"), 5),
            (&format!("{HEAD}EXIT: 256\n"), 5),
            (&format!("{HEAD}EXIT: signal\n"), 5),
            (&format!("{HEAD}series: none\n"), 5),
            ("[t]\nfile: /a\n", 2),
            ("[t]\nfile: /a many\n", 2),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
