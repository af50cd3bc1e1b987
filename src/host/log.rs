//! Lines into Samba's log (debug class `vscan`: `log level = vscan:5`) and into syslog.

use std::ffi::{CString, c_int};
use std::sync::OnceLock;

use vscan_engine::log::{Level, Log};
use vscan_engine::notify::Event;
use vscan_engine::settings::Syslog;

use super::samba;

/// The number that Samba gave to our debug class.
static CLASS: OnceLock<c_int> = OnceLock::new();

/// Registers the debug class; lines before that go to Samba's general class.
pub(super) fn register_class() {
    CLASS.get_or_init(|| {
        // SAFETY: takes a NUL-terminated name and copies it; asking for a class twice gives the same number.
        unsafe { samba::debug_add_class(c"vscan".as_ptr()) }
    });
}

fn class() -> c_int {
    CLASS.get().copied().filter(|&c| c >= 0).unwrap_or(0)
}

/// Samba's debug level for a level of ours.
fn debug_level(level: Level) -> c_int {
    match level {
        Level::Alert | Level::Error => 0,
        Level::Notice => 1,
        Level::Decision => 5,
        Level::Debug => 10,
    }
}

/// Writes one line to Samba's log if its level asks for it.
pub(super) fn line(level: Level, text: &str) {
    at_debug_level(debug_level(level), text);
}

fn wants_debug_level(level: c_int) -> bool {
    // SAFETY: the class is one that Samba gave, or 0, which always exists.
    let current = unsafe { samba::debuglevel_get_class(usize::try_from(class()).unwrap_or(0)) };
    current >= level
}

fn at_debug_level(level: c_int, text: &str) {
    if !wants_debug_level(level) {
        return;
    }
    let Ok(text) = CString::new(text.replace('\0', "\\x00")) else { return };
    // SAFETY: all strings are NUL-terminated and only read; a header line is followed by its text, as Samba's own macro
    // does. The text is an argument of a fixed format, so a `%` in a file name means nothing.
    unsafe {
        if samba::dbghdrclass(level, class(), c"vscan".as_ptr(), c"vscan".as_ptr()) {
            samba::dbgtext(c"%s\n".as_ptr(), text.as_ptr());
        }
    }
}

/// The log of one share.
pub struct ShareLog {
    verbose: bool,
    syslog: Option<Syslog>,
}

impl ShareLog {
    /// As the settings say.
    pub fn new(verbose: bool, syslog: Option<Syslog>) -> Self {
        Self { verbose, syslog }
    }

    /// `verbose file logging` shows each decision to everyone, at the level of a notice.
    fn effective(&self, level: Level) -> Level {
        if self.verbose && level == Level::Decision { Level::Notice } else { level }
    }

    /// The settings for lines of this level, if those go to syslog.
    fn syslog(&self, level: Level) -> Option<&Syslog> {
        self.syslog.as_ref().filter(|_| level <= Level::Notice)
    }
}

impl Log for ShareLog {
    fn wants(&self, level: Level) -> bool {
        let level = self.effective(level);
        wants_debug_level(debug_level(level)) || self.syslog(level).is_some()
    }

    fn line(&self, level: Level, text: &str) {
        let level = self.effective(level);
        at_debug_level(debug_level(level), text);
        if let Some(syslog) = self.syslog(level) {
            syslog.send(level, text, None);
        }
    }

    fn event(&self, level: Level, text: &str, event: &Event) {
        at_debug_level(debug_level(level), text);
        if let Some(syslog) = self.syslog(level) {
            syslog.send(level, text, Some(event));
        }
    }
}
