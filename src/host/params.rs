//! smb.conf parameters as text, not judged.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use vscan_engine::notify::Session;

use super::samba;

/// The parameters of one share.
#[derive(Clone, Copy)]
pub struct Params {
    service: c_int,
}

impl Params {
    /// Of the share with this name; those of [global] when smbd does not know it.
    pub fn of_share(name: &CStr) -> Self {
        // SAFETY: takes a NUL-terminated string and reads loaded configuration; unknown names give -1, which the
        // lookup below takes for [global].
        Self { service: unsafe { samba::lp_servicenumber(name.as_ptr()) } }
    }

    /// The value of `vscan:<option>`.
    pub fn get(&self, option: &str) -> Option<String> {
        let option = CString::new(option).ok()?;
        // SAFETY: all strings are NUL-terminated; a null default is returned as it is when nothing is set.
        let value = unsafe {
            samba::lp_parm_const_string(self.service, c"vscan".as_ptr(), option.as_ptr(), ptr::null())
        };
        to_text(value)
    }
}

/// The client's IP address.
pub fn client_address() -> String {
    substitute(c"%I").unwrap_or_else(|| "unknown".to_owned())
}

/// Who is connected to what, but for the rights of the user.
pub fn session(user: &str) -> Session {
    let known = |text| substitute(text).unwrap_or_default();
    Session {
        user: user.to_owned(),
        rights: None,
        client: client_address(),
        machine: known(c"%m"),
        client_name: known(c"%M"),
        server_address: known(c"%i"),
        server: known(c"%L"),
        host: known(c"%h"),
        pid: std::process::id(),
    }
}

fn substitute(text: &CStr) -> Option<String> {
    // SAFETY: the context may be null (a parentless chunk), the names are only used for %U and %D, and the
    // result is a NUL-terminated talloc string or null.
    let chunk = unsafe { samba::talloc_sub_basic(ptr::null(), c"".as_ptr(), c"".as_ptr(), text.as_ptr()) };
    let text = to_text(chunk);
    if !chunk.is_null() {
        // SAFETY: the chunk was made by the call above and nobody else knows of it; the text was copied.
        unsafe { samba::_talloc_free(chunk.cast(), c"vscan".as_ptr()) };
    }
    text.filter(|t| !t.is_empty())
}

/// A copy of a C string of Samba's.
fn to_text(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and Samba's strings are NUL-terminated; it is copied before anything can free it.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

/// The version of the running smbd, such as "4.17.12-Debian".
pub fn samba_version() -> String {
    // SAFETY: no preconditions; the string is static in smbd.
    let version = unsafe { samba::samba_version_string() };
    to_text(version).unwrap_or_default()
}
