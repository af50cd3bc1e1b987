//! A connection to a Redis server, made without waiting.
//!
//! The `redis` crate's own waits for a place in the queue of a unix socket for as long as it takes: forever, if the server
//! hangs and those who came before have filled the queue.

use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use redis::{Cmd, ConnectionAddr, ConnectionInfo, ConnectionLike, ErrorKind, Parser, RedisError, Value};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

pub(super) struct Line {
    stream: BufReader<Box<dyn Stream>>,
    parser: Parser,
    db: i64,
}

impl Line {
    /// Connects and logs in. Neither this nor any answer takes longer than `timeout`.
    pub(super) fn open(info: &ConnectionInfo, timeout: Duration) -> Result<Self, RedisError> {
        let stream: Box<dyn Stream> = match info.addr() {
            ConnectionAddr::Unix(path) => {
                let stream = connect_unix(path)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Box::new(stream)
            }
            ConnectionAddr::Tcp(host, port) => {
                let host = numeric(host).ok_or((ErrorKind::InvalidClientConfig, "not a numeric address"))?;
                let stream = TcpStream::connect_timeout(&SocketAddr::new(host, *port), timeout)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Box::new(stream)
            }
            ConnectionAddr::TcpTls { .. } | _ => {
                return Err((ErrorKind::InvalidClientConfig, "vscan speaks plain Redis only").into());
            }
        };
        let login = info.redis_settings();
        let mut line = Self { stream: BufReader::new(stream), parser: Parser::new(), db: login.db() };
        if let Some(password) = login.password() {
            let mut auth = Cmd::new();
            auth.arg("AUTH").arg(login.username()).arg(password);
            auth.query::<()>(&mut line)?;
        }
        if login.db() != 0 {
            redis::cmd("SELECT").arg(login.db()).query::<()>(&mut line)?;
        }
        Ok(line)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), RedisError> {
        Ok(self.stream.get_mut().write_all(bytes)?)
    }

    fn receive(&mut self) -> Result<Value, RedisError> {
        self.parser.parse_value(&mut self.stream)
    }
}

impl ConnectionLike for Line {
    fn req_packed_command(&mut self, command: &[u8]) -> Result<Value, RedisError> {
        self.send(command)?;
        self.receive()
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> Result<Vec<Value>, RedisError> {
        self.send(commands)?;
        for _ in 0..offset {
            self.receive()?;
        }
        (0..count).map(|_| self.receive()).collect()
    }

    fn get_db(&self) -> i64 {
        self.db
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<()>(self).is_ok()
    }

    /// Whoever meets an error drops the connection.
    fn is_open(&self) -> bool {
        true
    }
}

/// The host of an address, if it is a number.
pub(super) fn numeric(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // With a full queue, this is an error at once.
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
