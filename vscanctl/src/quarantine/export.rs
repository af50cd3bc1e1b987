//! `quarantine export`: a zip archive with the password that those who deal with viruses expect.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use vscan_engine::action::Record;
use zip::unstable::write::FileOptionsExt as _;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{Deed, Held, as_json, tell};
use crate::output::{Out, complain, reason, shown};
use crate::signals::stop_on_signals;
use crate::{Exit, Trouble};

const PASSWORD: &[u8] = b"infected";

pub fn run(held: &[Held], to: &Path, out: &Out) -> Result<Exit, Trouble> {
    let stop = stop_on_signals()?;
    let mut archive = Archive::create(to)?;
    let mut deeds = Vec::new();
    for held in held {
        let added = add(held, &mut archive, &stop);
        if stop.load(Ordering::Relaxed) {
            complain(&format!("interrupted; {} is removed", shown(to)));
            return Ok(Exit::Interrupted);
        }
        let text = format!("{} is in {}, with the password \"infected\"", held.id(), shown(to));
        deeds.push(Deed::new(held, added.map(|()| (text, Some(to)))));
    }
    if deeds.iter().any(|deed| deed.error.is_none()) {
        archive.finish()?;
    }
    tell(&deeds, out)
}

/// Both the file and its record, or nothing.
fn add(held: &Held, archive: &mut Archive<'_>, stop: &AtomicBool) -> Result<(), Trouble> {
    let id = held.id();
    let file = held.quarantine.open_file(&held.item.id).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| format!("{id}: {}", reason(&error)))?.len();
    archive.add(&id, size, &mut UntilStopped { file, stop })?;
    held.record().map_or(Ok(()), |record| add_record(&id, record, archive))
}

fn add_record(id: &str, record: &Record, archive: &mut Archive<'_>) -> Result<(), Trouble> {
    let text = as_json(record)?;
    archive.add(&format!("{id}.json"), text.len() as u64, &mut text.as_bytes())
}

/// An archive that is whole, or not there.
struct Archive<'a> {
    path: &'a Path,
    writer: Option<ZipWriter<File>>,
}

impl<'a> Archive<'a> {
    fn create(path: &'a Path) -> Result<Self, Trouble> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| format!("{}: {}", shown(path), reason(&error)))?;
        Ok(Self { path, writer: Some(ZipWriter::new(file)) })
    }

    fn add(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), Trouble> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let failed = |error: &dyn Display| format!("{name}: cannot be put into the archive: {error}");
        let options =
            SimpleFileOptions::default().large_file(size >= u32::MAX.into()).unix_permissions(0o600);
        let options = options.with_deprecated_encryption(PASSWORD).map_err(|error| failed(&error))?;
        writer.start_file(name, options).map_err(|error| failed(&error))?;
        io::copy(content, writer).map(drop).map_err(|error| {
            // A part of it would look like all of it. If not even this works, neither does the archive's end.
            let _ = writer.abort_file();
            failed(&reason(&error))
        })
    }

    fn finish(mut self) -> Result<(), Trouble> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let failed = |error: &dyn Display| format!("{}: {error}", shown(self.path));
        let finished = writer
            .finish()
            .map_err(|error| failed(&error))
            .and_then(|file| file.sync_all().map_err(|error| failed(&reason(&error))));
        if finished.is_err() {
            let _ = fs::remove_file(self.path);
        }
        finished
    }
}

impl Drop for Archive<'_> {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            let _ = fs::remove_file(self.path);
        }
    }
}

/// A file whose end comes early when a signal does.
struct UntilStopped<'a> {
    file: File,
    stop: &'a AtomicBool,
}

impl Read for UntilStopped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        self.file.read(buffer)
    }
}
