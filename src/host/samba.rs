//! What smbd exports and we call, and the types that only smbd may look into.
//!
//! Every function here is exported by Samba 4.13 to 4.25. The symbols stay undefined in vscan.so and bind when smbd
//! loads it. Names keep Samba's spelling.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

/// A type of Samba's or talloc's that is only ever handed on.
macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub struct $name { _private: [u8; 0] }
    )*};
}

opaque! {
    ea_list
    files_struct
    security_descriptor
    smb2_create_blobs
    smb2_lease
    smb_filename
    smb_request
    tevent_context
    tevent_fd
    tevent_signal
    tevent_timer
    vfs_handle_struct
}

/// NT_STATUS codes, as they go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct NtStatus(pub u32);

impl NtStatus {
    pub const ACCESS_DENIED: Self = Self(0xC000_0022);
    pub const SHARING_VIOLATION: Self = Self(0xC000_0043);
    pub const NOT_SUPPORTED: Self = Self(0xC000_00BB);
    pub const VIRUS_INFECTED: Self = Self(0xC000_0906);
}

/// A file's id in Samba's databases; passed by value.
#[derive(Default)]
#[repr(C)]
pub struct file_id {
    pub devid: u64,
    pub inode: u64,
    pub extid: u64,
}

/// A handler of a socket event.
pub type OnSocket = unsafe extern "C" fn(*mut tevent_context, *mut tevent_fd, u16, *mut c_void);

/// A handler of a timer.
pub type OnTime = unsafe extern "C" fn(*mut tevent_context, *mut tevent_timer, libc::timeval, *mut c_void);

/// A handler of a signal: its number, how often it came, and a `siginfo_t` follow the event.
pub type OnSignal =
    unsafe extern "C" fn(*mut tevent_context, *mut tevent_signal, c_int, c_int, *mut c_void, *mut c_void);

/// The argument of openat from interface 47 on.
#[repr(C)]
pub struct vfs_open_how {
    pub flags: c_int,
    pub mode: libc::mode_t,
    pub resolve: u64,
}

/// The arguments of create_file that vscan hands on unread, in the order of the C function.
#[derive(Clone, Copy)]
pub struct CreateFile {
    pub req: *mut smb_request,
    /// A `files_struct *` from interface 47 on, a `files_struct **` in 43, absent in 44 to 46.
    pub dirfsp: *mut c_void,
    pub smb_fname: *mut smb_filename,
    pub access_mask: u32,
    pub share_access: u32,
    pub create_disposition: u32,
    pub create_options: u32,
    pub file_attributes: u32,
    pub oplock_request: u32,
    pub lease: *const smb2_lease,
    pub allocation_size: u64,
    pub private_flags: u32,
    pub sd: *mut security_descriptor,
    pub ea_list: *mut ea_list,
    pub result: *mut *mut files_struct,
    pub pinfo: *mut c_int,
    pub in_context_blobs: *const smb2_create_blobs,
    pub out_context_blobs: *mut smb2_create_blobs,
}

/// create_file with a directory argument (interfaces 43 and 47 to 53).
pub type CreateFileWithDirfsp = unsafe extern "C" fn(
    *mut vfs_handle_struct,
    *mut smb_request,
    *mut c_void,
    *mut smb_filename,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    *const smb2_lease,
    u64,
    u32,
    *mut security_descriptor,
    *mut ea_list,
    *mut *mut files_struct,
    *mut c_int,
    *const smb2_create_blobs,
    *mut smb2_create_blobs,
) -> NtStatus;

/// create_file without it (interfaces 44 to 46).
pub type CreateFileWithoutDirfsp = unsafe extern "C" fn(
    *mut vfs_handle_struct,
    *mut smb_request,
    *mut smb_filename,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    *const smb2_lease,
    u64,
    u32,
    *mut security_descriptor,
    *mut ea_list,
    *mut *mut files_struct,
    *mut c_int,
    *const smb2_create_blobs,
    *mut smb2_create_blobs,
) -> NtStatus;

/// openat with the flags as arguments (interfaces 43 to 46).
pub type OpenatWithFlags = unsafe extern "C" fn(
    *mut vfs_handle_struct,
    *const files_struct,
    *const smb_filename,
    *mut files_struct,
    c_int,
    libc::mode_t,
) -> c_int;

/// openat with the flags in a struct (interfaces 47 to 53).
pub type OpenatWithHow = unsafe extern "C" fn(
    *mut vfs_handle_struct,
    *const files_struct,
    *const smb_filename,
    *mut files_struct,
    *const vfs_open_how,
) -> c_int;

