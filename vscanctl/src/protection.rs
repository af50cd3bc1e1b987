//! A share's protection, in this process: the same code, settings and results as in smbd.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use vscan_engine::log::{Level, Log};
use vscan_engine::notify::{Event, Occurrence, Session, Unheard};
use vscan_engine::privilege::AsIs;
use vscan_engine::protection::{Context, Protection};
use vscan_engine::scan::blocking;
use vscan_engine::scan::pool::Pool;
use vscan_engine::settings::Loaded;

use crate::{Trouble, output};

/// The protection that smbd would build for a connection to this share.
pub fn protect(loaded: &Loaded, log: Box<dyn Log>) -> Result<Protection, Trouble> {
    let pool = Pool::new(&loaded.settings.scanners, &loaded.settings.command, loaded.settings.scanner_mode)
        .map_err(|error| format!("scanner = {}: {error}", loaded.settings.scanners.join(", ")))?;
    let refuses_all = loaded.refuses_opens();
    let protection =
        Protection::new(loaded.settings.clone(), pool, log, Box::new(AsIs), Box::new(Unheard), refuses_all);
    let protection = protection.with_shared_results();
    learn_versions(&protection);
    Ok(protection)
}

/// Results count only by the signatures that are current: the scanners are asked, unless somebody has just done so.
fn learn_versions(protection: &Protection) {
    while let Some(mut check) = protection.begin_check() {
        let outcome = blocking::run(&mut check.exchange, &AsIs);
        protection.finish_check(check, &outcome);
    }
}

/// The administrator, in the place of a client.
pub struct Visitor<'a> {
    share: &'a str,
    root: &'a [u8],
    session: Session,
}

impl<'a> Visitor<'a> {
    /// Of this share, whose root is there.
    pub fn new(share: &'a str, root: &'a Path) -> Self {
        Self { share, root: root.as_os_str().as_bytes(), session: Session::default() }
    }

    /// As the engine wants to know it.
    pub fn context(&self) -> Context<'_> {
        Context {
            share: self.share,
            share_path: self.root,
            user: "root",
            client: "vscanctl",
            session: &self.session,
        }
    }
}

/// What the engine says of its scanners goes to standard error; what it says of files is what a command answers with.
pub struct OnlyTrouble;

impl Log for OnlyTrouble {
    fn wants(&self, level: Level) -> bool {
        level <= Level::Error
    }

    fn line(&self, level: Level, text: &str) {
        if self.wants(level) {
            output::complain(text);
        }
    }

    fn event(&self, level: Level, text: &str, event: &Event) {
        match event.occurrence {
            Occurrence::Infected { .. } | Occurrence::ScanError { .. } => {}
            Occurrence::ScannerState { .. } => self.line(level, text),
        }
    }
}
