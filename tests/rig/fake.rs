//! A scanner that misbehaves to order.
//!
//! It speaks just enough of clamd's protocol to know where a request ends and answers PING and VERSION by itself
//! (those are not counted). In a session, it takes one request after the other. In any other protocol, one read is one
//! request. Every connection has a thread of its own, so any number of scans may wait at once.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait::eventually;

mod door;
/// A scanner that leaves marks.
pub mod marker;
/// Scanner programs.
pub mod program;
/// Recorded scanners.
pub mod replay;
mod request;

pub use request::Request;

use door::{Door, Line};

/// What the daemon does with a connection.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// Accepts and closes.
    CloseAtOnce,
    /// Reads the request and closes.
    CloseAfterRequest,
    /// Accepts, and reads nothing.
    NeverRead,
    /// Reads the request, and never answers.
    NeverAnswer,
    /// Finds every file clean.
    Clean,
    /// Finds this threat in every file.
    Infected(String),
    /// Reads the request, sends these bytes and closes.
    Answer(Vec<u8>),
    /// The same in pieces of this many bytes, with a pause after each.
    AnswerSlowly(Vec<u8>, usize, Duration),
    /// Hands the request to the clamd at this socket, and its answer back.
    Relay(PathBuf),
}

impl Conduct {
    /// Whether a session goes on after an answer.
    fn serves_sessions(&self) -> bool {
        match self {
            Self::Clean | Self::Infected(_) | Self::Relay(_) => true,
            Self::CloseAtOnce
            | Self::CloseAfterRequest
            | Self::NeverRead
            | Self::NeverAnswer
            | Self::Answer(_)
            | Self::AnswerSlowly(..) => false,
        }
    }
}

/// What the test changes while connections are served.
struct Script {
    conduct: Conduct,
    delay: Duration,
    before_answers: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Answers to requests with these bytes in them are held; an empty list of bytes is in all of them.
    held: Option<Vec<u8>>,
    version: String,
    over: bool,
    connections: usize,
    /// The most that were open at once.
    most_connections: usize,
    requests: Vec<Arc<Request>>,
    /// Answers that were ready to go out, held or not.
    answers: usize,
    /// Closed when the test is over, so that no thread keeps reading.
    lines: Vec<Line>,
}

struct Shared {
    script: Mutex<Script>,
    changed: Condvar,
}

impl Script {
    fn open_connections(&self) -> usize {
        self.lines.iter().filter(|line| !line.was_hung_up()).count()
    }
}

/// A running fake; ends, with all its connections, when it is dropped.
pub struct FakeDaemon {
    shared: Arc<Shared>,
    door: Arc<Door>,
    dir: TempDir,
}

impl FakeDaemon {
    /// Listens on a unix socket.
    pub fn unix(conduct: Conduct) -> Self {
        let dir = socket_dir();
        let door = Door::unix(&dir.path().join("fake.sock"));
        Self::open(door, dir, conduct)
    }

    /// Listens on a TCP port of 127.0.0.1.
    pub fn tcp(conduct: Conduct) -> Self {
        Self::open(Door::tcp(), socket_dir(), conduct)
    }

    /// A real clamd behind a counter.
    pub fn in_front_of(clamd: &crate::clamd::Clamd) -> Self {
        Self::unix(Conduct::Relay(clamd.socket()))
    }

    fn open(door: Door, dir: TempDir, conduct: Conduct) -> Self {
        let script = Script {
            conduct,
            delay: Duration::ZERO,
            before_answers: None,
            held: None,
            version: "ClamAV 1.4.6".to_owned(),
            over: false,
            connections: 0,
            most_connections: 0,
            requests: Vec::new(),
            answers: 0,
            lines: Vec::new(),
        };
        let shared = Arc::new(Shared { script: Mutex::new(script), changed: Condvar::new() });
        let door = Arc::new(door);
        let (porter, state) = (Arc::clone(&door), Arc::clone(&shared));
        std::thread::spawn(move || state.accept_all(&porter));
        Self { shared, door, dir }
    }

    /// The unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("fake.sock")
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.door.port()
    }

    /// From the next connection on, behaves like this.
    pub fn now(&self, conduct: Conduct) {
        self.shared.change(|script| script.conduct = conduct);
    }

    /// Thinks that long before each answer.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|script| script.delay = delay);
    }

    /// Does this before each answer, when it is too late for the answer to be about it.
    pub fn before_answers(&self, work: impl Fn() + Send + Sync + 'static) {
        self.shared.change(|script| script.before_answers = Some(Arc::new(work)));
    }

    /// Keeps all answers back until [`FakeDaemon::release`].
    pub fn hold(&self) {
        self.hold_only(b"");
    }

    /// Keeps the answers about files with these bytes in them back.
    pub fn hold_only(&self, needle: &[u8]) {
        self.shared.change(|script| script.held = Some(needle.to_vec()));
    }

    /// Lets the answers go.
    pub fn release(&self) {
        self.shared.change(|script| script.held = None);
    }

    /// What it says when asked for its version; another one means new signatures.
    pub fn version(&self, version: &str) {
        self.shared.change(|script| script.version = version.to_owned());
    }

    /// How many connections came, whatever for.
    pub fn connections(&self) -> usize {
        self.shared.script.lock().unwrap().connections
    }

    /// How many connections the other end has not closed.
    pub fn open_connections(&self) -> usize {
        self.shared.script.lock().unwrap().open_connections()
    }

    /// The most connections that were open at once.
    pub fn most_connections(&self) -> usize {
        self.shared.script.lock().unwrap().most_connections
    }

    /// How many scans were asked for. Counted before any answer goes out.
    pub fn scans(&self) -> usize {
        self.shared.script.lock().unwrap().requests.len()
    }

    /// All that was asked for.
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.script.lock().unwrap().requests.clone()
    }

    /// Waits until so many scans were asked for.
    #[track_caller]
    pub fn wait_for_scans(&self, count: usize, deadline: Duration) {
        eventually(&format!("{count} scans are asked for"), deadline, || {
            (self.scans() >= count).then_some(())
        });
    }

    /// Waits until nobody is connected any more: every scan is over, or given up.
    #[track_caller]
    pub fn wait_until_alone(&self, deadline: Duration) {
        eventually("nobody is connected to the scanner", deadline, || {
            (self.open_connections() == 0).then_some(())
        });
    }

    /// Waits until so many answers are ready, though perhaps held: from then on, what the file becomes is too late.
    #[track_caller]
    pub fn wait_for_answers(&self, count: usize, deadline: Duration) {
        eventually(&format!("{count} answers are ready"), deadline, || {
            (self.shared.script.lock().unwrap().answers >= count).then_some(())
        });
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the fake scanner was asked for {} scans: {:?}", self.scans(), self.requests());
        }
        self.shared.change(|script| {
            script.over = true;
            script.lines.iter().for_each(Line::hang_up);
        });
        self.door.close();
    }
}

