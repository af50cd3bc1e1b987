//! Which results are remembered, and for how long.

use std::path::PathBuf;

use super::Group;
use super::{same, set, words};
use crate::settings::CacheKind;
use crate::settings::option::{Applied, Kind, Opt};
use crate::settings::value::{choice, entries, lifetime};

const CACHE: &[(&str, CacheKind)] =
    &[("shared", CacheKind::Shared), ("process", CacheKind::Process), ("off", CacheKind::Off)];

fn set_directory(field: &mut PathBuf, text: &str) -> Applied {
    let directory = PathBuf::from(text);
    if !directory.is_absolute() {
        return Err("must be an absolute path, without quotes".to_owned());
    }
    *field = directory;
    Ok(None)
}

/// As many as LMDB finds quickly, and a file of some gigabytes.
const MOST_SHARED_ENTRIES: u64 = 100_000_000;

fn shared_entries(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number @ 0..=MOST_SHARED_ENTRIES) => Ok(number),
        _ => Err(format!("is not a number from 0 to {MOST_SHARED_ENTRIES}")),
    }
}

fn server(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    crate::shared::server::check(text)?;
    Ok(Some(text.to_owned()))
}

pub(super) const GROUP: Group = Group {
    title: "Results",
    options: &[
        Opt {
            name: "cache",
            aliases: &[],
            kind: Kind::Choice(|| words(CACHE)),
            default: "shared",
            on_mistake: "process",
            help: "Who knows the result of a scan. shared: all smbds, also after a restart. process: only the smbd of the \
               client that had the file scanned. off: nobody, every open is a scan.",
            apply: |draft, text| set(&mut draft.cache, choice(text, CACHE)),
        },
        Opt {
            name: "cache directory",
            aliases: &[],
            kind: Kind::Path,
            default: "/var/cache/vscan",
            on_mistake: "/var/cache/vscan",
            help: "Where the shared results are. vscan makes the directory, for root only. It may be deleted while no \
               smbd runs.",
            apply: |draft, text| set_directory(&mut draft.cache_directory, text),
        },
        Opt {
            name: "cache entries",
            aliases: &[],
            kind: Kind::Number,
            default: "1000000",
            on_mistake: "1000000",
            help: "How many results are shared; each takes about 250 bytes of disk. When there are so many, the oldest \
               tenth goes. 0: none.",
            apply: |draft, text| set(&mut draft.shared_entries, shared_entries(text)),
        },
        Opt {
            name: "cache server",
            aliases: &[],
            kind: Kind::Text,
            default: "",
            on_mistake: "",
            help: "For clustered Samba: a Redis or Valkey server by which all nodes share results, such as \
               redis://192.0.2.7:6379/0 or redis+unix:///run/redis/redis.sock. Whoever can write to it can call any file \
               clean. Without an answer within 50 ms it is left alone for 10 s, and files are scanned instead. All nodes \
               must see the filesystem by the same ID (CephFS, GFS2, OCFS2), and have the same scanners; the \
               \"signature epoch file\" should lie on that filesystem. Empty: there is none.",
            apply: |draft, text| set(&mut draft.cache_server, server(text)),
        },
        Opt {
            name: "max lru files entries",
            aliases: &[same("cache entry limit")],
            kind: Kind::Number,
            default: "10000",
            on_mistake: "10000",
            help: "How many results of scans each smbd has at hand. 0: none, every open is a scan, also with a shared \
               cache.",
            apply: |draft, text| set(&mut draft.cache_entries, entries(text)),
        },
        Opt {
            name: "lru file entry lifetime",
            aliases: &[same("cache time limit")],
            kind: Kind::Duration,
            default: "7d",
            on_mistake: "1h",
            help: "How long a result is remembered. A change of the file ends it earlier, and so do new \
               signatures of the scanner. Where a scanner does not tell the version of its signatures, or is not asked \
               (\"signature check interval\"), it is an hour at most. -1: no limit. 0: nothing is remembered.",
            apply: |draft, text| set(&mut draft.cache_lifetime, lifetime(text)),
        },
    ],
};
