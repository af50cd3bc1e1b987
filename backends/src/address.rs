//! Where a scanner listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest path of a unix socket, in bytes: Linux' `sun_path` without the NUL.
const MAX_SOCKET_PATH: usize = 107;

/// How an [`Endpoint`] is written.
const FORMS: &str = "/path/of/socket, tcp:host:port or tcp:[IPv6]:port";

/// The same of an [`Endpoint::Datagram`].
const DATAGRAM_FORMS: &str = "/path/of/socket, udp:host:port or udp:[IPv6]:port";

/// A socket address as an administrator writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/path` or `unix:/path`.
    Unix(PathBuf),
    /// `tcp:host:port`, or `host:port` alone.
    Tcp {
        /// Name or address; an IPv6 address is kept without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The same for datagrams: `/path` or `unix:/path`, and `udp:host:port` in the place of TCP.
    Datagram(Box<Self>),
}

impl Endpoint {
    /// Where a scanner takes datagrams.
    pub(crate) fn of_datagrams(text: &str) -> Result<Self, AddressError> {
        let address = text.trim();
        let parsed = match address.strip_prefix("unix:").or(address.starts_with('/').then_some(address)) {
            Some(path) => unix(path),
            None => inet(address.strip_prefix("udp:").unwrap_or(address)),
        };
        let endpoint = parsed.map_err(|problem| AddressError::new(text, problem, DATAGRAM_FORMS))?;
        Ok(Self::Datagram(Box::new(endpoint)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Self::Datagram(other) => match other.to_string().strip_prefix("tcp:") {
                Some(host_and_port) => write!(f, "udp:{host_and_port}"),
                None => other.fmt(f),
            },
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = text.trim();
        let parsed = if let Some(path) = address.strip_prefix("unix:") {
            unix(path)
        } else if address.starts_with('/') {
            unix(address)
        } else if let Some(host_and_port) = address.strip_prefix("tcp:") {
            inet(host_and_port)
        } else {
            inet(address)
        };
        parsed.map_err(|problem| AddressError::new(text, problem, FORMS))
    }
}

fn unix(path: &str) -> Result<Endpoint, &'static str> {
    if !path.starts_with('/') {
        return Err("the path of a socket begins with /");
    }
    if path.contains('\0') {
        return Err("a path holds no NUL");
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err("the path of a socket has at most 107 bytes");
    }
    Ok(Endpoint::Unix(PathBuf::from(path)))
}

fn inet(host_and_port: &str) -> Result<Endpoint, &'static str> {
    let (host, port) = host_and_port.rsplit_once(':').ok_or("the port is missing")?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bracketed {
        Some(address) => address,
        None if host.contains(':') => return Err("an IPv6 address goes in brackets"),
        None => host,
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']')) {
        return Err("this is no name of a host");
    }
    match port.parse() {
        Ok(0) | Err(_) => Err("the port is a number from 1 to 65535"),
        Ok(port) => Ok(Endpoint::Tcp { host: host.to_owned(), port }),
    }
}

/// Text that is not the address of a scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    problem: &'static str,
    forms: &'static str,
}

impl AddressError {
    /// What is wrong with the text, and how an address of this kind of scanner is written.
    pub(crate) fn new(text: &str, problem: &'static str, forms: &'static str) -> Self {
        Self { text: text.to_owned(), problem, forms }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, problem, forms } = self;
        write!(f, "{text:?} is not the address of a scanner: {problem}; write {forms}")
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp_endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn accepts_all_forms_of_an_address() {
        let socket = Endpoint::Unix(PathBuf::from("/run/clamav/clamd.ctl"));
        for (text, endpoint) in [
            ("/run/clamav/clamd.ctl", socket.clone()),
            (" unix:/run/clamav/clamd.ctl ", socket),
            ("/odd:name", Endpoint::Unix(PathBuf::from("/odd:name"))),
            ("tcp:10.0.0.5:3310", tcp_endpoint("10.0.0.5", 3310)),
            ("tcp:[::1]:3310", tcp_endpoint("::1", 3310)),
            ("[fe80::1%eth0]:65535", tcp_endpoint("fe80::1%eth0", 65535)),
            ("localhost:3310", tcp_endpoint("localhost", 3310)),
        ] {
            assert_eq!(text.parse(), Ok(endpoint), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_address_and_says_why() {
        let long = format!("/{}", "x".repeat(MAX_SOCKET_PATH));
        for (text, problem) in [
            ("", "the port is missing"),
            ("unix:", "begins with /"),
            ("unix:run/clamd.ctl", "begins with /"),
            (long.as_str(), "107 bytes"),
            ("/a\0b", "NUL"),
            ("clamd.ctl", "the port is missing"),
            ("tcp:3310", "the port is missing"),
            ("tcp::3310", "no name of a host"),
            ("tcp:[]:3310", "no name of a host"),
            ("tcp:a b:3310", "no name of a host"),
            ("tcp:host:http", "a number from 1 to 65535"),
            ("tcp:host:0", "a number from 1 to 65535"),
            ("tcp:host:65536", "a number from 1 to 65535"),
            ("tcp:::1:3310", "in brackets"),
            ("tcp://host:3310", "no name of a host"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
            assert!(error.contains(&format!("{text:?}")) && error.contains("tcp:host:port"), "{error}");
        }
    }

    #[test]
    fn an_address_is_shown_as_it_may_be_written() {
        for text in ["unix:/run/clamd.ctl", "tcp:localhost:3310", "tcp:[::1]:3310"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in ["unix:/tcp:/scan", "udp:localhost:2020", "udp:[::1]:2020"] {
            assert_eq!(Endpoint::of_datagrams(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn datagrams_do_not_go_over_tcp() {
        assert_eq!(Endpoint::of_datagrams("/s"), Endpoint::of_datagrams(" unix:/s"));
        assert_eq!(Endpoint::of_datagrams("h:1"), Endpoint::of_datagrams("udp:h:1"));
        for text in ["tcp:localhost:2020", "unix:s", "udp:", "scan"] {
            let error = Endpoint::of_datagrams(text).unwrap_err().to_string();
            assert!(error.contains("write /path/of/socket, udp:host:port"), "{error}");
        }
    }
}
