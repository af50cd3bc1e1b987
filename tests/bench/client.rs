//! A client that costs next to nothing: what it measures is the server's time.
//!
//! Requests are laid out once and sent with one system call, and any number of them may be in flight. It panics at any
//! answer that is not the expected one: a benchmark of failing requests says nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vscan_tests::smbd::Smbd;

use crate::wire::{self, Address, FileId, Open, Reply, command};

/// Longer than any scan of the benchmark.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of one piece of an upload.
pub const PIECE: usize = 1 << 20;
/// Pieces of an upload in flight.
const PIECES: usize = 4;

/// One TCP connection with one anonymous session, at one share.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    address: Address,
    next: u64,
    /// Answers that came while others were waited for.
    early: HashMap<u64, Reply>,
    /// What is waited for later on, if at all.
    put_off: HashSet<u64>,
}

/// A request that was sent: what it is waited for by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sent(u64);

/// smbd hands all connections of one client, known by its id, to one process. Each of ours is a client of its own.
fn new_guid() -> u128 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    u128::from(std::process::id()) << 64 | u128::from(LAST.fetch_add(1, Ordering::Relaxed))
}

/// How far the visit of one file has come.
enum Stage {
    Opening,
    Reading(FileId),
    Closing,
}

struct Visit {
    stage: Stage,
    started: Instant,
}

