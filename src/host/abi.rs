//! The layouts of all the VFS interfaces that vscan knows, and the choice between them.
//!
//! The numbers come from samba-headers/, through bindgen. Nothing is guessed: a Samba that is not in the table is
//! refused by name.

use std::mem::{offset_of, size_of};
use std::sync::{Once, OnceLock};

use vscan_engine::log::Level;

use super::{log, params};

/// What differs between VFS interfaces. Offsets and sizes are in bytes.
#[derive(Debug)]
pub struct Layout {
    /// What `smb_register_vfs` wants to hear.
    pub interface: u32,
    /// The first and last minor version of Samba 4 with this interface.
    pub samba_minors: (u32, u32),
    pub smb_request: SmbRequest,
    pub smb_filename: SmbFilename,
    pub connection_struct: Connection,
    pub vfs_handle_struct: Handle,
    pub vfs_fn_pointers: FnPointers,
    pub create_file_takes_dirfsp: bool,
    pub openat_takes_how: bool,
}

/// Of `smb_request`.
#[derive(Debug)]
pub struct SmbRequest {
    pub size: usize,
    pub mid: usize,
    pub xconn: usize,
    pub smb2req: usize,
}

/// Of `smb_filename`.
#[derive(Debug)]
pub struct SmbFilename {
    pub base_name: usize,
    pub stream_name: usize,
    pub st: StatEx,
    pub twrp: usize,
}

/// Of the `stat_ex` in a `smb_filename`, counted from the beginning of that.
#[derive(Debug)]
pub struct StatEx {
    pub dev: usize,
    pub ino: usize,
    pub size: usize,
    pub mtime: usize,
    pub ctime: usize,
}

/// Of `connection_struct`.
#[derive(Debug)]
pub struct Connection {
    pub size: usize,
    pub connectpath: usize,
}

/// Of `vfs_handle_struct`.
#[derive(Debug)]
pub struct Handle {
    pub size: usize,
    pub conn: usize,
    pub data: usize,
    pub free_data: usize,
}

/// Of `vfs_fn_pointers`: its length in slots, and where our hooks go.
#[derive(Debug)]
pub struct FnPointers {
    pub slots: usize,
    pub connect: usize,
    pub disconnect: usize,
    pub openat: usize,
    pub create_file: usize,
    pub close: usize,
}

const SLOT: usize = size_of::<*const ()>();

/// Called by the generated file with one module per header.
macro_rules! every_interface {
    ($($module:ident),*) => {
        /// Every interface that vscan knows, oldest first.
        pub static LAYOUTS: &[Layout] = &[$({
            use $module as v;
            Layout {
                interface: v::VFS_INTERFACE,
                samba_minors: (v::SAMBA_MINOR_FIRST, v::SAMBA_MINOR_LAST),
                smb_request: SmbRequest {
                    size: size_of::<v::smb_request>(),
                    mid: offset_of!(v::smb_request, mid),
                    xconn: offset_of!(v::smb_request, xconn),
                    smb2req: offset_of!(v::smb_request, smb2req),
                },
                smb_filename: SmbFilename {
                    base_name: offset_of!(v::smb_filename, base_name),
                    stream_name: offset_of!(v::smb_filename, stream_name),
                    st: StatEx {
                        dev: offset_of!(v::smb_filename, st.st_ex_dev),
                        ino: offset_of!(v::smb_filename, st.st_ex_ino),
                        size: offset_of!(v::smb_filename, st.st_ex_size),
                        mtime: offset_of!(v::smb_filename, st.st_ex_mtime),
                        ctime: offset_of!(v::smb_filename, st.st_ex_ctime),
                    },
                    twrp: offset_of!(v::smb_filename, twrp),
                },
                connection_struct: Connection {
                    size: size_of::<v::connection_struct>(),
                    connectpath: offset_of!(v::connection_struct, connectpath),
                },
                vfs_handle_struct: Handle {
                    size: size_of::<v::vfs_handle_struct>(),
                    conn: offset_of!(v::vfs_handle_struct, conn),
                    data: offset_of!(v::vfs_handle_struct, data),
                    free_data: offset_of!(v::vfs_handle_struct, free_data),
                },
                vfs_fn_pointers: FnPointers {
                    slots: size_of::<v::vfs_fn_pointers>() / SLOT,
                    connect: offset_of!(v::vfs_fn_pointers, connect_fn) / SLOT,
                    disconnect: offset_of!(v::vfs_fn_pointers, disconnect_fn) / SLOT,
                    openat: offset_of!(v::vfs_fn_pointers, openat_fn) / SLOT,
                    create_file: offset_of!(v::vfs_fn_pointers, create_file_fn) / SLOT,
                    close: offset_of!(v::vfs_fn_pointers, close_fn) / SLOT,
                },
                create_file_takes_dirfsp: v::CREATE_FILE_TAKES_DIRFSP == 1,
                openat_takes_how: v::OPENAT_TAKES_HOW == 1,
            }
        }),*];
    };
}

#[allow(dead_code, non_camel_case_types, missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
mod generated {
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));
}
pub use generated::LAYOUTS;

static CHOSEN: OnceLock<&'static Layout> = OnceLock::new();

/// Chooses the layout for a version such as "4.17.12-Debian"; `None` when no header describes it.
pub fn choose(samba_version: &str) -> Option<&'static Layout> {
    let mut numbers = samba_version.split(|c: char| !c.is_ascii_digit());
    let major: u32 = numbers.next()?.parse().ok()?;
    let minor: u32 = numbers.next()?.parse().ok()?;
    let fits = |l: &&Layout| major == 4 && (l.samba_minors.0..=l.samba_minors.1).contains(&minor);
    let layout = LAYOUTS.iter().find(fits)?;
    Some(CHOSEN.get_or_init(|| layout))
}

/// The versions that there are headers for, in words: "4.13 to 4.25".
pub fn served() -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (first, last) in LAYOUTS.iter().map(|layout| layout.samba_minors) {
        match runs.last_mut() {
            Some(run) if run.1 + 1 == first => run.1 = last,
            Some(_) | None => runs.push((first, last)),
        }
    }
    let in_words = runs.iter().map(|(first, last)| format!("4.{first} to 4.{last}"));
    in_words.collect::<Vec<_>>().join(", ")
}

/// The layout of the running smbd; `None` before [`choose`] found one.
pub fn layout() -> Option<&'static Layout> {
    CHOSEN.get().copied()
}

/// Whether an object of smbd's is as large as the layout says: another build of the same version may differ. Says so
/// in the log if not, once.
pub fn size_fits(what: &str, found: usize, expected: usize) -> bool {
    static COMPLAINED: Once = Once::new();
    if found != expected {
        COMPLAINED.call_once(|| {
            let text = format!(
                "vscan cannot serve this build of Samba {}: its {what} has {found} bytes where the headers say \
                 {expected}. What is asked of vscan is refused; build it with a header made from this Samba's source \
                 (samba-headers/README.md)",
                params::samba_version()
            );
            log::line(Level::Error, &text);
        });
    }
    found == expected
}
