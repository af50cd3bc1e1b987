//! Sockets of either kind behind one face.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Where the fake listens.
pub(super) enum Door {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Door {
    pub(super) fn unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        crate::smbd::open_to_all(path);
        Self::Unix(listener, path.to_owned())
    }

    pub(super) fn tcp() -> Self {
        Self::Tcp(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Tcp(listener) => listener.local_addr().unwrap().port(),
            Self::Unix(..) => panic!("this fake listens on a unix socket"),
        }
    }

    pub(super) fn accept(&self) -> io::Result<Line> {
        match self {
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Line::Unix(stream)),
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Line::Tcp(stream)),
        }
    }

    /// Wakes the thread that accepts, once its script says that all is over.
    pub(super) fn close(&self) {
        match self {
            Self::Unix(_, path) => drop(UnixStream::connect(path)),
            Self::Tcp(_) => drop(TcpStream::connect(("127.0.0.1", self.port()))),
        }
    }
}

/// One connection.
pub(super) enum Line {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Line {
    pub(super) fn try_clone(&self) -> Self {
        match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone().unwrap()),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().unwrap()),
        }
    }

    /// Whether both are the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        let inode = |line: &Self| rustix::fs::fstat(line.as_fd()).map(|stat| stat.st_ino);
        inode(self) == inode(other)
    }

    /// Whether the other end has hung up.
    pub(super) fn was_hung_up(&self) -> bool {
        let gone = PollFlags::HUP | PollFlags::RDHUP;
        let mut fds = [PollFd::new(self, PollFlags::RDHUP)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
        fds[0].revents().intersects(gone)
    }

    pub(super) fn hang_up(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    pub(super) fn writer(&self) -> Box<dyn Write + '_> {
        match self {
            Self::Unix(stream) => Box::new(stream),
            Self::Tcp(stream) => Box::new(stream),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}
