//! The contract between a scanner's protocol and whoever moves the bytes.
//!
//! A dialogue is a state machine. It *asks* for something ([`Ask`]), the driver does it and *tells* the dialogue
//! what came of it ([`News`]), until the dialogue is [`Step::Done`]. The driver owns the socket, the file and the
//! clock; a dialogue owns nothing but its own state, and each step consumes that state, so a dialogue that has
//! answered cannot be asked again.

use std::borrow::Cow;
use std::time::Duration;

use crate::verdict::{Fault, Verdict};

/// How a dialogue ends.
pub type Outcome = Result<Verdict, Fault>;

/// One scan's conversation with a scanner, at some point of its course.
pub trait Dialogue: Send {
    /// The driver did what was asked; this is what came of it.
    fn told(self: Box<Self>, news: News<'_>) -> Step;
}

/// What a dialogue says next.
pub enum Step {
    /// Do this, then tell the dialogue.
    Ask(Ask, Box<dyn Dialogue>),
    /// The conversation is over; the driver closes the connection.
    Done(Outcome),
    /// The same with this verdict, but nothing is left to be said or heard, and the scanner waits for the next request on
    /// this connection: the driver may begin another dialogue on it.
    Rest(Verdict),
    /// Run this program, and ask what its end means. That is all there is to the scan, so only a beginning says this. A program
    /// that takes too long or writes too much is killed, and nobody is asked.
    Run(Program, Judge),
}

/// What the end of a program means, with all that it wrote.
pub type Judge = Box<dyn FnOnce(Exit, &[u8]) -> Outcome + Send>;

impl Step {
    /// Asks, and waits for the news with this state.
    pub fn ask(ask: Ask, next: Box<impl Dialogue + 'static>) -> Self {
        Self::Ask(ask, next)
    }

    /// Ends a dialogue that was told what it had not asked for. Only a driver with a bug does that.
    pub fn out_of_turn(news: News<'_>) -> Self {
        let told = match news {
            News::Sent => "Sent",
            News::SendFailed => "SendFailed",
            News::FileEnded(_) => "FileEnded",
            News::Received(_) => "Received",
            News::EndOfStream => "EndOfStream",
        };
        let text =
            format!("a bug in vscan, please report it: a scanner's dialogue was told {told} out of turn");
        Self::Done(Err(Fault::Caller(text.into())))
    }
}

/// What a dialogue may ask of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Send these bytes; the news is [`News::Sent`] or [`News::SendFailed`].
    Write(Cow<'static, [u8]>),
    /// Send these bytes in one message that also carries a read-only descriptor of the file.
    /// Answered like [`Ask::Write`].
    PassDescriptor(Cow<'static, [u8]>),
    /// Send a range of the file's content in this framing. Answered like [`Ask::Write`], with two additions:
    /// bytes that arrive meanwhile are told as [`News::Received`] (answer with [`Ask::Resume`] to go on sending), and
    /// [`News::FileEnded`] when the file is shorter than `length` says.
    Stream {
        /// The first byte to send.
        offset: u64,
        /// How many bytes to send; `None` sends up to the end of the file.
        length: Option<u64>,
        /// How the bytes are wrapped. No terminator is added: the dialogue writes its own.
        framing: Framing,
    },
    /// Go on with the stream that was interrupted by [`News::Received`].
    Resume,
    /// Wait for bytes: [`News::Received`] or [`News::EndOfStream`].
    Read,
}

/// A program to run on the file. Its standard input is the file, and its output is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Absolute paths; the first one that is there is run.
    pub places: Vec<String>,
    /// What it is told, each as one argument.
    pub arguments: Vec<Vec<u8>>,
    /// The most that it may write, in bytes.
    pub max_output: usize,
    /// None: root.
    pub run_as: Option<RunAs>,
}

/// A user with all its groups, as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user.
    pub user: u32,
    /// Its own group.
    pub group: u32,
    /// The others.
    pub groups: Vec<u32>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(u8),
    /// Killed.
    Signal(i32),
}

