//! Scanner dialogues: one file per scanner, bytes in and bytes out.
//!
//! Nothing here opens a socket, reads a clock or knows a file descriptor. [`dialogue`] is the contract with the
//! driver (vscan-engine), [`verdict`] the words they share, and [`registry::parse_scanner`] turns a word of the
//! configuration into a [`dialogue::Scanner`]. `README.md` tells how to add a scanner.
#![forbid(unsafe_code)]

// The contract.
pub mod address;
pub mod dialogue;
pub mod verdict;

// What all scanners share.
pub mod registry;
pub mod transcript;
pub mod wire;

mod daemon;
mod head;
mod lines;
mod single;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

// The scanners.
pub mod avast;
pub mod aveserver;
pub mod avg;
pub mod clamav;
pub mod command;
pub mod drweb;
pub mod dummy;
pub mod fprot;
pub mod fprotd;
pub mod fsav;
pub mod icap;
pub mod kav;
pub mod kse;
pub mod mks;
pub mod oav;
pub mod savapi;
pub mod scannedonly;
pub mod sophie;
pub mod sssp;

#[cfg(test)]
mod manual;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod testing;
