//! What is logged, and where.

use super::Group;
use super::{set, words};
use crate::settings::option::{Kind, Opt};
use crate::settings::syslog::{FACILITIES, FORMATS, PRIORITIES};
use crate::settings::value::{choice, optional_file, yes_no};

pub(super) const GROUP: Group = Group {
    title: "The log and the counters",
    options: &[
        Opt {
            name: "syslog",
            aliases: &[],
            kind: Kind::YesNo,
            default: "yes",
            on_mistake: "yes",
            help: "Log to syslog as well as to Samba's log. Where systemd's journal is, it gets each line with all facts as \
               fields, such as VSCAN_PATH and VSCAN_THREAT, and hands it on to syslog by itself.",
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
            name: "syslog format",
            aliases: &[],
            kind: Kind::Choice(|| words(FORMATS)),
            default: "vscan",
            on_mistake: "vscan",
            help: "How lines in syslog are worded. vscan: as in Samba's log. samba-vscan: as samba-vscan did, for programs \
               that read logs: ALERT for infected files, ERROR or INFO for all others, and smbd_vscan-clamav, say, as \
               the name of the program.",
            apply: |draft, text| set(&mut draft.syslog_format, choice(text, FORMATS)),
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
            apply: |draft, text| set(&mut draft.settings.counters_file, optional_file(text)),
        },
    ],
};
