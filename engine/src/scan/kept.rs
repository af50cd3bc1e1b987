//! Connections that a scanner leaves open for the next scan.
//!
//! Scans often come in bursts: a connection that is kept for a moment saves most of them the making of one. To the scanner
//! it is a thread that waits for us, so there are few, and not for long.

use std::cell::RefCell;
use std::process;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::socket::Socket;

/// How long a connection is kept that nobody uses.
pub const LONGEST_IDLE: Duration = Duration::from_secs(2);

/// How long one serves a series of scans. A scanner that takes few connections at once lets others in when it ends.
const SERIES: Duration = Duration::from_millis(100);

/// How many of one scanner's are kept at once.
const MOST: usize = 2;

/// Those of one scanner, the one that was used last at the end.
#[derive(Default)]
pub(crate) struct Kept(RefCell<Vec<Idle>>);

/// One that has served a scan, and may serve another.
pub(crate) struct Used {
    pub(crate) socket: Socket,
    /// In a session with the scanner.
    pub(crate) series: Option<Series>,
}

/// What a session has been used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// So many scans.
    pub(crate) scans: u64,
    /// From then on.
    pub(crate) since: Instant,
}

struct Idle {
    connection: Used,
    until: Instant,
    /// A child of this process has the same socket, and must not speak on it.
    process: u32,
}

impl Kept {
    /// One on which the scanner can be asked, as far as anybody can tell: it may be hanging up at this very moment.
    pub(crate) fn take(&self, now: Instant) -> Option<Used> {
        let mut all = self.0.borrow_mut();
        while let Some(idle) = all.pop() {
            if now < idle.until && idle.process == process::id() && is_silent(&idle.connection.socket) {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps one on which the scanner waits for the next request.
    pub(crate) fn keep(&self, connection: Used, now: Instant) {
        let mut all = self.0.borrow_mut();
        let until = match connection.series {
            Some(Series { since, .. }) => since + SERIES,
            None => now + LONGEST_IDLE,
        };
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(Idle { connection, until, process: process::id() });
    }

    /// Closes all.
    pub(crate) fn close(&self) {
        self.0.borrow_mut().clear();
    }

    /// Closes those that nobody has used for a while. When to look again, if there are others.
    pub(crate) fn close_idle(&self, now: Instant) -> Option<Instant> {
        let mut all = self.0.borrow_mut();
        all.retain(|idle| now < idle.until);
        all.iter().map(|idle| idle.until).min()
    }
}

/// Whether the scanner has neither hung up nor said anything that nobody asked for: that would be taken for the answer to
/// the next question.
fn is_silent(socket: &Socket) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(socket, &mut [0; 1], flags), Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;

    use super::*;

    /// Our end of a connection, and the scanner's.
    fn connection() -> (Used, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Used { socket: Rc::new(ours.into()), series: None }, theirs)
    }

    fn is_closed(mut theirs: UnixStream) -> bool {
        theirs.set_nonblocking(true).unwrap();
        // What was not read makes the end a reset.
        !theirs.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    #[test]
    fn a_connection_is_taken_once() {
        let (kept, now) = (Kept::default(), Instant::now());
        let (ours, _theirs) = connection();
        let socket = ours.socket.clone();
        kept.keep(ours, now);
        assert!(kept.take(now).is_some_and(|taken| Rc::ptr_eq(&taken.socket, &socket)));
        assert!(kept.take(now).is_none());
    }

    #[test]
    fn one_that_the_scanner_closed_or_talked_on_is_not_used() {
        let (kept, now) = (Kept::default(), Instant::now());
        let (closed, theirs) = connection();
        drop(theirs);
        let (noisy, mut theirs) = connection();
        theirs.write_all(b"ICAP/1.0 204 Unmodified\r\n\r\n").unwrap();
        kept.keep(closed, now);
        kept.keep(noisy, now);
        assert!(kept.take(now).is_none());
        assert!(is_closed(theirs));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let (kept, now) = (Kept::default(), Instant::now());
        let theirs: Vec<_> = (0..=MOST)
            .map(|_| {
                let (ours, theirs) = connection();
                kept.keep(ours, now);
                theirs
            })
            .collect();
        let closed: Vec<bool> = theirs.into_iter().map(is_closed).collect();
        assert_eq!(closed, [true, false, false]);
    }

    #[test]
    fn each_is_closed_when_it_was_not_used_for_a_while() {
        let (kept, now) = (Kept::default(), Instant::now());
        let (second, third) = (now + Duration::from_secs(1), now + LONGEST_IDLE);
        let (early, early_end) = connection();
        let (late, late_end) = connection();
        kept.keep(early, now);
        kept.keep(late, second);
        assert_eq!(kept.close_idle(second), Some(now + LONGEST_IDLE));
        assert_eq!(kept.close_idle(third), Some(second + LONGEST_IDLE));
        assert!(is_closed(early_end));
        assert!(kept.take(second + LONGEST_IDLE).is_none(), "late, but nobody has looked");
        assert!(is_closed(late_end));
        assert_eq!(kept.close_idle(third), None);
    }

    #[test]
    fn a_session_makes_way_for_others_however_much_it_is_used() {
        let (kept, begin) = (Kept::default(), Instant::now());
        let (mut ours, theirs) = connection();
        ours.series = Some(Series { scans: 1, since: begin });
        let late = begin + SERIES - Duration::from_millis(1);
        kept.keep(ours, late);
        let taken = kept.take(late).unwrap();
        kept.keep(taken, late);
        assert_eq!(kept.close_idle(late), Some(begin + SERIES));
        assert!(kept.take(begin + SERIES).is_none());
        assert!(is_closed(theirs));
    }
}
