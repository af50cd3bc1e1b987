//! The command line: every command, its options and its help. The manual page and the completions come from here.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// The end of `--help` and of the manual page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    it worked, and the news is bad: a mistake in the configuration, an infected file, a denied open
  2    it could not be done, or not all of it; also for a wrong command line
  130  interrupted (SIGINT, SIGTERM)";

/// Watches over vscan, the virus scanner inside a Samba file server.
///
/// Finds mistakes in the configuration, tells what would happen to a file, and gives files back from quarantine. It
/// must run as root, like smbd. Shares and their settings are those of smb.conf as Samba itself reads it (testparm).
#[derive(Debug, Parser)]
#[command(name = "vscanctl", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Another smb.conf than Samba's own.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Print JSON, for programs. Names of files are exact: {"text": ...}, or {"base64": ...} if they are not UTF-8.
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(CheckArguments),
    Explain(ExplainArguments),
    Scan(ScanArguments),
    Quarantine(QuarantineArguments),
    Status(StatusArguments),
    /// Show the scanners: whether they answer, how fast, how busy they are, and with which signatures.
    ///
    /// Exits with 1 if one does not answer.
    Scanners,
    /// Look at the results of scans that all smbds share, or forget them.
    Cache {
        #[command(subcommand)]
        command: CacheCommand,
    },
    Metrics(MetricsArguments),
    /// Print the completions for a shell.
    ///
    /// For bash: vscanctl completions bash > /usr/share/bash-completion/completions/vscanctl
    Completions {
        /// For which shell.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(hide = true)]
    Manual,
}

/// Check the configuration and all that vscan needs.
///
/// Shows the settings of each protected share that differ from the defaults, with where they were written; every mistake
/// in them; whether each scanner answers, how fast, and with which signatures; whether the quarantine is there and safe;
/// and whether the installed smbd can load the module. Shares without vscan are listed as not protected.
///
/// Exits with 1 if there is a mistake.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Only this share.
    #[arg(long, short, value_name = "SHARE")]
    pub share: Option<String>,

    /// Show the settings that are at their defaults, too.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Tell what would happen if a client opened this file.
///
/// Goes through the rules in their order, with the code that smbd would run: size, patterns, type, earlier results. Neither
/// scans the file nor touches it, unless --scan asks for a scan.
///
/// Exits with 1 if the open would be denied.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The file, by its path on this server.
    pub path: PathBuf,

    /// The share through which it is opened, where several reach it.
    #[arg(long, short, value_name = "SHARE")]
    pub share: Option<String>,

    /// Scan it now if only a scan can tell. Nothing is done to the file.
    #[arg(long)]
    pub scan: bool,
}

/// Scan trees of files, with the settings of the shares that they are in.
///
/// Several files are scanned at once. Files that were scanned before and have not changed since are not scanned again, by
/// this command or by smbd, whoever has scanned them first (see "cache" in vscan.conf): so a nightly scan is a scan of
/// what has changed, and one that was interrupted goes on where it stopped. Links are not followed; devices, sockets and
/// pipes are left out.
///
/// Prints what is infected or cannot be scanned, and the sum. With --json, each is one line of JSON, and the sum is the
/// last line.
///
/// A scanner that stops answering is waited for, for a minute; files that come up meanwhile are reported as errors, one now and
/// then. One that has not answered at all is given up after two seconds.
///
/// Exits with 1 if something is infected, with 2 if something could not be scanned, with 130 if it was interrupted.
#[derive(Debug, Args)]
pub struct ScanArguments {
    /// Files and directories, by their paths on this server.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// The share whose settings count; all of it, if no path is given.
    #[arg(long, short, value_name = "SHARE")]
    pub share: Option<String>,

    /// All of all protected shares.
    #[arg(long, conflicts_with_all = ["share", "paths"])]
    pub all: bool,

    /// Make sure that the results are kept for smbd, so that first opens need no scan; fail if the shares are not set up
    /// to share results ("cache = shared").
    #[arg(long)]
    pub warm: bool,

    /// Do with infected files what the settings say ("infected file action"). Without this, nothing is done to them.
    #[arg(long)]
    pub act: bool,

    /// How many files to scan at once [default: "max scans in flight"].
    #[arg(long, short, value_name = "NUMBER", value_parser = jobs)]
    pub jobs: Option<NonZeroUsize>,

