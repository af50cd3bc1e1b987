//! Everything in vscan that protects a file and knows nothing of Samba.
#![forbid(unsafe_code)]

pub mod action;
pub mod identity;
pub mod log;