/// Users' processes connect to the socket in it.
fn socket_dir() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let everybody = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("vscan-rig-fake-").permissions(everybody).tempdir_in("/tmp").unwrap()
}

impl Shared {
    fn change(&self, how: impl FnOnce(&mut Script)) {
        how(&mut self.script.lock().unwrap());
        self.changed.notify_all();
    }

    fn accept_all(self: Arc<Self>, door: &Door) {
        while let Ok(line) = door.accept() {
            let conduct = {
                let mut script = self.script.lock().unwrap();
                if script.over {
                    return;
                }
                script.connections += 1;
                script.lines.push(line.try_clone());
                script.most_connections = script.most_connections.max(script.open_connections());
                script.conduct.clone()
            };
            let shared = Arc::clone(&self);
            // An error means that the client or the test went away.
            std::thread::spawn(move || {
                let _ = shared.serve(&line, conduct);
                shared.forget(&line);
            });
        }
    }

    /// The list's copy of the socket would keep a finished connection open.
    fn forget(&self, line: &Line) {
        line.hang_up();
        self.script.lock().unwrap().lines.retain(|other| !other.is(line));
    }

    fn serve(&self, line: &Line, conduct: Conduct) -> io::Result<()> {
        match conduct {
            Conduct::CloseAtOnce => return Ok(()),
            Conduct::NeverRead => return self.wait_for_the_end(),
            Conduct::CloseAfterRequest
            | Conduct::NeverAnswer
            | Conduct::Clean
            | Conduct::Infected(_)
            | Conduct::Answer(_)
            | Conduct::AnswerSlowly(..)
            | Conduct::Relay(_) => {}
        }
        let mut session = None;
        loop {
            let request = Request::read(line, session)?;
            session = request.session();
            self.answer(line, request, &conduct)?;
            if session.is_none() || !conduct.serves_sessions() {
                return Ok(());
            }
        }
    }

    /// Answers one request.
    fn answer(&self, line: &Line, request: Request, conduct: &Conduct) -> io::Result<()> {
        let version = self.script.lock().unwrap().version.clone();
        if let Some(answer) = request.small_talk(&version) {
            return line.writer().write_all(&answer);
        }
        let request = Arc::new(request);
        self.change(|script| script.requests.push(Arc::clone(&request)));
        let answer = match conduct {
            Conduct::CloseAtOnce | Conduct::NeverRead | Conduct::CloseAfterRequest => return Ok(()),
            Conduct::NeverAnswer => return self.wait_for_the_end(),
            Conduct::Clean => request.judged("OK"),
            Conduct::Infected(threat) => request.judged(&format!("{threat} FOUND")),
            Conduct::Relay(clamd) => request.ask(clamd)?,
            Conduct::Answer(bytes) => bytes.clone(),
            Conduct::AnswerSlowly(bytes, piece, pause) => {
                self.think(&request);
                return bytes.chunks(*piece).try_for_each(|part| {
                    line.writer().write_all(part)?;
                    self.pause(*pause);
                    Ok(())
                });
            }
        };
        self.think(&request);
        line.writer().write_all(&answer)
    }

    /// The delay, what is to be done before answers, and then until released.
    fn think(&self, request: &Request) {
        self.change(|script| script.answers += 1);
        let delay = self.script.lock().unwrap().delay;
        self.pause(delay);
        let work = self.script.lock().unwrap().before_answers.clone();
        if let Some(work) = work {
            work();
        }
        let script = self.script.lock().unwrap();
        let holds = |script: &mut Script| {
            !script.over && script.held.as_deref().is_some_and(|needle| request.holds(needle))
        };
        drop(self.changed.wait_while(script, holds).unwrap());
    }

    fn pause(&self, time: Duration) {
        let script = self.script.lock().unwrap();
        drop(self.changed.wait_timeout_while(script, time, |script| !script.over).unwrap());
    }

    fn wait_for_the_end(&self) -> io::Result<()> {
        let script = self.script.lock().unwrap();
        drop(self.changed.wait_while(script, |script| !script.over).unwrap());
        Ok(())
    }
}
