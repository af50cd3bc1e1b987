//! connect: a client comes to the share. Everything that the share needs is made here, in the client's own smbd:
//! nothing opened before smbd's fork would be safe to use.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use vscan_backends::registry::parse_scanner;
use vscan_engine::log::{Level, Log as _};
use vscan_engine::notify::Outbox;
use vscan_engine::privilege::Privilege;
use vscan_engine::protection::Protection;
use vscan_engine::scan::pool::Pool;
use vscan_engine::settings::{self, ConfigFile, Host, Loaded};

use crate::host::event;
use crate::host::log::ShareLog;
use crate::host::params::Params;
use crate::host::root::Root;
use crate::notices::{Line, Notices};
use crate::scans;
use crate::share::{Connected, Share};

/// Builds the protection of one connection. Whatever is wrong with the configuration is said, and the share is
/// protected by what is left of it. `None` closes the share.
pub fn connect(connected: Connected<'_>, params: Params) -> Option<Share> {
    let loaded = load(&connected, params);
    let syslog = loaded.settings.syslog.clone();
    let log = Rc::new(ShareLog::new(loaded.settings.verbose_file_logging, syslog));
    for complaint in &loaded.complaints {
        log.line(complaint.severity.level(), &complaint.to_string());
    }
    let refuses_all = loaded.refuses_opens();
    let pool =
        match Pool::new(&loaded.settings.scanners, &loaded.settings.command, loaded.settings.scanner_mode) {
            Ok(pool) => pool,
            // Settings hold only what they have checked, so this is a bug; but never one that costs the protection.
            Err(error) => {
                let text = format!(
                    "scanner = {}: {error}: share {} stays closed",
                    loaded.settings.scanners.join(", "),
                    connected.share
                );
                log.line(Level::Error, &text);
                return None;
            }
        };
    let text = format!(
        "connect: share {}, user {}, client {}: protected by {}",
        connected.share,
        connected.user,
        connected.client,
        pool.names()
    );
    log.line(Level::Debug, &text);
    scans::allow_in_flight(loaded.settings.max_scans_in_flight);
    let outbox = Outbox::new(&loaded.settings.notify.spool, &loaded.settings.notify.program);
    let notices = Notices(Line::new(outbox, log.clone()));
    let (log, notices) = (Box::new(log), Box::new(notices));
    let protection = Protection::new(loaded.settings, pool, log, Box::new(Root), notices, refuses_all);
    let protection = protection.with_shared_results().with_counters(connected.share);
    if protection.shared_results().is_some() {
        event::finish_at_exit();
    }
    Some(Share::new(connected, protection))
}

/// Reads the settings, as root: the file may name the administrator's servers and directories.
fn load(connected: &Connected<'_>, params: Params) -> Loaded {
    let share = settings::Share { name: connected.share, path: Path::new(OsStr::from_bytes(connected.path)) };
    let named = params.get("config-file").or_else(|| params.get("config file"));
    let file = named.as_deref().map_or(ConfigFile::Default, |path| ConfigFile::Named(Path::new(path)));
    let host = Host {
        option: &|name| params.get(name),
        check_scanner: &|spec, command| {
            parse_scanner(spec, command).map(drop).map_err(|error| error.to_string())
        },
    };
    let privilege: &dyn Privilege = &Root;
    privilege.raised(|| settings::load(&share, file, &host))
}
