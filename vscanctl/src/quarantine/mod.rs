//! `vscanctl quarantine`: files that were put away.

mod discard;
mod export;
mod list;
mod restore;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Serialize;
use vscan_engine::action::{Bytes, Item, Quarantine, Record};

use crate::cli::{Cli, QuarantineArguments, QuarantineCommand};
use crate::output::{Out, exact, json, shown};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::{Exit, Trouble, output};

pub fn run(arguments: &QuarantineArguments, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let shares = shares_of(cli, arguments.directory.as_deref())?;
    let held = held(&shares, arguments.directory.as_deref())?;
    match &arguments.command {
        QuarantineCommand::List { which } => list::list(&select_any(held, which)?, out),
        QuarantineCommand::Show { which } => list::show(&select(held, which)?, out),
        QuarantineCommand::Restore(arguments) => {
            restore::run(&select(held, &arguments.which)?, arguments, &shares, out)
        }
        QuarantineCommand::Delete { which } => discard::delete(&select(held, which)?, out),
        QuarantineCommand::Purge { older_than, dry_run } => discard::purge(held, *older_than, *dry_run, out),
        QuarantineCommand::Export { which, to } => export::run(&select(held, which)?, to, out),
    }
}

/// Something in a quarantine directory.
struct Held {
    quarantine: Rc<Quarantine>,
    item: Item,
}

impl Held {
    /// Its name for people and commands.
    fn id(&self) -> String {
        shown(Path::new(&self.item.id))
    }

    /// Where it is.
    fn at(&self) -> PathBuf {
        self.quarantine.path().join(&self.item.id)
    }

    /// Its record, if that can be used.
    fn record(&self) -> Option<&Record> {
        self.item.record.as_ref()?.as_ref().ok()
    }

    /// Where it was.
    fn was_at(&self) -> Option<&Path> {
        use std::os::unix::ffi::OsStrExt as _;
        self.record().map(|record| Path::new(OsStr::from_bytes(record.path.as_bytes())))
    }
}

/// With a directory named, smb.conf is only needed for what belongs to a share, and may be missing.
fn shares_of(cli: &Cli, directory: Option<&Path>) -> Result<Vec<Share>, Trouble> {
    match SmbConf::read(cli.config.as_deref()) {
        Ok(conf) if directory.is_some() => Ok(shares::all(&conf)),
        Ok(conf) => shares::with_a_protected_one(&conf),
        Err(_) if directory.is_some() => Ok(Vec::new()),
        Err(trouble) => Err(trouble),
    }
}

/// What is in the quarantines of all shares, or in this one.
fn held(shares: &[Share], directory: Option<&Path>) -> Result<Vec<Held>, Trouble> {
    let mut directories: Vec<&Path> = match directory {
        Some(directory) => vec![directory],
        None => shares
            .iter()
            .filter_map(|share| Some(share.protection.as_ref()?.settings.quarantine_directory.as_path()))
            .collect(),
    };
    directories.sort_unstable();
    directories.dedup();
    let mut held = Vec::new();
    for directory in directories {
        let found = Quarantine::open(directory).map_err(|error| error.to_string())?;
        let Some(quarantine) = found.map(Rc::new) else { continue };
        let items = quarantine.items().map_err(|error| error.to_string())?;
        held.extend(items.into_iter().map(|item| Held { quarantine: quarantine.clone(), item }));
    }
    Ok(held)
}

/// What these words mean; all for no words.
fn select_any(held: Vec<Held>, which: &[String]) -> Result<Vec<Held>, Trouble> {
    if which.is_empty() { Ok(held) } else { select(held, which) }
}

/// What these words mean: each must mean something.
fn select(held: Vec<Held>, which: &[String]) -> Result<Vec<Held>, Trouble> {
    let patterns = which
        .iter()
        .map(|word| {
            glob::Pattern::new(word)
                .map(|pattern| (word, pattern))
                .map_err(|error| format!("{word}: {error}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let means = |(word, pattern): &(&String, glob::Pattern), held: &Held| {
        let path = held.was_at().map(shown).unwrap_or_default();
        held.id() == **word || path == **word || pattern.matches(&held.id()) || pattern.matches(&path)
    };
    if let Some((word, _)) = patterns.iter().find(|pattern| !held.iter().any(|held| means(pattern, held))) {
        return Err(format!("nothing in quarantine is called {word}: see vscanctl quarantine list"));
    }
    Ok(held.into_iter().filter(|held| patterns.iter().any(|pattern| means(pattern, held))).collect())
}

/// What was done with one of several.
#[derive(Serialize)]
struct Deed {
    id: String,
    /// Where the file was.
    path: Option<Bytes>,
    /// Where it is now, if it is anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Bytes>,
    #[serde(skip)]
    text: String,
    error: Option<String>,
}

impl Deed {
    fn new(held: &Held, done: Result<(String, Option<&Path>), Trouble>) -> Self {
        let (id, path) = (held.id(), held.was_at().map(exact));
        match done {
            Ok((text, now)) => Self { id, path, now: now.map(exact), text, error: None },
            Err(trouble) => Self { id, path, now: None, text: String::new(), error: Some(trouble) },
        }
    }
}

/// Prints what was done; what could not be done goes to standard error.
fn tell(deeds: &[Deed], out: &Out) -> Result<Exit, Trouble> {
    out.answer(&deeds, |_| {
        deeds.iter().filter(|deed| deed.error.is_none()).map(|deed| format!("{}\n", deed.text)).collect()
    })?;
    let errors = deeds.iter().filter_map(|deed| deed.error.as_ref());
    let mut exit = Exit::Good;
    for error in errors {
        output::complain(error);
        exit = Exit::Trouble;
    }
    Ok(exit)
}

/// A record as it is written, for JSON.
fn as_json(record: &Record) -> Result<String, Trouble> {
    json(record)
}
