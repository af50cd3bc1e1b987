//! One scan: a dialogue, a socket and a file, advanced as far as they go without waiting.

use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use vscan_backends::dialogue::{Ask, Dialogue, Judge, News, Object, Outcome, Program, Scanner, Step};
use vscan_backends::verdict::Fault;

use super::Timeouts;
use super::connect::{Connected, Connection};
use super::content::{Content, Piece};
use super::kept::{Series, Used};
use super::program;
use super::socket::{self, Sending, Sent, Socket};
use super::spool::{Copied, Spooled};
use crate::privilege::Privilege;
use crate::sys::program::Running;

/// How long a full listener is left alone before the next attempt.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Pieces of a stream that one call of [`Exchange::advance`] sends at most, so that a large file on a fast socket
/// does not keep an event loop.
const PIECES_AT_ONCE: usize = 4;

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The socket has bytes to read.
    Readable,
    /// The socket takes bytes.
    Writable,
    /// Either.
    Both,
    /// Nothing but time.
    Pause,
}

/// How far an exchange has come.
#[derive(Debug)]
pub enum Progress {
    /// Call [`Exchange::advance`] again when this happens, or at this time.
    Waiting(Wait, Instant),
    /// The scan is over.
    Done(Outcome),
}

/// A scan under way.
pub struct Exchange {
    state: State,
    was_connected: bool,
    usage: Usage,
    /// In a session, the scans before this one.
    series: Option<Series>,
    /// Kept open until the exchange is dropped, because an event loop may watch it that long.
    socket: Option<Socket>,
    /// The same for a scanner that is a program.
    running: Option<Running>,
    /// The file as the scanner sees it, if it does not see the file itself.
    spooled: Option<Spooled>,
    dialogue: Option<Box<dyn Dialogue>>,
    /// Private and read-only: clamd moves the offset of the descriptor that it is passed.
    file: OwnedFd,
    /// The scanner, in error messages.
    peer: String,
    timeouts: Timeouts,
    /// When the whole scan must be over.
    deadline: Instant,
    last_sign_of_life: Instant,
}

/// What is known of a connection that may serve several scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    /// It was made for this scan, or the scanner has answered on it since this began.
    Sound,
    /// It was made for an earlier scan, and nothing has come on it since.
    Untried,
    /// It was, and the scanner has hung up; or this was asked in a session, and came to nothing.
    Stale,
    /// The scan is over, and the scanner waits for the next one on it.
    AtRest,
}

enum State {
    /// The file is copied to where the scanner sees it; what comes after.
    Copying(Box<State>),
    Connecting(Connection, Ask),
    Sending(Socket, Sending),
    /// A stream; `Sending` holds the piece on its way.
    Streaming(Socket, Sending, Content),
    Reading(Socket),
    /// A program that is to be run.
    Starting(Program, Judge),
    /// A program under way.
    Running(Judge),
    Done(Outcome),
    /// Only while a step is taken.
    Between,
}

impl Exchange {
    /// Begins a scan of `file`, a private descriptor opened for reading, that is over by `deadline`: on a connection that an
    /// earlier scan has left, or on one of its own.
    pub(crate) fn new(
        scanner: &dyn Scanner,
        kept: Option<Used>,
        file: OwnedFd,
        object: &Object<'_>,
        timeouts: Timeouts,
        deadline: Instant,
        now: Instant,
    ) -> Self {
        let usage = if kept.is_some() { Usage::Untried } else { Usage::Sound };
        let series = match &kept {
            Some(used) => used.series,
            None => object.series.map(|scans| Series { scans, since: now }),
        };
        let connection = |endpoint| match kept {
            Some(used) => Ok(Connection::kept(endpoint, used.socket)),
            None => Connection::new(endpoint),
        };
        let (state, dialogue) = match (scanner.begin(object), scanner.endpoint()) {
            (Step::Done(outcome), _) => (State::Done(outcome), None),
            (Step::Rest(verdict), _) => (State::Done(Ok(verdict)), None),
            (Step::Run(program, judge), _) => (State::Starting(program, judge), None),
            (Step::Ask(..), None) => {
                (State::Done(Err(Fault::Caller("this scanner has no address to talk to".into()))), None)
            }
            (Step::Ask(ask, dialogue), Some(endpoint)) => match connection(endpoint) {
                Ok(connection) => (State::Connecting(connection, ask), Some(dialogue)),
                Err(fault) => (State::Done(Err(fault)), None),
            },
        };
        let socket = match &state {
            State::Connecting(connection, _) => Some(connection.socket()),
            State::Copying(_)
            | State::Sending(..)
            | State::Streaming(..)
            | State::Reading(_)
            | State::Starting(..)
            | State::Running(_)
            | State::Done(_)
            | State::Between => None,
        };
        let peer = match scanner.endpoint() {
            Some(endpoint) => format!("the scanner at {endpoint}"),
            None => format!("the scanner {}", scanner.shown()),
        };
        Self { usage, series, socket, dialogue, peer, deadline, ..Self::in_state(state, file, timeouts, now) }
    }

