//! Lines in the system's log.

use vscan_engine::log::system::{Message, Sockets, send};

/// Facility daemon, priority notice (RFC 3164, 4.1.1).
const CODE: i32 = 3 * 8 + 5;

/// Writes a line. If nobody takes it, there is nobody else to be told.
pub(crate) fn line(text: &str) {
    let text = text.replace(|c: char| c.is_control(), "?");
    let message = Message { code: CODE, identity: "vscan-notify", text: &text, fields: &[] };
    let _ = send(&message, &Sockets::of_the_system());
}
