//! Which results are remembered, and for how long.

use super::Group;
use super::{same, set};
use crate::settings::option::{Kind, Opt};
use crate::settings::value::{entries, lifetime};

pub(super) const GROUP: Group = Group {
    title: "Results",
    options: &[
        Opt {
            name: "max lru files entries",
            aliases: &[same("cache entry limit")],
            kind: Kind::Number,
            default: "10000",
            on_mistake: "10000",
            help: "How many results of scans are remembered. 0: none, every open is a scan.",
            apply: |draft, text| set(&mut draft.cache_entries, entries(text)),
        },
        Opt {
            name: "lru file entry lifetime",
            aliases: &[same("cache time limit")],
            kind: Kind::Duration,
            default: "3600",
            on_mistake: "3600",
            help: "How long a result is remembered. A change of the file ends it earlier, and so do new \
               signatures of the scanner. -1: no limit. 0: nothing is remembered.",
            apply: |draft, text| set(&mut draft.cache_lifetime, lifetime(text)),
        },
    ],
};
