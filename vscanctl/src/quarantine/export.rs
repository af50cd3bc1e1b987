//! `quarantine export`: a zip archive with the password that those who deal with viruses expect.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use zip::unstable::write::FileOptionsExt as _;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{Deed, Held, as_json, tell};
use crate::output::{Out, reason, shown};
use crate::{Exit, Trouble};

const PASSWORD: &[u8] = b"infected";

pub fn run(held: &[Held], to: &Path, out: &Out) -> Result<Exit, Trouble> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", shown(to));
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = File::options().write(true).create_new(true).mode(0o600).open(to);
    let file = file.map_err(|error| failed(&reason(&error)))?;
    let mut archive = ZipWriter::new(file);
    let mut deeds = Vec::new();
    for held in held {
        let added = add(held, &mut archive);
        let text = format!("{} is in {}, with the password \"infected\"", held.id(), shown(to));
        deeds.push(Deed::new(held, added.map(|()| (text, Some(to)))));
    }
    let file = archive.finish().map_err(|error| failed(&error))?;
    file.sync_all().map_err(|error| failed(&reason(&error)))?;
    tell(&deeds, out)
}

fn add(held: &Held, archive: &mut ZipWriter<File>) -> Result<(), Trouble> {
    let id = held.id();
    let failed = |error: &dyn std::fmt::Display| format!("{id}: {error}");
    let mut file = held.quarantine.open_file(&held.item.id).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| failed(&reason(&error)))?.len();
    let options = SimpleFileOptions::default().large_file(size >= u32::MAX.into()).unix_permissions(0o600);
    let options = options.with_deprecated_encryption(PASSWORD).map_err(|error| failed(&error))?;
    archive.start_file(id.as_str(), options).map_err(|error| failed(&error))?;
    io::copy(&mut file, archive).map_err(|error| failed(&reason(&error)))?;
    if let Some(record) = held.record() {
        archive.start_file(format!("{id}.json"), options).map_err(|error| failed(&error))?;
        archive.write_all(as_json(record)?.as_bytes()).map_err(|error| failed(&reason(&error)))?;
    }
    Ok(())
}
