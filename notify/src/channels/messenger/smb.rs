//! Messages in SMB1 (MS-CIFS 2.2.4.66 names the commands; their form is X/Open CAE C209, "SMB: message commands").

use std::fmt;
use std::io::{self, Read, Write};

use super::netbios;

/// SMB_COM_SEND_MESSAGE and its kin.
const SEND_MESSAGE: u8 = 0xd0;
const SEND_START: u8 = 0xd5;
const SEND_END: u8 = 0xd6;
const SEND_TEXT: u8 = 0xd7;

/// Formats of buffers: a data block with its length, and text that ends with a zero byte.
const DATA_BLOCK: u8 = 0x01;
const ASCII: u8 = 0x04;

/// A single message has no more text.
const MOST_IN_ONE: usize = 128;

/// Text in each of these.
const BLOCK: usize = 127;

/// Bytes of a header (MS-CIFS 2.2.3.1).
const HEADER: usize = 32;

/// Set in the flags of an answer.
const REPLY: u8 = 0x80;

/// What is said to whom, in the receiver's letters.
pub(super) struct Letter {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    pub(super) text: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The client says no, with this status.
    Refused(u32),
    /// The conversation came to an end.
    Failed(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "the client takes no messages (status {status:#010x})"),
            Self::Failed(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the client hangs up")
            }
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

/// A session in which a message is given.
pub(super) struct Conversation<S> {
    stream: S,
}

impl<S: Read + Write> Conversation<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream }
    }

    /// Gives a message: in blocks, as smbclient does, or as one if the client knows no blocks.
    ///
    /// Not the other way round: Samba takes single messages only from those who have negotiated a dialect, and hangs up on us.
    /// So no receiver that can be had today gets one from us; a claim has smbd read one all the same, after a dialect that
    /// a relay between the two has negotiated.
    pub(super) fn say(&mut self, letter: &Letter) -> Result<(), Trouble> {
        let names = [string(&letter.from), string(&letter.to)].concat();
        let group = match self.ask(SEND_START, &[], &names) {
            Ok(group) => group,
            Err(Trouble::Refused(_)) => {
                let most = letter.text.len().min(MOST_IN_ONE);
                let data = [names, block(letter.text.get(..most).unwrap_or_default())?].concat();
                return self.ask(SEND_MESSAGE, &[], &data).map(drop);
            }
            Err(trouble @ Trouble::Failed(_)) => return Err(trouble),
        };
        for part in letter.text.chunks(BLOCK) {
            self.ask(SEND_TEXT, &[group], &block(part)?)?;
        }
        self.ask(SEND_END, &[group], &[]).map(drop)
    }

    /// Sends a command and waits for its answer. Its first word is the message group, if it has one.
    fn ask(&mut self, command: u8, words: &[u16], data: &[u8]) -> Result<u16, Trouble> {
        netbios::send_message(&mut self.stream, &request(command, words, data)?)?;
        let answer = netbios::receive_message(&mut self.stream)?;
        group(command, &answer)
    }
}

/// A request without a connection to anything: no user, no tree, and none of SMB's later additions.
fn request(command: u8, words: &[u16], data: &[u8]) -> io::Result<Vec<u8>> {
    let mut request = vec![0; HEADER];
    request[..5].copy_from_slice(&[0xff, b'S', b'M', b'B', command]);
    // PIDLow.
    let [low, high, ..] = std::process::id().to_le_bytes();
    request[26..28].copy_from_slice(&[low, high]);
    request.push(u8::try_from(words.len()).map_err(io::Error::other)?);
    request.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    request.extend(u16::try_from(data.len()).map_err(io::Error::other)?.to_le_bytes());
    request.extend(data);
    Ok(request)
}

/// Checks an answer.
fn group(command: u8, answer: &[u8]) -> Result<u16, Trouble> {
    let failed = |why| Err(Trouble::Failed(io::Error::other(why)));
    let Some((header, rest)) = answer.split_at_checked(HEADER) else {
        return failed("the client's answer is too short");
    };
    let [0xff, b'S', b'M', b'B', of, status @ ..] = header else {
        return failed("the client does not speak SMB1");
    };
    let ([a, b, c, d, flags, ..], true) = (status, *of == command) else {
        return failed("the client answers something else");
    };
    let status = u32::from_le_bytes([*a, *b, *c, *d]);
    if flags & REPLY == 0 {
        return failed("the client asks instead of answering");
    }
    if status != 0 {
        return Err(Trouble::Refused(status));
    }
    match rest {
        [words, low, high, ..] if *words > 0 => Ok(u16::from_le_bytes([*low, *high])),
        _ => Ok(0),
    }
}

