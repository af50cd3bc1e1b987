//! Telling people: what has happened becomes an [`Event`], and goes by way of the [`Spool`] to a program of its own.
//!
//! smbd never talks to a channel. It gathers events for a moment, puts them into the spool, all in one file, and starts
//! `vscan-notify` if nobody attends to the spool. That program merges the events of all smbds and sends them: a channel that
//! is slow or dead costs no client anything.

mod channels;
mod event;
mod outbox;
mod spool;
mod template;

pub use channels::{Channels, Commands, Mail, MailSecurity, MailServer, Messenger, Pace, Webhook};
pub use event::{ActionTaken, Event, FileEvent, Kind, Occurrence, Rights, Session};
pub use outbox::{Notify, Outbox, Unheard};
pub use spool::{Attendance, Room, Spool, Stored};
pub use template::{fill, fill_bytes};

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of the share data that was found infected, and moved to quarantine.
    pub(crate) fn infected(path: &[u8]) -> Event {
        let file = FileEvent {
            path: path.into(),
            path_in_share: path.rsplit(|b| *b == b'/').next().unwrap().into(),
            was_closed: false,
            was_known: false,
            is_denied: true,
        };
        let action = ActionTaken {
            name: "quarantine".to_owned(),
            destination: Some(b"/q/vir-1"[..].into()),
            text: "moved to quarantine as /q/vir-1".to_owned(),
        };
        Event {
            id: "1-2-3".to_owned(),
            time: 0,
            occurrence: Occurrence::Infected { file, threat: "Eicar".to_owned(), action },
            share: "data".to_owned(),
            share_path: b"/srv/data"[..].into(),
            scanner: "clamav".to_owned(),
            session: Session {
                user: "ann".to_owned(),
                client: "192.0.2.7".to_owned(),
                machine: "annspc".to_owned(),
                ..Session::default()
            },
            channels: Default::default(),
        }
    }
}
