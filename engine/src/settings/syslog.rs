//! How lines go to syslog.

use crate::log::Level;

/// Under which facility and with which priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// `syslog facility`.
    pub facility: Facility,
    /// `syslog priority`: that of ordinary lines.
    pub priority: Priority,
}

impl Syslog {
    /// The number that syslog(3) wants for a line. Alerts and errors are at least `err`, whatever is configured.
    pub fn code(self, level: Level) -> i32 {
        let priority = match level {
            Level::Alert | Level::Error => self.priority.0.min(ERR.0),
            Level::Notice | Level::Decision => self.priority.0,
            Level::Debug => DEBUG.0,
        };
        self.facility.0 << 3 | priority
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
        let syslog = Syslog { facility: Facility(1), priority: Priority(5) };
        assert_eq!(syslog.code(Level::Notice), 8 | 5);
        assert_eq!(syslog.code(Level::Alert), 8 | 3);
        let urgent = Syslog { facility: Facility(23), priority: Priority(1) };
        assert_eq!(urgent.code(Level::Alert), 184 | 1);
    }
}
