//! Everything in vscan that protects a file and knows nothing of Samba.
#![forbid(unsafe_code)]

pub mod cache;
pub mod identity;
pub mod log;
pub mod privilege;
pub mod scan;
