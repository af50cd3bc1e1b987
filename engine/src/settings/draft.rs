//! From texts to meaning: each option by its row of the table, then what only several options together can say.

use std::path::PathBuf;
use std::time::Duration;

use super::option::Opt;
use super::scanner_command::CommandDraft;
use super::table::{COMMAND, RENAME_SUFFIX, SCANNER, SOCKET_PATH, options};
use super::written::{Entry, Written};
use super::{
    CacheKind, CacheLimits, Complaint, Facility, Host, InfectedStatus, Lifetime, MimeTypes, Notify,
    OnConfigError, OverLimit, PathMap, PathPatterns, Priority, ScanOnClose, ScannerMode, Settings, Severity,
    Share, SharedCacheLimits, Size, Syslog, SyslogFormat,
};
use super::{InForce, Source, daemons, scanners};
use crate::action::Action;
use vscan_backends::command::CommandOptions;

/// Settings in the making, with the values that only together become one.
pub(super) struct Draft {
    pub(super) settings: Settings,
    pub(super) scanner: String,
    pub(super) socket_path: String,
    pub(super) cache: CacheKind,
    pub(super) cache_directory: PathBuf,
    pub(super) shared_entries: u64,
    pub(super) cache_server: Option<String>,
    pub(super) command: CommandDraft,
    pub(super) cache_entries: usize,
    pub(super) cache_lifetime: Option<Lifetime>,
    pub(super) syslog: bool,
    pub(super) facility: Option<Facility>,
    pub(super) priority: Option<Priority>,
    pub(super) syslog_format: SyslogFormat,
}

/// The defaults of the table, with nothing written at all.
pub(super) fn defaults() -> Settings {
    let mut draft = Draft::blank();
    for option in options() {
        draft.apply_own(option, option.default);
    }
    draft.settings.scanners.push(draft.scanner.clone());
    draft.finish()
}

/// What the texts mean together.
pub(super) struct Settled {
    pub(super) settings: Settings,
    pub(super) complaints: Vec<Complaint>,
    pub(super) in_force: Vec<InForce>,
}

/// Gives every text its meaning. What has none is complained about and replaced.
pub(super) fn settle(mut written: Written, share: &Share<'_>, host: &Host<'_>) -> Settled {
    let mut draft = Draft::blank();
    let (mut complaints, mut in_force) = (Vec::new(), Vec::new());
    for option in options() {
        draft.apply_own(option, option.default);
        let Some(entry) = written.get(option.name) else {
            in_force.push(InForce::default_of(option));
            continue;
        };
        let (complaint, understood) = draft.apply_written(option, entry);
        complaints.extend(complaint);
        in_force.push(InForce::of(option, entry, understood));
        if !understood {
            written.remove(option.name);
        }
    }
    complaints.extend(draft.join_scanner(&written));
    complaints.extend(draft.join_daemons(&written));
    complaints.extend(draft.join_command(&written));
    complaints.extend(draft.check_scanners(&written, host));
    complaints.extend(draft.check_rename(&written));
    complaints.extend(draft.check_quarantine(&written, share));
    draft.correct(&mut in_force, &written);
    Settled { settings: draft.finish(), complaints, in_force }
}

impl InForce {
    fn default_of(option: &'static Opt) -> Self {
        Self { name: option.name, value: option.default.to_owned(), source: Source::Default }
    }

    fn of(option: &'static Opt, entry: &Entry, understood: bool) -> Self {
        let origin = entry.origin.clone();
        let (value, source) = match understood {
            true => (entry.value.as_str(), Source::Written(origin)),
            false => (option.on_mistake, Source::InsteadOf(origin)),
        };
        Self { name: option.name, value: value.to_owned(), source }
    }
}

