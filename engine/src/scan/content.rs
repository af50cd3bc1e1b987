//! The content of the file on its way to a scanner, piece by piece and framed.

use std::os::fd::BorrowedFd;

use rustix::io::{Errno, pread};
use vscan_backends::dialogue::Framing;

/// One piece of a stream. Large enough that system calls do not count, small enough for any loop.
const PIECE: usize = 64 * 1024;

/// A range of a file that is being sent.
#[derive(Debug)]
pub(super) struct Content {
    next: u64,
    /// Bytes still to come; `None` goes on to the end of the file.
    left: Option<u64>,
    sent: u64,
    framing: Framing,
}

/// What is left to send.
pub(super) enum Piece {
    /// The next framed bytes.
    Bytes(Vec<u8>),
    /// All of the range was taken.
    End,
    /// The file ended this many bytes into the range.
    Short(u64),
}

impl Content {
    pub(super) fn new(offset: u64, length: Option<u64>, framing: Framing) -> Self {
        Self { next: offset, left: length, sent: 0, framing }
    }

    /// Reads and frames the next piece. The descriptor's own offset is neither used nor moved.
    pub(super) fn next_piece(&mut self, file: BorrowedFd<'_>) -> Result<Piece, Errno> {
        let wanted = self.left.map_or(PIECE, |left| usize::try_from(left).unwrap_or(PIECE).min(PIECE));
        if wanted == 0 {
            return Ok(Piece::End);
        }
        let mut bytes = vec![0; wanted];
        let got = loop {
            match pread(file, &mut bytes, self.next) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        };
        if got == 0 {
            return Ok(if self.left.is_some() { Piece::Short(self.sent) } else { Piece::End });
        }
        bytes.truncate(got);
        self.next += got as u64;
        self.sent += got as u64;
        self.left = self.left.map(|left| left - got as u64);
        Ok(Piece::Bytes(framed(self.framing, bytes)))
    }
}

fn framed(framing: Framing, bytes: Vec<u8>) -> Vec<u8> {
    match framing {
        Framing::Raw => bytes,
        Framing::LengthPrefixed => {
            // A piece is at most PIECE long.
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            [&length.to_be_bytes()[..], &bytes].concat()
        }
        Framing::HttpChunks => [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat(),
    }
}
