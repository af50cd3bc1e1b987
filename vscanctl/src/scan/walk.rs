//! The way through a tree: every regular file once, no link followed.
//!
//! A directory that somebody replaces by a link meanwhile may lead this way out of the tree. That does no harm: whoever
//! opens a file ([`super::worker`]) makes sure that it is where its path says, without links.

use std::mem;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use super::queue::{Found, Queue};
use super::{Message, Tree};
use crate::output::reason;

/// So many files are handed over at once: to wake somebody up for each costs more than to find it.
const BATCH: usize = 64;

pub struct Walk<'a> {
    trees: &'a [Tree<'a>],
    /// Left out.
    quarantines: &'a [PathBuf],
    queue: &'a Queue,
    reports: SyncSender<Message>,
    stop: &'a AtomicBool,
    /// Not handed over yet.
    batch: Vec<Found>,
}

impl<'a> Walk<'a> {
    pub fn new(
        trees: &'a [Tree<'a>],
        quarantines: &'a [PathBuf],
        queue: &'a Queue,
        reports: SyncSender<Message>,
        stop: &'a AtomicBool,
    ) -> Self {
        Self { trees, quarantines, queue, reports, stop, batch: Vec::new() }
    }

    /// Through all trees. Ends early when nobody listens any more.
    pub fn all(mut self) {
        for (index, tree) in self.trees.iter().enumerate() {
            // Through another share, other rules and other scanners count.
            let is_in =
                |other: &Tree<'_>| ptr::eq(other.share, tree.share) && tree.path.starts_with(&other.path);
            let is_new = !self.trees.iter().take(index).any(is_in);
            if is_new && self.tree(index, tree.path.clone()).is_none() {
                return;
            }
        }
        // The listener may have given up.
        let _ = self.reports.send(Message::AllFound);
    }

    fn tree(&mut self, tree: usize, path: PathBuf) -> Option<()> {
        if path.is_file() {
            self.batch.push(Found { path, tree });
            return self.hand_over();
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
                    Ok((kind, path)) if kind.is_file() => {
                        self.batch.push(Found { path, tree });
                        if self.batch.len() == BATCH {
                            self.hand_over()?;
                        }
                    }
                    // Links, devices, sockets, pipes: there is nothing to scan.
                    Ok(_) => {}
                    Err(error) => self.reports.send(unreadable(&error)).ok()?,
                }
            }
            // The next directory may be far away.
            self.hand_over()?;
        }
        Some(())
    }

    fn hand_over(&mut self) -> Option<()> {
        let batch = mem::take(&mut self.batch);
        if batch.is_empty() {
            return Some(());
        }
        self.reports.send(Message::Found(batch.len() as u64)).ok()?;
        self.queue.add(batch);
        Some(())
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.queue.close();
    }
}