fn string(text: &[u8]) -> Vec<u8> {
    // A zero byte would end it.
    let text = text.iter().map(|byte| if *byte == 0 { b'?' } else { *byte });
    std::iter::once(ASCII).chain(text).chain(std::iter::once(0)).collect()
}

fn block(text: &[u8]) -> io::Result<Vec<u8>> {
    let [low, high] = u16::try_from(text.len()).map_err(io::Error::other)?.to_le_bytes();
    Ok([&[DATA_BLOCK, low, high], text].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver that agrees to everything but perhaps blocks, in the group 7.
    #[derive(Default)]
    struct Receiver {
        knows_no_blocks: bool,
        heard: Vec<Vec<u8>>,
        answers: Vec<u8>,
    }

    impl Write for Receiver {
        fn write(&mut self, packet: &[u8]) -> io::Result<usize> {
            let request = &packet[4..];
            self.heard.push(request.to_vec());
            let mut answer = request[..HEADER].to_vec();
            answer[9] = REPLY;
            let is_start = request[4] == SEND_START;
            answer[5] = u8::from(is_start && self.knows_no_blocks);
            answer.extend_from_slice(if is_start { &[1, 7, 0, 0, 0] } else { &[0, 0, 0] });
            netbios::send_message(&mut self.answers, &answer)?;
            Ok(packet.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Receiver {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.answers.len());
            buffer[..count].copy_from_slice(&self.answers[..count]);
            self.answers.drain(..count);
            Ok(count)
        }
    }

    fn said_to(receiver: Receiver, text: &[u8]) -> Vec<Vec<u8>> {
        let mut conversation = Conversation::over(receiver);
        let letter = Letter { from: b"SRV".to_vec(), to: b"ann".to_vec(), text: text.to_vec() };
        conversation.say(&letter).unwrap();
        conversation.stream.heard
    }

    #[test]
    fn a_text_goes_in_blocks_of_one_group() {
        let said = said_to(Receiver::default(), &[b'x'; 300]);
        let commands: Vec<u8> = said.iter().map(|request| request[4]).collect();
        assert_eq!(commands, [0xd5, 0xd7, 0xd7, 0xd7, 0xd6]);
        assert_eq!(&said[0][HEADER..], b"\0\x0a\0\x04SRV\0\x04ann\0");
        assert_eq!(&said[1][HEADER..HEADER + 8], b"\x01\x07\0\x82\0\x01\x7f\0");
        assert_eq!(&said[3][HEADER..], [&b"\x01\x07\0\x31\0\x01\x2e\0"[..], &[b'x'; 46]].concat());
        assert_eq!(&said[4][HEADER..], b"\x01\x07\0\0\0");
    }

    #[test]
    fn who_knows_no_blocks_gets_a_single_message() {
        let receiver = || Receiver { knows_no_blocks: true, ..Receiver::default() };
        let said = said_to(receiver(), b"hello");
        assert_eq!(said.len(), 2);
        assert_eq!(&said[1][..5], b"\xffSMB\xd0");
        assert_eq!(&said[1][HEADER..], b"\0\x12\0\x04SRV\0\x04ann\0\x01\x05\0hello");
        let said = said_to(receiver(), &[b'x'; 300]);
        assert_eq!(said[1].len(), HEADER + 3 + 10 + 3 + 128);
    }

    #[test]
    fn an_answer_must_be_one() {
        let answer = |command: u8, status: u8, flags: u8| {
            let mut answer = vec![0; HEADER];
            answer[..6].copy_from_slice(&[0xff, b'S', b'M', b'B', command, status]);
            answer[9] = flags;
            group(SEND_END, &answer).map_err(|error| error.to_string())
        };
        assert_eq!(answer(SEND_END, 0, REPLY), Ok(0));
        assert!(answer(SEND_END, 1, REPLY).unwrap_err().contains("0x00000001"));
        assert!(answer(SEND_TEXT, 0, REPLY).is_err() && answer(SEND_END, 0, 0).is_err());
        assert!(group(SEND_END, b"\xfeSMB").is_err() && group(SEND_END, &[0; 40]).is_err());
    }
}
