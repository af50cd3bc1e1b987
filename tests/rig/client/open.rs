//! How a file is to be opened: the fields of SMB2 CREATE.

use serde_json::{Value, json};

/// Access mask bits.
#[allow(missing_docs, reason = "the names are Microsoft's")]
pub mod access {
    pub const READ_DATA: u32 = 0x1;
    pub const WRITE_DATA: u32 = 0x2;
    pub const APPEND_DATA: u32 = 0x4;
    pub const EXECUTE: u32 = 0x20;
    pub const READ_ATTRIBUTES: u32 = 0x80;
    pub const DELETE: u32 = 0x1_0000;
    pub const READ_CONTROL: u32 = 0x2_0000;
    pub const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
    pub const GENERIC_ALL: u32 = 0x1000_0000;
    pub const GENERIC_EXECUTE: u32 = 0x2000_0000;
    pub const GENERIC_WRITE: u32 = 0x4000_0000;
    pub const GENERIC_READ: u32 = 0x8000_0000;
}

/// What to do if the file exists, and if not.
#[allow(missing_docs, reason = "the names are Microsoft's")]
pub mod disposition {
    pub const SUPERSEDE: u32 = 0;
    pub const OPEN: u32 = 1;
    pub const CREATE: u32 = 2;
    pub const OPEN_IF: u32 = 3;
    pub const OVERWRITE: u32 = 4;
    pub const OVERWRITE_IF: u32 = 5;
}

/// Create options.
#[allow(missing_docs, reason = "the names are Microsoft's")]
pub mod option {
    pub const DIRECTORY_FILE: u32 = 0x1;
    pub const NON_DIRECTORY_FILE: u32 = 0x40;
    pub const DELETE_ON_CLOSE: u32 = 0x1000;
    pub const OPEN_REPARSE_POINT: u32 = 0x20_0000;
}

/// What others may do meanwhile.
#[allow(missing_docs, reason = "the names are Microsoft's")]
pub mod sharing {
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const DELETE: u32 = 4;
    pub const ALL: u32 = 7;
}

/// Lease states.
#[allow(missing_docs, reason = "the names are Microsoft's")]
pub mod lease {
    pub const READ: u32 = 1;
    pub const HANDLE: u32 = 2;
    pub const WRITE: u32 = 4;
}

/// Oplock levels.
#[allow(missing_docs, reason = "the names are Microsoft's")]
pub mod oplock {
    pub const NONE: u32 = 0x0;
    pub const BATCH: u32 = 0x9;
}

/// One way to open a file.
#[derive(Clone, Debug)]
#[must_use]
pub struct Open(Value);

impl Open {
    /// This access to a file that exists; others may do as they like.
    pub fn with_access(access: u32) -> Self {
        Self(json!({
            "op": "create", "access": access, "sharing": sharing::ALL, "disposition": disposition::OPEN, "options": 0,
        }))
    }

    /// Reads a file that exists.
    pub fn read() -> Self {
        Self::with_access(access::GENERIC_READ)
    }

    /// Reads and writes a file that exists.
    pub fn read_write() -> Self {
        Self::with_access(access::GENERIC_READ | access::GENERIC_WRITE)
    }

    /// Writes a new file, or over the content of an old one.
    pub fn overwrite() -> Self {
        Self::with_access(access::GENERIC_WRITE).disposition(disposition::OVERWRITE_IF)
    }

    /// Another disposition.
    pub fn disposition(self, disposition: u32) -> Self {
        self.set("disposition", disposition.into())
    }

    /// Create options.
    pub fn options(self, options: u32) -> Self {
        self.set("options", options.into())
    }

    /// What others may do meanwhile.
    pub fn sharing(self, sharing: u32) -> Self {
        self.set("sharing", sharing.into())
    }

    /// Asks for a lease. `key` tells leases of one client apart.
    pub fn lease(self, key: u8, state: u32) -> Self {
        self.set("lease", format!("{key:032x}").into()).set("lease_state", state.into())
    }

    /// Asks for an oplock.
    pub fn oplock(self, level: u32) -> Self {
        self.set("oplock", level.into())
    }

    /// Asks for a durable handle (which the server grants only with a lease that has `HANDLE`).
    pub fn durable(self, guid: u8) -> Self {
        self.set("durable", guid_text(guid))
    }

    /// Takes up a durable handle again, on another connection.
    pub fn reconnect(self, guid: u8, file_id: &str) -> Self {
        self.set("reconnect", guid_text(guid)).set("reconnect_id", file_id.into())
    }

    fn set(mut self, field: &str, value: Value) -> Self {
        self.0[field] = value;
        self
    }

    pub(super) fn command(self, name: &str) -> Value {
        self.set("name", name.into()).0
    }
}

fn guid_text(guid: u8) -> Value {
    format!("00000000-0000-0000-0000-{guid:012x}").into()
}
