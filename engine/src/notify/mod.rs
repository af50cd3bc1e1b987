//! Telling people: what has happened becomes an [`Event`], and goes by way of the [`Spool`] to a program of its own.
//!
//! smbd never talks to a channel. After it has answered its client, it puts its events into the spool, one file each,
//! and starts `vscan-notify` if nobody attends to the spool. That program merges the events of all smbds and sends them:
//! a channel that is slow or dead costs no client anything.

mod channels;
mod event;
mod outbox;
mod spool;
mod template;

pub use channels::{Channels, Messenger, Pace};
pub use event::{ActionTaken, Event, FileEvent, Kind, Occurrence, Session};
pub use outbox::{Notify, Outbox, Unheard};
pub use spool::{Attendance, Spool, Stored};
pub use template::fill;
