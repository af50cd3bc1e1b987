//! `quarantine list` and `quarantine show`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use vscan_engine::action::{Bytes, Method, Record, State};
use vscan_engine::log::Printable;
use vscan_engine::settings::Size;
use vscan_engine::trusted::Content;

use super::Held;
use crate::output::{Colour, Out, exact, shown, table};
use crate::{Exit, Trouble, output};

/// One item, for programs.
#[derive(Serialize)]
struct Entry<'a> {
    id: String,
    at: Bytes,
    state: &'static str,
    record: Option<&'a Record>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl<'a> Entry<'a> {
    fn of(held: &'a Held) -> Self {
        let error = held.item.record.as_ref().and_then(|record| record.as_ref().err());
        Self {
            id: held.id(),
            at: exact(&held.at()),
            state: state(held.item.state),
            record: held.record(),
            error: error.map(ToString::to_string),
            sha256: None,
        }
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Kept => "kept",
        State::RecordOnly => "record only",
        State::FileOnly => "file only",
        State::Unfinished => "unfinished",
    }
}

pub fn list(held: &[Held], out: &Out) -> Result<Exit, Trouble> {
    let entries: Vec<_> = held.iter().map(Entry::of).collect();
    out.answer(&entries, |out| {
        if held.is_empty() {
            return "The quarantine is empty.\n".to_owned();
        }
        let headline = ["ID", "THREAT", "SIZE", "AGE", "USER", "FILE"].map(str::to_owned).to_vec();
        let rows: Vec<_> = std::iter::once(headline).chain(held.iter().map(row)).collect();
        let text = table(&rows, 0);
        match text.split_once('\n') {
            Some((headline, rest)) => out.headline(headline) + rest,
            None => text,
        }
    })?;
    Ok(Exit::Good)
}

fn row(held: &Held) -> Vec<String> {
    let age = age(held);
    match held.record() {
        Some(record) if held.item.state == State::Kept => vec![
            held.id(),
            record.threat.clone(),
            Size(record.size).rounded(),
            age,
            printable(&record.user),
            held.was_at().map(shown).unwrap_or_default(),
        ],
        Some(_) | None => {
            vec![
                held.id(),
                format!("({})", state(held.item.state)),
                String::new(),
                age,
                String::new(),
                String::new(),
            ]
        }
    }
}

fn age(held: &Held) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let since = u64::try_from(held.item.since.0 / 1_000_000_000).unwrap_or(0);
    output::age(now.saturating_sub(since))
}

pub fn show(held: &[Held], out: &Out) -> Result<Exit, Trouble> {
    let mut entries = Vec::new();
    for held in held {
        let content = held.quarantine.open_file(&held.item.id).ok();
        let content = content.and_then(|file| Content::of(std::os::fd::AsFd::as_fd(&file)).ok());
        entries.push(Entry { sha256: content.map(|content| content.hexadecimal()), ..Entry::of(held) });
    }
    out.answer(&entries, |out| {
        let texts = held.iter().zip(&entries).map(|(held, entry)| details(held, entry, out));
        texts.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Good)
}

fn details(held: &Held, entry: &Entry<'_>, out: &Out) -> String {
    let mut rows = vec![("kept as", shown(&held.at()))];
    if let Some(error) = &entry.error {
        rows.push(("record", error.clone()));
    }
    if held.item.state != State::Kept {
        rows.push(("state", meaning(held.item.state).to_owned()));
    }
    if let Some(record) = held.record() {
        rows.extend(facts(record));
        let in_place = held.was_at().is_some_and(|path| path.symlink_metadata().is_ok());
        if in_place {
            rows.push(("now", "another file is in its place".to_owned()));
        }
    }
    rows.extend(entry.sha256.clone().map(|sum| ("SHA-256", sum)));
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    out.coloured(&held.id(), Colour::Bold) + "\n" + &table(&rows, 2)
}

fn meaning(state: State) -> &'static str {
    match state {
        State::Kept => "the file and its record are here",
        State::RecordOnly => {
            "only the record is here: the file is on its way in, or was given back by somebody who was interrupted"
        }
        State::FileOnly => "the record is missing: nobody knows where the file was",
        State::Unfinished => {
            "written in part: the file itself is in its place. If nothing is under way, delete this"
        }
    }
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let bytes = |bytes: &Bytes| Printable(bytes.as_bytes()).to_string();
    let names = record.xattrs.iter().map(|xattr| bytes(&xattr.name)).collect::<Vec<_>>();
    let links = record.links.saturating_sub(1);
    let mut facts = vec![
        ("was", bytes(&record.path)),
        ("threat", format!("{} (found by {})", record.threat, record.scanner)),
        ("found", record.found.clone()),
        ("share", format!("{} ({})", record.share, bytes(&record.share_path))),
        ("opened by", format!("{} from {}", printable(&record.user), printable(&record.client))),
        ("size", format!("{} bytes", record.size)),
        ("owner", format!("uid {}, gid {}, mode {:04o}", record.uid, record.gid, record.mode & 0o7777)),
        ("attributes", if names.is_empty() { "none".to_owned() } else { names.join(", ") }),
    ];
    if links > 0 {
        facts.push(("other names", format!("{links} hard links of it were left where they are")));
    }
    let method = match record.method {
        Method::Moved => "the file itself",
        Method::Copied => "a copy, from another filesystem",
    };
    facts.push(("method", method.to_owned()));
    facts
}

fn printable(text: &str) -> String {
    Printable(text.as_bytes()).to_string()
}
