//! The NetBIOS session service over TCP (RFC 1001 and 1002).

use std::io::{self, Read, Write};

/// Types of packets (RFC 1002, 4.3.1).
const MESSAGE: u8 = 0x00;
const REQUEST: u8 = 0x81;
const POSITIVE: u8 = 0x82;
const NEGATIVE: u8 = 0x83;
const KEEP_ALIVE: u8 = 0x85;

/// Longest answer that is read, in bytes. Answers to messages have a few dozen.
const MOST: usize = 4096;

/// A NetBIOS name: 15 letters, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name([u8; 16]);

impl Name {
    /// Any name, of a server.
    pub(super) const ANY_SERVER: Self = Self(*b"*SMBSERVER     \x20");

    /// The messenger service of a machine.
    pub(super) fn messenger(machine: &str) -> Self {
        Self::new(machine, 0x03)
    }

    /// A machine as a client of others.
    pub(super) fn workstation(machine: &str) -> Self {
        Self::new(machine, 0x00)
    }

    fn new(machine: &str, suffix: u8) -> Self {
        let mut name = [b' '; 16];
        // A DNS name would be none; its first part mostly is the NetBIOS name.
        let label = machine.split('.').next().unwrap_or_default();
        for (place, c) in name.iter_mut().take(15).zip(label.chars()) {
            *place = u8::try_from(c.to_ascii_uppercase()).ok().filter(u8::is_ascii_graphic).unwrap_or(b'_');
        }
        name[15] = suffix;
        Self(name)
    }

    /// "First level": each half of a byte is a letter from A on (RFC 1001, 14.1), as one label of DNS.
    fn encoded(&self) -> Vec<u8> {
        let letters = self.0.iter().flat_map(|byte| [b'A' + (byte >> 4), b'A' + (byte & 0x0f)]);
        std::iter::once(32).chain(letters).chain(std::iter::once(0)).collect()
    }
}

/// Asks for a session with the program of this name.
pub(super) fn begin_session(
    stream: &mut (impl Read + Write),
    called: &Name,
    calling: &Name,
) -> io::Result<()> {
    let names = [called.encoded(), calling.encoded()].concat();
    stream.write_all(&packet(REQUEST, &names)?)?;
    let (kind, content) = receive(stream)?;
    match (kind, content.as_slice()) {
        (POSITIVE, _) => Ok(()),
        (NEGATIVE, [0x80, ..]) => refused("the client has no messenger service"),
        (NEGATIVE, [0x82, ..]) => refused("the client does not answer to this name"),
        (NEGATIVE, _) => refused("the client refuses the session"),
        _ => refused("the client does not speak NetBIOS"),
    }
}

fn refused<T>(why: &str) -> io::Result<T> {
    Err(io::Error::other(why))
}

/// A packet with its header: the type, and 17 bits of length.
fn packet(kind: u8, content: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(content.len()).map_err(io::Error::other)?;
    let [high, low] = length.to_be_bytes();
    Ok([&[kind, 0, high, low], content].concat())
}

/// Sends one message.
pub(super) fn send_message(stream: &mut impl Write, content: &[u8]) -> io::Result<()> {
    stream.write_all(&packet(MESSAGE, content)?)
}

/// Waits for one message.
pub(super) fn receive_message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    match receive(stream)? {
        (MESSAGE, content) => Ok(content),
        _ => refused("the client does not speak SMB1"),
    }
}

fn receive(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    // A client that sends nothing but signs of life is none that shows messages.
    for _ in 0..10 {
        let mut header = [0; 4];
        stream.read_exact(&mut header)?;
        let [kind, flags, high, low] = header;
        let length = usize::from(flags & 1) << 16 | usize::from(u16::from_be_bytes([high, low]));
        if length > MOST {
            return refused("the client's answer is too long");
        }
        let mut content = vec![0; length];
        stream.read_exact(&mut content)?;
        if kind != KEEP_ALIVE {
            return Ok((kind, content));
        }
    }
    refused("the client does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_smbclient_does() {
        let text = |name: &Name| String::from_utf8(name.encoded()[1..33].to_vec()).unwrap();
        assert_eq!(text(&Name::messenger("client1")), "EDEMEJEFEOFEDBCACACACACACACACAAD");
        assert_eq!(text(&Name::workstation("VSCANSRV")), "FGFDEDEBEOFDFCFGCACACACACACACAAA");
    }

    #[test]
    fn any_text_becomes_a_name() {
        assert_eq!(Name::messenger("ann-pc.example.com").0, *b"ANN-PC         \x03");
        assert_eq!(Name::messenger("a very long name indeed").0, *b"A_VERY_LONG_NAM\x03");
        assert_eq!(Name::messenger("Grüße\n").0, *b"GR__E_         \x03");
        assert_eq!(Name::messenger("").0, *b"               \x03");
    }

    /// A client with this answer.
    struct Client(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Client {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Client {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answered(answer: &[u8]) -> Result<(), String> {
        let mut client = Client(io::Cursor::new(answer.to_vec()), Vec::new());
        let begun = begin_session(&mut client, &Name::messenger("a"), &Name::workstation("b"));
        assert_eq!(client.1.len(), 72);
        begun.map_err(|error| error.to_string())
    }

    #[test]
    fn a_session_begins_or_is_refused_in_words() {
        assert_eq!(answered(&[0x82, 0, 0, 0]), Ok(()));
        assert_eq!(answered(&[0x85, 0, 0, 0, 0x82, 0, 0, 0]), Ok(()));
        assert!(answered(&[0x83, 0, 0, 1, 0x80]).unwrap_err().contains("no messenger"));
        assert!(answered(&[0x83, 0, 0, 1, 0x82]).unwrap_err().contains("this name"));
        assert!(answered(&[0x99, 0, 0, 0]).unwrap_err().contains("does not speak"));
        assert!(answered(&[0x82, 1, 0xff, 0xff]).unwrap_err().contains("too long"));
        assert!(answered(&[0x82]).is_err() && answered(&[0x85, 0, 0, 0].repeat(20)).is_err());
    }
}
