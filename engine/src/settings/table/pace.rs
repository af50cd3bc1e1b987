//! How long a scan may take, and how many run at once.

use super::Group;
use super::set;
use crate::settings::option::{Applied, Kind, Opt};
use crate::settings::value::{scans_in_flight, size, timeout};

fn set_timeout(field: &mut std::time::Duration, text: &str) -> Applied {
    let (wait, remark) = timeout(text)?;
    *field = wait;
    Ok(remark)
}

pub(super) const GROUP: Group = Group {
    title: "Time and order",
    options: &[
        Opt {
            name: "connect timeout",
            aliases: &[],
            kind: Kind::Duration,
            default: "5",
            on_mistake: "5",
            help: "How long to wait for a connection to the scanner. For this and the other timeouts, a \
               plain number from 1000 on means milliseconds, as in vfs_virusfilter.",
            apply: |draft, text| set_timeout(&mut draft.settings.connect_timeout, text),
        },
        Opt {
            name: "io timeout",
            aliases: &[],
            kind: Kind::Duration,
            default: "60",
            on_mistake: "60",
            help: "How long to wait for each step of the conversation with the scanner.",
            apply: |draft, text| set_timeout(&mut draft.settings.io_timeout, text),
        },
        Opt {
            name: "scan timeout",
            aliases: &[],
            kind: Kind::Duration,
            default: "120",
            on_mistake: "120",
            help: "How long the scan of one file may take as a whole. Without a verdict by then, \"deny \
               access on error\" decides. Windows clients give up after a minute or so; the result of \
               the scan is remembered for their next attempt.",
            apply: |draft, text| set_timeout(&mut draft.settings.scan_timeout, text),
        },
        Opt {
            name: "max scans in flight",
            aliases: &[],
            kind: Kind::Number,
            default: "8",
            on_mistake: "8",
            help: "How many files of one client are scanned at once. More wait in a queue, those that are being opened \
               before those that were closed.",
            apply: |draft, text| set(&mut draft.settings.max_scans_in_flight, scans_in_flight(text)),
        },
        Opt {
            name: "large file size",
            aliases: &[],
            kind: Kind::Size,
            default: "32M",
            on_mistake: "32M",
            help: "Larger files wait for each other only, a quarter of \"max scans in flight\" at once, so that they do \
               not hold up documents. 0: all files wait in one queue.",
            apply: |draft, text| {
                set(
                    &mut draft.settings.large_file_size,
                    size(text).map(|size| Some(size).filter(|size| size.0 > 0)),
                )
            },
        },
    ],
};
