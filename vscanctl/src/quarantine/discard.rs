//! `quarantine delete` and `quarantine purge`.

use std::time::Duration;

use vscan_engine::identity::FileTime;

use super::{Deed, Held, tell};
use crate::output::{Out, shown};
use crate::{Exit, Trouble};

pub fn delete(held: &[Held], out: &Out) -> Result<Exit, Trouble> {
    let deeds: Vec<_> = held.iter().map(|held| discard(held, "deleted")).collect();
    tell(&deeds, out)
}

pub fn purge(held: Vec<Held>, older_than: Duration, dry_run: bool, out: &Out) -> Result<Exit, Trouble> {
    let limit = FileTime::now().before(older_than);
    let old = held.iter().filter(|held| held.item.since < limit);
    let deeds: Vec<_> = old
        .map(|held| match dry_run {
            true => Deed::new(held, Ok((told(held, "would be deleted"), None))),
            false => discard(held, "deleted"),
        })
        .collect();
    tell(&deeds, out)
}

fn discard(held: &Held, word: &str) -> Deed {
    let done = held.quarantine.delete(&held.item.id).map_err(|error| error.to_string());
    Deed::new(held, done.map(|()| (told(held, word), None)))
}

fn told(held: &Held, word: &str) -> String {
    let was = held.was_at().map(|path| format!(" (was {})", shown(path))).unwrap_or_default();
    format!("{} {word}{was}", held.id())
}
