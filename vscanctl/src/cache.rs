//! `vscanctl cache`: what all smbds know of files, and how to make them forget it.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags, fstat, open};
use serde::Serialize;
use vscan_engine::action::Bytes;
use vscan_engine::cache::Known;
use vscan_engine::counters::Counters;
use vscan_engine::identity::{FileTime, Identity};
use vscan_engine::privilege::AsIs;
use vscan_engine::settings::Size;
use vscan_engine::shared::{FilesystemId, Flush, SharedCache};

use crate::cli::{CacheCommand, Cli};
use crate::output::{Out, exact, reason, shown, table};
use crate::protection::OnlyTrouble;
use crate::results::{self, Results};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::{Exit, Trouble, output};

pub fn run(command: &CacheCommand, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let shares = shares::all(&SmbConf::read(cli.config.as_deref())?);
    let caches = results::of(&shares, &OnlyTrouble)?;
    match command {
        CacheCommand::Stats => stats(&caches, out),
        CacheCommand::Top { count } => top(&caches, &shares, *count, out),
        CacheCommand::Flush { paths } => flush(&caches, &shares, paths, out),
    }
}

#[derive(Serialize)]
struct StatsReport {
    directory: Bytes,
    entries: u64,
    limit: u64,
    bytes: u64,
    infected: u64,
    oldest_seconds: Option<u64>,
    newest_seconds: Option<u64>,
}

fn stats(caches: &[Results], out: &Out) -> Result<Exit, Trouble> {
    let mut reports = Vec::new();
    for Results { directory, cache } in caches {
        let stats = cache.stats(&OnlyTrouble).map_err(|error| error.to_string())?;
        reports.push(StatsReport {
            directory: exact(directory),
            entries: stats.entries,
            limit: stats.limit,
            bytes: stats.bytes,
            infected: stats.infected,
            oldest_seconds: stats.stored.map(|(oldest, _)| age(oldest).as_secs()),
            newest_seconds: stats.stored.map(|(_, newest)| age(newest).as_secs()),
        });
    }
    out.answer(&reports, |_| {
        let texts = caches.iter().zip(&reports).map(|(cache, report)| {
            let mut rows = vec![
                vec!["results".to_owned(), format!("{} of at most {}", report.entries, report.limit)],
                vec!["infected".to_owned(), report.infected.to_string()],
                vec!["on disk".to_owned(), Size(report.bytes).rounded()],
            ];
            if let (Some(oldest), Some(newest)) = (report.oldest_seconds, report.newest_seconds) {
                let ages = format!("{} to {} old", output::age(newest), output::age(oldest));
                rows.push(vec!["age".to_owned(), ages]);
            }
            format!("{}\n{}", shown(&cache.directory), table(&rows, 2))
        });
        texts.collect()
    })?;
    Ok(Exit::Good)
}

#[derive(Serialize)]
struct TopReport {
    /// None if it is in no share, or in one whose path has macros.
    path: Option<Bytes>,
    inode: u64,
    size: u64,
    scan_ms: f64,
    result: String,
    seconds_ago: u64,
}

/// The files whose scans took longest. The cache knows them by number: their names are looked for in the shares.
fn top(caches: &[Results], shares: &[Share], count: usize, out: &Out) -> Result<Exit, Trouble> {
    let mut found = Vec::new();
    for Results { cache, .. } in caches {
        let top = cache.top(count, &OnlyTrouble).map_err(|error| error.to_string())?;
        found.extend(top.into_iter().map(|(key, entry)| (cache, key, entry)));
    }
    found.sort_by_key(|(.., entry)| std::cmp::Reverse(entry.took));
    found.truncate(count);
    let mut names: HashMap<u64, Vec<PathBuf>> =
        found.iter().map(|(_, key, _)| (key.ino, Vec::new())).collect();
    for share in shares.iter().filter(|share| share.protection.is_some()) {
        each_file(&share.path, &mut |path, inode| {
            if let Some(paths) = names.get_mut(&inode) {
                paths.push(path);
            }
        });
    }
    let reports: Vec<_> = found
        .into_iter()
        .map(|(cache, key, entry)| {
            let is_it =
                |path: &&PathBuf| place_of(cache, path).is_ok_and(|place| place == (key.filesystem, key.ino));
            let path = names.get(&key.ino).into_iter().flatten().find(is_it);
            let result = match &entry.known {
                Known::Clean => "clean".to_owned(),
                Known::Infected(found) => found.threat.to_string(),
            };
            let text = path.map_or_else(|| format!("(inode {}, in no share)", key.ino), |path| shown(path));
            let report = TopReport {
                path: path.map(|path| exact(path)),
                inode: key.ino,
                size: entry.identity.size,
                scan_ms: entry.took.as_secs_f64() * 1000.0,
                result,
                seconds_ago: age(entry.stored).as_secs(),
            };
            (text, report)
        })
        .collect();
    let (texts, reports): (Vec<_>, Vec<_>) = reports.into_iter().unzip();
    out.answer(&reports, |out| {
        let headline = ["SCAN", "SIZE", "AGO", "RESULT", "FILE"].map(str::to_owned).to_vec();
        let rows = reports.iter().zip(texts).map(|(report, text)| {
            let scan = format!("{:.1} ms", report.scan_ms);
            vec![
                scan,
                Size(report.size).rounded(),
                output::age(report.seconds_ago),
                report.result.clone(),
                text,
            ]
        });
        let text = table(&std::iter::once(headline).chain(rows).collect::<Vec<_>>(), 0);
        let (headline, rest) = text.split_once('\n').unwrap_or((&text, ""));
        out.headline(headline) + rest
    })?;
    Ok(Exit::Good)
}