    /// Print a line for every file.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Show what the smbds are doing, share by share: opens, results that were known, scans, finds, errors, and how many
/// requests wait for a scan now.
///
/// The numbers count from the last start of the machine.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Go on, with what happens in a second: every second, or as often as this says (such as 5s or 500ms).
    #[arg(long, short, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", value_parser = interval)]
    pub watch: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show how many results there are, and how old they are.
    Stats,
    /// Show the files whose scans took longest.
    Top {
        /// How many.
        #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 10)]
        count: usize,
    },
    /// Forget results: all of them, or those of these files.
    ///
    /// What is being scanned at that moment is not remembered either. The "cache server" of a cluster forgets the results
    /// as well, but every node has results of its own: run this on each of them. Shares with "cache = process" hear of
    /// it by the "counters file".
    ///
    /// Without a path, this also says that the scanners have new signatures ("signature epoch file"), so it fits
    /// freshclam.conf as it is: OnUpdateExecute /usr/sbin/vscanctl cache flush
    Flush {
        /// Files, and directories with all that is in them.
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}

/// Print numbers for Prometheus: what status, cache stats and scanners show, and how full the quarantine is.
#[derive(Debug, Args)]
pub struct MetricsArguments {
    /// Write them to the file vscan.prom in this directory, where node_exporter's textfile collector looks for it.
    #[arg(long, value_name = "DIR")]
    pub textfile: Option<PathBuf>,
}

/// Each is a thread and a connection.
fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse::<NonZeroUsize>().ok().filter(|number| number.get() <= 1000);
    number.ok_or_else(|| "must be a number from 1 to 1000".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000)];
    let found = units.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let time = found.and_then(|(number, factor)| number.parse::<u64>().ok()?.checked_mul(factor));
    let time = time.filter(|time| *time > 0);
    time.map(Duration::from_millis).ok_or_else(|| "must be a number with s or ms, such as 5s".to_owned())
}

/// Look at infected files that were put away; give them back, throw them away, or send them to somebody.
#[derive(Debug, Args)]
pub struct QuarantineArguments {
    /// This quarantine directory, instead of those of all shares.
    #[arg(long, value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,

    #[command(subcommand)]
    pub command: QuarantineCommand,
}

#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List what is in quarantine, the oldest first.
    List {
        /// Only these: an id as the list shows it, a path where a file was, or a pattern for either, such as '*.doc'.
        #[arg(value_name = "WHICH")]
        which: Vec<String>,
    },
    /// Show all that is known of a file.
    Show {
        /// An id as the list shows it, the path where the file was, or a pattern for either.
        #[arg(value_name = "WHICH", required = true)]
        which: Vec<String>,
    },
    Restore(RestoreArguments),
    /// Remove files from quarantine for good.
    Delete {
        /// An id as the list shows it, the path where the file was, or a pattern for either.
        #[arg(value_name = "WHICH", required = true)]
        which: Vec<String>,
    },
    /// Remove what has been in quarantine for long, for good.
    Purge {
        /// How long: a number with h (hours), d (days) or w (weeks).
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Duration,

        /// Only say what would be removed.
        #[arg(long, short = 'n')]
        dry_run: bool,
    },
    /// Copy files and their records into a zip archive, to send them to somebody.
    ///
    /// The archive has the password "infected", as is usual among those who deal with viruses: so no scanner on the way
    /// looks into it. The files stay in quarantine.
    Export {
        /// An id as the list shows it, the path where the file was, or a pattern for either.
        #[arg(value_name = "WHICH", required = true)]
        which: Vec<String>,

        /// The archive, which must not be there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Give files back, exactly as they were.
///
/// Content, owner, permissions, access control lists, extended attributes and times are those that the file had. Nothing is
/// ever replaced, and no directory is made: what is in the way must go first, or --to names another place.
///
/// The next open scans the file again. If the scanner is wrong about it, --trust keeps the file from going straight back.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// An id as the list shows it, the path where the file was, or a pattern for either.
    #[arg(value_name = "WHICH", required = true)]
    pub which: Vec<String>,

    /// Another place: a directory, or a new name.
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,

    /// Take the content for clean from now on, wherever it turns up, whatever the scanner says ("trusted files").
    #[arg(long)]
    pub trust: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    let units = [("h", 3600), ("d", 24 * 3600), ("w", 7 * 24 * 3600)];
    let found = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let seconds = found.and_then(|(number, seconds)| number.parse::<u64>().ok()?.checked_mul(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "must be a number with h, d or w, such as 30d".to_owned())
}
