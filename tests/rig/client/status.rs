//! NTSTATUS.

use std::fmt;

/// How a request went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

/// The names that claims use.
macro_rules! statuses {
    ($($name:ident = $value:literal),* $(,)?) => {
        #[allow(missing_docs, reason = "the names are Microsoft's")]
        impl Status {
            $(pub const $name: Self = Self($value);)*

            fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    OK = 0,
    PENDING = 0x0000_0103,
    INVALID_HANDLE = 0xc000_0008,
    ACCESS_DENIED = 0xc000_0022,
    OBJECT_NAME_NOT_FOUND = 0xc000_0034,
    OBJECT_NAME_COLLISION = 0xc000_0035,
    SHARING_VIOLATION = 0xc000_0043,
    DELETE_PENDING = 0xc000_0056,
    IO_TIMEOUT = 0xc000_00b5,
    CANCELLED = 0xc000_0120,
    FILE_CLOSED = 0xc000_0128,
    // Never sent by a server: the connection ended before the answer.
    DISCONNECTED = 0xc000_020c,
    USER_SESSION_DELETED = 0xc000_0203,
    VIRUS_INFECTED = 0xc000_0906,
    VIRUS_DELETED = 0xc000_0907,
}

impl Status {
    /// For `?`.
    pub fn ok(self) -> Result<(), Self> {
        if self == Self::OK { Ok(()) } else { Err(self) }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "NTSTATUS {:#010x}", self.0),
        }
    }
}
