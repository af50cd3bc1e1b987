//! Runs a scanner's dialogue against a file: sockets, descriptors and deadlines.
//!
//! [`exchange::Exchange`] is the whole of it and never waits. Whoever owns a loop drives it: [`blocking`] with poll(2)
//! here, the module with smbd's own event loop.

pub mod blocking;
mod connect;
mod content;
pub mod exchange;
mod health;
mod kept;
mod marks;
pub mod pool;
pub mod probe;
mod program;
mod socket;
pub mod spool;
#[cfg(test)]
mod tests;
pub mod version;

use std::time::Duration;

pub use health::{close_connections, close_idle_connections};
pub use kept::LONGEST_IDLE;

/// How long a scan may take, and how long each part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the scanner accepts the connection.
    pub connect: Duration,
    /// Between two signs of life of the connection.
    pub io: Duration,
    /// The whole scan.
    pub scan: Duration,
}
