//! `quarantine restore`.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use vscan_engine::action::{Record, State};
use vscan_engine::settings::{Loaded, Settings};
use vscan_engine::trusted::{self, Content};

use super::{Deed, Held, tell};
use crate::cli::RestoreArguments;
use crate::output::{Out, reason, shown};
use crate::shares::Share;
use crate::{Exit, Trouble};

pub fn run(
    held: &[Held],
    arguments: &RestoreArguments,
    shares: &[Share],
    out: &Out,
) -> Result<Exit, Trouble> {
    let to = arguments.to.as_deref().map(destination).transpose()?;
    if let Some(Destination::Name(path)) = &to
        && held.len() > 1
    {
        return Err(format!(
            "{} files cannot all become {}: --to must name a directory",
            held.len(),
            shown(path)
        ));
    }
    let deeds: Vec<_> = held
        .iter()
        .map(|held| {
            let done = restore(held, to.as_ref(), arguments.trust, shares);
            let done = done.as_ref().map(|(text, now)| (text.clone(), Some(now.as_path())));
            Deed::new(held, done.map_err(Clone::clone))
        })
        .collect();
    tell(&deeds, out)
}

/// What `--to` means.
enum Destination {
    Directory(PathBuf),
    Name(PathBuf),
}

/// The administrator may name places by way of links; what is found now is what counts.
fn destination(path: &Path) -> Result<Destination, Trouble> {
    let failed = |error: std::io::Error| format!("--to {}: {}", shown(path), reason(&error));
    if path.is_dir() {
        return Ok(Destination::Directory(path.canonicalize().map_err(failed)?));
    }
    let path = std::path::absolute(path).map_err(failed)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(format!("--to {}: is no name for a file", shown(&path)));
    };
    let parent = parent.canonicalize().map_err(|error| {
        format!("--to {}: its directory: {}: make it first", shown(&path), reason(&error))
    })?;
    Ok(Destination::Name(parent.join(name)))
}

fn restore(
    held: &Held,
    to: Option<&Destination>,
    trust: bool,
    shares: &[Share],
) -> Result<(String, PathBuf), Trouble> {
    let record = usable(held)?;
    let to = match to {
        None => None,
        Some(Destination::Name(path)) => Some(path.clone()),
        Some(Destination::Directory(directory)) => {
            let name = held.was_at().and_then(Path::file_name);
            Some(directory.join(name.ok_or_else(|| format!("{}: its record has no name for it", held.id()))?))
        }
    };
    // First: a client may open the file as soon as it is there.
    let trusted = if trust { Some(Trust::give(held, record, shares)?) } else { None };
    let restored = held.quarantine.restore(&held.item.id, record, to.as_deref());
    let path = restored.map_err(|error| {
        if let Some(trust) = &trusted {
            trust.take_back();
        }
        error.to_string()
    })?;
    let note = match trusted {
        Some(trust) => format!("its content is trusted from now on ({})", shown(&trust.list)),
        None => "the next open scans it again".to_owned(),
    };
    Ok((format!("{} is back; {note}", shown(&path)), path))
}

fn usable(held: &Held) -> Result<&Record, Trouble> {
    let id = held.id();
    match (held.item.state, &held.item.record) {
        (State::Kept, Some(Ok(record))) => Ok(record),
        (State::Kept, Some(Err(error))) => Err(format!("{id}: {error}: copy {} by hand", shown(&held.at()))),
        (State::FileOnly, _) | (State::Kept, None) => {
            Err(format!("{id} has no record: nobody knows where it was. Copy {} by hand", shown(&held.at())))
        }
        (State::RecordOnly | State::Unfinished, _) => {
            Err(format!("{id} is not a file in quarantine: vscanctl quarantine show {id} says more"))
        }
    }
}

/// An entry in the list of trusted content.
struct Trust {
    list: PathBuf,
    content: Content,
    is_new: bool,
}

impl Trust {
    fn give(held: &Held, record: &Record, shares: &[Share]) -> Result<Self, Trouble> {
        let list = list_for(record, shares)?;
        let failed = |error: std::io::Error| format!("trusted files = {}: {}", shown(&list), reason(&error));
        let file = held.quarantine.open_file(&held.item.id).map_err(|error| error.to_string())?;
        let content = Content::of(file.as_fd()).map_err(failed)?;
        let remark = held.was_at().map(shown).unwrap_or_default();
        let is_new = trusted::add(&list, &content, &remark).map_err(failed)?;
        Ok(Self { list, content, is_new })
    }

    fn take_back(&self) {
        if self.is_new {
            // The file stays in quarantine in any case, and this is about nothing else.
            let _ = trusted::remove(&self.list, &self.content);
        }
    }
}

/// The list of the share through which the file was found; that share may be gone.
fn list_for(record: &Record, shares: &[Share]) -> Result<PathBuf, Trouble> {
    let protected = |share: &&Share| share.protection.is_some();
    let own = shares.iter().filter(protected).find(|share| share.name.eq_ignore_ascii_case(&record.share));
    let any = || shares.iter().find(protected);
    let settings =
        own.or_else(any).and_then(|share| share.protection.as_ref()).map(|Loaded { settings, .. }| settings);
    let list = match settings {
        Some(settings) => settings.trusted_files.clone(),
        None => Settings::default().trusted_files,
    };
    list.ok_or_else(|| {
        "\"trusted files\" is empty in the configuration, so nothing can be trusted".to_owned()
    })
}
