//! The command line: every command, its options and its help. The manual page and the completions come from here.

use std::path::PathBuf;

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
