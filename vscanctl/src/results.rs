//! The results and counters that all smbds share, as the shares' settings name them.

use std::path::PathBuf;
use std::sync::Arc;

use vscan_engine::counters::{Counters, Snapshot};
use vscan_engine::log::Log;
use vscan_engine::privilege::AsIs;
use vscan_engine::settings::Settings;
use vscan_engine::shared::SharedCache;

use crate::Trouble;
use crate::output::{reason, shown};
use crate::shares::Share;

/// A cache of results, and the directory that it is in.
pub struct Results {
    pub directory: PathBuf,
    pub cache: Arc<SharedCache>,
}

/// The caches of these shares: mostly one for all.
pub fn of(shares: &[Share], log: &dyn Log) -> Result<Vec<Results>, Trouble> {
    let mut found: Vec<Results> = Vec::new();
    for limits in settings(shares).filter_map(|settings| settings.shared_cache.as_ref()) {
        if found.iter().all(|results| results.directory != limits.directory) {
            let cache = SharedCache::open(&limits.directory, limits.entries, log, &AsIs);
            if let Some(server) = &limits.server {
                cache.use_server(server);
            }
            found.push(Results { directory: limits.directory.clone(), cache });
        }
    }
    if found.is_empty() {
        return Err("no protected share has shared results: see \"cache\" in vscan.conf".to_owned());
    }
    Ok(found)
}

/// The counters of these shares that are there.
pub fn counters(shares: &[Share]) -> Result<Vec<Counters>, Trouble> {
    let mut files: Vec<&PathBuf> =
        settings(shares).filter_map(|settings| settings.counters_file.as_ref()).collect();
    files.sort_unstable();
    files.dedup();
    let open = |file: &PathBuf| match Counters::open_existing(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        opened => {
            Some(opened.map_err(|error| format!("counters file = {}: {}", shown(file), reason(&error))))
        }
    };
    files.into_iter().filter_map(open).collect()
}

/// What was counted, by share.
pub fn counted(shares: &[Share]) -> Result<Vec<Snapshot>, Trouble> {
    Ok(counters(shares)?.iter().flat_map(Counters::snapshot).collect())
}

/// The settings of all protected shares.
pub fn settings(shares: &[Share]) -> impl Iterator<Item = &Settings> {
    shares.iter().filter_map(|share| Some(&share.protection.as_ref()?.settings))
}
