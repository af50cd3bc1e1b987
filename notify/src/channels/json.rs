//! Messages for programs: JSON, whose meaning only changes with its `schema`.

use serde::Serialize;
use vscan_engine::notify::{Event, FileEvent, Occurrence};

use super::Message;

/// The number of this form. New fields may come under the same number; old ones stay as they are.
const SCHEMA: u32 = 1;

/// More events are only counted.
const MOST_EVENTS: usize = 100;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    /// `vscan`, and its version.
    source: &'static str,
    version: &'static str,
    /// `infected`, `scan_error` or `scanner_state`.
    kind: &'static str,
    share: &'a str,
    /// How many events there were.
    count: usize,
    /// The first of them.
    events: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    /// RFC 3339, UTC.
    time: String,
    share: &'a str,
    user: &'a str,
    client: &'a str,
    client_name: &'a str,
    server: &'a str,
    scanner: &'a str,
    #[serde(flatten)]
    file: Option<File<'a>>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
struct File<'a> {
    path: Name<'a>,
    path_in_share: Name<'a>,
    /// `open` or `close`.
    occasion: &'static str,
    /// Whether the client was refused.
    denied: bool,
    /// Whether an earlier scan has said so.
    known: bool,
}

/// Bytes: a text if they are UTF-8, else `{"base64": ...}`.
#[derive(Serialize)]
#[serde(untagged)]
enum Name<'a> {
    Text(&'a str),
    Bytes { base64: String },
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Infected { threat: &'a str, action: &'a str, result: &'a str, destination: Option<Name<'a>> },
    ScanError { error: &'a str },
    ScannerState { state: &'static str, error: &'a str },
}

impl<'a> Name<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        use base64::Engine as _;
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Bytes { base64: base64::engine::general_purpose::STANDARD.encode(bytes) },
        }
    }
}

/// A message, with the facts of its first events.
pub(super) fn document(message: &Message<'_>) -> Vec<u8> {
    let first = message.first();
    let document = Document {
        schema: SCHEMA,
        source: "vscan",
        version: env!("CARGO_PKG_VERSION"),
        kind: match first.occurrence {
            Occurrence::Infected { .. } => "infected",
            Occurrence::ScanError { .. } => "scan_error",
            Occurrence::ScannerState { .. } => "scanner_state",
        },
        share: &first.share,
        count: message.events.len(),
        events: message.events.iter().take(MOST_EVENTS).map(|event| item(event)).collect(),
    };
    // Only maps with odd keys and foreign code can fail, and there are neither.
    serde_json::to_vec(&document).unwrap_or_default()
}

fn item(event: &Event) -> Item<'_> {
    let session = &event.session;
    Item {
        id: &event.id,
        time: event.time_text(),
        share: &event.share,
        user: &session.user,
        client: &session.client,
        client_name: &session.machine,
        server: &session.server,
        scanner: &event.scanner,
        file: event.file().map(file),
        what: match &event.occurrence {
            Occurrence::Infected { threat, action, .. } => What::Infected {
                threat,
                action: &action.name,
                result: &action.text,
                destination: action.destination.as_ref().map(|path| Name::of(path.as_bytes())),
            },
            Occurrence::ScanError { reason, .. } => What::ScanError { error: reason },
            Occurrence::ScannerState { is_up, reason } => {
                What::ScannerState { state: if *is_up { "up" } else { "down" }, error: reason }
            }
        },
    }
}

fn file(file: &FileEvent) -> File<'_> {
    File {
        path: Name::of(file.path.as_bytes()),
        path_in_share: Name::of(file.path_in_share.as_bytes()),
        occasion: if file.was_closed { "close" } else { "open" },
        denied: file.is_denied,
        known: file.was_known,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::channels::tests::infected;

    #[test]
    fn a_message_says_how_many_and_what() {
        let event = Arc::new(infected(b"/srv/data/a\"\n.com"));
        let events = vec![event; 150];
        let text = document(&Message { events: &events });
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (&json["schema"], &json["count"], &json["kind"]),
            (&1.into(), &150.into(), &"infected".into())
        );
        assert_eq!(json["events"].as_array().unwrap().len(), MOST_EVENTS);
        let event = &json["events"][0];
        assert_eq!(event["path"], "/srv/data/a\"\n.com");
        assert_eq!((&event["threat"], &event["action"]), (&"Eicar".into(), &"quarantine".into()));
        assert_eq!((&event["denied"], &event["occasion"]), (&true.into(), &"open".into()));
        assert!(event["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_name_that_is_no_text_is_in_base64() {
        let events = [Arc::new(infected(b"/s/\xff"))];
        let json: serde_json::Value =
            serde_json::from_slice(&document(&Message { events: &events })).unwrap();
        assert_eq!(json["events"][0]["path"]["base64"], "L3Mv/w==");
    }
}