impl Draft {
    /// Every field is overwritten by its option's default.
    pub(super) fn blank() -> Self {
        Self {
            settings: Settings {
                scanners: Vec::new(),
                command: CommandOptions::default(),
                scanner_mode: ScannerMode::First,
                signature_check_interval: None,
                signature_epoch_file: None,
                path_map: PathMap::default(),
                spool_directory: None,
                scan_on_open: true,
                scan_on_close: ScanOnClose::Yes,
                max_scans_in_flight: 1,
                large_file_size: None,
                max_file_size: None,
                files_over_the_limit: OverLimit::Deny,
                min_file_size: Size(0),
                exclude_file_regexp: None,
                exclude_file_types: MimeTypes::default(),
                include_paths: PathPatterns::default(),
                exclude_paths: PathPatterns::default(),
                deny_access_on_error: true,
                deny_access_on_minor_error: true,
                enforce: true,
                infected_status: InfectedStatus::AccessDenied,
                infected_file_action: Action::Nothing,
                quarantine_directory: PathBuf::new(),
                quarantine_prefix: String::new(),
                trusted_files: None,
                rename_prefix: String::new(),
                rename_suffix: String::new(),
                cache: None,
                shared_cache: None,
                counters_file: None,
                connect_timeout: Duration::from_secs(1),
                io_timeout: Duration::from_secs(1),
                scan_timeout: Duration::from_secs(1),
                syslog: None,
                verbose_file_logging: true,
                notify: Notify::default(),
                on_config_error: OnConfigError::Deny,
            },
            scanner: String::new(),
            socket_path: String::new(),
            cache: CacheKind::Off,
            cache_directory: PathBuf::new(),
            shared_entries: 0,
            cache_server: None,
            command: CommandDraft::default(),
            cache_entries: 0,
            cache_lifetime: None,
            syslog: true,
            facility: None,
            priority: None,
            syslog_format: SyslogFormat::Vscan,
        }
    }

    /// For texts from the table; the tests check that each of them can be read.
    fn apply_own(&mut self, option: &Opt, text: &str) {
        let _ = (option.apply)(self, text);
    }

    /// What there is to say about the value, and whether it is in force.
    fn apply_written(&mut self, option: &Opt, entry: &Entry) -> (Option<Complaint>, bool) {
        match (option.apply)(self, &entry.value) {
            Ok(None) => (None, true),
            Ok(Some(remark)) => (Some(notice(entry, remark)), true),
            Err(wrong) => {
                self.apply_own(option, option.on_mistake);
                (Some(mistake(option, entry, &wrong, option.on_mistake)), false)
            }
        }
    }

    /// samba-vscan had two options for what `scanner` says in one, for some daemons.
    fn join_daemons(&mut self, written: &Written) -> Vec<Complaint> {
        if let Some(named) = [SCANNER.name, SOCKET_PATH.name].iter().find(|name| written.contains_key(*name))
        {
            let wrong = format!("has no effect beside \"{named}\"");
            return daemons::entries(written)
                .map(|entry| mistake(&SCANNER, entry, &wrong, &self.scanner))
                .collect();
        }
        if let Some(scanners) = daemons::named(written) {
            self.scanner = scanners;
        }
        Vec::new()
    }

    /// vfs_virusfilter says in two options what `scanner` says in one.
    fn join_scanner(&mut self, written: &Written) -> Option<Complaint> {
        let named = written.contains_key(SCANNER.name);
        let scanner = &mut self.scanner;
        if self.socket_path.is_empty() {
            if scanner.eq_ignore_ascii_case("clamav") {
                SCANNER.default.clone_into(scanner);
            }
            return None;
        }
        if named && scanner.contains(':') {
            let entry = written.get(SOCKET_PATH.name)?;
            return Some(mistake(&SCANNER, entry, "has no effect beside a scanner with a socket", scanner));
        }
        let product = if named { scanner.as_str() } else { "clamav" };
        *scanner = format!("{product}:{}", self.socket_path);
        None
    }

    /// The parts of `scanner command`. Half a command is none.
    fn join_command(&mut self, written: &Written) -> Option<Complaint> {
        match std::mem::take(&mut self.command).finish() {
            Ok(command) => {
                self.settings.command.custom = command;
                None
            }
            Err(wrong) => Some(mistake(&COMMAND, written.get(COMMAND.name)?, &wrong, "")),
        }
    }

