//! What the fake was asked.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{OFlags, SeekFrom};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use super::door::Line;

/// What comes before the requests of a session.
const BEGIN_SESSION: &[u8] = b"zIDSESSION\0";

/// One request, with the descriptor that came along. The descriptor stays open until the fake is dropped.
#[derive(Debug)]
pub struct Request {
    /// All bytes of it.
    pub bytes: Vec<u8>,
    /// Which one it is in its session.
    number: Option<u64>,
    descriptor: Option<Descriptor>,
}

/// A passed descriptor, as it was when it came.
#[derive(Debug)]
struct Descriptor {
    fd: OwnedFd,
    offset: u64,
}

impl Request {
    /// Whether a descriptor was passed.
    pub fn has_descriptor(&self) -> bool {
        self.descriptor.is_some()
    }

    /// How the passed descriptor was opened (`F_GETFL`).
    pub fn descriptor_flags(&self) -> OFlags {
        rustix::fs::fcntl_getfl(&self.descriptor().fd).unwrap()
    }

    /// Where the passed descriptor stood when it came.
    pub fn descriptor_offset(&self) -> u64 {
        self.descriptor().offset
    }

    /// All bytes of the file behind the passed descriptor, as they are now.
    pub fn descriptor_content(&self) -> Vec<u8> {
        self.descriptor().content().unwrap()
    }

    fn descriptor(&self) -> &Descriptor {
        self.descriptor.as_ref().expect("a descriptor was passed")
    }

    /// Whether these bytes are in the request or in the file behind its descriptor.
    pub fn holds(&self, needle: &[u8]) -> bool {
        let is_in =
            |bytes: &[u8]| needle.is_empty() || bytes.windows(needle.len()).any(|part| part == needle);
        let content = self.descriptor.as_ref().and_then(|descriptor| descriptor.content().ok());
        is_in(&self.bytes) || content.is_some_and(|content| is_in(&content))
    }

    /// The answer to what is no scan.
    pub(super) fn small_talk(&self, version: &str) -> Option<Vec<u8>> {
        let (command, end) = (self.command()?, self.end());
        let answer = match command {
            b"PING" => "PONG",
            b"VERSION" => version,
            _ => return None,
        };
        Some(self.numbered([answer.as_bytes(), end].concat()))
    }

    /// clamd's answer with this verdict.
    pub(super) fn judged(&self, verdict: &str) -> Vec<u8> {
        let about = match self.command() {
            Some(command) if command.starts_with(b"INSTREAM") => b"stream",
            Some(command) => command.strip_prefix(b"SCAN ").unwrap_or(b"fd[12]"),
            None => b"fd[12]",
        };
        self.numbered([about, b": ", verdict.as_bytes(), self.end()].concat())
    }

    /// The answer as it is given in a session, if there is one.
    fn numbered(&self, answer: Vec<u8>) -> Vec<u8> {
        match self.number {
            Some(number) => [format!("{number}: ").into_bytes(), answer].concat(),
            None => answer,
        }
    }

    /// How many requests there have been in the session, if it is one that goes on.
    pub(super) fn session(&self) -> Option<u64> {
        self.number
    }

    /// The command without its first letter, terminator and payload.
    fn command(&self) -> Option<&[u8]> {
        let rest = self.bytes.strip_prefix(b"z").or_else(|| self.bytes.strip_prefix(b"n"))?;
        rest.split(|byte| self.end().contains(byte)).next()
    }

    /// The answer ends like the command.
    fn end(&self) -> &'static [u8] {
        if self.bytes.starts_with(b"z") { b"\0" } else { b"\n" }
    }

    /// The next one on a connection, which has been in a session for so many requests.
    pub(super) fn read(line: &Line, session: Option<u64>) -> io::Result<Self> {
        let number = session.map(|before| before + 1);
        let mut request = Self { bytes: Vec::new(), number, descriptor: None };
        let mut buffer = vec![0; 65536];
        loop {
            if let Some(rest) = request.bytes.strip_prefix(BEGIN_SESSION) {
                (request.bytes, request.number) = (rest.to_vec(), Some(1));
            }
            if is_complete(&request.bytes) {
                return Ok(request);
            }
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let got = rustix::net::recvmsg(line.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    request.descriptor = descriptors.last().map(Descriptor::new).or(request.descriptor);
                }
            }
            if got.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            request.bytes.extend_from_slice(&buffer[..got.bytes]);
        }
    }

    /// Asks a real clamd the same.
    pub(super) fn ask(&self, clamd: &Path) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(clamd)?;
        let descriptors =
            [self.descriptor.as_ref().map_or(stream.as_fd(), |descriptor| descriptor.fd.as_fd())];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let mut rest = self.bytes.as_slice();
        if self.has_descriptor() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            let sent =
                rustix::net::sendmsg(&stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL)?;
            rest = &rest[sent..];
        }
        io::Write::write_all(&mut stream, rest)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(self.numbered(answer))
    }
}

impl Descriptor {
    fn new(fd: OwnedFd) -> Self {
        let offset = rustix::fs::seek(&fd, SeekFrom::Current(0)).unwrap_or(0);
        Self { fd, offset }
    }

    fn content(&self) -> io::Result<Vec<u8>> {
        let file = File::from(self.fd.try_clone()?);
        let mut content = Vec::new();
        let mut part = [0; 65536];
        loop {
            // Positioned: the offset is shared with whoever passed the descriptor.
            match file.read_at(&mut part, content.len() as u64)? {
                0 => return Ok(content),
                length => content.extend_from_slice(&part[..length]),
            }
        }
    }
}

/// Whether these bytes are a whole request, as far as the fake can tell.
fn is_complete(bytes: &[u8]) -> bool {
    let after = |command: &[u8]| bytes.strip_prefix(command);
    if let Some(stream) = after(b"zINSTREAM\0").or_else(|| after(b"nINSTREAM\n")) {
        return ends_with_empty_chunk(stream);
    }
    if let Some(dummy) = after(b"zFILDES\0").or_else(|| after(b"nFILDES\n")) {
        return !dummy.is_empty();
    }
    match bytes.first() {
        None => false,
        Some(b'z') => bytes.ends_with(b"\0"),
        Some(b'n') => bytes.ends_with(b"\n"),
        Some(_) => true,
    }
}

fn ends_with_empty_chunk(mut stream: &[u8]) -> bool {
    while let Some((length, rest)) = stream.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        match rest.get(length..) {
            _ if length == 0 => return true,
            None => return false,
            Some(next) => stream = next,
        }
    }
    false
}
