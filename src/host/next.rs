//! Calls into the next module: what Samba's headers name SMB_VFS_NEXT_*.

use std::ffi::{c_char, c_int};
use std::mem::transmute;

use super::abi::Layout;
use super::samba::{self, CreateFile, NtStatus, vfs_handle_struct};

/// The handle of the next module.
///
/// # Safety
/// `handle` is the handle that smbd passed to the running hook.
unsafe fn next(handle: *mut vfs_handle_struct) -> *mut vfs_handle_struct {
    // SAFETY: `next` is the first member of a vfs_handle_struct in every interface (asserted in shape.h).
    unsafe { handle.cast::<*mut vfs_handle_struct>().read() }
}

/// # Safety
/// Arguments as smbd passed them.
pub(super) unsafe fn connect(
    handle: *mut vfs_handle_struct,
    service: *const c_char,
    user: *const c_char,
) -> c_int {
    // SAFETY: handed on as they came.
    unsafe { samba::smb_vfs_call_connect(next(handle), service, user) }
}

/// # Safety
/// As for [`connect`].
pub(super) unsafe fn disconnect(handle: *mut vfs_handle_struct) {
    // SAFETY: as in connect().
    unsafe { samba::smb_vfs_call_disconnect(next(handle)) }
}

/// # Safety
/// As for [`connect`].
pub(super) unsafe fn close(handle: *mut vfs_handle_struct, fsp: *mut samba::files_struct) -> c_int {
    // SAFETY: as in connect().
    unsafe { samba::smb_vfs_call_close(next(handle), fsp) }
}

/// # Safety
/// As for [`connect`]; the interface has this form of openat.
pub(super) unsafe fn openat_with_how(
    handle: *mut vfs_handle_struct,
    dirfsp: *const samba::files_struct,
    smb_fname: *const samba::smb_filename,
    fsp: *mut samba::files_struct,
    how: *const samba::vfs_open_how,
) -> c_int {
    // SAFETY: from interface 47 on smb_vfs_call_openat has this type (samba-headers, OPENAT_TAKES_HOW).
    let call: samba::OpenatWithHow = unsafe { transmute(samba::smb_vfs_call_openat as *const ()) };
    // SAFETY: handed on as they came.
    unsafe { call(next(handle), dirfsp, smb_fname, fsp, how) }
}

/// # Safety
/// As for [`connect`]; the interface has this form of openat.
pub(super) unsafe fn openat_with_flags(
    handle: *mut vfs_handle_struct,
    dirfsp: *const samba::files_struct,
    smb_fname: *const samba::smb_filename,
    fsp: *mut samba::files_struct,
    flags: c_int,
    mode: libc::mode_t,
) -> c_int {
    // SAFETY: up to interface 46 smb_vfs_call_openat has this type (samba-headers, OPENAT_TAKES_HOW).
    let call: samba::OpenatWithFlags = unsafe { transmute(samba::smb_vfs_call_openat as *const ()) };
    // SAFETY: handed on as they came.
    unsafe { call(next(handle), dirfsp, smb_fname, fsp, flags, mode) }
}

/// # Safety
/// As for [`connect`].
pub(super) unsafe fn create_file(
    handle: *mut vfs_handle_struct,
    layout: &Layout,
    call: &CreateFile,
) -> NtStatus {
    let CreateFile { req, dirfsp, smb_fname, access_mask, share_access, create_disposition, .. } = *call;
    let CreateFile { create_options, file_attributes, oplock_request, lease, allocation_size, .. } = *call;
    let CreateFile { private_flags, sd, ea_list, result, pinfo, in_context_blobs, out_context_blobs, .. } = *call;
    let target = samba::smb_vfs_call_create_file as *const ();
    if layout.create_file_takes_dirfsp {
        // SAFETY: the layout says which of the two types the function has; the arguments are handed on as they came.
        unsafe {
            let function: samba::CreateFileWithDirfsp = transmute(target);
            #[rustfmt::skip]
            let status = function(
                next(handle), req, dirfsp, smb_fname, access_mask, share_access, create_disposition, create_options,
                file_attributes, oplock_request, lease, allocation_size, private_flags, sd, ea_list, result, pinfo,
                in_context_blobs, out_context_blobs,
            );
            status
        }
    } else {
        // SAFETY: as above.
        unsafe {
            let function: samba::CreateFileWithoutDirfsp = transmute(target);
            #[rustfmt::skip]
            let status = function(
                next(handle), req, smb_fname, access_mask, share_access, create_disposition, create_options,
                file_attributes, oplock_request, lease, allocation_size, private_flags, sd, ea_list, result, pinfo,
                in_context_blobs, out_context_blobs,
            );
            status
        }
    }
}
