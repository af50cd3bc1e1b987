//! What the settings say of the ways to tell people. It travels with each event, because `vscan-notify` reads no smb.conf.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Kind;

/// All ways to tell people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Channels {
    /// How often somebody hears of the same share.
    pub pace: Pace,
    /// Windows' pop-up messages.
    pub messenger: Messenger,
    /// Programs of the administrator's.
    pub commands: Commands,
}

/// The first event is told at once; those that follow are collected, for longer and longer, and told as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// How long the second message waits for more events. Each further one waits four times as long.
    pub first: Duration,
    /// But not longer than this. So long without an event, and the next one is told at once again.
    pub longest: Duration,
}

/// WinPopup messages to the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messenger {
    /// `send warning message`.
    pub is_on: bool,
    /// `warning message`: a template, see [`super::fill`].
    pub text: String,
    /// `messenger port`.
    pub port: u16,
    /// `messenger code page`.
    pub code_page: u16,
}

/// Programs of the administrator's. Each is a path and arguments, with templates in them; empty: there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commands {
    /// `infected file command`.
    pub infected_file: Vec<String>,
    /// `scan error command`.
    pub scan_error: Vec<String>,
    /// `scanner state command`.
    pub scanner_state: Vec<String>,
    /// `command timeout`.
    pub timeout: Duration,
    /// `command interval`.
    pub interval: Duration,
}

impl Commands {
    /// The one for such events.
    pub fn of(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Infected => &self.infected_file,
            Kind::ScanError => &self.scan_error,
            Kind::ScannerState => &self.scanner_state,
        }
    }
}

impl Channels {
    /// Whether any of them wants to hear of such events.
    pub fn want(&self, kind: Kind) -> bool {
        let messenger = self.messenger.is_on && kind == Kind::Infected;
        messenger || !self.commands.of(kind).is_empty()
    }
}
