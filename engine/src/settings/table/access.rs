//! Who may open what.

use super::Group;
use super::{same, set, words};
use crate::settings::option::{Kind, Opt};
use crate::settings::value::{choice, yes_no};
use crate::settings::{InfectedStatus, OnConfigError};

const INFECTED_STATUS: &[(&str, InfectedStatus)] =
    &[("virus infected", InfectedStatus::VirusInfected), ("access denied", InfectedStatus::AccessDenied)];

const ON_CONFIG_ERROR: &[(&str, OnConfigError)] =
    &[("defaults", OnConfigError::Defaults), ("deny", OnConfigError::Deny)];

pub(super) const GROUP: Group = Group {
    title: "Access",
    options: &[
        Opt {
            name: "deny access on error",
            aliases: &[same("block access on error")],
            kind: Kind::YesNo,
            default: "yes",
            on_mistake: "yes",
            help: "Deny access to a file when the scanner cannot be reached, fails or does not answer in \
               time. With no, the file is opened without a scan, which is logged.",
            apply: |draft, text| set(&mut draft.settings.deny_access_on_error, yes_no(text)),
        },
        Opt {
            name: "deny access on minor error",
            aliases: &[],
            kind: Kind::YesNo,
            default: "yes",
            on_mistake: "yes",
            help: "Deny access to a file when the scanner works but cannot judge this very file: it is \
               encrypted, corrupt or beyond the scanner's own limits.",
            apply: |draft, text| set(&mut draft.settings.deny_access_on_minor_error, yes_no(text)),
        },
        Opt {
            name: "enforce",
            aliases: &[],
            kind: Kind::YesNo,
            default: "yes",
            on_mistake: "yes",
            help: "With no, files are scanned and everything is logged, but nothing is denied and infected \
               files are left alone: for trying out.",
            apply: |draft, text| set(&mut draft.settings.enforce, yes_no(text)),
        },
        Opt {
            name: "infected status",
            aliases: &[],
            kind: Kind::Choice(|| words(INFECTED_STATUS)),
            default: "virus infected",
            on_mistake: "virus infected",
            help: "What the client is told when it opens an infected file. With \"virus infected\", Windows \
               shows that the file contains a virus.",
            apply: |draft, text| set(&mut draft.settings.infected_status, choice(text, INFECTED_STATUS)),
        },
        Opt {
            name: "on config error",
            aliases: &[],
            kind: Kind::Choice(|| words(ON_CONFIG_ERROR)),
            default: "defaults",
            on_mistake: "defaults",
            help: "What a mistake in the configuration means: whatever was wrong is at its protective \
               default and the share works (defaults), or the share refuses to open files until the \
               mistake is mended (deny). Set it in smb.conf to cover a configuration file that cannot \
               be read.",
            apply: |draft, text| set(&mut draft.settings.on_config_error, choice(text, ON_CONFIG_ERROR)),
        },
    ],
};
