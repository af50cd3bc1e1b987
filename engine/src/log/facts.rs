//! The facts of an event as fields of the journal: `journalctl VSCAN_SHARE=data VSCAN_THREAT=...` finds it.

use std::borrow::Cow;

use super::system::Field;
use crate::notify::{Event, FileEvent, Kind, Occurrence};

/// `MESSAGE_ID`: what kind of event it is, the same for ever.
fn message_id(kind: Kind) -> &'static str {
    match kind {
        Kind::Infected => "bf279eab132245e5b05a2ca56049deed",
        Kind::ScanError => "b09e83638934496581d0dddc6d2831dd",
        Kind::ScannerState => "2153513f0de64c8d91d4247bb0ffe9b0",
    }
}

/// All facts that there are; what is not known is left out.
pub fn facts(event: &Event) -> Vec<Field<'_>> {
    let session = &event.session;
    let mut facts = vec![
        ("MESSAGE_ID", message_id(event.kind()).as_bytes().into()),
        ("VSCAN_EVENT_ID", event.id.as_bytes().into()),
        ("VSCAN_SHARE", event.share.as_bytes().into()),
        ("VSCAN_SHARE_PATH", event.share_path.as_bytes().into()),
        ("VSCAN_USER", session.user.as_bytes().into()),
        ("VSCAN_CLIENT", session.client.as_bytes().into()),
        ("VSCAN_CLIENT_NAME", session.machine.as_bytes().into()),
        ("VSCAN_SERVER", session.server.as_bytes().into()),
        ("VSCAN_SCANNER", event.scanner.as_bytes().into()),
    ];
    match &event.occurrence {
        Occurrence::Infected { file, threat, action } => {
            facts.extend(about(file));
            facts.push(("VSCAN_THREAT", threat.as_bytes().into()));
            facts.push(("VSCAN_ACTION", action.name.as_bytes().into()));
            facts.push(("VSCAN_ACTION_RESULT", action.text.as_bytes().into()));
            let destination = action.destination.as_ref().map_or(&b""[..], |path| path.as_bytes());
            facts.push(("VSCAN_DESTINATION", destination.into()));
        }
        Occurrence::ScanError { file, reason } => {
            facts.extend(about(file));
            facts.push(("VSCAN_ERROR", reason.as_bytes().into()));
        }
        Occurrence::ScannerState { is_up, reason } => {
            facts.push(("VSCAN_SCANNER_STATE", word(*is_up, "up", "down")));
            facts.push(("VSCAN_ERROR", reason.as_bytes().into()));
        }
    }
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

fn about(file: &FileEvent) -> [Field<'_>; 4] {
    [
        ("VSCAN_PATH", file.path.as_bytes().into()),
        ("VSCAN_OCCASION", word(file.was_closed, "close", "open")),
        ("VSCAN_ACCESS", word(file.is_denied, "denied", "allowed")),
        ("VSCAN_KNOWN", word(file.was_known, "yes", "no")),
    ]
}

fn word(is: bool, yes: &'static str, no: &'static str) -> Cow<'static, [u8]> {
    let word = if is { yes } else { no };
    word.as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::infected;

    #[test]
    fn a_find_has_all_its_facts_byte_for_byte() {
        let event = infected(b"/srv/data/a\n'\xff.com");
        let facts = facts(&event);
        let fact = |name| facts.iter().find(|(field, _)| *field == name).map(|(_, value)| &**value);
        assert_eq!(fact("VSCAN_PATH"), Some(&b"/srv/data/a\n'\xff.com"[..]));
        assert_eq!(fact("VSCAN_THREAT"), Some(&b"Eicar"[..]));
        assert_eq!(fact("VSCAN_ACTION"), Some(&b"quarantine"[..]));
        assert_eq!(fact("VSCAN_ACCESS"), Some(&b"denied"[..]));
        assert_eq!(fact("VSCAN_ERROR"), None);
        assert!(fact("MESSAGE_ID").is_some_and(|id| id.len() == 32 && id.is_ascii()));
        for (name, _) in &facts {
            assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{name}");
        }
    }
}
