//! Scanner dialogues: one file per scanner, bytes in and bytes out.
//!
//! Nothing here opens a socket, reads a clock or knows a file descriptor. `dialogue` is the contract with the
//! driver (vscan-engine), `verdict` the words they share, and [`parse_scanner`] turns a line of the configuration into
//! a [`dialogue::Scanner`].
#![forbid(unsafe_code)]

pub mod address;
pub mod dialogue;
pub mod verdict;
