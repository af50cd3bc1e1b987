//! A Redis or Valkey server that several servers of one cluster filesystem share results by.
//!
//! It is asked after this machine's own results, and told of new ones after the client has its answer. It may cost an open
//! [`TIMEOUT`] once, and is then left alone for [`PAUSE`]; nothing but scans depends on it. Whoever can write to it can
//! call any file clean.
//!
//! What it knows of a file is a hash: the result of each set of scanners, by the number of the set.

mod line;

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisError};

use super::filesystem::FilesystemId;
use super::record::{Entry, Key};
use super::{Flush, locked};
use crate::log::{Level, Log};
use crate::privilege::Privilege;
use line::Line;

/// For a connection, and for each answer.
const TIMEOUT: Duration = Duration::from_millis(50);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// How long the server keeps a result. Who reads it looks at its age.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many files it is to look at or forget at once: well within the time that it has for an answer.
const AT_ONCE: usize = 1000;
/// Before the names of all that is vscan's.
const PREFIX: &str = "vscan:3:";

/// The server, as one process knows it.
pub(super) struct Server {
    info: ConnectionInfo,
    address: String,
    state: Mutex<State>,
}

enum State {
    Closed,
    Open(Box<Line>),
    /// Left alone until then.
    Down(Instant),
}

/// Whether an address makes sense: what is wrong with it otherwise.
pub(crate) fn check(address: &str) -> Result<(), String> {
    let info = address
        .into_connection_info()
        .map_err(|_| "is no address of a server, such as redis://192.0.2.7:6379/0".to_owned())?;
    let host = match info.addr() {
        ConnectionAddr::Tcp(host, _) => host,
        ConnectionAddr::Unix(_) => return Ok(()),
        ConnectionAddr::TcpTls { .. } | _ => {
            return Err("may not ask for TLS: vscan speaks plain Redis only".to_owned());
        }
    };
    // To look up a name takes as long as it takes, while a client waits.
    line::numeric(host)
        .map(drop)
        .ok_or_else(|| format!("must have a numeric address instead of the name {host}"))
}

impl Server {
    pub(super) fn new(address: &str) -> Option<Self> {
        check(address).ok()?;
        let info = address.into_connection_info().ok()?;
        // Without the password that may be in it.
        let address = info.addr().to_string();
        Some(Self { info, address, state: Mutex::new(State::Closed) })
    }

    pub(super) fn get(&self, key: &Key, log: &dyn Log, privilege: &dyn Privilege) -> Option<Entry> {
        let ask = |line: &mut Line| {
            redis::cmd("HGET").arg(name_of(key.filesystem, key.ino)).arg(key.scanners).query(line)
        };
        let bytes: Option<Vec<u8>> = self.with(log, privilege, ask)?;
        Entry::from_bytes(&key.to_bytes(), &bytes?)
    }

    /// Tells it of new results.
    pub(super) fn set(&self, results: &[(Key, &Entry)], log: &dyn Log, privilege: &dyn Privilege) {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (key, entry) in results {
            let name = name_of(key.filesystem, key.ino);
            let value = entry.to_bytes(&key.to_bytes());
            pipe.cmd("HSET").arg(&name).arg(key.scanners).arg(value).ignore();
            pipe.cmd("EXPIRE").arg(&name).arg(KEPT.as_secs()).ignore();
        }
        self.with(log, privilege, |line| pipe.query::<()>(line));
    }

    /// Has it forget results; None if it does not answer.
    pub(super) fn forget(&self, what: Flush<'_>, log: &dyn Log, privilege: &dyn Privilege) -> Option<()> {
        let unlink = |line: &mut Line, names: &[String]| match names {
            [] => Ok(()),
            names => redis::cmd("UNLINK").arg(names).query(line),
        };
        self.with(log, privilege, |line| match what {
            Flush::Files(files) => {
                let names: Vec<_> =
                    files.iter().map(|(filesystem, ino)| name_of(*filesystem, *ino)).collect();
                names.chunks(AT_ONCE).try_for_each(|names| unlink(line, names))
            }
            Flush::All => {
                let mut cursor = 0_u64;
                loop {
                    let mut scan = redis::cmd("SCAN");
                    scan.arg(cursor).arg("MATCH").arg(format!("{PREFIX}*")).arg("COUNT").arg(AT_ONCE);
                    let names: Vec<String>;
                    (cursor, names) = scan.query(line)?;
                    unlink(line, &names)?;
                    if cursor == 0 {
                        return Ok(());
                    }
                }
            }
        })
    }

    fn with<T>(
        &self,
        log: &dyn Log,
        privilege: &dyn Privilege,
        work: impl FnOnce(&mut Line) -> Result<T, RedisError>,
    ) -> Option<T> {
        let mut state = locked(&self.state);
        let was_down = match *state {
            State::Down(until) if Instant::now() < until => return None,
            State::Down(_) => true,
            State::Closed | State::Open(_) => false,
        };
        match self.connected(&mut state, privilege).and_then(work) {
            Ok(done) => {
                if was_down {
                    log.line(Level::Notice, &format!("cache server {} is back", self.address));
                }
                Some(done)
            }
            Err(error) => {
                if !was_down {
                    let text = format!(
                        "cache server {} is down ({error}): results of other servers are not known, and files are \
                         scanned here instead",
                        self.address
                    );
                    log.line(Level::Error, &text);
                }
                *state = State::Down(Instant::now() + PAUSE);
                None
            }
        }
    }

    fn connected<'a>(
        &self,
        state: &'a mut State,
        privilege: &dyn Privilege,
    ) -> Result<&'a mut Line, RedisError> {
        if !matches!(state, State::Open(_)) {
            // A socket may let root in alone.
            *state = State::Open(Box::new(privilege.raised(|| Line::open(&self.info, TIMEOUT))?));
        }
        match state {
            State::Open(line) => Ok(line),
            State::Closed | State::Down(_) => Err(RedisError::from((redis::ErrorKind::Io, "no connection"))),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// The same on every server that has the filesystem mounted.
fn name_of(filesystem: FilesystemId, ino: u64) -> String {
    let hex: String = Key::file_prefix(filesystem, ino).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{hex}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::tests::{Lines, key};
    use super::*;
    use crate::privilege::AsIs;

    #[test]
    fn a_server_that_hangs_costs_a_moment_also_when_its_queue_is_full() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("redis.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let log = Lines::default();
        let began = Instant::now();
        // The first one has the only place in the queue, and stays there.
        let servers: Vec<_> = (0..3)
            .map(|_| {
                let server = Server::new(&format!("redis+unix://{}", socket.display())).unwrap();
                assert_eq!(server.get(&key(1), &log, &AsIs), None);
                server
            })
            .collect();
        assert!(began.elapsed() < 20 * TIMEOUT, "{:?}", began.elapsed());
        assert_eq!(log.lines().len(), servers.len(), "{:?}", log.lines());
    }

    #[test]
    fn only_addresses_that_cost_no_lookup_are_taken() {
        for good in ["redis://192.0.2.7:6379/0", "redis://:secret@192.0.2.7/", "redis://[2001:db8::7]:6379/1"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("redis+unix:///run/redis/redis.sock"), Ok(()));
        for bad in ["", "192.0.2.7", "http://192.0.2.7/", "redis://cache.example.com/"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
