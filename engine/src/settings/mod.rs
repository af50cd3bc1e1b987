//! What the administrator wants: read in layers, complained about line by line, and kept so that it cannot hold nonsense.
//!
//! Built-in defaults, then the configuration file, then smb.conf ([`load`]). The texts are collected first
//! (`written`) and given their meaning afterwards, each by its row of [`GROUPS`]: the one place for the names,
//! defaults and help of all options. Whatever is wrong costs a [`Complaint`] and leaves that option at its protective
//! value; it never costs the share.

mod complaint;
mod daemons;
mod draft;
mod example;
mod foreign;
mod ini;
mod manual;
mod notify;
mod option;
mod path_map;
mod patterns;
mod scanner_command;
mod scanners;
mod syslog;
mod table;
mod value;
mod written;

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use vscan_backends::command::CommandOptions;

use crate::action::Action;

pub use complaint::{Complaint, Origin, Severity};
pub use example::example;
pub use manual::manual;
pub use notify::Notify;
pub use option::{Alias, Kind, Opt};
pub use path_map::PathMap;
pub use patterns::{FileRegexp, MimeTypes, PathPatterns};
pub use syslog::{Facility, Priority, Syslog, SyslogFormat};
pub use table::{GROUPS, Group};
pub use value::{Lifetime, Size};

/// Read when smb.conf names no other file; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/samba/vscan.conf";

/// Everything that was configured for one share, ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The scanners, each as `vscan_backends` reads it; at least one.
    pub scanners: Vec<String>,
    /// What `command:` runs, and who as.
    pub command: CommandOptions,
    /// How they work together.
    pub scanner_mode: ScannerMode,
    /// How often each scanner is asked for the version of its signatures; None: never.
    pub signature_check_interval: Option<Duration>,
    /// A change of this file's times voids all results; None: there is no such file.
    pub signature_epoch_file: Option<PathBuf>,
    /// Where scanners that open paths see the files.
    pub path_map: PathMap,
    /// Where files are copied for such scanners; None: they see the files themselves.
    pub spool_directory: Option<PathBuf>,
    /// Scan before a file is opened.
    pub scan_on_open: bool,
    /// Scan after a changed file is closed.
    pub scan_on_close: ScanOnClose,
    /// At most so many scans at once; not zero.
    pub max_scans_in_flight: usize,
    /// Larger files have a lane of their own among the scans; None: they have not.
    pub large_file_size: Option<Size>,
    /// Larger files are not scanned; None: no limit.
    pub max_file_size: Option<Size>,
    /// What happens to those larger files.
    pub files_over_the_limit: OverLimit,
    /// Smaller files are not scanned.
    pub min_file_size: Size,
    /// Files that are not scanned, by path.
    pub exclude_file_regexp: Option<FileRegexp>,
    /// Files that are not scanned, by content type.
    pub exclude_file_types: MimeTypes,
    /// If there are any, only files below these are scanned.
    pub include_paths: PathPatterns,
    /// Files below these are not scanned; wins over `include_paths`.
    pub exclude_paths: PathPatterns,
    /// Deny access when there is no verdict because the scanner failed.
    pub deny_access_on_error: bool,
    /// Deny access when the scanner works but cannot judge this file.
    pub deny_access_on_minor_error: bool,
    /// False: only log what would be done.
    pub enforce: bool,
    /// What a client is told about an infected file.
    pub infected_status: InfectedStatus,
    /// What is done with an infected file.
    pub infected_file_action: Action,
    /// Where infected files go; absolute.
    pub quarantine_directory: PathBuf,
    /// How names in quarantine begin.
    pub quarantine_prefix: String,
    /// Content that is not infected, whatever a scanner says; None: there is no such list.
    pub trusted_files: Option<PathBuf>,
    /// What a renamed infected file gets in front of its name; never empty together with the suffix.
    pub rename_prefix: String,
    /// What a renamed infected file gets behind its name.
    pub rename_suffix: String,
    /// None: results are not cached.
    pub cache: Option<CacheLimits>,
    /// What all processes share of them; None: nothing. Never without `cache`.
    pub shared_cache: Option<SharedCacheLimits>,
    /// Where the counters of all processes are; None: nothing is counted.
    pub counters_file: Option<PathBuf>,
    /// To reach the scanner. No timeout is zero or longer than a day.
    pub connect_timeout: Duration,
    /// For each step of the conversation with the scanner.
    pub io_timeout: Duration,
    /// For the whole scan of one file.
    pub scan_timeout: Duration,
    /// None: nothing goes to syslog.
    pub syslog: Option<Syslog>,
    /// Log each decision, not only what went wrong.
    pub verbose_file_logging: bool,
    /// Who is told about what is found, and how.
    pub notify: Notify,
    /// What a mistake in the configuration means for the share.
    pub on_config_error: OnConfigError,
}

impl Default for Settings {
    /// The defaults of [`GROUPS`].
    fn default() -> Self {
        draft::defaults()
    }
}

/// How large and how old the cache of results may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// At most so many results; not zero.
    pub entries: usize,
    /// The age at which a result is dropped.
    pub lifetime: Lifetime,
}

/// Where results are kept for all processes, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedCacheLimits {
    /// For root only; absolute.
    pub directory: PathBuf,
    /// When there are so many, the oldest tenth goes; not zero.
    pub entries: u64,
    /// A Redis server that other machines share results by; None: there is none.
    pub server: Option<String>,
}

