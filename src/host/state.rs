//! Our own data on Samba's objects: a [`Share`] per connection, a [`Writer`] per file that is open for writing.

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::rc::Rc;

use super::abi::Layout;
use super::samba::{self, files_struct, vfs_handle_struct};
use crate::share::{Share, Writer};

/// Hangs the share on the handle, to be freed with it.
///
/// # Safety
/// `handle` is the handle of the running connect hook, laid out as `layout` says.
pub(super) unsafe fn attach(handle: *mut vfs_handle_struct, layout: &Layout, share: Share) {
    let share = Rc::into_raw(Rc::new(share)).cast::<c_void>().cast_mut();
    let handle = handle.cast::<u8>();
    // SAFETY: both members are ours to set (Samba's SMB_VFS_HANDLE_SET_DATA assigns the same two), and connect
    // runs once per handle, so nothing is overwritten.
    unsafe {
        handle.add(layout.vfs_handle_struct.data).cast::<*mut c_void>().write(share);
        let free = handle.add(layout.vfs_handle_struct.free_data);
        free.cast::<unsafe extern "C" fn(*mut *mut c_void)>().write(free_share);
    }
}

/// Called by Samba when the connection goes away.
unsafe extern "C" fn free_share(data: *mut *mut c_void) {
    // SAFETY: Samba passes the address of the handle's data member, which attach() has filled; it calls once,
    // and taking the pointer out makes a second call harmless.
    let share = unsafe { data.replace(std::ptr::null_mut()) }.cast::<Share>().cast_const();
    if !share.is_null() {
        // SAFETY: made by Rc::into_raw in attach(). A scan of a closed file may keep the share for longer than the handle.
        super::guard::guarded(|| (), || drop(unsafe { Rc::from_raw(share) }));
    }
}

/// The share of a handle; `None` when connect has not succeeded.
///
/// # Safety
/// `handle` is the handle of the running hook.
pub(super) unsafe fn share(handle: *mut vfs_handle_struct, layout: &Layout) -> Option<Rc<Share>> {
    // SAFETY: the member is null or what attach() put there, and is freed with the handle, after its last hook.
    let share =
        unsafe { handle.cast::<u8>().add(layout.vfs_handle_struct.data).cast::<*const Share>().read() };
    if share.is_null() {
        return None;
    }
    // SAFETY: from Rc::into_raw; the handle keeps its own count.
    unsafe {
        Rc::increment_strong_count(share);
        Some(Rc::from_raw(share))
    }
}

/// A writer and the number of the descriptor it writes through.
pub(super) struct OpenForWriting {
    pub fd: c_int,
    pub writer: Writer,
}

/// Remembers that `fsp` writes through this descriptor, or (with `None`) that it no longer does.
///
/// # Safety
/// `handle` and `fsp` are those of the running hook.
pub(super) unsafe fn set_writer(
    handle: *mut vfs_handle_struct,
    fsp: *mut files_struct,
    writer: Option<OpenForWriting>,
) {
    // SAFETY: the caller's promise.
    drop(unsafe { take_writer(handle, fsp) });
    let Some(writer) = writer else { return };
    // SAFETY: the memory is zeroed, of the size asked for, and lives until the extension is removed or the fsp freed;
    // either calls the destructor.
    let slot = unsafe {
        samba::vfs_add_fsp_extension_notype(handle, fsp, size_of::<*mut c_void>(), Some(free_writer))
    };
    if !slot.is_null() {
        // SAFETY: talloc memory is aligned for pointers.
        unsafe { slot.cast::<*mut OpenForWriting>().write(Box::into_raw(Box::new(writer))) };
    }
}

/// Takes the writer of an fsp whose descriptor is about to be closed, if it writes through that one.
///
/// smbd opens a file once more through an fsp that already has a descriptor, and closes the older one after that.
///
/// # Safety
/// As for [`set_writer`].
pub(super) unsafe fn take_closing_writer(
    handle: *mut vfs_handle_struct,
    fsp: *mut files_struct,
) -> Option<Box<OpenForWriting>> {
    // SAFETY: as in take_writer(); the memory holds null or a Box of ours, which is only looked at.
    let fd = unsafe {
        let slot = samba::vfs_fetch_fsp_extension(handle, fsp).cast::<*const OpenForWriting>();
        slot.as_ref()?.as_ref()?.fd
    };
    // SAFETY: the fsp is smbd's.
    let closing = unsafe { samba::fsp_fd(fsp) };
    if closing.is_some_and(|closing| closing != fd) {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { take_writer(handle, fsp) }
}

/// Takes what [`set_writer`] has left.
///
/// # Safety
/// As for [`set_writer`].
unsafe fn take_writer(handle: *mut vfs_handle_struct, fsp: *mut files_struct) -> Option<Box<OpenForWriting>> {
    // SAFETY: returns our memory or null; extensions are kept per handle, so nobody else's comes back.
    let slot = unsafe { samba::vfs_fetch_fsp_extension(handle, fsp) }.cast::<*mut OpenForWriting>();
    if slot.is_null() {
        return None;
    }
    // SAFETY: written by set_writer(); the null that is left tells the destructor that nothing is to be freed.
    let writer = unsafe { slot.replace(std::ptr::null_mut()) };
    // SAFETY: the extension exists; the destructor runs in here.
    unsafe { samba::vfs_remove_fsp_extension(handle, fsp) };
    // SAFETY: made by Box::into_raw in set_writer(), and taken out above.
    (!writer.is_null()).then(|| unsafe { Box::from_raw(writer) })
}

unsafe extern "C" fn free_writer(slot: *mut c_void) {
    // SAFETY: the memory that set_writer() asked for; null or a Box of ours is in it.
    unsafe {
        let writer = slot.cast::<*mut OpenForWriting>().replace(std::ptr::null_mut());
        if !writer.is_null() {
            drop(Box::from_raw(writer));
        }
    }
}
