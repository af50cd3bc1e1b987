//! Parking a client's open until its file is scanned.
//!
//! smbd has this for opens that wait for an oplock break: the client is told to wait, other requests go on, and the same
//! request enters create_file again when it is resumed. What of that smbd frees when, SAFETY.md says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};

use super::abi::Layout;
use super::guard::guarded;
use super::samba::{self, file_id, smb_request};
use crate::scans;

/// One create request of SMB2, over all its visits to create_file.
///
/// The message id tells the parts of a compound apart, which share one `smbd_smb2_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    smb2req: *mut c_void,
    mid: u64,
}

/// A request that can be parked.
#[derive(Clone, Copy)]
pub struct Parkable {
    id: RequestId,
    req: *mut smb_request,
    xconn: *mut c_void,
}

/// How long smbd is told to keep a parked request. Scans end much earlier, by deadlines of their own.
const KEEP: libc::timeval = libc::timeval { tv_sec: 24 * 60 * 60, tv_usec: 0 };

/// The size of the record that smbd keeps with a parked request. Its own is smaller, private, and asked for two flags
/// and a few pointers; all zero means "a plain deferral that the client may cancel".
const RECORD_SIZE: usize = 512;

thread_local! {
    /// The connections of the requests that live and were followed.
    static FOLLOWED: RefCell<HashMap<RequestId, *mut c_void>> = RefCell::default();
}

impl Parkable {
    /// Looks at a request; `None` for SMB1 and for opens that smbd makes for itself.
    ///
    /// smbd also opens files for some SET_INFO requests, which cannot be parked and look the same here; but those never ask
    /// to see content, and nothing else is ever parked or refused.
    ///
    /// # Safety
    /// `req` is null or what smbd passed to the running create_file, and has the size that the layout says.
    pub(super) unsafe fn new(req: *mut smb_request, layout: &Layout) -> Option<Self> {
        if req.is_null() {
            return None;
        }
        let base = req.cast::<u8>();
        // SAFETY: members of a request of the size that the layout says.
        let (mid, xconn, smb2req) = unsafe {
            (
                base.add(layout.smb_request.mid).cast::<u64>().read(),
                base.add(layout.smb_request.xconn).cast::<*mut c_void>().read(),
                base.add(layout.smb_request.smb2req).cast::<*mut c_void>().read(),
            )
        };
        let id = RequestId { smb2req, mid };
        (!smb2req.is_null() && !xconn.is_null()).then_some(Self { id, req, xconn })
    }

    /// Which request this is.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Parks a request that is [followed](Self::follow): create_file has to return an error next, which the client does not see. Whether it worked.
    pub fn park(&self) -> bool {
        // SAFETY: `req` is valid, since a Parkable lives only within its create_file (it borrows from the hook's
        // arguments); the record is a chunk that smbd takes over.
        unsafe {
            let record = samba::_talloc_zero(std::ptr::null(), RECORD_SIZE, c"vscan: parked open".as_ptr());
            !record.is_null()
                && samba::push_deferred_open_message_smb(self.req, KEEP, file_id::default(), record)
        }
    }

    /// Tells smbd, once the request is back, that it is parked no more: an error would not reach the client otherwise.
    pub fn unpark(&self) {
        // SAFETY: the request and its connection are those of the running create_file.
        unsafe { samba::remove_deferred_open_message_smb(self.xconn, self.id.mid) };
    }

    /// Makes sure that we hear when the request goes away, whether it is answered, cancelled or cut off; without that it
    /// must not be parked.
    pub fn follow(&self) -> bool {
        let known = FOLLOWED.with_borrow(|followed| followed.contains_key(&self.id));
        if known {
            return true;
        }
        let size = size_of::<RequestId>();
        // SAFETY: the chunk is a child of the request and so freed with it, when the destructor runs; it holds a plain
        // RequestId, for which talloc's memory is large and aligned enough.
        unsafe {
            let chunk = samba::_talloc_zero(self.id.smb2req, size, c"vscan: request".as_ptr());
            if chunk.is_null() {
                return false;
            }
            chunk.cast::<RequestId>().write(self.id);
            samba::_talloc_set_destructor(chunk, on_end);
        }
        FOLLOWED.with_borrow_mut(|followed| followed.insert(self.id, self.xconn));
        true
    }
}

/// Lets a parked request enter create_file again; nothing happens if it has gone meanwhile.
pub fn resume(id: RequestId) {
    let xconn = FOLLOWED.with_borrow(|followed| followed.get(&id).copied());
    if let Some(xconn) = xconn {
        // SAFETY: the request lives (else on_end() had removed it), and with it the connection it came over. smbd looks
        // the request up by its number and only schedules it: no hook runs in here.
        unsafe { samba::schedule_deferred_open_message_smb(xconn, id.mid) };
    }
}

/// The destructor of the chunk that a request carries.
unsafe extern "C" fn on_end(chunk: *mut c_void) -> c_int {
    // SAFETY: written by follow().
    let id = unsafe { chunk.cast::<RequestId>().read() };
    guarded(
        || (),
        || {
            FOLLOWED.with_borrow_mut(|followed| followed.remove(&id));
            scans::forget(id);
        },
    );
    0
}
