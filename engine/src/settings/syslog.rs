//! How lines go to syslog.

use crate::log::system::{self, Field, Message, Sockets};
use crate::log::{Level, facts, samba_vscan};
use crate::notify::Event;

/// Under which facility, with which priorities, and in whose words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// `syslog facility`.
    pub facility: Facility,
    /// `syslog priority`: that of ordinary lines.
    pub priority: Priority,
    /// `syslog format`.
    pub format: SyslogFormat,
    /// Whose lines they are, for those who sort by it.
    pub identity: String,
}

/// `syslog format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyslogFormat {
    /// The words of Samba's log.
    Vscan,
    /// Those that programs know which read samba-vscan's lines.
    SambaVscan,
}

impl SyslogFormat {
    /// The name under which lines are sent. samba-vscan had a module for each scanner, and named that.
    pub(super) fn identity(self, scanner: &str) -> String {
        let scheme = scanner.split(':').next().unwrap_or_default();
        let product = MODULES.iter().find(|(ours, _)| *ours == scheme).map_or(scheme, |(_, theirs)| theirs);
        match self {
            Self::Vscan => "vscan".to_owned(),
            Self::SambaVscan => format!("smbd_vscan-{product}"),
        }
    }
}

/// Scanners that samba-vscan's modules had other names for.
const MODULES: &[(&str, &str)] =
    &[("sophie", "sophos"), ("trophie", "trend"), ("kav", "kavp"), ("mks", "mksd")];

impl Syslog {
    /// The number that syslog(3) wants for a line. Alerts and errors are at least `err`, whatever is configured.
    pub fn code(&self, level: Level) -> i32 {
        let priority = match level {
            Level::Alert | Level::Error => self.priority.0.min(ERR.0),
            Level::Notice | Level::Decision => self.priority.0,
            Level::Debug => DEBUG.0,
        };
        self.facility.0 << 3 | priority
    }

    /// Sends a line, and with it the facts of the event that it is about. Nobody waits for it, and what nobody takes is in
    /// Samba's log all the same.
    pub fn send(&self, level: Level, text: &str, event: Option<&Event>) {
        let lines = match self.format {
            SyslogFormat::Vscan => vec![text.to_owned()],
            SyslogFormat::SambaVscan => samba_vscan::lines(level, text, event),
        };
        let facts = event.map(facts).unwrap_or_default();
        let mut fields: &[Field<'_>] = &facts;
        for text in &lines {
            let message = Message { code: self.code(level), identity: &self.identity, text, fields };
            let _ = system::send(&message, &Sockets::of_the_system());
            // One record for an event.
            fields = &[];
        }
    }
}

/// A facility of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(i32);

/// A priority of syslog(3): the smaller, the more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority(i32);

const ERR: Priority = Priority(3);
const DEBUG: Priority = Priority(7);

pub(super) const FACILITIES: &[(&str, Facility)] = &[
    ("user", Facility(1)),
    ("mail", Facility(2)),
    ("daemon", Facility(3)),
    ("auth", Facility(4)),
    ("authpriv", Facility(10)),
    ("local0", Facility(16)),
    ("local1", Facility(17)),
    ("local2", Facility(18)),
    ("local3", Facility(19)),
    ("local4", Facility(20)),
    ("local5", Facility(21)),
    ("local6", Facility(22)),
    ("local7", Facility(23)),
];

pub(super) const FORMATS: &[(&str, SyslogFormat)] =
    &[("vscan", SyslogFormat::Vscan), ("samba-vscan", SyslogFormat::SambaVscan)];

pub(super) const PRIORITIES: &[(&str, Priority)] = &[
    ("emerg", Priority(0)),
    ("alert", Priority(1)),
    ("crit", Priority(2)),
    ("err", ERR),
    ("warning", Priority(4)),
    ("notice", Priority(5)),
    ("info", Priority(6)),
    ("debug", DEBUG),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_are_at_least_errors() {
        let format = SyslogFormat::Vscan;
        let identity = format.identity("clamav:/run/clamd");
        let syslog = Syslog { facility: Facility(1), priority: Priority(5), format, identity };
        assert_eq!(syslog.code(Level::Notice), 8 | 5);
        assert_eq!(syslog.code(Level::Alert), 8 | 3);
        let urgent = Syslog { facility: Facility(23), priority: Priority(1), ..syslog };
        assert_eq!(urgent.code(Level::Alert), 184 | 1);
    }

    #[test]
    fn old_log_readers_find_the_name_of_the_old_module() {
        let names =
            |scanner| (SyslogFormat::Vscan.identity(scanner), SyslogFormat::SambaVscan.identity(scanner));
        assert_eq!(names("clamav:/run/clamd"), ("vscan".to_owned(), "smbd_vscan-clamav".to_owned()));
        assert_eq!(names("sophie").1, "smbd_vscan-sophos");
    }
}
