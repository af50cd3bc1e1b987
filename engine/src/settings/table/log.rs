//! What is logged, and where.

use super::Group;
use super::{optional_path, set, words};
use crate::settings::option::{Kind, Opt};
use crate::settings::syslog::{FACILITIES, PRIORITIES};
use crate::settings::value::{choice, yes_no};

pub(super) const GROUP: Group = Group {
    title: "The log and the counters",
    options: &[
        Opt {
            name: "syslog",
            aliases: &[],
            kind: Kind::YesNo,
            default: "yes",
            on_mistake: "yes",
            help: "Log to syslog as well as to Samba's log.",
            apply: |draft, text| set(&mut draft.syslog, yes_no(text)),
        },
        Opt {
            name: "syslog facility",
            aliases: &[],
            kind: Kind::Choice(|| words(FACILITIES)),
            default: "user",
            on_mistake: "user",
            help: "The facility of lines in syslog.",
            apply: |draft, text| set(&mut draft.facility, choice(text, FACILITIES).map(Some)),
        },
        Opt {
            name: "syslog priority",
            aliases: &[],
            kind: Kind::Choice(|| words(PRIORITIES)),
            default: "notice",
            on_mistake: "notice",
            help: "The priority of ordinary lines in syslog. Infected files and trouble are at least err.",
            apply: |draft, text| set(&mut draft.priority, choice(text, PRIORITIES).map(Some)),
        },
        Opt {
            name: "verbose file logging",
            aliases: &[],
            kind: Kind::YesNo,
            default: "no",
            on_mistake: "no",
            help: "Log every file with the reason why it was allowed or denied, not only finds and trouble.",
            apply: |draft, text| set(&mut draft.settings.verbose_file_logging, yes_no(text)),
        },
        Opt {
            name: "counters file",
            aliases: &[],
            kind: Kind::Path,
            default: "/run/vscan/counters",
            on_mistake: "/run/vscan/counters",
            help: "Where all smbds count opens, scans and finds, for \"vscanctl status\". It should be in memory (tmpfs). Empty: \
               nothing is counted.",
            apply: |draft, text| optional_path(&mut draft.settings.counters_file, text),
        },
    ],
};
