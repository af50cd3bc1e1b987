//! The ways to tell people. Each has a file or a folder of its own, and a row in [`CHANNELS`].

mod command;
mod json;
mod mail;
mod messenger;
mod secret;
mod webhook;

use std::sync::Arc;

use vscan_engine::notify::{Event, Pace, fill};

/// All of them.
pub(crate) static CHANNELS: &[Channel] =
    &[messenger::CHANNEL, command::CHANNEL, mail::CHANNEL, webhook::CHANNEL];

/// A way to tell people.
pub(crate) struct Channel {
    /// For the journal and the log.
    pub(crate) name: &'static str,
    /// Who is to be told of an event. Events for the same recipient, and of the same share, become one message.
    pub(crate) recipient: fn(&Event) -> Option<String>,
    /// How often. A longest rest of zero: each event is a message of its own.
    pub(crate) pace: fn(&Event) -> Pace,
    /// Sends a message, and waits for the end, but within a time that it limits by itself.
    pub(crate) send: fn(&Message<'_>) -> Result<(), Trouble>,
    /// How many messages are sent at once.
    pub(crate) threads: usize,
    /// Whether events of different kinds become one message.
    pub(crate) mixes_kinds: bool,
}

/// Why a message could not be sent, in words for the log.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is nobody to hear it: it is given up, and so is what follows for an hour.
    Nobody(String),
    /// This message is given up, and the next one has its own chance.
    Failed(String),
    /// It is tried again, with what has come meanwhile.
    Later(String),
}

/// What somebody is to be told: at least one event, oldest first. All are of the same share, and
/// of the same kind, unless the channel mixes them.
pub(crate) struct Message<'a> {
    pub(crate) events: &'a [Arc<Event>],
}

impl Message<'_> {
    /// The first event; its settings are those that count.
    pub(crate) fn first(&self) -> &Event {
        // Batches are made of events.
        #[expect(clippy::indexing_slicing, reason = "a message has an event")]
        &self.events[0]
    }

    /// A template with the facts of the first event, and a line about the others.
    pub(crate) fn fill(&self, template: &str) -> String {
        let first = self.first();
        let mut text = fill(template, &|letter| first.value(letter));
        match self.events.len() {
            0 | 1 => {}
            2 => text.push_str("\n(And 1 more file.)"),
            count => text.push_str(&format!("\n(And {} more files.)", count - 1)),
        }
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use vscan_engine::notify::{ActionTaken, FileEvent, Occurrence, Session};

    /// An infected file of this name.
    pub(crate) fn event(name: &str) -> Event {
        let file = FileEvent {
            path: format!("/srv/data/{name}").as_bytes().into(),
            path_in_share: name.as_bytes().into(),
            was_closed: false,
            was_known: false,
            is_denied: true,
        };
        Event {
            id: name.to_owned(),
            time: 0,
            occurrence: Occurrence::Infected {
                file,
                threat: "Eicar-Test".to_owned(),
                action: ActionTaken::nothing(),
            },
            share: "data".to_owned(),
            share_path: (&b"/srv/data"[..]).into(),
            scanner: "clamav".to_owned(),
            session: Session { user: "ann".to_owned(), client: "192.0.2.7".to_owned(), ..Session::default() },
            channels: Arc::default(),
        }
    }

    /// An infected file at this path, which has gone to quarantine.
    pub(crate) fn infected(path: &[u8]) -> Event {
        let mut event = event("");
        if let Occurrence::Infected { file, threat, action } = &mut event.occurrence {
            file.path = path.into();
            file.path_in_share = path.strip_prefix(b"/srv/data/").unwrap_or(path).into();
            *threat = "Eicar".to_owned();
            *action = ActionTaken {
                name: "quarantine".to_owned(),
                destination: Some(b"/q/vir-1"[..].into()),
                text: "moved to quarantine as /q/vir-1".to_owned(),
            };
        }
        event
    }

    #[test]
    fn a_message_about_many_files_counts_them() {
        let events: Vec<_> = ["a", "b", "c"].map(|name| Arc::new(event(name))).into();
        let fill = |count| Message { events: &events[..count] }.fill("%f: %v");
        assert_eq!(fill(1), "a: Eicar-Test");
        assert_eq!(fill(2), "a: Eicar-Test\n(And 1 more file.)");
        assert_eq!(fill(3), "a: Eicar-Test\n(And 2 more files.)");
    }
}
