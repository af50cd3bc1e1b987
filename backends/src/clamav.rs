//! ClamAV's clamd, one command per connection, or a series of files in a session.
//!
//! On a unix socket the daemon is passed a descriptor (FILDES): it needs no right to the file and cannot be shown
//! another one. Over TCP it is sent the content (INSTREAM). Both commands take the `z` form, which is answered by one
//! line that ends with NUL. See clamd(8).
//!
//! In a session (IDSESSION), clamd numbers the commands of a connection from 1 on, and its answers after them. One that
//! nobody uses is one less of those that it serves at once (MaxQueue in clamd.conf).
//!
//! clamd says `OK` of a file that exceeds its limits unless `AlertExceedsMax yes` stands in clamd.conf; a client
//! cannot tell that from a file that was scanned.

mod answer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(crate) use self::answer::threat;
use self::answer::{garbled, judge};
use crate::address::Endpoint;
use crate::dialogue::{Ask, Dialogue, Framing, News, Object, Outcome, Scanner, Step, Takes, VersionQuery};
use crate::verdict::Fault;
use crate::wire::{LineReader, judge_cut_off, judge_single_line, shrank, version_in_lines};

/// The command, and the one byte that the descriptor must ride on, in one message.
const FILDES: &[u8] = b"zFILDES\0\0";
const FIRST_IN_SESSION: &[u8] = b"zIDSESSION\0zFILDES\0\0";
const INSTREAM: &[u8] = b"zINSTREAM\0";
const VERSION: &[u8] = b"zVERSION\0";
const STATS: &[u8] = b"zSTATS\0";
/// A piece of length 0 ends the stream.
const END_OF_STREAM: &[u8] = &[0; 4];

/// clamd answers a `z` command with NUL, but complains of its own accord with a newline.
const TERMINATORS: &[u8] = b"\0\n";

/// clamd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(ClamAv { endpoint })
}

struct ClamAv {
    endpoint: Endpoint,
}

impl Scanner for ClamAv {
    fn name(&self) -> &'static str {
        "clamav"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        match self.endpoint {
            Endpoint::Unix(_) => Takes::Descriptor,
            Endpoint::Tcp { .. } | Endpoint::Datagram(_) => Takes::Stream,
        }
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        let (command, stage, ask) = match self.endpoint {
            Endpoint::Unix(_) => {
                let request = if object.series == Some(0) { FIRST_IN_SESSION } else { FILDES };
                (Command::Fildes, Stage::Descriptor, Ask::PassDescriptor(Cow::Borrowed(request)))
            }
            Endpoint::Tcp { .. } | Endpoint::Datagram(_) => {
                (Command::Instream, Stage::Command, Ask::Write(Cow::Borrowed(INSTREAM)))
            }
        };
        let number = object.series.map(|before| before.saturating_add(1));
        let request = Request { command, size: object.size, sent: Sent::Part, number };
        Step::ask(ask, Box::new(Conversation { stage, request, reply: LineReader::new(TERMINATORS) }))
    }

    fn has_sessions(&self) -> bool {
        matches!(self.takes(), Takes::Descriptor)
    }

    fn version_query(&self) -> Option<VersionQuery> {
        Some(VersionQuery { request: VERSION.to_vec(), answer: version_told })
    }

    fn load_query(&self) -> Option<VersionQuery> {
        Some(VersionQuery { request: STATS.to_vec(), answer: load_told })
    }
}

/// `ClamAV <program>/<number of the daily signatures>/<their date>`. Signatures from elsewhere do not show in it.
fn version_told(received: &[u8]) -> Option<Result<String, Fault>> {
    version_in_lines(received, 0, |line| {
        Some(if line.starts_with(b"ClamAV ") { Ok(line) } else { Err(garbled(line)) })
    })
}

/// Of several lines: `THREADS: live <n>  idle <n> max <n> ...`, and `QUEUE: <n> items`.
fn load_told(received: &[u8]) -> Option<Result<String, Fault>> {
    let text = received.strip_suffix(b"\0")?;
    let text = String::from_utf8_lossy(text);
    let number_after = |line: &str, word: &str| {
        let mut words = text.lines().find(|found| found.starts_with(line))?.split_whitespace();
        words.find(|found| *found == word)?;
        words.next()?.parse::<u32>().ok()
    };
    let numbers = || {
        let (live, idle) = (number_after("THREADS:", "live")?, number_after("THREADS:", "idle")?);
        Some((live.saturating_sub(idle), number_after("THREADS:", "max")?, number_after("QUEUE:", "QUEUE:")?))
    };
    Some(match numbers() {
        Some((busy, most, waiting)) => Ok(format!("{busy} of {most} threads busy, {waiting} waiting")),
        None => Err(garbled(text.lines().next().unwrap_or_default().as_bytes())),
    })
}

