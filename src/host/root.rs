//! The bracket around work that needs root.

use vscan_engine::privilege::Privilege;

use super::samba;

/// smbd's way to be root for a moment.
pub struct Root;

/// Returns to the client's user, also when the work unwinds.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        // SAFETY: pairs with the become_root() of as_root(), on the same thread: `Back` is made right after it, lives
        // in that function's frame and is never handed out.
        unsafe { samba::unbecome_root() };
    }
}

impl Privilege for Root {
    fn as_root(&self, work: &mut dyn FnMut()) {
        // SAFETY: hooks and event handlers run on smbd's main thread, the only one that touches security contexts;
        // vscan starts no thread. smbd aborts by itself if brackets are nested too deep (8); ours are never nested.
        unsafe { samba::become_root() };
        let _back = Back;
        work();
    }
}
