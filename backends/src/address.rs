//! Where a scanner listens.

use std::fmt;
use std::path::PathBuf;

/// A socket address as an administrator writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/path` or `unix:/path`.
    Unix(PathBuf),
    /// `tcp:host:port`.
    Tcp {
        /// Name or address; an IPv6 address is kept without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}
