//! A scanner that says what a recorded one said.
//!
//! Recordings are about files in `/share`. What replays them is reached at an address of its own, and its files are
//! wherever the test says, in a folder whose name is as long: lengths are part of some protocols.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::{Errno, IoSliceMut};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use tempfile::TempDir;
use vscan_backends::address::Endpoint;
use vscan_backends::command::CommandOptions;
use vscan_backends::dialogue::Framing;
use vscan_backends::registry::{SCANNERS, parse_scanner};
use vscan_backends::transcript::{Event, Recording};

use super::door::{Door, Line};
use crate::wait::SOON;

/// The folder that recordings are about.
const RECORDED_FOLDER: &str = "/share/";

/// A client that has said nothing for so long waits for an answer.
const QUIET: Duration = Duration::from_millis(150);

/// A client that is held to the recording may be silent for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between the halves of what a slow scanner says.
const PAUSE: Duration = Duration::from_millis(30);

/// After each byte, so that it goes out alone.
const MOMENT: Duration = Duration::from_millis(1);

/// How fast the scanner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Says what it has to say at once.
    AtOnce,
    /// Stops in the middle of each answer.
    Slow,
    /// Says each byte by itself.
    Bytewise,
}

/// How closely the client is held to the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Its every byte must be as recorded.
    Ours(Pace),
    /// It may ask in its own words. Messages that begin with one of these words are small talk, with the answer beside
    /// them; any other gets the last of the recorded answers.
    Foreign(&'static [(&'static str, &'static str)]),
}

/// A running replay; ends, with all its connections, when it is dropped.
pub struct Replay {
    spec: String,
    endpoint: Endpoint,
    state: Arc<State>,
    door: Arc<Door>,
    _dir: TempDir,
}

struct State {
    client: Client,
    events: Vec<Event>,
    size: u64,
    version_request: Option<Vec<u8>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    over: bool,
    connections: usize,
    heard: Vec<u8>,
    complaints: Vec<String>,
    lines: Vec<Line>,
}

impl Replay {
    /// Replays to this kind of client; the files are in `folder`, which begins and ends with a slash.
    pub fn new(recording: &Recording, client: Client, folder: &str) -> Self {
        assert_eq!(folder.len(), RECORDED_FOLDER.len(), "{folder} is not as long as the recorded folder");
        let dir = super::socket_dir();
        let recorded = parse_scanner(&recording.scanner, &CommandOptions::default()).unwrap();
        let recorded = recorded.endpoint().expect("there is a daemon to replay").clone();
        let (door, endpoint) = match &recorded {
            Endpoint::Unix(_) => {
                let path = dir.path().join("replay.sock");
                (Door::unix(&path), Endpoint::Unix(path))
            }
            Endpoint::Tcp { host, .. } => {
                let door = Door::tcp();
                let port = door.port();
                (door, Endpoint::Tcp { host: host.clone(), port })
            }
            Endpoint::Datagram(_) => panic!("this scanner says nothing that could be replayed"),
        };
        let (old, new) = (shown(&recorded), shown(&endpoint));
        let spec = moved_spec(&recording.scanner, &recorded, &old, &new);
        let moves = [(old, new), (RECORDED_FOLDER.to_owned(), folder.to_owned())];
        let version_request = parse_scanner(&spec, &CommandOptions::default())
            .unwrap()
            .version_query()
            .map(|query| query.request);
        let state = Arc::new(State {
            client,
            events: recording.events.iter().map(|event| moved(event, &moves)).collect(),
            size: recording.size,
            version_request,
            seen: Mutex::default(),
        });
        let door = Arc::new(door);
        let (porter, shared) = (Arc::clone(&door), Arc::clone(&state));
        std::thread::spawn(move || shared.accept_all(&porter));
        Self { spec, endpoint, state, door, _dir: dir }
    }

    /// As `scanner =` names it.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// The unix socket, for scanners that were recorded with one.
    pub fn socket(&self) -> PathBuf {
        match &self.endpoint {
            Endpoint::Unix(path) => path.clone(),
            Endpoint::Tcp { .. } | Endpoint::Datagram(_) => panic!("this scanner listens on a port"),
        }
    }

    /// The TCP port, for the others.
    pub fn port(&self) -> u16 {
        self.door.port()
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.state.seen.lock().unwrap().connections
    }

    /// How many of them the client has not closed.
    pub fn open_connections(&self) -> usize {
        self.state.seen.lock().unwrap().lines.iter().filter(|line| !line.was_hung_up()).count()
    }

    /// All that clients said.
    pub fn heard(&self) -> Vec<u8> {
        self.state.seen.lock().unwrap().heard.clone()
    }

