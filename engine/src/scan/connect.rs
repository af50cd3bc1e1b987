//! Opening a connection to a scanner without waiting for it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};
use vscan_backends::address::Endpoint;
use vscan_backends::verdict::Fault;

use super::socket::Socket;
use crate::privilege::Privilege;

/// A connection that is being made.
pub(super) struct Connection {
    endpoint: Endpoint,
    socket: Socket,
    /// Nothing once there is a connection.
    target: Option<Target>,
}

enum Target {
    Unix(SocketAddrUnix),
    Inet(SocketAddr),
}

/// Where a connection stands.
pub(super) enum Connected {
    Yes,
    /// The socket becomes writable when there is one, and readable when there will be none.
    Pending,
    /// The listener's queue is full, and the kernel will not say when it no longer is: ask again in a moment.
    Busy,
}

impl Connection {
    /// A fresh socket for the endpoint. A host name is resolved here, so addresses are better in the configuration.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, Fault> {
        let target = Target::of(endpoint).map_err(|why| unreachable(endpoint, &why))?;
        let kind = match endpoint {
            Endpoint::Unix(_) | Endpoint::Tcp { .. } => SocketType::STREAM,
            Endpoint::Datagram(_) => SocketType::DGRAM,
        };
        let family = match target {
            Target::Unix(_) => AddressFamily::UNIX,
            Target::Inet(SocketAddr::V4(_)) => AddressFamily::INET,
            Target::Inet(SocketAddr::V6(_)) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(family, kind, flags, None).map_err(|e| unreachable(endpoint, &describe(e)))?;
        if matches!(endpoint, Endpoint::Tcp { .. }) {
            // Requests are small and wait for an answer. That the option could fail is no reason not to scan.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        }
        Ok(Self { endpoint: endpoint.clone(), socket: Rc::new(socket), target: Some(target) })
    }

    /// One that was made for an earlier scan.
    pub(super) fn kept(endpoint: &Endpoint, socket: Socket) -> Self {
        Self { endpoint: endpoint.clone(), socket, target: None }
    }

    pub(super) fn socket(&self) -> Socket {
        self.socket.clone()
    }

    /// Starts to connect, or looks whether it has succeeded; as root if only root may reach the scanner's socket.
    pub(super) fn advance(&mut self, privilege: &dyn Privilege) -> Result<Connected, Fault> {
        let Some(target) = &self.target else { return Ok(Connected::Yes) };
        let attempt = || match target {
            Target::Unix(address) => connect(&self.socket, address),
            Target::Inet(address) => connect(&self.socket, address),
        };
        // Most scanners let everybody in, and becoming root takes smbd two dozen system calls.
        let result = match attempt() {
            Err(Errno::ACCESS | Errno::PERM) => privilege.raised(attempt),
            other => other,
        };
        match result {
            // ISCONN: an earlier attempt has succeeded meanwhile.
            Ok(()) | Err(Errno::ISCONN) => {
                self.target = None;
                Ok(Connected::Yes)
            }
            Err(Errno::INPROGRESS | Errno::ALREADY | Errno::INTR) => Ok(Connected::Pending),
            Err(Errno::AGAIN) => Ok(Connected::Busy),
            Err(e) => Err(unreachable(&self.endpoint, &describe(e))),
        }
    }
}

impl Target {
    fn of(endpoint: &Endpoint) -> Result<Self, String> {
        match endpoint {
            Endpoint::Unix(path) => {
                SocketAddrUnix::new(path.as_os_str().as_bytes()).map(Self::Unix).map_err(describe)
            }
            Endpoint::Tcp { host, port } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                let mut found = found.map_err(|e| format!("the name cannot be resolved ({e})"))?;
                found.next().map(Self::Inet).ok_or_else(|| "the name has no address".to_owned())
            }
            Endpoint::Datagram(other) => Self::of(other),
        }
    }
}

fn unreachable(endpoint: &Endpoint, why: &str) -> Fault {
    Fault::Transport(format!("cannot reach the scanner at {endpoint}: {why}").into())
}

/// The usual reasons in words that say what to do.
fn describe(e: Errno) -> String {
    match e {
        Errno::NOENT => "there is no such socket; is the scanner running?".to_owned(),
        Errno::CONNREFUSED => "nobody listens there; is the scanner running?".to_owned(),
        Errno::ACCESS | Errno::PERM => "permission denied; check the rights of the socket".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}