/// What was asked for, as far as it matters for the meaning of the answer.
#[derive(Clone, Copy)]
struct Request {
    command: Command,
    size: u64,
    sent: Sent,
    /// Which one it is in its session.
    number: Option<u64>,
}

#[derive(Clone, Copy)]
enum Command {
    Fildes,
    Instream,
}

/// How much of the request the daemon was given. `OK` is worth something only after all of it.
#[derive(Clone, Copy)]
enum Sent {
    Part,
    All,
}

struct Conversation {
    stage: Stage,
    request: Request,
    reply: LineReader,
}

/// What was asked of the driver last.
#[derive(Clone, Copy)]
enum Stage {
    Descriptor,
    Command,
    Content,
    EndOfStream,
    Reply,
}

impl Dialogue for Conversation {
    fn told(mut self: Box<Self>, news: News<'_>) -> Step {
        match (self.stage, news) {
            (Stage::Command, News::Sent) => {
                let length = Some(self.request.size);
                self.go(Stage::Content, Ask::Stream { offset: 0, length, framing: Framing::LengthPrefixed })
            }
            (Stage::Content, News::Sent) => {
                self.go(Stage::EndOfStream, Ask::Write(Cow::Borrowed(END_OF_STREAM)))
            }
            (Stage::Descriptor | Stage::EndOfStream, News::Sent) => {
                self.request.sent = Sent::All;
                self.go(Stage::Reply, Ask::Read)
            }
            // clamd says why it stopped listening ("size limit exceeded") before it hangs up.
            (Stage::Descriptor | Stage::Command | Stage::Content | Stage::EndOfStream, News::SendFailed) => {
                self.go(Stage::Reply, Ask::Read)
            }
            (Stage::Content, News::FileEnded(length)) => Step::Done(Err(shrank(self.request.size, length))),
            (Stage::Content, News::Received(bytes)) => self.received(bytes, Ask::Resume),
            (Stage::Reply, News::Received(bytes)) => self.received(bytes, Ask::Read),
            (Stage::Reply, News::EndOfStream) => Step::Done(self.cut_off()),
            (_, news) => Step::out_of_turn(news),
        }
    }
}

impl Conversation {
    fn go(mut self: Box<Self>, stage: Stage, ask: Ask) -> Step {
        self.stage = stage;
        Step::ask(ask, self)
    }

    fn received(mut self: Box<Self>, bytes: &[u8], unfinished: Ask) -> Step {
        if let Err(fault) = self.reply.push(bytes) {
            return Step::Done(Err(fault));
        }
        let request = self.request;
        let is_at_rest = self.is_at_rest();
        match judge_single_line(&mut self.reply, |line| judge(line, request)) {
            Some(Ok(verdict)) if is_at_rest => Step::Rest(verdict),
            Some(outcome) => Step::Done(outcome),
            None => Step::ask(unfinished, self),
        }
    }

    /// Whether the session can go on after this reply: all was sent, and nothing came but one answer.
    fn is_at_rest(&self) -> bool {
        let line = self.reply.rest().strip_suffix(b"\0");
        let is_one = line.is_some_and(|line| !line.iter().any(|byte| TERMINATORS.contains(byte)));
        is_one && self.request.number.is_some() && matches!(self.request.sent, Sent::All)
    }

    fn cut_off(&self) -> Outcome {
        match (self.request.command, self.request.sent) {
            (Command::Instream, Sent::Part) if self.reply.rest().is_empty() => Err(Fault::Transport(
                "clamd hung up while it was sent the file, without saying why (StreamMaxLength in clamd.conf?)".into(),
            )),
            (Command::Fildes | Command::Instream, Sent::Part | Sent::All) => {
                judge_cut_off(&self.reply, |line| judge(line, self.request))
            }
        }
    }
}
