//! Bytes out of a socket and into it, as far as they go without waiting.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::io::{Errno, IoSlice};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, send, sendmsg};

/// How much of a reply is read at once; most are shorter.
const REPLY: usize = 1024;

/// Shared by all who have to keep it open.
pub(crate) type Socket = Rc<OwnedFd>;

/// Bytes on their way out.
#[derive(Default)]
pub(super) struct Sending {
    bytes: VecDeque<u8>,
    with_descriptor: bool,
}

/// How far they have come.
pub(super) enum Sent {
    All,
    /// The socket is full.
    Full,
    /// The peer no longer listens.
    Broken,
}

impl Sending {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), with_descriptor: false }
    }

    /// Bytes, and a descriptor of the file along with the first of them.
    pub(super) fn with_descriptor(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), with_descriptor: true }
    }

    /// How many bytes are still here.
    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Sends what the socket takes.
    pub(super) fn go_on(&mut self, socket: &Socket, file: BorrowedFd<'_>) -> Result<Sent, Errno> {
        while !self.bytes.is_empty() {
            // Without a contiguous view a wrapped buffer would go out in two calls, and the descriptor with half of it.
            let bytes = self.bytes.make_contiguous();
            let result = if self.with_descriptor {
                send_with_descriptor(socket, bytes, file)
            } else {
                send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
            };
            match result {
                Ok(count) => {
                    self.with_descriptor = false;
                    self.bytes.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Sent::Full),
                Err(Errno::PIPE | Errno::CONNRESET) => return Ok(Sent::Broken),
                Err(e) => return Err(e),
            }
        }
        Ok(Sent::All)
    }
}

fn send_with_descriptor(socket: &Socket, bytes: &[u8], file: BorrowedFd<'_>) -> Result<usize, Errno> {
    let files = [file];
    let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

/// Bytes that have come: `None` when there are none yet, empty at the end of the stream.
pub(super) fn receive(socket: &Socket) -> Result<Option<Vec<u8>>, Errno> {
    let mut buffer = vec![0; REPLY];
    loop {
        match recv(socket.as_fd(), &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((count, _)) => {
                buffer.truncate(count);
                return Ok(Some(buffer));
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            // The peer closed with our bytes unread; what it had said before has been read already.
            Err(Errno::CONNRESET) => return Ok(Some(Vec::new())),
            Err(e) => return Err(e),
        }
    }
}
