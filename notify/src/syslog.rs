//! Lines in syslog.

use std::os::unix::net::UnixDatagram;

/// Facility daemon, priority notice (RFC 3164, 4.1.1).
const CODE: u32 = 3 * 8 + 5;

/// Writes a line. If syslog is not there, there is nobody else to be told.
pub(crate) fn line(text: &str) {
    let text = text.replace(|c: char| c.is_control(), "?");
    let line = format!("<{CODE}>vscan-notify[{}]: {text}", std::process::id());
    let _ = UnixDatagram::unbound().and_then(|socket| {
        // A syslog that is stuck must not stop the messages.
        socket.set_nonblocking(true)?;
        socket.send_to(line.as_bytes(), "/dev/log")
    });
}
