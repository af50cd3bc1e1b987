//! What vscan does at each VFS operation: one file per operation, safe code only.
#![forbid(unsafe_code)]

pub mod close;
pub mod connect;
pub mod create_file;
pub mod disconnect;
pub mod openat;
