//! What is done with an infected file.

use std::path::PathBuf;

use super::Group;
use super::{set, words};
use crate::action::Action;
use crate::settings::option::{Applied, Kind, Opt};
use crate::settings::value::{choice, name_part, optional_file};

fn set_quarantine_directory(field: &mut PathBuf, text: &str) -> Applied {
    let directory = PathBuf::from(text);
    if !directory.is_absolute() {
        return Err("must be an absolute path, without quotes".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("may not contain a control character".to_owned());
    }
    let volatile = ["/tmp", "/var/tmp", "/dev/shm", "/run"].iter().any(|place| directory.starts_with(place));
    *field = directory;
    let remark =
        "files do not stay in such a directory: it is cleaned up without asking; better choose another";
    Ok(volatile.then(|| remark.to_owned()))
}

const INFECTED_ACTION: &[(&str, Action)] = &[
    ("quarantine", Action::Quarantine),
    ("delete", Action::Delete),
    ("remove", Action::Delete),
    ("unlink", Action::Delete),
    ("rename", Action::Rename),
    ("nothing", Action::Nothing),
];

pub(in crate::settings) const RENAME_SUFFIX: Opt = Opt {
    name: "rename suffix",
    aliases: &[],
    kind: Kind::Text,
    default: ".infected",
    on_mistake: ".infected",
    help: "What a renamed infected file gets behind its name.",
    apply: |draft, text| set(&mut draft.settings.rename_suffix, name_part(text)),
};

pub(super) const GROUP: Group = Group {
    title: "Infected files",
    options: &[
        Opt {
            name: "infected file action",
            aliases: &[],
            kind: Kind::Choice(|| words(INFECTED_ACTION)),
            default: "quarantine",
            on_mistake: "quarantine",
            help: "What is done with an infected file, besides denying access to it: move it to the \
               quarantine directory, delete it, rename it where it is, or nothing. remove and unlink \
               mean delete.",
            apply: |draft, text| set(&mut draft.settings.infected_file_action, choice(text, INFECTED_ACTION)),
        },
        Opt {
            name: "quarantine directory",
            aliases: &[],
            kind: Kind::Path,
            default: "/var/lib/vscan/quarantine",
            on_mistake: "/var/lib/vscan/quarantine",
            help: "Where infected files go. It should belong to root and not be reachable through a share.",
            apply: |draft, text| set_quarantine_directory(&mut draft.settings.quarantine_directory, text),
        },
        Opt {
            name: "quarantine prefix",
            aliases: &[],
            kind: Kind::Text,
            default: "vir-",
            on_mistake: "vir-",
            help: "How the names of files in quarantine begin.",
            apply: |draft, text| set(&mut draft.settings.quarantine_prefix, name_part(text)),
        },
        Opt {
            name: "rename prefix",
            aliases: &[],
            kind: Kind::Text,
            default: "",
            on_mistake: "",
            help: "What a renamed infected file gets in front of its name.",
            apply: |draft, text| set(&mut draft.settings.rename_prefix, name_part(text)),
        },
        RENAME_SUFFIX,
        Opt {
            name: "trusted files",
            aliases: &[],
            kind: Kind::Path,
            default: "/var/lib/vscan/trusted",
            on_mistake: "",
            help: "A list of content that is not infected, whatever a scanner says of it: a SHA-256 sum, a size and a \
               remark on each line. \"vscanctl quarantine restore --trust\" adds to it. Only a file of a listed size is \
               hashed, and only when a scanner has found something in it. It must belong to root. Empty: there is no \
               such list.",
            apply: |draft, text| set(&mut draft.settings.trusted_files, optional_file(text)),
        },
    ],
};
