//! Directories and files that vscan works with: who owns them, who may write there, and on which filesystem they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use serde::Serialize;
use vscan_engine::action::{Bytes, Quarantine};
use vscan_engine::counters::Counters;
use vscan_engine::notify::Spool;
use vscan_engine::scan::spool;
use vscan_engine::settings::Size;
use vscan_engine::shared::SharedCache;
use vscan_engine::trusted;

use crate::output::{Remark, exact, reason, shown};
use crate::shares::Share;

/// One directory or file.
#[derive(Serialize)]
pub struct DirectoryReport {
    path: Bytes,
    purpose: &'static str,
    pub remark: Remark,
}

pub fn check(shares: &[&Share]) -> Vec<DirectoryReport> {
    let protected = || shares.iter().filter_map(|share| Some((*share, share.protection.as_ref()?)));
    let mut reports = Vec::new();
    let files: BTreeMap<&Path, bool> =
        protected().map(|(share, _)| (share.file.0.as_path(), share.file.1)).collect();
    for (path, is_named) in files {
        reports.extend(report(path, "configuration", configuration(path, is_named)));
    }
    let mut quarantines: BTreeMap<&Path, Vec<&Share>> = BTreeMap::new();
    for (share, loaded) in protected() {
        quarantines.entry(&loaded.settings.quarantine_directory).or_default().push(share);
    }
    for (path, shares) in quarantines {
        reports.extend(report(path, "quarantine", Some(quarantine(path, &shares))));
    }
    let caches: BTreeSet<&Path> = protected()
        .filter_map(|(_, loaded)| Some(loaded.settings.shared_cache.as_ref()?.directory.as_path()))
        .collect();
    for path in caches {
        let is_there = SharedCache::has_directory(path);
        reports.extend(report(path, "cache", Some(made_if_missing("cache directory", path, is_there))));
    }
    let spools: BTreeSet<&Path> =
        protected().map(|(_, loaded)| loaded.settings.notify.spool.as_path()).collect();
    for path in spools {
        let is_there = Spool::is_there(path);
        reports.extend(report(path, "spool", Some(made_if_missing("notify spool", path, is_there))));
    }
    let lists: BTreeSet<&Path> =
        protected().filter_map(|(_, loaded)| loaded.settings.trusted_files.as_deref()).collect();
    for path in lists {
        reports.extend(report(path, "trusted", Some(trusted_files(path))));
    }
    let counters: BTreeSet<&Path> =
        protected().filter_map(|(_, loaded)| loaded.settings.counters_file.as_deref()).collect();
    for path in counters {
        reports.extend(report(path, "counters", Some(counters_file(path))));
    }
    let copies: BTreeSet<&Path> =
        protected().filter_map(|(_, loaded)| loaded.settings.spool_directory.as_deref()).collect();
    for path in copies {
        reports.extend(report(path, "copies", Some(spool_directory(path))));
    }
    for (share, _) in protected().filter(|(share, _)| !share.has_macros()) {
        reports.extend(report(&share.path, "share", root(share)));
    }
    reports
}

fn report(path: &Path, purpose: &'static str, remark: Option<Remark>) -> Option<DirectoryReport> {
    Some(DirectoryReport { path: exact(path), purpose, remark: remark? })
}

