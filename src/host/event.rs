//! smbd's event loop: being told when a socket is ready or a time has come.
//!
//! What is told is the number of a scan or of [work for later](Work), not a pointer: an event that comes late finds nothing
//! and does no harm.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use vscan_engine::queue::Ticket;
use vscan_engine::scan::exchange::Wait;

use super::guard::guarded;
use super::samba::{self, OnTime, tevent_context, tevent_fd, tevent_signal, tevent_timer};
use crate::later::{self, Work};
use crate::{notices, scans};

const READ: u16 = 1;
const WRITE: u16 = 2;

/// A socket that is watched for as long as this lives.
pub struct Watch {
    event: NonNull<tevent_fd>,
    wait: Wait,
}

impl Watch {
    /// Watches a socket; `None` when smbd is out of memory.
    pub fn new(socket: BorrowedFd<'_>, wait: Wait, ticket: Ticket) -> Option<Self> {
        let (fd, flags) = (socket.as_raw_fd(), flags(wait));
        // SAFETY: smbd's loop exists as long as hooks and events run; the event is ours to free, which `drop` does before
        // the socket is closed (see the order of fields of whoever owns both).
        let event = unsafe {
            let (context, private) = (samba::global_event_context(), to_private(ticket));
            #[rustfmt::skip]
            let event = samba::_tevent_add_fd(
                context, parent(), fd, flags, on_socket, private, c"vscan".as_ptr(), c"vscan".as_ptr(),
            );
            event
        };
        NonNull::new(event).map(|event| Self { event, wait })
    }

    /// Changes what is watched for.
    pub fn set(&mut self, wait: Wait) {
        if self.wait != wait {
            self.wait = wait;
            // SAFETY: the event lives as long as `self`.
            unsafe { samba::tevent_fd_set_flags(self.event.as_ptr(), flags(wait)) };
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: made by new() and freed once; a handler may free its own event.
        unsafe { samba::_talloc_free(self.event.as_ptr().cast(), c"vscan".as_ptr()) };
    }
}

/// A moment that is waited for as long as this lives.
pub struct Timer {
    event: NonNull<tevent_timer>,
    at: Instant,
}

impl Timer {
    /// Waits for a moment in a scan; `None` when smbd is out of memory.
    pub fn for_scan(at: Instant, ticket: Ticket) -> Option<Self> {
        Self::new(at, on_time_of_scan, to_private(ticket))
    }

    /// Waits for the time of work; `None` when smbd is out of memory.
    pub fn for_work(at: Instant, work: Work) -> Option<Self> {
        Self::new(at, on_time_of_work, ptr::without_provenance_mut(work as usize))
    }

    fn new(at: Instant, handler: OnTime, private: *mut c_void) -> Option<Self> {
        // tevent's times are of the wall clock. Where that jumps, the moment comes early or late; a scan that is woken
        // early looks at the monotonic clock and waits on.
        let wall = SystemTime::now() + at.saturating_duration_since(Instant::now());
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let when = libc::timeval {
            tv_sec: libc::time_t::try_from(since.as_secs()).unwrap_or(libc::time_t::MAX),
            // Below a million.
            tv_usec: libc::suseconds_t::from(since.subsec_micros()),
        };
        // SAFETY: as in Watch::new(); tevent frees an event after its handler, see has_fired().
        let event = unsafe {
            let (context, vscan) = (samba::global_event_context(), c"vscan".as_ptr());
            samba::_tevent_add_timer(context, parent(), when, handler, private, vscan, vscan)
        };
        NonNull::new(event).map(|event| Self { event, at })
    }

    /// The moment.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// The moment has come, and tevent frees the event by itself.
    pub fn has_fired(self) {
        std::mem::forget(self);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: made by new() and not fired (then it is forgotten), so it is still ours.
        unsafe { samba::_talloc_free(self.event.as_ptr().cast(), c"vscan".as_ptr()) };
    }
}

/// The talloc parent of all our events. Without one they would belong to smbd's loop and be freed with it, before
/// [`finish_at_exit`] has ended the scans that own them.
fn parent() -> *const c_void {
    static PARENT: OnceLock<usize> = OnceLock::new();
    let address = PARENT.get_or_init(|| {
        // SAFETY: a chunk without a parent of its own, for the life of the process; null (out of memory) is also allowed
        // as a parent.
        unsafe { samba::_talloc_zero(ptr::null(), 1, c"vscan: events".as_ptr()) }.expose_provenance()
    });
    ptr::with_exposed_provenance(*address)
}

fn flags(wait: Wait) -> u16 {
    match wait {
        Wait::Readable => READ,
        Wait::Writable => WRITE,
        Wait::Both => READ | WRITE,
        Wait::Pause => 0,
    }
}

/// A ticket is a number, and travels as one.
fn to_private(ticket: Ticket) -> *mut c_void {
    ptr::without_provenance_mut(usize::try_from(ticket.0).unwrap_or(usize::MAX))
}

fn from_private(private: *mut c_void) -> Ticket {
    Ticket(private.addr() as u64)
}

unsafe extern "C" fn on_socket(_: *mut tevent_context, _: *mut tevent_fd, _: u16, private: *mut c_void) {
    guarded(|| (), || scans::on_socket(from_private(private)));
}

unsafe extern "C" fn on_time_of_scan(
    _: *mut tevent_context,
    _: *mut tevent_timer,
    _: libc::timeval,
    private: *mut c_void,
) {
    guarded(|| (), || scans::on_time(from_private(private)));
}

unsafe extern "C" fn on_time_of_work(
    _: *mut tevent_context,
    _: *mut tevent_timer,
    _: libc::timeval,
    private: *mut c_void,
) {
    guarded(|| (), || later::on_time(private.addr()));
}

/// Has what is still to be done when this smbd ends done then: close-scans that are under way, and events in memory.
pub fn finish_at_exit() {
    thread_local!(static IS_SET: Cell<bool> = const { Cell::new(false) });
    if IS_SET.replace(true) {
        return;
    }
    // SAFETY: the chunk belongs to the loop, which smbd frees as it ends, in the client's own process only: nobody
    // connects to the parent. The destructor needs nothing of the chunk.
    unsafe {
        let context = samba::global_event_context();
        let chunk = samba::_talloc_zero(context.cast(), 1, c"vscan: finish".as_ptr());
        if !chunk.is_null() {
            samba::_talloc_set_destructor(chunk, at_exit);
        }
        // smbd removes its own handler well before it frees the loop. With another one in place, a SIGTERM that comes
        // in between is only counted, rather than ending the process before at_exit() is called.
        let (none, handler, place) = (ptr::null_mut(), c"vscan".as_ptr(), c"vscan".as_ptr());
        samba::_tevent_add_signal(context, parent(), libc::SIGTERM, 0, on_sigterm, none, handler, place);
    }
}

/// What there is to do is smbd's business.
unsafe extern "C" fn on_sigterm(
    _: *mut tevent_context,
    _: *mut tevent_signal,
    _: c_int,
    _: c_int,
    _: *mut c_void,
    _: *mut c_void,
) {
}

unsafe extern "C" fn at_exit(_: *mut c_void) -> c_int {
    // The loop has removed all handlers by now, so SIGTERM would kill the process with scans undone and unnamed; and it does
    // come twice: systemd sends it to all of smbd's processes, and so does the parent once it ends itself.
    // SAFETY: changes what a signal does and nothing else; the process is about to exit.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    guarded(|| (), scans::finish_all);
    guarded(|| (), notices::send_all);
    // All that was planned has been done. A timer that was made in here still points into the loop, which is freed next.
    guarded(|| (), later::forget_all);
    0
}
