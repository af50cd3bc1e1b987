//! Samba's objects as the hooks see them: borrowed for one call, copied where they must live longer.

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::BorrowedFd;

use vscan_engine::identity::{FileKey, FileTime, Identity};

use super::abi::{Layout, StatEx};
use super::park::Parkable;
use super::samba;

/// A client's request to open a file: what create_file was called with.
pub struct OpenRequest<'a> {
    /// The name below the share's root.
    pub name: &'a CStr,
    /// Whether it names an alternate data stream.
    pub is_stream: bool,
    /// The file as smbd has seen it when it looked the name up, at some time before. Nothing may rest on that alone: it can be
    /// out of date, a module may have changed it, and it is all zeros where there is no file.
    pub looked_up: Identity,
    /// Whether it names a previous version, which a module below finds in a snapshot.
    pub is_previous_version: bool,
    /// The access the client asks for, not yet mapped.
    pub access_mask: u32,
    /// FILE_OPEN, FILE_OVERWRITE and the like.
    pub create_disposition: u32,
    /// FILE_DIRECTORY_FILE and the like.
    pub create_options: u32,
    /// `None` for opens that have to be answered at once.
    pub parkable: Option<Parkable>,
}

impl<'a> OpenRequest<'a> {
    /// Looks at the arguments of create_file.
    ///
    /// # Safety
    /// `call` holds the arguments that smbd passed to the hook that is running, which outlive `'a`; its request is null or
    /// has the size that the layout says.
    pub(super) unsafe fn new(call: &'a samba::CreateFile, layout: &Layout) -> Self {
        // SAFETY: smbd passes a valid smb_filename; the layout, chosen for this smbd and checked in connect, says where
        // its two strings, its time and the state of the file are.
        let (name, stream, version, looked_up) = unsafe {
            let smb_fname = call.smb_fname.cast::<u8>();
            (
                string_at(smb_fname, layout.smb_filename.base_name),
                string_at(smb_fname, layout.smb_filename.stream_name),
                smb_fname.add(layout.smb_filename.twrp).cast::<u64>().read(),
                identity_at(smb_fname, &layout.smb_filename.st),
            )
        };
        Self {
            name: name.unwrap_or_default(),
            is_stream: stream.is_some_and(|s| names_stream(s.to_bytes())),
            looked_up,
            is_previous_version: version != 0,
            access_mask: call.access_mask,
            create_disposition: call.create_disposition,
            create_options: call.create_options,
            // SAFETY: the caller's promise.
            parkable: unsafe { Parkable::new(call.req, layout) },
        }
    }
}

/// What the `stat_ex` of a `smb_filename` says.
///
/// # Safety
/// `smb_fname` is valid, and laid out as `st` says.
unsafe fn identity_at(smb_fname: *const u8, st: &StatEx) -> Identity {
    // SAFETY: the caller's promise; members of C structures are aligned, and any bits are integers.
    unsafe {
        let time = |at: usize| {
            let [seconds, nanoseconds] = smb_fname.add(at).cast::<[i64; 2]>().read();
            FileTime::new(seconds, nanoseconds)
        };
        let number = |at: usize| smb_fname.add(at).cast::<u64>().read();
        Identity {
            key: FileKey { dev: number(st.dev), ino: number(st.ino) },
            size: number(st.size),
            mtime: time(st.mtime),
            ctime: time(st.ctime),
        }
    }
}

/// `::$DATA` is the long name of the file itself.
fn names_stream(suffix: &[u8]) -> bool {
    !suffix.is_empty() && !suffix.eq_ignore_ascii_case(b"::$DATA")
}

/// The string behind the pointer member at `offset`; `None` for a null pointer.
///
/// # Safety
/// `object` is valid, has a `char *` member at `offset` that is null or NUL-terminated, and outlives `'a` unchanged.
pub(super) unsafe fn string_at<'a>(object: *const u8, offset: usize) -> Option<&'a CStr> {
    // SAFETY: the caller's promise; members of C structures are aligned.
    let text = unsafe { object.add(offset).cast::<*const c_char>().read() };
    // SAFETY: the caller's promise again.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// A descriptor of smbd's, for the length of a hook.
#[derive(Clone, Copy)]
pub struct HostFd<'a> {
    fd: BorrowedFd<'a>,
}

impl<'a> HostFd<'a> {
    /// # Safety
    /// `fd` is open and stays open for `'a`.
    pub(super) unsafe fn new(fd: c_int) -> Self {
        // SAFETY: the caller's promise; and smbd's descriptors are never -1 here.
        Self { fd: unsafe { BorrowedFd::borrow_raw(fd) } }
    }

    /// For system calls that look.
    pub fn as_fd(&self) -> BorrowedFd<'a> {
        self.fd
    }
}
