//! Claims about the actions, on real files and real filesystems. They need root, as smbd has it.

mod delete;
mod filesystem;
mod kill;
mod note;
mod quarantine;
mod rename;
mod restore;
mod rig;
mod store;
mod swap;
