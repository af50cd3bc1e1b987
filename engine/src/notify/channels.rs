//! What the settings say of the ways to tell people. It travels with the events, because `vscan-notify` reads no smb.conf.

use std::path::PathBuf;
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
    /// Mail to the administrator.
    pub mail: Mail,
    /// A web service of the administrator's.
    pub webhook: Webhook,
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

/// Mail to the administrator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// `mail to`; empty: nobody.
    pub to: Vec<String>,
    /// `mail from`; None: vscan at the server.
    pub from: Option<String>,
    /// `mail server`.
    pub server: MailServer,
    /// `mail password file`.
    pub password_file: Option<PathBuf>,
    /// `mail ca file`.
    pub ca_file: Option<PathBuf>,
    /// `mail interval`.
    pub interval: Duration,
}

/// Where mail is handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailServer {
    /// How it is spoken to.
    pub security: MailSecurity,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// Without encryption: `smtp://`.
    #[default]
    None,
    /// Encrypted by STARTTLS, or not at all: `smtp+starttls://`.
    StartTls,
    /// Encrypted from the beginning: `smtps://`.
    Tls,
}

/// A web service of the administrator's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// `webhook`: its address; empty: there is none.
    pub url: String,
    /// `webhook header file`.
    pub header_file: Option<PathBuf>,
    /// `webhook ca file`.
    pub ca_file: Option<PathBuf>,
}

impl Channels {
    /// Whether any of them wants to hear of such events.
    pub fn want(&self, kind: Kind) -> bool {
        let messenger = self.messenger.is_on && kind == Kind::Infected;
        let program = !self.commands.of(kind).is_empty();
        messenger || program || !self.mail.to.is_empty() || !self.webhook.url.is_empty()
    }
}
