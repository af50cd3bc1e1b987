//! The boundary to smbd: the only unsafe code of the module.
//!
//! SAFETY.md holds the rules that no single function can state. The rest of the module is safe Rust that sees smbd
//! through `views`, keeps its own data through `state`, and answers through `entry`.

mod abi;
pub mod client;
mod entry;
pub mod event;
mod guard;
pub mod log;
mod next;
pub mod params;
pub mod park;
pub mod root;
mod samba;
mod state;
pub mod views;

pub use samba::NtStatus;