    /// Of several scanners, those that make sense are kept.
    fn check_scanners(&mut self, written: &Written, host: &Host<'_>) -> Vec<Complaint> {
        let mut wrong = Vec::new();
        for spec in scanners::split(&self.scanner) {
            let known = (host.check_scanner)(spec, &self.settings.command);
            match known.and_then(|()| scanners::check_copies(spec, &self.settings)) {
                Ok(()) => self.settings.scanners.push(spec.to_owned()),
                Err(error) => wrong.push(error),
            }
        }
        if self.settings.scanners.is_empty() {
            self.settings.scanners.push(SCANNER.default.to_owned());
            if wrong.is_empty() {
                wrong.push("names no scanner".to_owned());
            }
        }
        let own = written.get(SCANNER.name).or_else(|| written.get(SOCKET_PATH.name));
        let Some(entry) = own.or_else(|| daemons::entries(written).next()) else {
            return Vec::new();
        };
        let in_force = self.settings.scanners.join(", ");
        wrong.iter().map(|wrong| mistake(&SCANNER, entry, wrong, &in_force)).collect()
    }

    /// Renaming a file to its own name would change nothing.
    fn check_rename(&mut self, written: &Written) -> Option<Complaint> {
        if !self.settings.rename_prefix.is_empty() || !self.settings.rename_suffix.is_empty() {
            return None;
        }
        RENAME_SUFFIX.default.clone_into(&mut self.settings.rename_suffix);
        let entry = written.get(RENAME_SUFFIX.name)?;
        let wrong = "may not be empty when \"rename prefix\" is";
        Some(mistake(&RENAME_SUFFIX, entry, wrong, RENAME_SUFFIX.default))
    }

    fn check_quarantine(&self, written: &Written, share: &Share<'_>) -> Option<Complaint> {
        let entry = written.get("quarantine directory")?;
        let inside = self.settings.quarantine_directory.starts_with(share.path);
        let what = "lies inside the share, where its users can reach it; better choose a place outside";
        inside.then(|| notice(entry, what.to_owned()))
    }

    /// What only several options together could say.
    fn correct(&self, in_force: &mut [InForce], written: &Written) {
        for option in in_force {
            if option.name == SCANNER.name {
                let older = written.get(SOCKET_PATH.name).into_iter().chain(daemons::entries(written)).next();
                if let (Source::Default, Some(older)) = (&option.source, older) {
                    option.source = Source::Written(older.origin.clone());
                }
                option.value = self.settings.scanners.join(", ");
            } else if option.name == RENAME_SUFFIX.name {
                option.value.clone_from(&self.settings.rename_suffix);
            }
        }
    }

    fn finish(self) -> Settings {
        let limits = |lifetime| CacheLimits { entries: self.cache_entries, lifetime };
        let format = self.syslog_format;
        let identity = format.identity(self.settings.scanners.first().map_or("", String::as_str));
        let syslog = self.facility.zip(self.priority);
        let syslog = syslog.map(|(facility, priority)| Syslog { facility, priority, format, identity });
        let is_on = self.cache != CacheKind::Off;
        let cache = self.cache_lifetime.map(limits).filter(|limits| limits.entries > 0 && is_on);
        let is_shared = self.cache == CacheKind::Shared && cache.is_some() && self.shared_entries > 0;
        let shared = SharedCacheLimits {
            directory: self.cache_directory,
            entries: self.shared_entries,
            server: self.cache_server,
        };
        Settings {
            cache,
            shared_cache: is_shared.then_some(shared),
            syslog: syslog.filter(|_| self.syslog),
            ..self.settings
        }
    }
}

fn notice(entry: &Entry, remark: String) -> Complaint {
    Complaint {
        severity: Severity::Notice,
        origin: entry.origin.clone(),
        written: entry.line.clone(),
        wrong: remark,
        in_force: String::new(),
    }
}

fn mistake(option: &Opt, entry: &Entry, wrong: &str, value_in_force: &str) -> Complaint {
    let value = if value_in_force.is_empty() { "nothing" } else { value_in_force };
    Complaint {
        severity: Severity::Mistake,
        origin: entry.origin.clone(),
        written: entry.line.clone(),
        wrong: wrong.to_owned(),
        in_force: format!("{} = {value}", option.name),
    }
}
