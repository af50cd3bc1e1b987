//! Users of the system, by name.

use std::ffi::CString;
use std::ptr;

use super::program::Identity;

/// Room for an entry of the user database; a group list may make one long.
const ROOM: usize = 16 * 1024;

/// More groups than a user ever has.
const MAX_GROUPS: usize = 1024;

/// The user of this name with all its groups; or of this number, with the group of the same number alone.
pub fn find(name: &str) -> Option<Identity> {
    if let Ok(number) = name.parse() {
        return Some(Identity { user: number, group: number, groups: Vec::new() });
    }
    let name = CString::new(name).ok()?;
    let mut room = vec![0; ROOM];
    let mut found = ptr::null_mut();
    // SAFETY: zero is a value of the structure; the call fills it with pointers into the room, which outlives them.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    // SAFETY: the lengths are those of our own memory.
    let error =
        unsafe { libc::getpwnam_r(name.as_ptr(), &mut entry, room.as_mut_ptr(), room.len(), &mut found) };
    if error != 0 || found.is_null() {
        return None;
    }
    let mut groups = vec![0; MAX_GROUPS];
    let mut count = i32::try_from(groups.len()).ok()?;
    // SAFETY: as many groups are written as there is room for; the count says how many.
    let written = unsafe { libc::getgrouplist(name.as_ptr(), entry.pw_gid, groups.as_mut_ptr(), &mut count) };
    groups.truncate(usize::try_from(count).ok()?);
    (written >= 0).then_some(Identity { user: entry.pw_uid, group: entry.pw_gid, groups })
}
