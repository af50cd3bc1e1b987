//! What has happened, with all that anybody may want to be told of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Channels;
use crate::action::{Bytes, Done, Utc};
use crate::log::Printable;

/// Something that people should hear of. In the spool, it is JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// No other event has it. Ids sort by time.
    pub id: String,
    /// When it happened, in milliseconds since 1970.
    pub time: u64,
    /// What happened.
    pub occurrence: Occurrence,
    /// The share's name.
    pub share: String,
    /// The share's directory.
    pub share_path: Bytes,
    /// Which scanner it was.
    pub scanner: String,
    /// Whose connection it was.
    pub session: Session,
    /// What this share's settings say of the ways to tell people: only smbd reads smb.conf. All events of one file in the spool
    /// have the same, which is there once.
    #[serde(skip)]
    pub channels: Arc<Channels>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occurrence {
    /// A file is infected.
    Infected {
        /// The file.
        file: FileEvent,
        /// The scanner's name for what it found.
        threat: String,
        /// What was done with the file.
        action: ActionTaken,
    },
    /// No verdict could be had for a file.
    ScanError {
        /// The file.
        file: FileEvent,
        /// Why not.
        reason: String,
    },
    /// A scanner can be reached again, or no longer.
    ScannerState {
        /// Whether it can.
        is_up: bool,
        /// What is known of the reason.
        reason: String,
    },
}

/// The sorts of [`Occurrence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// [`Occurrence::Infected`].
    Infected,
    /// [`Occurrence::ScanError`].
    ScanError,
    /// [`Occurrence::ScannerState`].
    ScannerState,
}

/// A file, and why it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEvent {
    /// Its absolute path.
    pub path: Bytes,
    /// The part below the share's directory.
    pub path_in_share: Bytes,
    /// Whether it was closed after a change, rather than opened.
    pub was_closed: bool,
    /// Whether an earlier scan has said so, of the same file in the same state.
    pub was_known: bool,
    /// Whether the client was refused.
    pub is_denied: bool,
}

/// What was done with an infected file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionTaken {
    /// As `infected file action` calls it: `quarantine`, `delete`, `rename` or `nothing`. What was tried and failed is
    /// `nothing`.
    pub name: String,
    /// Where the file is now, if it was moved.
    pub destination: Option<Bytes>,
    /// In words, as the log has them.
    pub text: String,
}

/// Who is connected to what server. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The user.
    pub user: String,
    /// What the user may do on this machine; None until the user has asked for a file.
    pub rights: Option<Rights>,
    /// The client's address.
    pub client: String,
    /// The name by which the client calls itself (Samba's %m).
    pub machine: String,
    /// The client's name in the network, if Samba looks it up (%M).
    pub client_name: String,
    /// The server's address on this connection (%i).
    pub server_address: String,
    /// The name by which the client calls the server (%L).
    pub server: String,
    /// The server's host name (%h).
    pub host: String,
    /// The smbd that serves the client.
    pub pid: u32,
}

/// The ids under which smbd works for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// The user.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// Its other groups.
    pub groups: Vec<u32>,
}

impl Event {
    /// When it happened.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.time)
    }

    /// The same as in RFC 3339, in UTC.
    pub fn time_text(&self) -> String {
        Utc::from_unix(self.time / 1000).rfc3339()
    }

    /// The sort of event.
    pub fn kind(&self) -> Kind {
        match self.occurrence {
            Occurrence::Infected { .. } => Kind::Infected,
            Occurrence::ScanError { .. } => Kind::ScanError,
            Occurrence::ScannerState { .. } => Kind::ScannerState,
        }
    }

    /// The file that it is about, if it is about one.
    pub fn file(&self) -> Option<&FileEvent> {
        match &self.occurrence {
            Occurrence::Infected { file, .. } | Occurrence::ScanError { file, .. } => Some(file),
            Occurrence::ScannerState { .. } => None,
        }
    }

    /// The text for a letter of a template: Samba's where Samba has one for it. Names are fit to be printed in one line.
    ///
    /// | | |
    /// |---|---|
    /// | `%f`, `%F` | the file: its path below the share's directory, and its absolute path |
    /// | `%v` | the virus, or why a file could not be scanned |
    /// | `%a` | what was done with the file |
    /// | `%S`, `%P` | the share's name and directory |
    /// | `%u`, `%U` | the user |
    /// | `%I`, `%m`, `%M` | the client: its address, NetBIOS name, name in the network |
    /// | `%i`, `%L`, `%h` | the server: its address, NetBIOS name, host name |
    /// | `%T` | when it happened, in UTC |
    /// | `%d` | the number of the smbd |
    /// | `%n` | the scanner |
    pub fn value(&self, letter: char) -> Option<String> {
        let raw = self.raw_value(letter)?;
        match letter {
            // Its names are fit to be printed already.
            'a' => Some(String::from_utf8_lossy(&raw).into_owned()),
            _ => Some(Printable(&raw).to_string()),
        }
    }

    /// The same byte for byte: nobody may print it.
    pub fn raw_value(&self, letter: char) -> Option<Cow<'_, [u8]>> {
        let session = &self.session;
        let raw: &[u8] = match letter {
            'f' => self.file().map_or(b"", |file| file.path_in_share.as_bytes()),
            'F' => self.file().map_or(b"", |file| file.path.as_bytes()),
            'v' => match &self.occurrence {
                Occurrence::Infected { threat, .. } => threat.as_bytes(),
                Occurrence::ScanError { reason, .. } | Occurrence::ScannerState { reason, .. } => {
                    reason.as_bytes()
                }
            },
            'a' => self.action().as_bytes(),
            'S' => self.share.as_bytes(),
            'P' => self.share_path.as_bytes(),
            'u' | 'U' => session.user.as_bytes(),
            'I' => session.client.as_bytes(),
            'm' => session.machine.as_bytes(),
            'M' => session.client_name.as_bytes(),
            'i' => session.server_address.as_bytes(),
            'L' => session.server.as_bytes(),
            'h' => session.host.as_bytes(),
            'T' => return Some(self.time_text().into_bytes().into()),
            'd' => return Some(session.pid.to_string().into_bytes().into()),
            'n' => self.scanner.as_bytes(),
            _ => return None,
        };
        Some(raw.into())
    }

    fn action(&self) -> &str {
        match &self.occurrence {
            Occurrence::Infected { action, .. } => &action.text,
            Occurrence::ScanError { .. } | Occurrence::ScannerState { .. } => "",
        }
    }
}

impl ActionTaken {
    /// Nothing was to be done.
    pub fn nothing() -> Self {
        Self { name: "nothing".to_owned(), destination: None, text: Done::Nothing.to_string() }
    }

    /// What was done.
    pub fn of(done: &Done) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        let (name, destination) = match done {
            Done::Nothing | Done::AlreadyGone { .. } | Done::AlreadyRenamed => ("nothing", None),
            Done::Quarantined { at, .. } | Done::AlreadyQuarantined { at } => ("quarantine", Some(at)),
            Done::Deleted { .. } => ("delete", None),
            Done::Renamed { to, .. } => ("rename", Some(to)),
        };
        Self {
            name: name.to_owned(),
            destination: destination.map(|path| path.as_os_str().as_bytes().into()),
            text: done.to_string(),
        }
    }

    /// It failed.
    pub fn failed(why: String) -> Self {
        Self { name: "nothing".to_owned(), destination: None, text: why }
    }
}
