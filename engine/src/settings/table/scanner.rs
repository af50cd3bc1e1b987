//! Which scanner is asked, and how.

use super::Group;
use super::{set, words};
use crate::settings::ScannerMode;
use crate::settings::daemons::{check_host, check_ports};
use crate::settings::draft::Draft;
use crate::settings::option::{Alias, Applied, Kind, Opt};
use crate::settings::path_map::PathMap;
use crate::settings::value::{choice, interval, optional_file};

const SCANNER_MODE: &[(&str, ScannerMode)] =
    &[("first", ScannerMode::First), ("balance", ScannerMode::Balance), ("all", ScannerMode::All)];

pub(in crate::settings) const SCANNER: Opt = Opt {
    name: "scanner",
    aliases: &[
        Alias { name: "clamd socket name", prefix: "clamav:" },
        Alias { name: "sophie socket name", prefix: "sophie:" },
        Alias { name: "trophie socket name", prefix: "trophie:" },
        Alias { name: "fsav socket", prefix: "fsav:" },
        Alias { name: "avp socket file", prefix: "kav:" },
    ],
    kind: Kind::Text,
    default: "clamav:/var/run/clamav/clamd.ctl",
    on_mistake: "clamav:/var/run/clamav/clamd.ctl",
    help: "Which scanner is asked, and where it listens: the scanner's name, a colon, and a socket, such as \
           clamav:tcp:192.0.2.5:3310 or icap://192.0.2.5:1344/avscan. Several stand in a list with commas, semicolons or \
           blanks in between; \"scanner mode\" says how they work together.",
    apply: |draft, text| set(&mut draft.scanner, Ok(text.to_owned())),
};

pub(in crate::settings) const SOCKET_PATH: Opt = Opt {
    name: "socket path",
    aliases: &[],
    kind: Kind::Text,
    default: "",
    on_mistake: "",
    help: "Where the scanner listens, when \"scanner\" is a name only, as vfs_virusfilter wants it. Better say both in \
           \"scanner\".",
    apply: |draft, text| set(&mut draft.socket_path, Ok(text.to_owned())),
};

/// One half of a scanner's address, as samba-vscan had it; the halves are put together in `daemons`.
const fn half(name: &'static str, help: &'static str, apply: fn(&mut Draft, &str) -> Applied) -> Opt {
    Opt { name, aliases: &[], kind: Kind::Text, default: "", on_mistake: "", help, apply }
}

const fn host(name: &'static str, help: &'static str) -> Opt {
    half(name, help, |_, text| check_host(text).map(|()| None))
}

const fn port(name: &'static str, help: &'static str) -> Opt {
    half(name, help, |_, text| check_ports(text).map(|()| None))
}

pub(super) const GROUP: Group = Group {
    title: "Scanners",
    options: &[
        SCANNER,
        SOCKET_PATH,
        host(
            "icap ip",
            "samba-vscan's words for a Symantec engine: with \"icap port\", the same as symantec://ip:port in \"scanner\".",
        ),
        port("icap port", "The port that belongs to \"icap ip\": 1344 if nothing else is said."),
        host(
            "oav ip",
            "samba-vscan's words for OpenAntiVirus: with \"oav port\", the same as oav:tcp:ip:port in \"scanner\".",
        ),
        port("oav port", "The port that belongs to \"oav ip\": 8127 if nothing else is said."),
        host(
            "fprotd ip",
            "samba-vscan's words for f-protd: with \"fprotd port\", the same as a list of fprotd:tcp:ip:port in \"scanner\".",
        ),
        port(
            "fprotd port",
            "The ports that belong to \"fprotd ip\", tried in this order: 10200;10201;10202;10203;10204 if nothing else is said.",
        ),
        Opt {
            name: "scanner mode",
            aliases: &[],
            kind: Kind::Choice(|| words(SCANNER_MODE)),
            default: "first",
            on_mistake: "all",
            help: "How several scanners work together. first: in order, the next one only while the one before gives no \
               verdict. balance: whichever has the least to do. all: each scans every file, one after the other; a file \
               is clean if all say so, and infected if one does. A scanner that gives no verdict is left alone for 1 \
               second, then for 2, 4 and up to 60, while there are others.",
            apply: |draft, text| set(&mut draft.settings.scanner_mode, choice(text, SCANNER_MODE)),
        },
        Opt {
            name: "path map",
            aliases: &[],
            kind: Kind::List,
            default: "",
            on_mistake: "",
            help: "For scanners that are told a path and see the share elsewhere: our directory, a colon, and theirs, such \
               as /srv/share:/mnt/share. The longest directory that fits counts. Scanners that are sent the content or \
               a descriptor do not need it.",
            apply: |draft, text| set(&mut draft.settings.path_map, PathMap::parse(text)),
        },
        Opt {
            name: "spool directory",
            aliases: &[],
            kind: Kind::Path,
            default: "",
            on_mistake: "",
            help: "For scanners that are told a path and cannot see the share at all: each file is copied into this \
                   directory, the scanner is told the copy's path (after \"path map\"), and the copy is removed \
                   after the scan. The directory must belong to root, with nobody else writing there, and to the \
                   scanner's group, which may read the copies: chgrp sophie, chmod 2750. \"scannedonly\" needs one that nobody but root can look into: chmod 0700. \
                   Empty: the scanner opens the file itself.",
            apply: |draft, text| set(&mut draft.settings.spool_directory, optional_file(text)),
        },
        Opt {
            name: "signature check interval",
            aliases: &[],
            kind: Kind::Duration,
            default: "60",
            on_mistake: "60",
            help: "How often a scanner is asked for the version of its signatures, at most and only while files are opened. \
               New ones void all results that are remembered. 0: never.",
            apply: |draft, text| set(&mut draft.settings.signature_check_interval, interval(text)),
        },
        Opt {
            name: "signature epoch file",
            aliases: &[],
            kind: Kind::Path,
            default: "/var/lib/vscan/epoch",
            on_mistake: "/var/lib/vscan/epoch",
            help: "Touching this file voids all results that are remembered. For signatures that do not show in the \
               scanner's version, such as home-made ones: have freshclam's OnUpdateExecute touch it. Empty: there is no \
               such file.",
            apply: |draft, text| set(&mut draft.settings.signature_epoch_file, optional_file(text)),
        },
    ],
};