/// How file content is wrapped on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As it is.
    Raw,
    /// Each piece behind its length as a 32-bit big-endian number (clamd's INSTREAM).
    LengthPrefixed,
    /// HTTP/1.1 chunks: the length in hexadecimal, CRLF, the piece, CRLF.
    HttpChunks,
}

/// What the driver tells a dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// All that was asked to be sent has been handed to the network.
    Sent,
    /// The peer stopped listening before all was sent. Its answer may still be there to read.
    SendFailed,
    /// The file ended after this many bytes of the range that was to be streamed.
    FileEnded(u64),
    /// These bytes came; never empty.
    Received(&'a [u8]),
    /// The peer closed its side; nothing more will come.
    EndOfStream,
}

/// What a dialogue may know of the file.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The absolute path at which the scanner finds the file (for scanners that take a path).
    pub path: &'a [u8],
    /// Its size in bytes when the scan was asked for.
    pub size: u64,
    /// When that was, on a clock of the driver's that only goes forward.
    pub asked_at: Duration,
    /// The connection serves a series of files, and this is how many came before; None: it is for this file alone. Only of
    /// scanners with sessions ([`Scanner::has_sessions`]).
    pub series: Option<u64>,
}

impl<'a> Object<'a> {
    /// A file that is asked about at the beginning of all time.
    pub const fn new(path: &'a [u8], size: u64) -> Self {
        Self { path, size, asked_at: Duration::ZERO, series: None }
    }
}

/// What a scanner wants to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An open descriptor, over a unix socket or as a program's input: no rights and no path are needed.
    Descriptor,
    /// The content.
    Stream,
    /// A path that the scanner opens by itself.
    Path,
    /// The path of a private copy. The scanner never speaks: it leaves files beside the copy, with its name as a part of
    /// theirs. To read is to be told those names: of all that are there, and of the copy as long as it is what it was, in
    /// alphabetical order, with a line feed behind each and behind the last of them; and again whenever they have changed.
    Copy,
}

/// A configured scanner: knows its protocol and where the daemon listens.
pub trait Scanner: Send + Sync {
    /// The scheme in the configuration, and the name in log lines (`clamav`).
    fn name(&self) -> &'static str;
    /// Where to connect. `None` is a scanner without a daemon: its [`begin`](Self::begin) is [`Step::Done`] at once, or asks
    /// for a program.
    fn endpoint(&self) -> Option<&crate::address::Endpoint>;
    /// What it is and where, for people.
    fn shown(&self) -> String {
        match self.endpoint() {
            Some(endpoint) => format!("{} at {endpoint}", self.name()),
            None => self.name().to_owned(),
        }
    }
    /// What it is given.
    fn takes(&self) -> Takes;
    /// Begins a dialogue about one file on a fresh connection, or on one that an earlier dialogue has left at
    /// [`Step::Rest`]. A [`Step::Done`] needs no connection at all: the scanner has no daemon, or its protocol cannot carry
    /// the request.
    fn begin(&self, object: &Object<'_>) -> Step;

    /// Whether its protocol has another way to ask, for many files one after the other on a connection. A request that fails
    /// in that way says little: the driver makes it once more, by itself.
    fn has_sessions(&self) -> bool {
        false
    }

    /// How the scanner is asked which signatures it has, if its protocol has a question for it.
    fn version_query(&self) -> Option<VersionQuery> {
        None
    }

    /// How the scanner is asked how much it has to do, if its protocol has a question for it. The answer is for people.
    fn load_query(&self) -> Option<VersionQuery> {
        None
    }
}

/// A question for the version of a scanner's signatures, for a connection of its own.
///
/// The answer is a word that changes when the signatures do, and means nothing else. Without one the version is
/// unknown: that is no reason to believe the scanner less.
#[derive(Clone, Debug)]
pub struct VersionQuery {
    /// What is sent first; nothing for a scanner that tells by itself.
    pub request: Vec<u8>,
    /// Judges all that came so far: `None` while the answer is not complete.
    pub answer: fn(&[u8]) -> Option<Result<String, Fault>>,
}
