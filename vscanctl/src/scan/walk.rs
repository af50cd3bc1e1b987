//! The way through a tree: every regular file once, no link followed.
//!
//! A directory that somebody replaces by a link meanwhile may lead this way out of the tree. That does no harm: whoever
//! opens a file ([`super::worker`]) makes sure that it is where its path says, without links.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use super::{Message, Tree};
use crate::output::reason;

/// A file to be scanned.
pub struct Found {
    pub path: PathBuf,
    /// Which of the trees it is in.
    pub tree: usize,
}

pub struct Walk<'a> {
    pub trees: &'a [Tree<'a>],
    /// Left out.
    pub quarantines: &'a [PathBuf],
    pub queue: SyncSender<Found>,
    pub reports: SyncSender<Message>,
    pub stop: &'a AtomicBool,
}

impl Walk<'_> {
    /// Through all trees. Ends early when nobody listens any more.
    pub fn all(self) {
        for (index, tree) in self.trees.iter().enumerate() {
            let is_new = !self.trees.iter().take(index).any(|other| tree.path.starts_with(&other.path));
            if is_new && self.tree(index, tree.path.clone()).is_none() {
                return;
            }
        }
        // The listener may have given up.
        let _ = self.reports.send(Message::AllFound);
    }

    fn tree(&self, tree: usize, path: PathBuf) -> Option<()> {
        if path.is_file() {
            return self.found(path, tree);
        }
        let mut directories = vec![path];
        while let Some(directory) = directories.pop() {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if self.quarantines.contains(&directory) {
                continue;
            }
            let unreadable = |error: &std::io::Error| Message::Unreadable(directory.clone(), reason(error));
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    self.reports.send(unreadable(&error)).ok()?;
                    continue;
                }
            };
            for entry in entries {
                match entry.and_then(|entry| Ok((entry.file_type()?, entry.path()))) {
                    Ok((kind, path)) if kind.is_dir() => directories.push(path),
                    Ok((kind, path)) if kind.is_file() => self.found(path, tree)?,
                    // Links, devices, sockets, pipes: there is nothing to scan.
                    Ok(_) => {}
                    Err(error) => self.reports.send(unreadable(&error)).ok()?,
                }
            }
        }
        Some(())
    }

    fn found(&self, path: PathBuf, tree: usize) -> Option<()> {
        self.reports.send(Message::Found(1)).ok()?;
        self.queue.send(Found { path, tree }).ok()
    }
}
