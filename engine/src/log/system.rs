//! Lines into the system's log: to journald with all facts as fields where it listens, to syslog's socket elsewhere.
//!
//! Nobody waits for either. When nobody takes what is sent, because the daemon is stuck and its queue is full, the line
//! is dropped here, and Samba's own log still has it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// A fact under the name of its field in the journal: upper case, digits and `_` (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
pub type Field<'a> = (&'static str, Cow<'a, [u8]>);

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Facility times eight plus priority, as in syslog(3).
    pub code: i32,
    /// Whose line it is: what stands before the text in a log file, `SYSLOG_IDENTIFIER` in the journal.
    pub identity: &'a str,
    /// One line for people.
    pub text: &'a str,
    /// For the journal alone.
    pub fields: &'a [Field<'a>],
}

/// The sockets of the two daemons.
#[derive(Clone, Copy, Debug)]
pub struct Sockets<'a> {
    /// journald's, for entries with fields.
    pub journal: &'a Path,
    /// The one of syslog(3).
    pub syslog: &'a Path,
}

impl Sockets<'static> {
    /// Where they are on every Linux.
    pub fn of_the_system() -> Self {
        Self { journal: Path::new("/run/systemd/journal/socket"), syslog: Path::new("/dev/log") }
    }
}

/// No field is longer: the longest path thrice. All of them together stay below what a socket takes
/// at once (net.core.wmem_default, 208 KiB).
const MAX_FIELD_BYTES: usize = 12 << 10;

/// Sends it to whoever listens; to journald alone if that is there, for it hands everything on to syslog.
pub fn send(message: &Message<'_>, sockets: &Sockets<'_>) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    let sent = match socket.send_to(&for_journald(message), sockets.journal) {
        Err(error) if nobody_listens(&error) => {
            socket.send_to(for_syslog(message).as_bytes(), sockets.syslog)?
        }
        result => result?,
    };
    debug_assert!(sent > 0, "a datagram goes whole or not at all");
    Ok(())
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory)
}

/// Without a time: the daemon adds it, and takes a line without one from everybody.
fn for_syslog(message: &Message<'_>) -> String {
    let Message { code, identity, text, .. } = message;
    format!("<{code}>{identity}[{}]: {text}", std::process::id())
}

fn for_journald(message: &Message<'_>) -> Vec<u8> {
    let mut entry = Vec::new();
    put(&mut entry, "MESSAGE", message.text.as_bytes());
    let mut numbers = String::new();
    // Writing to a String cannot fail.
    let _ = write!(numbers, "PRIORITY={}\nSYSLOG_FACILITY={}\n", message.code & 7, message.code >> 3);
    entry.extend(numbers.bytes());
    put(&mut entry, "SYSLOG_IDENTIFIER", message.identity.as_bytes());
    for (name, value) in message.fields {
        put(&mut entry, name, value);
    }
    entry
}

/// A value in one line ends with it; any other is told by its length, a little-endian 64-bit number.
fn put(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    let value = value.get(..MAX_FIELD_BYTES).unwrap_or(value);
    entry.extend(name.bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Message<'_> = Message {
        code: 11,
        identity: "vscan",
        text: "found",
        fields: &[("VSCAN_PATH", Cow::Borrowed(b"/s/a\nb\xff"))],
    };

    /// Both daemons, or places where they might be.
    struct Daemons(tempfile::TempDir);

    impl Daemons {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn send(&self) -> io::Result<()> {
            let (journal, syslog) = (self.0.path().join("journal"), self.0.path().join("log"));
            send(&MESSAGE, &Sockets { journal: &journal, syslog: &syslog })
        }

        fn listen(&self, name: &str) -> UnixDatagram {
            let socket = UnixDatagram::bind(self.0.path().join(name)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        }
    }

    fn received(socket: &UnixDatagram) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        let length = socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    #[test]
    fn journald_gets_every_byte_of_a_value_with_a_newline() {
        let daemons = Daemons::new();
        let (journal, syslog) = (daemons.listen("journal"), daemons.listen("log"));
        daemons.send().unwrap();
        let entry: &[u8] = b"MESSAGE=found\nPRIORITY=3\nSYSLOG_FACILITY=1\nSYSLOG_IDENTIFIER=vscan\n\
                             VSCAN_PATH\n\x07\0\0\0\0\0\0\0/s/a\nb\xff\n";
        assert_eq!(received(&journal).as_deref(), Some(entry));
        assert_eq!(received(&syslog), None, "journald hands it on by itself");
    }

    #[test]
    fn syslog_gets_the_line_where_there_is_no_journald() {
        let daemons = Daemons::new();
        let syslog = daemons.listen("log");
        let line = format!("<11>vscan[{}]: found", std::process::id());
        for journald_was_there in [false, true] {
            if journald_was_there {
                drop(daemons.listen("journal"));
            }
            daemons.send().unwrap();
            assert_eq!(received(&syslog).as_deref(), Some(line.as_bytes()));
        }
    }

    #[test]
    fn a_daemon_that_takes_nothing_is_not_waited_for() {
        for name in ["journal", "log"] {
            let daemons = Daemons::new();
            let stuck = daemons.listen(name);
            let error = (0..100_000).find_map(|_| daemons.send().err()).unwrap();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(received(&stuck).is_some());
        }
        assert_eq!(Daemons::new().send().unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_entry_fits_into_a_datagram_whatever_its_values() {
        let daemons = Daemons::new();
        let _journal = daemons.listen("journal");
        let long = vec![b'\n'; 1 << 20];
        let fields = [("VSCAN_PATH", Cow::from(&long)), ("VSCAN_ERROR", Cow::from(&long))];
        let (journal, syslog) = (daemons.0.path().join("journal"), daemons.0.path().join("log"));
        let message = Message { text: &"x".repeat(1 << 20), fields: &fields, ..MESSAGE };
        send(&message, &Sockets { journal: &journal, syslog: &syslog }).unwrap();
    }
}