/// Whoever may write into this file can turn the protection off. One that cannot be read was complained about.
fn configuration(path: &Path, is_named: bool) -> Option<Remark> {
    let at = shown(path);
    match std::fs::metadata(path) {
        Ok(metadata) if others_may_write(&metadata) => Some(Remark::mistake(format!(
            "configuration {at} belongs to or is writable for others than root, who can turn scanning off: chown root and \
             chmod go-w it"
        ))),
        Ok(_) => Some(Remark::ok(format!("configuration {at}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => {
            Some(Remark::note(format!("configuration {at} is not there: defaults, and what smb.conf says")))
        }
        Err(_) => None,
    }
}

fn others_may_write(metadata: &Metadata) -> bool {
    metadata.uid() != 0
        || metadata.mode() & 0o002 != 0
        || (metadata.mode() & 0o020 != 0 && metadata.gid() != 0)
}

fn quarantine(path: &Path, shares: &[&Share]) -> Remark {
    match Quarantine::open(path) {
        Err(error) => Remark::mistake(format!("quarantine: {error}")),
        Ok(None) => Remark::ok(format!(
            "quarantine {} is not there yet: vscan makes it when it is needed",
            shown(path)
        )),
        Ok(Some(found)) => {
            let at = found.path();
            let mut text = format!("quarantine {}: for root only, {}", shown(at), filesystem(at));
            let device = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.dev());
            let own = device(at);
            let elsewhere: Vec<_> = shares
                .iter()
                .filter(|share| device(&share.path).is_some_and(|device| Some(device) != own))
                .map(|share| share.name.as_str())
                .collect();
            if !elsewhere.is_empty() {
                text += &format!(
                    "; another filesystem than share {}: files are copied, which takes longer",
                    elsewhere.join(", ")
                );
            }
            Remark::ok(text)
        }
    }
}

/// A directory that vscan makes for itself.
fn made_if_missing(setting: &str, path: &Path, is_there: io::Result<bool>) -> Remark {
    let at = shown(path);
    match is_there {
        Ok(true) => {
            Remark::ok(format!("{setting} {at}: nobody but root can write to it, {}", filesystem(path)))
        }
        Ok(false) => match can_be_made(path) {
            Ok(()) => {
                Remark::ok(format!("{setting} {at} is not there yet: vscan makes it when it is needed"))
            }
            Err(error) => Remark::mistake(format!(
                "{setting} {at} is not there, and vscan cannot make it: {}",
                reason(&error)
            )),
        },
        Err(error) => Remark::mistake(format!("{setting} {at} cannot be used: {}", reason(&error))),
    }
}

/// Whoever may write into this file can let any virus pass.
fn trusted_files(path: &Path) -> Remark {
    let at = shown(path);
    match trusted::is_there(path) {
        Ok(true) => Remark::ok(format!("trusted files {at}: nobody but root can write to it")),
        Ok(false) => Remark::ok(format!("trusted files {at} is not there: no content is trusted")),
        Err(error) => Remark::mistake(format!("trusted files {at} cannot be used: {}", reason(&error))),
    }
}

fn counters_file(path: &Path) -> Remark {
    let at = shown(path);
    let is_there = match Counters::open_existing(path) {
        Ok(_) => Ok(true),
        // What is not vscan's is replaced.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            can_be_made(path).map(|()| false)
        }
        Err(error) => Err(error),
    };
    match is_there {
        Ok(true) => Remark::ok(format!("counters file {at}")),
        Ok(false) => {
            Remark::ok(format!("counters file {at} is not there yet: vscan makes it when it is needed"))
        }
        Err(error) => Remark::mistake(format!(
            "counters file {at} cannot be used, so nothing is counted: {}",
            reason(&error)
        )),
    }
}

/// For scanners that are told the path of a copy.
fn spool_directory(path: &Path) -> Remark {
    let at = shown(path);
    match spool::check(path) {
        Ok(()) => {
            Remark::ok(format!("spool directory {at}: nobody but root can write to it, {}", filesystem(path)))
        }
        Err(why) => Remark::mistake(format!("spool directory {at} cannot be used: {why}")),
    }
}

/// Whether something can be made in the innermost directory on the way that is there.
fn can_be_made(path: &Path) -> io::Result<()> {
    let is_missing = |directory: &&Path| {
        std::fs::metadata(directory).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    match path.ancestors().skip(1).find(|directory| !is_missing(directory)) {
        Some(directory) => Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?),
        None => Ok(()),
    }
}

fn root(share: &Share) -> Option<Remark> {
    let at = shown(&share.path);
    match std::fs::metadata(&share.path) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(Remark::mistake(format!("share {}: {at} is not a directory", share.name))),
        Err(error) => Some(Remark::mistake(format!("share {}: {at}: {}", share.name, reason(&error)))),
    }
}

/// Such as `ext4, 12.3G free`.
fn filesystem(path: &Path) -> String {
    let kind = filesystem_type(path).unwrap_or_else(|| "unknown filesystem".to_owned());
    match statvfs(path) {
        Ok(facts) => {
            format!("{kind}, {} free", Size(facts.f_bavail.saturating_mul(facts.f_frsize)).rounded())
        }
        Err(_) => kind,
    }
}

/// From /proc/self/mountinfo: the mount point that is farthest down on the way to the path, the last one of several.
fn filesystem_type(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let point = PathBuf::from(front.split(' ').nth(4)?.replace("\\040", " "));
        Some((point, back.split(' ').next()?.to_owned()))
    });
    let on_the_way = mounts.filter(|(point, _)| path.starts_with(point));
    on_the_way.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind)
}
