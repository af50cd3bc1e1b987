//! Who is told about an infected file.

use super::Group;
use super::set;
use crate::settings::option::{Kind, Opt};
use crate::settings::value::yes_no;

pub(super) const GROUP: Group = Group {
    title: "Messages",
    options: &[Opt {
        name: "send warning message",
        aliases: &[],
        kind: Kind::YesNo,
        default: "yes",
        on_mistake: "yes",
        help: "Tell the user of the client about an infected file. Accepted, but without effect in this \
               release: no message is sent yet.",
        apply: |draft, text| set(&mut draft.settings.send_warning_message, yes_no(text)),
    }],
};