impl Client {
    pub fn connect(smbd: &Smbd, share: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", smbd.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            stream,
            received: Vec::new(),
            address: Address::default(),
            next: 0,
            early: HashMap::new(),
            put_off: HashSet::new(),
        };
        client.call(command::NEGOTIATE, &wire::negotiate(new_guid()));
        let first = client.send(command::SESSION_SETUP, 1, &wire::session_setup(&wire::ntlm_negotiate()));
        let reply = client.answer(first);
        assert_eq!(reply.status(), wire::MORE_PROCESSING, "smbd wants to know who we are");
        client.address.session = reply.session();
        client.call(command::SESSION_SETUP, &wire::session_setup(&wire::ntlm_anonymous()));
        client.address.tree = client.call(command::TREE_CONNECT, &wire::tree_connect(share)).tree();
        client
    }

    /// Our end of the connection, by which smbd's process is found.
    pub fn port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    /// Asks for a file to be opened; the answer is looked for with [`Client::has_answered`].
    pub fn start_open(&mut self, name: &str) -> Sent {
        let sent = self.send(command::CREATE, 1, &wire::create(name, Open::Read));
        self.put_off.insert(sent.0);
        sent
    }

    /// Whether the answer has come, as far as anything was read.
    pub fn has_answered(&self, request: Sent) -> bool {
        self.early.contains_key(&request.0)
    }

    /// Waits for a file that was [opened](Client::start_open), and closes it.
    pub fn finish_open(&mut self, request: Sent) {
        let file = self.success(request).file_id();
        self.close(file);
    }

    /// Opens, reads and closes all these files, so many of them at a time; how long each took.
    pub fn visit_all(&mut self, names: &[String], at_once: usize) -> Vec<Duration> {
        let mut waiting = names.iter();
        let mut visits = HashMap::new();
        let mut times = Vec::with_capacity(names.len());
        let mut begin = |client: &mut Self, visits: &mut HashMap<u64, Visit>| {
            if let Some(name) = waiting.next() {
                let started = Instant::now();
                let sent = client.send(command::CREATE, 1, &wire::create(name, Open::Read));
                visits.insert(sent.0, Visit { stage: Stage::Opening, started });
            }
        };
        for _ in 0..at_once {
            begin(self, &mut visits);
        }
        while !visits.is_empty() {
            let reply = self.receive();
            let Some(visit) = visits.remove(&reply.number()) else {
                self.keep(reply);
                continue;
            };
            assert_eq!(reply.status(), 0, "a visited file can be opened and read");
            match self.go_on(&visit.stage, &reply) {
                Some((sent, stage)) => {
                    visits.insert(sent.0, Visit { stage, ..visit });
                }
                None => {
                    times.push(visit.started.elapsed());
                    begin(self, &mut visits);
                }
            }
        }
        times
    }

    fn go_on(&mut self, stage: &Stage, reply: &Reply) -> Option<(Sent, Stage)> {
        match stage {
            Stage::Opening => {
                let file = reply.file_id();
                Some((self.send(command::READ, 1, &wire::read(file, 65536)), Stage::Reading(file)))
            }
            Stage::Reading(file) => {
                assert!(reply.count() > 0, "a visited file has content");
                Some((self.send(command::CLOSE, 1, &wire::close(*file)), Stage::Closing))
            }
            Stage::Closing => None,
        }
    }

    /// Asks for a file that is known to be infected; how long the refusal took.
    pub fn find(&mut self, name: &str) -> Duration {
        let started = Instant::now();
        let sent = self.send(command::CREATE, 1, &wire::create(name, Open::Read));
        let status = self.answer(sent).status();
        assert_eq!(status, wire::VIRUS_INFECTED, "an infected file is refused ({status:#010x})");
        started.elapsed()
    }

    /// Writes a file that is so often the same piece; how long its CLOSE took.
    pub fn upload(&mut self, name: &str, pieces: usize, piece: &[u8]) -> Duration {
        let file = self.call(command::CREATE, &wire::create(name, Open::Overwrite)).file_id();
        let mut in_flight = VecDeque::new();
        for number in 0..pieces {
            let body = wire::write(file, (number * piece.len()) as u64, piece);
            in_flight.push_back(self.send(command::WRITE, wire::charge(piece.len()), &body));
            if in_flight.len() == PIECES {
                self.written(in_flight.pop_front(), piece);
            }
        }
        while !in_flight.is_empty() {
            self.written(in_flight.pop_front(), piece);
        }
        let started = Instant::now();
        self.close(file);
        started.elapsed()
    }

    fn written(&mut self, sent: Option<Sent>, piece: &[u8]) {
        let reply = self.success(sent.unwrap());
        assert_eq!(reply.count() as usize, piece.len(), "all of a piece is written");
    }

    fn close(&mut self, file: FileId) {
        self.call(command::CLOSE, &wire::close(file));
    }

    fn call(&mut self, command: u16, body: &[u8]) -> Reply {
        let sent = self.send(command, 1, body);
        self.success(sent)
    }

    fn success(&mut self, request: Sent) -> Reply {
        let reply = self.answer(request);
        assert_eq!(reply.status(), 0, "smbd refuses a request (NTSTATUS {:#010x})", reply.status());
        reply
    }

    fn send(&mut self, command: u16, charge: u16, body: &[u8]) -> Sent {
        let number = self.next;
        self.next += u64::from(charge);
        self.stream.write_all(&wire::message(self.address, number, command, charge, body)).unwrap();
        Sent(number)
    }

    fn answer(&mut self, request: Sent) -> Reply {
        loop {
            if let Some(reply) = self.early.remove(&request.0) {
                self.put_off.remove(&request.0);
                return reply;
            }
            let reply = self.receive();
            self.early.insert(reply.number(), reply);
        }
    }

    fn keep(&mut self, reply: Reply) {
        assert!(self.put_off.contains(&reply.number()), "every answer is waited for");
        self.early.insert(reply.number(), reply);
    }

    /// The next final answer to anything.
    fn receive(&mut self) -> Reply {
        loop {
            let message = self.receive_message();
            let reply = Reply(message);
            if reply.status() != wire::PENDING {
                return reply;
            }
        }
    }

    fn receive_message(&mut self) -> Vec<u8> {
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if rest.len() >= length {
                    let message = rest[..length].to_vec();
                    self.received.drain(..4 + length);
                    return message;
                }
            }
            let mut buffer = [0; 65536 + 256];
            let count = self.stream.read(&mut buffer).expect("smbd answers");
            assert!(count > 0, "smbd has closed the connection");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }
}
