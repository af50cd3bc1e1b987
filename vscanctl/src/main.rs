//! vscanctl: what an administrator asks of vscan, and tells it.
//!
//! Nothing here decides anything about a file: settings, rules, results and quarantine are the engine's, and what this
//! program says of them comes from the same code that runs in smbd.
#![forbid(unsafe_code)]

mod cache;
mod check;
mod cli;
mod explain;
mod manual;
mod metrics;
mod output;
mod protection;
mod quarantine;
mod results;
mod samba;
mod scan;
mod scanners;
mod shares;
mod signals;
mod status;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};
use output::Out;
use protection::OnlyTrouble;
use vscan_engine::privilege::AsIs;

/// How a command ended; the manual page has the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// All is well.
    Good = 0,
    /// It worked, and what it found is not good: a mistake, an infected file, a denial.
    Bad = 1,
    /// It could not be done, or not all of it.
    Trouble = 2,
    /// A signal ended it.
    Interrupted = 130,
}

/// Why a command ended early: what happened, to what, and what to do.
type Trouble = String;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.json);
    let done = match &cli.command {
        Command::Completions { shell } => manual::completions(*shell),
        Command::Manual => manual::print(),
        _ if !rustix::process::geteuid().is_root() => {
            Err("only root can see what smbd sees: run it with sudo, or as root".to_owned())
        }
        Command::Check(arguments) => check::run(arguments, &cli, &out),
        Command::Explain(arguments) => explain::run(arguments, &cli, &out),
        Command::Scan(arguments) => scan::run(arguments, &cli, &out),
        Command::Quarantine(arguments) => quarantine::run(arguments, &cli, &out),
        Command::Status(arguments) => status::run(arguments, &cli, &out),
        Command::Scanners => scanners::run(&cli, &out),
        Command::Cache { command } => cache::run(command, &cli, &out),
        Command::Metrics(arguments) => metrics::run(arguments, &cli, &out),
    };
    vscan_engine::shared::close_all(&OnlyTrouble, &AsIs);
    let exit = done.unwrap_or_else(|trouble| {
        output::complain(&trouble);
        Exit::Trouble
    });
    ExitCode::from(exit as u8)
}
