//! Everything in vscan that protects a file and knows nothing of Samba.
#![deny(unsafe_code)]

pub mod action;
pub mod cache;
pub mod counters;
mod epoch;
pub mod filetype;
mod fingerprint;
pub mod identity;
pub mod log;
pub mod notify;
pub mod policy;
pub mod privilege;
pub mod protection;
pub mod queue;
mod report;
pub mod scan;
pub mod settings;
pub mod shared;
pub mod sys;
pub mod trusted;