/// `cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheKind {
    /// What one process finds out, all know, also after it has ended.
    Shared,
    /// Each process remembers for itself.
    Process,
    /// Nothing is remembered.
    Off,
}

/// `scanner mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScannerMode {
    /// In order: the next one is asked when the one before gave no verdict.
    First,
    /// Whichever has the least to do; another one when it gave no verdict.
    Balance,
    /// Every one of them; what one finds is found.
    All,
}

/// `files over the limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// They may be opened without a scan.
    Allow,
    /// They may not be opened.
    Deny,
}

/// `scan on close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOnClose {
    /// After the close, while the client goes on.
    Yes,
    /// Not at all; the next open scans.
    No,
    /// Before the client's close is answered, which tells it what was found.
    Wait,
}

/// `infected status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfectedStatus {
    /// "The file contains a virus": Windows shows it to the user.
    VirusInfected,
    /// The ordinary "access denied".
    AccessDenied,
}

/// `on config error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConfigError {
    /// Go on; what was wrong is at its default.
    Defaults,
    /// Refuse opens until the configuration is mended.
    Deny,
}

/// The share that is being connected to.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// Its name: that of the section that overrides the common ones.
    pub name: &'a str,
    /// Its root directory.
    pub path: &'a Path,
}

/// The file to read.
#[derive(Clone, Copy, Debug)]
pub enum ConfigFile<'a> {
    /// Named in smb.conf (`vscan:config-file`): it has to be there.
    Named(&'a Path),
    /// [`DEFAULT_FILE`], which may be absent.
    Default,
}

/// The text of a configuration file.
#[derive(Clone, Copy, Debug)]
pub struct FileText<'a> {
    /// Where it came from, for complaints.
    pub path: &'a Path,
    /// Its content.
    pub text: &'a str,
}

/// What the host adds: the options in smb.conf, and the judgement of scanner specifications.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The value of `vscan:<name>`, asked for each option by its name and by its older names.
    pub option: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a `scanner` specification makes sense; the error says why not.
    pub check_scanner: &'a dyn Fn(&str, &CommandOptions) -> Result<(), String>,
}

/// Settings, and what was wrong on the way to them.
#[derive(Clone, Debug)]
#[must_use]
pub struct Loaded {
    /// Ready to use, whatever was wrong.
    pub settings: Settings,
    /// One line each, for the log.
    pub complaints: Vec<Complaint>,
    /// Every option, in the order of the documentation.
    pub in_force: Vec<InForce>,
}

/// An option's value, and where it comes from.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The option's name.
    pub name: &'static str,
    /// Its value, as one would write it.
    pub value: String,
    /// Whence.
    pub source: Source,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing was written.
    Default,
    /// It was written there.
    Written(Origin),
    /// What was written there cannot be understood.
    InsteadOf(Origin),
}

impl Loaded {
    /// Whether the share must refuse every open: there is a mistake, and `on config error = deny`. With
    /// `enforce = no` nothing is ever denied, not even this.
    pub fn refuses_opens(&self) -> bool {
        let mistaken = self.complaints.iter().any(|complaint| complaint.severity == Severity::Mistake);
        match self.settings.on_config_error {
            OnConfigError::Deny => mistaken && self.settings.enforce,
            OnConfigError::Defaults => false,
        }
    }
}

/// Reads all layers for one share.
pub fn load(share: &Share<'_>, file: ConfigFile<'_>, host: &Host<'_>) -> Loaded {
    let (path, required) = match file {
        ConfigFile::Named(path) => (path, true),
        ConfigFile::Default => (Path::new(DEFAULT_FILE), false),
    };
    match read(path) {
        Ok(text) => load_text(share, Some(FileText { path, text: &text }), host),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => load_text(share, None, host),
        Err(error) => {
            let mut loaded = load_text(share, None, host);
            loaded.complaints.insert(0, unreadable(path, &error));
            loaded
        }
    }
}

/// The same for a file that has already been read, or for none.
pub fn load_text(share: &Share<'_>, file: Option<FileText<'_>>, host: &Host<'_>) -> Loaded {
    let (written, mut complaints) = written::collect(share, file, host);
    let settled = draft::settle(written, share, host);
    complaints.extend(settled.complaints);
    Loaded { settings: settled.settings, complaints, in_force: settled.in_force }
}

/// What is wrong with an option of this name in smb.conf. [`load`] cannot tell that of a host that has to be asked by
/// name; whoever can list what is written there asks here.
pub fn complain_of_name(share: &str, name: &str, value: &str) -> Option<Complaint> {
    written::complain_of_name(Origin::Host { share: share.to_owned() }, name, value)
}

/// A configuration file is a few kilobytes; this keeps a slip such as `/dev/zero` from filling the memory.
const MAX_FILE_BYTES: u64 = 1 << 20;

fn read(path: &Path) -> io::Result<String> {
    // Asked before opening: the open of a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it is larger than 1M"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8: save the file in that encoding"))
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Complaint {
    Complaint {
        severity: Severity::Mistake,
        origin: Origin::File(path.to_owned()),
        written: String::new(),
        wrong: format!("cannot be read: {error}"),
        in_force: "the defaults, and what smb.conf says".to_owned(),
    }
}

/// The candidate that a misspelt word was probably meant to be.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.6;
    let word = word.to_lowercase();
    let rated = candidates.map(|name| (strsim::normalized_damerau_levenshtein(&word, name), name));
    rated.filter(|(rate, _)| *rate >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
