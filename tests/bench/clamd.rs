//! clamd without anybody in between: what the scan itself costs.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Has all these files scanned by descriptor, one connection each, so many at a time; how long that took.
pub fn scan_all(socket: &Path, files: &[PathBuf], at_once: usize) -> Duration {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            scan(socket, file);
        }
    };
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 1..at_once {
            scope.spawn(work);
        }
        work();
    });
    started.elapsed()
}

/// Has a file scanned by descriptor, over a connection of its own.
pub fn scan(socket: &Path, path: &Path) {
    let file = File::open(path).unwrap();
    let mut stream = UnixStream::connect(socket).unwrap();
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(&stream, &[IoSlice::new(b"zFILDES\0\0")], &mut control, SendFlags::NOSIGNAL).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(b": OK\0"), "clamd says {:?}", String::from_utf8_lossy(&answer));
}
