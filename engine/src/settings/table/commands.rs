//! Programs that are run when something has happened.

use super::Group;
use super::set;
use crate::settings::option::{Kind, Opt};
use crate::settings::value::{command, interval, timeout};

pub(super) const GROUP: Group = Group {
    title: "Commands",
    options: &[
        Opt {
            name: "infected file command",
            aliases: &[],
            kind: Kind::Text,
            default: "",
            on_mistake: "",
            help: "A program that is run for each infected file, with its arguments, as the client's user. No shell sees them: \
               quotes keep blanks together, % and a letter stand for what they mean in \"warning message\", byte for byte, \
               and nothing else is special. In the environment are the variables of vfs_virusfilter, such as \
               VIRUSFILTER_INFECTED_FILE_REPORT, so that its virusfilter-notify works; VSCAN_PATH, VSCAN_THREAT and the \
               other fields of the journal; and VSCAN_EVENTS, the number of files. Its input is the JSON of \"webhook\". \
               With /bin/sh -c '...', the shell's script gets variables, but no %.",
            apply: |draft, text| {
                set(&mut draft.settings.notify.channels.commands.infected_file, command(text))
            },
        },
        Opt {
            name: "scan error command",
            aliases: &[],
            kind: Kind::Text,
            default: "",
            on_mistake: "",
            help: "The same for each file that could not be scanned.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.commands.scan_error, command(text)),
        },
        Opt {
            name: "scanner state command",
            aliases: &[],
            kind: Kind::Text,
            default: "",
            on_mistake: "",
            help: "The same, but as root, when a scanner is first found to be down or to be back: VSCAN_SCANNER says which, \
               VSCAN_SCANNER_STATE is up or down, and VSCAN_ERROR says why.",
            apply: |draft, text| {
                set(&mut draft.settings.notify.channels.commands.scanner_state, command(text))
            },
        },
        Opt {
            name: "command timeout",
            aliases: &[],
            kind: Kind::Duration,
            default: "60",
            on_mistake: "60",
            help: "A command that takes longer is killed. Four run at once; further ones wait for their turn.",
            apply: |draft, text| {
                let (time, remark) = timeout(text)?;
                draft.settings.notify.channels.commands.timeout = time;
                Ok(remark)
            },
        },
        Opt {
            name: "command interval",
            aliases: &[],
            kind: Kind::Duration,
            default: "0",
            on_mistake: "0",
            help: "With 0, commands are run for each file. With more, the first file is told at once, and those that follow are \
               collected for this long and told by one run: its variables are about the first of them, and VSCAN_EVENTS is \
               their number.",
            apply: |draft, text| {
                let interval = interval(text).map(Option::unwrap_or_default);
                set(&mut draft.settings.notify.channels.commands.interval, interval)
            },
        },
    ],
};
