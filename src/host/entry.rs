//! What smbd calls: the entry point of the module and one C function per hook.
//!
//! Each hook has the same three parts: its own work before, the next module, its own work after. The own work is safe
//! Rust in `hooks`, run under the guard; the call to the next module is outside it, so that no panic can skip or repeat it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use vscan_engine::log::Level;

use super::abi::{self, Layout};
use super::guard::{errno, guarded, log_panics, set_access_denied, set_errno};
use super::params::{self, Params};
use super::park::Parkable;
use super::samba::{
    self, CreateFile, NtStatus, files_struct, smb_filename, smb_request, vfs_handle_struct, vfs_open_how,
};
use super::views::{HostFd, OpenRequest, string_at};
use super::{log, next, state};
use crate::hooks;
use crate::hooks::create_file::Before;
use crate::hooks::openat::Descriptor;
use crate::share::Connected;

/// Called by smbd once it has loaded vscan.so.
#[unsafe(no_mangle)]
pub extern "C" fn samba_init_module(_ctx: *mut c_void) -> NtStatus {
    guarded(
        || NtStatus::NOT_SUPPORTED,
        || {
            log_panics();
            log::register_class();
            let version = params::samba_version();
            match abi::choose(&version) {
                Some(layout) => register(layout),
                None => {
                    log::line(Level::Error, &unknown_version(&version));
                    NtStatus::NOT_SUPPORTED
                }
            }
        },
    )
}

fn unknown_version(version: &str) -> String {
    format!(
        "vscan {} does not know the VFS interface of Samba {version}: it serves Samba {}. Shares with \
         \"vfs objects = vscan\" stay closed; install a vscan that knows this Samba, or build one with a header for it \
         (samba-headers/README.md)",
        env!("CARGO_PKG_VERSION"),
        abi::served()
    )
}

/// Hands smbd our table of functions: empty but for the hooks, as long as this interface wants it.
fn register(layout: &Layout) -> NtStatus {
    let at = &layout.vfs_fn_pointers;
    let mut table: Vec<*const c_void> = vec![ptr::null(); at.slots];
    let hooks = [
        (at.connect, connect as *const c_void),
        (at.disconnect, disconnect as *const c_void),
        (at.close, close as *const c_void),
        (at.create_file, pick(layout.create_file_takes_dirfsp, create_file_43_47 as _, create_file_44 as _)),
        (at.openat, pick(layout.openat_takes_how, openat_47 as _, openat_43 as _)),
    ];
    for (slot, hook) in hooks {
        if let Some(place) = table.get_mut(slot) {
            *place = hook;
        }
    }
    let table = table.leak().as_ptr().cast();
    let interface = c_int::try_from(layout.interface).unwrap_or(-1);
    // SAFETY: the name is NUL-terminated, and the table is leaked: smbd keeps both pointers for its life.
    unsafe { samba::smb_register_vfs(interface, c"vscan".as_ptr(), table) }
}

fn pick(first: bool, yes: *const c_void, no: *const c_void) -> *const c_void {
    if first { yes } else { no }
}

