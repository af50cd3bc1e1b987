//! What the operating system can do and no safe library offers: the engine's only `unsafe` code.
//!
//! One file for each concern, with a safe face. `SAFETY.md` has the rules of the process that this runs in.
#![allow(unsafe_code)]

pub mod batch;
mod child;
pub mod detached;
pub(crate) mod filesystem;
mod keeper;
pub(crate) mod lease;
pub(crate) mod lmdb;
pub(crate) mod mapped;
pub mod program;
#[cfg(test)]
mod tests;
pub mod user;