    /// The same about a copy of the file, whose path the scanner was told. It is filled first.
    pub fn with_copy(mut self, spooled: Spooled) -> Self {
        self.state = State::Copying(Box::new(self.state));
        self.spooled = Some(spooled);
        self
    }

    /// An exchange that is over before it began.
    pub fn failed(file: OwnedFd, fault: Fault, timeouts: Timeouts, now: Instant) -> Self {
        Self::in_state(State::Done(Err(fault)), file, timeouts, now)
    }

    fn in_state(state: State, file: OwnedFd, timeouts: Timeouts, now: Instant) -> Self {
        Self {
            state,
            was_connected: false,
            usage: Usage::Sound,
            series: None,
            socket: None,
            running: None,
            spooled: None,
            dialogue: None,
            file,
            peer: String::new(),
            timeouts,
            deadline: now,
            last_sign_of_life: now,
        }
    }

    /// The socket to watch, or what stands for a program; `None` before there is one and after the end.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Copying(_) | State::Starting(..) | State::Done(_) | State::Between => None,
            State::Running(_) => self.running.as_ref().map(Running::watch),
            State::Connecting(..) | State::Sending(..) | State::Streaming(..) | State::Reading(_) => {
                self.socket.as_ref().map(|socket| socket.as_fd())
            }
        }
    }

    /// Whether the scanner has accepted the connection, or is a program that could be started.
    pub fn was_connected(&self) -> bool {
        self.was_connected
    }

    /// Whether it was begun on a connection that the scanner had closed since the last scan, as it may, or failed in a session:
    /// to be begun again, on a connection of its own.
    pub(crate) fn was_stale(&self) -> bool {
        self.usage == Usage::Stale
    }

    /// Ends the exchange. Gives the file back, and the connection if it may serve another scan; if not, it is closed.
    pub(crate) fn end(self) -> (OwnedFd, Option<Used>) {
        let series = self.series.map(|series| Series { scans: series.scans.saturating_add(1), ..series });
        let left = self.socket.filter(|_| self.usage == Usage::AtRest);
        (self.file, left.map(|socket| Used { socket, series }))
    }

    /// Goes on as far as possible without waiting.
    pub fn advance(&mut self, now: Instant, privilege: &dyn Privilege) -> Progress {
        if self.is_blocked() {
            return self.wait(Wait::Both, now);
        }
        let mut pieces = PIECES_AT_ONCE;
        loop {
            let state = mem::replace(&mut self.state, State::Between);
            let (next, wait) = self.step(state, now, privilege, &mut pieces);
            self.state = next;
            if let State::Done(outcome) = &self.state {
                return Progress::Done(outcome.clone());
            }
            if let Some(wait) = wait {
                return self.wait(wait, now);
            }
        }
    }

    /// Whether the scanner takes nothing and says nothing. The kernel would still take a few bytes for it each time that they
    /// are offered, which is no sign of life.
    fn is_blocked(&self) -> bool {
        if !matches!(&self.state, State::Sending(..) | State::Streaming(..)) {
            return false;
        }
        let is_ready = |socket| {
            let wanted = PollFlags::IN | PollFlags::OUT;
            poll(&mut [PollFd::from_borrowed_fd(socket, wanted)], Some(&Timespec::default())) != Ok(0)
        };
        !self.socket().is_some_and(is_ready)
    }

    /// Waits, unless time is up.
    fn wait(&mut self, wait: Wait, now: Instant) -> Progress {
        let deadline = self.next_deadline();
        if now >= deadline {
            let fault = self.out_of_time();
            self.state = State::Done(Err(fault.clone()));
            return Progress::Done(Err(fault));
        }
        let marks = self.spooled.as_mut().and_then(Spooled::marks);
        match (wait, &self.state, marks) {
            // As soon as others have had their turn.
            (Wait::Pause, State::Copying(_), _) => Progress::Waiting(wait, now),
            // No socket tells of them.
            (_, State::Reading(_), Some(marks)) => {
                Progress::Waiting(Wait::Pause, deadline.min(now + marks.next_pause()))
            }
            (Wait::Pause, ..) => Progress::Waiting(wait, deadline.min(now + BUSY_PAUSE)),
            (Wait::Readable | Wait::Writable | Wait::Both, ..) => Progress::Waiting(wait, deadline),
        }
    }

    /// One step; a [`Wait`] when it led nowhere for now.
    fn step(
        &mut self,
        state: State,
        now: Instant,
        privilege: &dyn Privilege,
        pieces: &mut usize,
    ) -> (State, Option<Wait>) {
        match state {
            State::Copying(next) => self.copy(next, now),
            State::Connecting(mut connection, ask) => match connection.advance(privilege) {
                Ok(Connected::Yes) => {
                    self.last_sign_of_life = now;
                    self.was_connected = true;
                    (Self::obey(connection.socket(), ask), None)
                }
                // Whoever waits for a socket to become writable is not told by smbd's loop that the connection was refused.
                Ok(Connected::Pending) => (State::Connecting(connection, ask), Some(Wait::Both)),
                Ok(Connected::Busy) => (State::Connecting(connection, ask), Some(Wait::Pause)),
                Err(fault) => (State::Done(Err(fault)), None),
            },
            State::Sending(socket, mut sending) => match self.send(&socket, &mut sending, now) {
                Ok(Sent::All) => {
                    let next = self.tell(socket, News::Sent);
                    // It has not answered yet: to look at once would be in vain.
                    let wait = matches!(next, State::Reading(_)).then_some(Wait::Readable);
                    (next, wait)
                }
                Ok(Sent::Full) => (State::Sending(socket, sending), Some(Wait::Writable)),
                Ok(Sent::Broken) => (self.tell(socket, News::SendFailed), None),
                Err(fault) => (State::Done(Err(fault)), None),
            },
            State::Streaming(socket, sending, content) => self.stream(socket, sending, content, now, pieces),
            State::Reading(socket) => match self.receive(&socket, now) {
                Ok(Some(bytes)) => (self.tell(socket, news_of(&bytes)), None),
                Ok(None) => (State::Reading(socket), Some(Wait::Readable)),
                Err(fault) => (State::Done(Err(fault)), None),
            },
            State::Starting(program, judge) => {
                match program::start(&program, self.file.as_fd(), self.deadline) {
                    Ok(running) => {
                        self.running = Some(running);
                        self.was_connected = true;
                        (State::Running(judge), None)
                    }
                    Err(fault) => (State::Done(Err(fault)), None),
                }
            }
            State::Running(judge) => self.watch_program(judge),
            State::Done(outcome) => (State::Done(outcome), None),
            State::Between => {
                (State::Done(Err(Fault::Caller("a scan was driven from within itself".into()))), None)
            }
        }
    }

    fn copy(&mut self, next: Box<State>, now: Instant) -> (State, Option<Wait>) {
        self.last_sign_of_life = now;
        match self.spooled.as_mut().map(|spooled| spooled.advance(self.file.as_fd())) {
            Some(Ok(Copied::Part)) => (State::Copying(next), Some(Wait::Pause)),
            Some(Ok(Copied::All)) | None => (*next, None),
            Some(Err(e)) => {
                let why = std::io::Error::from(e);
                let text = format!("no copy for the scanner can be made (spool directory): {why}");
                (State::Done(Err(Fault::Transport(text.into()))), None)
            }
        }
    }

    fn watch_program(&mut self, judge: Judge) -> (State, Option<Wait>) {
        let ended = self.running.as_mut().and_then(Running::advance);
        let Some(ended) = ended else { return (State::Running(judge), Some(Wait::Readable)) };
        match program::told(&ended) {
            Ok(exit) => (State::Done(judge(exit, &ended.output)), None),
            Err(program::Failure::Unreachable(fault)) => {
                self.was_connected = false;
                (State::Done(Err(fault)), None)
            }
            Err(program::Failure::OutOfTime) => (State::Done(Err(self.out_of_time())), None),
            Err(program::Failure::Conduct(fault)) => (State::Done(Err(fault)), None),
        }
    }

    fn stream(
        &mut self,
        socket: Socket,
        mut sending: Sending,
        mut content: Content,
        now: Instant,
        pieces: &mut usize,
    ) -> (State, Option<Wait>) {
        // A scanner may answer before it has heard everything, and one that is not listened to may stop reading.
        match self.receive(&socket, now) {
            // The end of what it says, and of its listening: that it did not take the rest is the news.
            Ok(Some(bytes)) if bytes.is_empty() => return (self.tell(socket, News::SendFailed), None),
            Ok(Some(bytes)) => return (self.interrupted(socket, sending, content, &bytes), None),
            Ok(None) => {}
            Err(fault) => return (State::Done(Err(fault)), None),
        }
        match self.send(&socket, &mut sending, now) {
            Ok(Sent::All) => {}
            Ok(Sent::Full) => return (State::Streaming(socket, sending, content), Some(Wait::Both)),
            Ok(Sent::Broken) => return (self.tell(socket, News::SendFailed), None),
            Err(fault) => return (State::Done(Err(fault)), None),
        }
        if *pieces == 0 {
            return (State::Streaming(socket, sending, content), Some(Wait::Both));
        }
        *pieces -= 1;
        match content.next_piece(self.file.as_fd()) {
            Ok(Piece::Bytes(bytes)) => (State::Streaming(socket, Sending::new(bytes), content), None),
            Ok(Piece::End) => (self.tell(socket, News::Sent), None),
            Ok(Piece::Short(sent)) => (self.tell(socket, News::FileEnded(sent)), None),
            Err(e) => {
                let why = format!("the file cannot be read: {}", std::io::Error::from(e));
                (State::Done(Err(Fault::Caller(why.into()))), None)
            }
        }
    }

    /// Bytes came in the middle of a stream: the dialogue says whether to go on.
    fn interrupted(&mut self, socket: Socket, sending: Sending, content: Content, bytes: &[u8]) -> State {
        match self.ask_dialogue(News::Received(bytes)) {
            Step::Ask(Ask::Resume, dialogue) => {
                self.dialogue = Some(dialogue);
                State::Streaming(socket, sending, content)
            }
            step @ (Step::Ask(..) | Step::Done(_) | Step::Rest(_) | Step::Run(..)) => {
                self.follow(socket, step)
            }
        }
    }

    fn tell(&mut self, socket: Socket, news: News<'_>) -> State {
        let step = self.ask_dialogue(news);
        self.follow(socket, step)
    }

    fn follow(&mut self, socket: Socket, step: Step) -> State {
        match step {
            Step::Ask(ask, dialogue) => {
                self.dialogue = Some(dialogue);
                Self::obey(socket, ask)
            }
            Step::Done(outcome) => {
                if outcome.is_err() && self.series.is_some() {
                    self.usage = Usage::Stale;
                }
                State::Done(outcome)
            }
            Step::Rest(verdict) => {
                self.usage = Usage::AtRest;
                State::Done(Ok(verdict))
            }
            Step::Run(..) => State::Done(Err(in_mid_dialogue())),
        }
    }

    fn ask_dialogue(&mut self, news: News<'_>) -> Step {
        match self.dialogue.take() {
            Some(dialogue) => dialogue.told(news),
            None => Step::Done(Err(Fault::Caller("the dialogue is over".into()))),
        }
    }

    fn obey(socket: Socket, ask: Ask) -> State {
        match ask {
            Ask::Write(bytes) => State::Sending(socket, Sending::new(bytes.into_owned())),
            Ask::PassDescriptor(bytes) => {
                State::Sending(socket, Sending::with_descriptor(bytes.into_owned()))
            }
            Ask::Stream { offset, length, framing } => {
                State::Streaming(socket, Sending::default(), Content::new(offset, length, framing))
            }
            Ask::Read => State::Reading(socket),
            Ask::Resume => State::Done(Err(Fault::Caller(
                "the dialogue resumed a stream that was not interrupted".into(),
            ))),
        }
    }

    fn send(&mut self, socket: &Socket, sending: &mut Sending, now: Instant) -> Result<Sent, Fault> {
        let left = sending.left();
        let sent = sending.go_on(socket, self.file.as_fd()).map_err(|e| self.broke(e))?;
        if sending.left() < left {
            self.last_sign_of_life = now;
        }
        Ok(sent)
    }

    /// Bytes that have come: `None` when there are none yet, empty at the end of the stream.
    fn receive(&mut self, socket: &Socket, now: Instant) -> Result<Option<Vec<u8>>, Fault> {
        let heard = socket::receive(socket);
        let received = match self.spooled.as_mut().and_then(Spooled::look) {
            // The socket tells only that nobody is there.
            Some(seen) => heard.and(seen),
            None => heard,
        }
        .map_err(|e| self.broke(e))?;
        if let Some(bytes) = &received {
            self.last_sign_of_life = now;
            self.usage = match self.usage {
                Usage::Untried if bytes.is_empty() => Usage::Stale,
                Usage::Untried => Usage::Sound,
                other @ (Usage::Sound | Usage::Stale | Usage::AtRest) => other,
            };
        }
        Ok(received)
    }

    fn broke(&self, e: Errno) -> Fault {
        let why = std::io::Error::from(e);
        Fault::Transport(format!("the connection to {} broke: {why}", self.peer).into())
    }

    /// The nearest deadline.
    fn next_deadline(&self) -> Instant {
        (self.last_sign_of_life + self.patience()).min(self.deadline)
    }

    /// How long the scanner may be silent.
    fn patience(&self) -> Duration {
        match &self.state {
            State::Connecting(..) => self.timeouts.connect,
            State::Sending(..) | State::Streaming(..) | State::Reading(_) => self.timeouts.io,
            // A program is silent until it has a verdict.
            State::Copying(_) | State::Starting(..) | State::Running(_) | State::Done(_) | State::Between => {
                self.timeouts.scan
            }
        }
    }

    fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting(..))
    }

    /// What to say when the nearest deadline has passed.
    fn out_of_time(&self) -> Fault {
        let patience = seconds(self.patience());
        let why = if self.deadline <= self.last_sign_of_life + self.patience() {
            format!("gave no verdict within {} (scan timeout)", seconds(self.timeouts.scan))
        } else if self.is_connecting() {
            format!("did not accept a connection for {patience} (connect timeout)")
        } else {
            format!("showed no sign of life for {patience} (io timeout)")
        };
        Fault::Transport(format!("{} {why}", self.peer).into())
    }
}

fn in_mid_dialogue() -> Fault {
    Fault::Caller("a bug in vscan, please report it: a scanner's dialogue asked for a program".into())
}

fn news_of(bytes: &[u8]) -> News<'_> {
    if bytes.is_empty() { News::EndOfStream } else { News::Received(bytes) }
}

/// A duration as an administrator writes it.
fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