/// # Safety
/// Called by smbd with a valid handle and NUL-terminated strings, as are all hooks below.
unsafe extern "C" fn connect(
    handle: *mut vfs_handle_struct,
    service: *const c_char,
    user: *const c_char,
) -> c_int {
    let Some(layout) = abi::layout() else { return -1 };
    // Before the next module connects: what is refused here must not have to be taken back there.
    // SAFETY: the handle is smbd's.
    let checked = guarded(|| false, || unsafe { layout_fits(handle, layout) });
    if !checked {
        set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: arguments as they came.
    let result = unsafe { next::connect(handle, service, user) };
    if result < 0 {
        return result;
    }
    let attached = guarded(
        || false,
        || {
            // SAFETY: smbd passes NUL-terminated strings; the layout has been checked; connectpath is set before connect.
            unsafe {
                let conn = conn_of(handle, layout);
                let user = CStr::from_ptr(user).to_string_lossy();
                let connected = Connected {
                    share: &CStr::from_ptr(service).to_string_lossy(),
                    user: &user,
                    session: params::session(&user),
                    path: string_at(conn.cast(), layout.connection_struct.connectpath)
                        .map_or(b"/", CStr::to_bytes),
                    client: &params::client_address(),
                };
                let share = hooks::connect::connect(connected, Params::of_share(CStr::from_ptr(service)));
                share.map(|share| state::attach(handle, layout, share)).is_some()
            }
        },
    );
    if attached {
        return result;
    }
    // SAFETY: undoes the connect of the next module that succeeded above.
    unsafe { next::disconnect(handle) };
    set_errno(libc::EIO);
    -1
}

/// The connection of a handle.
///
/// # Safety
/// The handle is smbd's and as large as the layout says.
unsafe fn conn_of(handle: *mut vfs_handle_struct, layout: &Layout) -> *const c_void {
    // SAFETY: a pointer member within the handle.
    unsafe { handle.cast::<u8>().add(layout.vfs_handle_struct.conn).cast::<*const c_void>().read() }
}

/// Whether smbd's objects are as large as the layout says: another build of the same version may differ.
///
/// # Safety
/// The handle is smbd's.
unsafe fn layout_fits(handle: *mut vfs_handle_struct, layout: &Layout) -> bool {
    // SAFETY: a handle is a talloc chunk of its own in every version.
    let handle_size = unsafe { samba::talloc_get_size(handle.cast()) };
    if !abi::size_fits("vfs_handle_struct", handle_size, layout.vfs_handle_struct.size) {
        return false;
    }
    // SAFETY: the handle has the size of the layout; a connection is a talloc chunk of its own in every version.
    let conn_size = unsafe { samba::talloc_get_size(conn_of(handle, layout)) };
    abi::size_fits("connection_struct", conn_size, layout.connection_struct.size)
}

/// Whether a request is as large as the layout says, or absent. If it is not, the names beside it may be laid out
/// otherwise as well.
///
/// # Safety
/// `req` is null or what smbd passed to the running create_file.
unsafe fn request_fits(req: *const smb_request, layout: &Layout) -> bool {
    if req.is_null() {
        return true;
    }
    // SAFETY: the requests that smbd passes to create_file are talloc chunks of their own.
    let found = unsafe { samba::talloc_get_size(req.cast()) };
    abi::size_fits("smb_request", found, layout.smb_request.size)
}

unsafe extern "C" fn disconnect(handle: *mut vfs_handle_struct) {
    if let Some(layout) = abi::layout() {
        // SAFETY: the handle is smbd's, and the reference ends with this statement.
        if let Some(share) = unsafe { state::share(handle, layout) } {
            guarded(|| (), || hooks::disconnect::disconnect(&share));
        }
    }
    // SAFETY: arguments as they came. The share itself is freed with the handle.
    unsafe { next::disconnect(handle) };
}

/// create_file of the interfaces with a directory argument; its type differs in 43, where it is also handed on unread.
#[rustfmt::skip]
unsafe extern "C" fn create_file_43_47(
    handle: *mut vfs_handle_struct, req: *mut smb_request, dirfsp: *mut c_void, smb_fname: *mut smb_filename,
    access_mask: u32, share_access: u32, create_disposition: u32, create_options: u32, file_attributes: u32,
    oplock_request: u32, lease: *const samba::smb2_lease, allocation_size: u64, private_flags: u32,
    sd: *mut samba::security_descriptor, ea_list: *mut samba::ea_list, result: *mut *mut files_struct,
    pinfo: *mut c_int, in_context_blobs: *const samba::smb2_create_blobs,
    out_context_blobs: *mut samba::smb2_create_blobs,
) -> NtStatus {
    let call = CreateFile {
        req, dirfsp, smb_fname, access_mask, share_access, create_disposition, create_options, file_attributes,
        oplock_request, lease, allocation_size, private_flags, sd, ea_list, result, pinfo, in_context_blobs,
        out_context_blobs,
    };
    // SAFETY: arguments as they came.
    unsafe { create_file(handle, &call) }
}

#[rustfmt::skip]
unsafe extern "C" fn create_file_44(
    handle: *mut vfs_handle_struct, req: *mut smb_request, smb_fname: *mut smb_filename, access_mask: u32,
    share_access: u32, create_disposition: u32, create_options: u32, file_attributes: u32, oplock_request: u32,
    lease: *const samba::smb2_lease, allocation_size: u64, private_flags: u32, sd: *mut samba::security_descriptor,
    ea_list: *mut samba::ea_list, result: *mut *mut files_struct, pinfo: *mut c_int,
    in_context_blobs: *const samba::smb2_create_blobs, out_context_blobs: *mut samba::smb2_create_blobs,
) -> NtStatus {
    let call = CreateFile {
        req, dirfsp: ptr::null_mut(), smb_fname, access_mask, share_access, create_disposition, create_options,
        file_attributes, oplock_request, lease, allocation_size, private_flags, sd, ea_list, result, pinfo,
        in_context_blobs, out_context_blobs,
    };
    // SAFETY: arguments as they came.
    unsafe { create_file(handle, &call) }
}

unsafe fn create_file(handle: *mut vfs_handle_struct, call: &CreateFile) -> NtStatus {
    let Some(layout) = abi::layout() else { return NtStatus::NOT_SUPPORTED };
    // SAFETY: the handle is smbd's.
    let Some(share) = (unsafe { state::share(handle, layout) }) else { return NtStatus::ACCESS_DENIED };
    // SAFETY: the request is smbd's.
    if !guarded(|| false, || unsafe { request_fits(call.req, layout) }) {
        return NtStatus::ACCESS_DENIED;
    }
    let grants = share.grants();
    let before = guarded(
        || hooks::create_file::after_panic(&share),
        || {
            // SAFETY: the arguments are smbd's and valid until the hook returns; the request has been checked.
            let request = unsafe { OpenRequest::new(call, layout) };
            hooks::create_file::before(&share, &request)
        },
    );
    let status = match before {
        Before::Refuse(status) => {
            // smbd itself may have had this request waiting, for an oplock that somebody held, and would go on waiting.
            // SAFETY: the request is that of the hook.
            guarded(|| (), || unsafe { Parkable::new(call.req, layout) }.iter().for_each(Parkable::unpark));
            status
        }
        // Not seen by the client: smbd looks whether the request was parked first.
        Before::Parked => NtStatus::SHARING_VIOLATION,
        // SAFETY: arguments as they came.
        Before::GoOn => unsafe { next::create_file(handle, layout, call) },
    };
    guarded(|| (), || share.end_grants_above(grants));
    status
}

unsafe extern "C" fn openat_47(
    handle: *mut vfs_handle_struct,
    dirfsp: *const files_struct,
    smb_fname: *const smb_filename,
    fsp: *mut files_struct,
    how: *const vfs_open_how,
) -> c_int {
    // SAFETY: arguments as they came.
    unsafe {
        let fd = next::openat_with_how(handle, dirfsp, smb_fname, fsp, how);
        after_openat(handle, fsp, fd)
    }
}

unsafe extern "C" fn openat_43(
    handle: *mut vfs_handle_struct,
    dirfsp: *const files_struct,
    smb_fname: *const smb_filename,
    fsp: *mut files_struct,
    flags: c_int,
    mode: libc::mode_t,
) -> c_int {
    // SAFETY: arguments as they came.
    unsafe {
        let fd = next::openat_with_flags(handle, dirfsp, smb_fname, fsp, flags, mode);
        after_openat(handle, fsp, fd)
    }
}

/// Keeps a descriptor whose content may not be seen from leaving the module.
///
/// # Safety
/// The arguments of the running openat hook, and the next module's answer.
unsafe fn after_openat(handle: *mut vfs_handle_struct, fsp: *mut files_struct, fd: c_int) -> c_int {
    if fd < 0 {
        return fd;
    }
    let Some(layout) = abi::layout() else { return fd };
    // SAFETY: the handle is smbd's.
    let share = unsafe { state::share(handle, layout) };
    let opened = guarded(
        || share.as_ref().map_or(Descriptor::Refused, |share| hooks::openat::after_panic(share)),
        || {
            // SAFETY: the next module has just opened `fd`, and nobody closes it meanwhile.
            let descriptor = unsafe { HostFd::new(fd) };
            share.as_ref().map_or(Descriptor::Refused, |share| hooks::openat::after(share, descriptor))
        },
    );
    match opened {
        Descriptor::PointsOnly => fd,
        Descriptor::Granted(writer) => {
            guarded(
                || (),
                || {
                    let writer = writer.map(|writer| state::OpenForWriting { fd, writer });
                    // SAFETY: handle and fsp are those of the hook.
                    unsafe { state::set_writer(handle, fsp, writer) };
                },
            );
            fd
        }
        Descriptor::Refused => {
            // SAFETY: smbd has not seen the descriptor yet, so it is ours to close.
            unsafe { libc::close(fd) };
            set_access_denied();
            -1
        }
    }
}

unsafe extern "C" fn close(handle: *mut vfs_handle_struct, fsp: *mut files_struct) -> c_int {
    let layout = abi::layout();
    let scan = guarded(
        || None,
        || {
            // SAFETY: handle and fsp are smbd's; the descriptor is the one that openat gave for this fsp, which smbd closes
            // only through this hook.
            unsafe {
                let open = state::take_closing_writer(handle, fsp)?;
                let share = state::share(handle, layout?)?;
                hooks::close::before(&share, HostFd::new(open.fd), open.writer)
            }
        },
    );
    // SAFETY: arguments as they came.
    let result = unsafe { next::close(handle, fsp) };
    let (Some(scan), Some(layout)) = (scan, layout) else { return result };
    let after = errno();
    let denied = guarded(
        || false,
        || {
            // SAFETY: as above.
            unsafe { state::share(handle, layout) }.is_some_and(|share| hooks::close::after(&share, scan))
        },
    );
    // What the file system says of the close comes first: EIO or ENOSPC mean lost data.
    if denied && result == 0 {
        set_access_denied();
        return -1;
    }
    set_errno(after);
    result
}