    /// Where the client left the recording.
    pub fn complaints(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().complaints.clone()
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let mut seen = self.state.seen.lock().unwrap();
        seen.over = true;
        seen.lines.iter().for_each(Line::hang_up);
        drop(seen);
        self.door.close();
    }
}

/// An endpoint as it stands in addresses and in what is said.
fn shown(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Tcp { host, port } => format!("{host}:{port}"),
        Endpoint::Datagram(other) => shown(other),
    }
}

/// The recorded scanner at another address.
fn moved_spec(spec: &str, endpoint: &Endpoint, old: &str, new: &str) -> String {
    let (scheme, address) = match spec.split_once(':') {
        Some((scheme, address)) => (scheme, address),
        None => {
            let known = SCANNERS.iter().find(|scanner| scanner.scheme == spec).unwrap();
            (spec, known.default_address)
        }
    };
    match endpoint {
        // The port need not be written.
        Endpoint::Tcp { host, .. } if !address.contains(old) => {
            format!("{scheme}:{}", address.replace(host, new))
        }
        Endpoint::Tcp { .. } | Endpoint::Unix(_) | Endpoint::Datagram(_) => {
            format!("{scheme}:{}", address.replace(old, new))
        }
    }
}

fn moved(event: &Event, moves: &[(String, String)]) -> Event {
    let bytes =
        |bytes: &[u8]| moves.iter().fold(bytes.to_vec(), |bytes, (old, new)| replace(&bytes, old, new));
    match event {
        Event::Client(said) => Event::Client(bytes(said)),
        Event::ClientWithDescriptor(said) => Event::ClientWithDescriptor(bytes(said)),
        Event::Server(said) => Event::Server(bytes(said)),
        Event::ClientContent(_)
        | Event::ClientContentCut(_)
        | Event::ServerEnd
        | Event::Run(_)
        | Event::Exit(_) => event.clone(),
    }
}

pub(super) fn replace(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        match rest.strip_prefix(old.as_bytes()) {
            Some(behind) => {
                replaced.extend_from_slice(new.as_bytes());
                rest = behind;
            }
            None => {
                replaced.push(*first);
                rest = &rest[1..];
            }
        }
    }
    replaced
}

impl State {
    fn accept_all(self: Arc<Self>, door: &Door) {
        while let Ok(line) = door.accept() {
            {
                let mut seen = self.seen.lock().unwrap();
                if seen.over {
                    return;
                }
                seen.connections += 1;
                seen.lines.push(line.try_clone());
            }
            let state = Arc::clone(&self);
            std::thread::spawn(move || {
                let mut ear = Ear { line: &line, unread: Vec::new(), got_descriptor: false };
                let result = match state.client {
                    Client::Ours(pace) => state.hold_to_recording(&mut ear, pace),
                    Client::Foreign(small_talk) => state.talk(&mut ear, small_talk),
                };
                // Any other error means that the client or the test went away.
                if result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                    state.complain(format!("it waits after {}", ear.unread.escape_ascii()));
                }
                line.hang_up();
            });
        }
    }

    fn complain(&self, what: String) {
        self.seen.lock().unwrap().complaints.push(what);
    }

    fn hold_to_recording(&self, ear: &mut Ear<'_>, pace: Pace) -> io::Result<()> {
        set_socket_timeout(ear.line.as_fd(), Timeout::Recv, Some(PATIENCE))?;
        for event in &self.events {
            match event {
                Event::Client(recorded) | Event::ClientWithDescriptor(recorded) => {
                    let said = ear.take(recorded.len())?;
                    if said != *recorded {
                        // A question for the version comes on a connection of its own.
                        let asks = self.version_request.as_ref();
                        if !asks.is_some_and(|request| request.starts_with(&said)) {
                            let (said, recorded) = (said.escape_ascii(), recorded.escape_ascii());
                            self.complain(format!("it said {said}, recorded is {recorded}"));
                        }
                        return Ok(());
                    }
                    if matches!(event, Event::ClientWithDescriptor(_)) && !ear.got_descriptor {
                        self.complain("no descriptor came with the request".to_owned());
                    }
                }
                Event::ClientContent(framing) | Event::ClientContentCut(framing) => {
                    ear.take_content(*framing, self.size)?;
                }
                Event::Server(bytes) => ear.line.say(bytes, pace)?,
                Event::ServerEnd => return Ok(()),
                Event::Run(_) | Event::Exit(_) => panic!("a program is no daemon"),
            }
        }
        let more = ear.until_end()?;
        if !more.is_empty() {
            self.complain(format!("it also said {}", more.escape_ascii()));
        }
        Ok(())
    }

    fn talk(&self, ear: &mut Ear<'_>, small_talk: &[(&str, &str)]) -> io::Result<()> {
        let is_ours = |event: &Event| event.said_by_server().is_none() && *event != Event::ServerEnd;
        let said = |events: &[Event]| -> Vec<u8> {
            events.iter().filter_map(Event::said_by_server).flatten().copied().collect()
        };
        let first = self.events.iter().position(is_ours).unwrap_or(0);
        let last = self.events.iter().rposition(is_ours).unwrap_or(0);
        let (greeting, answer) = (said(&self.events[..first]), said(&self.events[last..]));
        ear.line.writer().write_all(&greeting)?;
        loop {
            let said = ear.until_quiet(SOON)?;
            self.seen.lock().unwrap().heard.extend(&said);
            let known = |line: &[u8]| small_talk.iter().find(|(word, _)| line.starts_with(word.as_bytes()));
            let answers: Vec<&str> =
                said.split(|&byte| byte == b'\n').filter_map(known).map(|(_, answer)| *answer).collect();
            if answers.is_empty() {
                break;
            }
            ear.line.writer().write_all(answers.concat().as_bytes())?;
        }
        ear.line.writer().write_all(&answer)?;
        // What is closed with something unread loses the answer.
        ear.until_quiet(QUIET).map(drop)
    }
}