unsafe extern "C" {
    pub fn samba_version_string() -> *const c_char;
    pub fn smb_register_vfs(version: c_int, name: *const c_char, fns: *const c_void) -> NtStatus;

    pub fn smb_vfs_call_connect(
        handle: *mut vfs_handle_struct,
        service: *const c_char,
        user: *const c_char,
    ) -> c_int;
    pub fn smb_vfs_call_disconnect(handle: *mut vfs_handle_struct);
    pub fn smb_vfs_call_close(handle: *mut vfs_handle_struct, fsp: *mut files_struct) -> c_int;
    // Their true types depend on the interface; next.rs casts them to one of the types above.
    pub fn smb_vfs_call_create_file();
    pub fn smb_vfs_call_openat();

    pub fn vfs_add_fsp_extension_notype(
        handle: *mut vfs_handle_struct,
        fsp: *mut files_struct,
        size: usize,
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> *mut c_void;
    pub fn vfs_fetch_fsp_extension(handle: *mut vfs_handle_struct, fsp: *const files_struct) -> *mut c_void;
    pub fn vfs_remove_fsp_extension(handle: *mut vfs_handle_struct, fsp: *mut files_struct);

    pub fn lp_servicenumber(service: *const c_char) -> c_int;
    pub fn lp_parm_const_string(
        snum: c_int,
        kind: *const c_char,
        option: *const c_char,
        default: *const c_char,
    ) -> *const c_char;
    pub fn talloc_sub_basic(
        ctx: *const c_void,
        user: *const c_char,
        domain: *const c_char,
        text: *const c_char,
    ) -> *mut c_char;

    pub fn talloc_get_size(chunk: *const c_void) -> usize;
    pub fn _talloc_free(chunk: *mut c_void, location: *const c_char) -> c_int;

    pub fn _talloc_zero(context: *const c_void, size: usize, name: *const c_char) -> *mut c_void;
    pub fn _talloc_set_destructor(
        chunk: *const c_void,
        destructor: unsafe extern "C" fn(*mut c_void) -> c_int,
    );

    pub fn push_deferred_open_message_smb(
        req: *mut smb_request,
        timeout: libc::timeval,
        id: file_id,
        record: *mut c_void,
    ) -> bool;
    pub fn schedule_deferred_open_message_smb(xconn: *mut c_void, mid: u64) -> bool;
    pub fn remove_deferred_open_message_smb(xconn: *mut c_void, mid: u64);

    pub fn global_event_context() -> *mut tevent_context;
    pub fn _tevent_add_fd(
        context: *mut tevent_context,
        parent: *const c_void,
        fd: c_int,
        flags: u16,
        handler: OnSocket,
        private: *mut c_void,
        handler_name: *const c_char,
        location: *const c_char,
    ) -> *mut tevent_fd;
    pub fn tevent_fd_set_flags(event: *mut tevent_fd, flags: u16);
    pub fn _tevent_add_timer(
        context: *mut tevent_context,
        parent: *const c_void,
        when: libc::timeval,
        handler: OnTime,
        private: *mut c_void,
        handler_name: *const c_char,
        location: *const c_char,
    ) -> *mut tevent_timer;
    pub fn _tevent_add_signal(
        context: *mut tevent_context,
        parent: *const c_void,
        number: c_int,
        flags: c_int,
        handler: OnSignal,
        private: *mut c_void,
        handler_name: *const c_char,
        location: *const c_char,
    ) -> *mut tevent_signal;

    pub fn become_root();
    pub fn unbecome_root();

    pub fn debug_add_class(name: *const c_char) -> c_int;
    pub fn debuglevel_get_class(class: usize) -> c_int;
    pub fn dbghdrclass(level: c_int, class: c_int, location: *const c_char, function: *const c_char) -> bool;
    pub fn dbgtext(format: *const c_char, ...) -> bool;
}

/// The descriptor of an open file; `None` on Samba 4.13, which does not tell but has one descriptor per file only.
///
/// # Safety
/// `fsp` is smbd's.
pub unsafe fn fsp_fd(fsp: *const files_struct) -> Option<c_int> {
    type GetFd = unsafe extern "C" fn(*const files_struct) -> c_int;
    static GET: OnceLock<Option<GetFd>> = OnceLock::new();
    let get = GET.get_or_init(|| {
        // SAFETY: looks the name up in what smbd has loaded; null when there is none.
        let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"fsp_get_pathref_fd".as_ptr()) };
        // SAFETY: from 4.14 on, a function of this type has this name; an Option of a function pointer is null or that.
        unsafe { std::mem::transmute::<*mut c_void, Option<GetFd>>(symbol) }
    });
    // SAFETY: reads the number from the fsp.
    get.map(|get| unsafe { get(fsp) })
}