#[derive(Serialize)]
struct FlushReport {
    forgotten: u64,
}

fn flush(caches: &[Results], shares: &[Share], paths: &[PathBuf], out: &Out) -> Result<Exit, Trouble> {
    let places = caches.iter().map(|results| places_of(&results.cache, paths));
    let places = places.collect::<Result<Vec<_>, Trouble>>()?;
    let flushed = caches.iter().zip(&places).map(|(Results { cache, .. }, files)| {
        let what = if paths.is_empty() { Flush::All } else { Flush::Files(files) };
        cache.flush(what, &OnlyTrouble, &AsIs)
    });
    // All that can be forgotten is, also if a server of other results is down.
    let flushed: Vec<_> = flushed.collect();
    // What each smbd has at hand.
    results::counters(shares)?.iter().for_each(Counters::flush);
    if paths.is_empty() {
        touch_epochs(shares)?;
    }
    let forgotten = flushed.into_iter().sum::<Result<u64, _>>().map_err(|error| error.to_string())?;
    out.answer(&FlushReport { forgotten }, |_| {
        format!("{forgotten} results forgotten; what they were about is scanned again at its next open\n")
    })?;
    Ok(Exit::Good)
}

/// For smbds that cannot be reached otherwise: on other servers, or without counters.
fn touch_epochs(shares: &[Share]) -> Result<(), Trouble> {
    let mut files: Vec<&PathBuf> =
        results::settings(shares).filter_map(|settings| settings.signature_epoch_file.as_ref()).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let touched = File::options().write(true).create(true).truncate(false).open(file);
        let touched = touched.and_then(|file| file.set_modified(SystemTime::now()));
        match touched {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            touched => {
                touched
                    .map_err(|error| format!("signature epoch file = {}: {}", shown(file), reason(&error)))?;
            }
        }
    }
    Ok(())
}

/// How the cache calls these files, and those in these directories.
fn places_of(cache: &SharedCache, paths: &[PathBuf]) -> Result<Vec<(FilesystemId, u64)>, Trouble> {
    let mut files = Vec::new();
    for path in paths {
        let mut add = |path: &Path| place_of(cache, path).map(|place| files.push(place));
        if path.is_dir() {
            // What is gone by now needs no place.
            each_file(path, &mut |path, _| drop(add(&path)));
        } else {
            add(path).map_err(|error| format!("{}: {}", shown(path), reason(&error)))?;
        }
    }
    Ok(files)
}

/// How the cache calls a file.
fn place_of(cache: &SharedCache, path: &Path) -> std::io::Result<(FilesystemId, u64)> {
    let file = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let identity = Identity::of(&fstat(&file)?);
    let key = cache.key(identity.key, 0, || file.as_fd().try_clone_to_owned().ok());
    key.map(|key| (key.filesystem, key.ino))
        .ok_or_else(|| std::io::Error::other("its filesystem has no name, so nothing is kept of its files"))
}

/// Every regular file below a directory, with its inode number. What cannot be read is left out.
fn each_file(directory: &Path, visit: &mut dyn FnMut(PathBuf, u64)) {
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(kind) if kind.is_file() => visit(entry.path(), entry.ino()),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

fn age(stored: FileTime) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = u64::try_from(stored.0).map_or(Duration::ZERO, Duration::from_nanos);
    now.saturating_sub(then)
}