impl Line {
    fn say(&self, bytes: &[u8], pace: Pace) -> io::Result<()> {
        match pace {
            Pace::AtOnce => self.writer().write_all(bytes),
            Pace::Bytewise => bytes.iter().try_for_each(|byte| {
                self.writer().write_all(&[*byte])?;
                std::thread::sleep(MOMENT);
                Ok(())
            }),
            Pace::Slow => {
                let (first, second) = bytes.split_at(bytes.len() / 2);
                self.writer().write_all(first)?;
                std::thread::sleep(PAUSE);
                self.writer().write_all(second)
            }
        }
    }
}

/// The receiving end of a connection.
struct Ear<'a> {
    line: &'a Line,
    unread: Vec<u8>,
    got_descriptor: bool,
}

impl Ear<'_> {
    /// Hears more; false at the end.
    fn hear(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; 65536];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = rustix::net::recvmsg(self.line.as_fd(), &mut parts, &mut control, flags)?;
        self.got_descriptor |=
            control.drain().any(|message| matches!(message, RecvAncillaryMessage::ScmRights(_)));
        self.unread.extend_from_slice(&buffer[..got.bytes]);
        Ok(got.bytes > 0)
    }

    /// The next so many bytes.
    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.wait_for(length)?;
        Ok(self.unread.drain(..length).collect())
    }

    fn wait_for(&mut self, length: usize) -> io::Result<()> {
        while self.unread.len() < length {
            if !self.hear()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// The content, up to what ends it, and without that.
    fn take_content(&mut self, framing: Framing, size: u64) -> io::Result<()> {
        match framing {
            Framing::Raw => self.take(usize::try_from(size).unwrap()).map(drop),
            Framing::LengthPrefixed => loop {
                self.wait_for(4)?;
                let length = u32::from_be_bytes(*self.unread.first_chunk().unwrap());
                if length == 0 {
                    return Ok(());
                }
                self.take(4 + length as usize)?;
            },
            Framing::HttpChunks => loop {
                let line = self.peek_line()?;
                let digits = std::str::from_utf8(&line).unwrap_or_default().trim_end();
                let length = usize::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
                if length == 0 {
                    return Ok(());
                }
                self.take(line.len() + length + 2)?;
            },
        }
    }

    fn peek_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.iter().position(|&byte| byte == b'\n') {
                return Ok(self.unread[..=at].to_vec());
            }
            self.wait_for(self.unread.len() + 1)?;
        }
    }

    /// All that is said before the client waits; it may think so long before it begins.
    fn until_quiet(&mut self, patience: Duration) -> io::Result<Vec<u8>> {
        set_socket_timeout(self.line.as_fd(), Timeout::Recv, Some(patience))?;
        self.wait_for(1)?;
        set_socket_timeout(self.line.as_fd(), Timeout::Recv, Some(QUIET))?;
        loop {
            match self.hear() {
                Ok(true) => {}
                Err(error) if error.raw_os_error() != Some(Errno::AGAIN.raw_os_error()) => return Err(error),
                Ok(false) | Err(_) => break,
            }
        }
        Ok(std::mem::take(&mut self.unread))
    }

    fn until_end(&mut self) -> io::Result<Vec<u8>> {
        set_socket_timeout(self.line.as_fd(), Timeout::Recv, None)?;
        while self.hear()? {}
        Ok(std::mem::take(&mut self.unread))
    }
}
