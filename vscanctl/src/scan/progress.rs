//! What is seen of a scan: a bar on a terminal, lines for what was found, and the sum of it.

use std::fmt::Write;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use rustix::fs::{FileType, fstat};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use vscan_engine::action::Bytes;

use super::file::{Outcome, Report};
use super::tally::Tally;
use crate::Trouble;
use crate::output::{self, Colour, Out, exact, shown};

pub struct Progress<'a> {
    out: &'a Out,
    bar: ProgressBar,
    verbose: bool,
}

/// One file, for programs.
#[derive(Serialize)]
struct Line<'a> {
    path: Bytes,
    share: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    threat: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'a Bytes>,
    known: bool,
}

/// The last line, for programs.
#[derive(Serialize)]
struct Summary<'a> {
    summary: &'a Tally,
    seconds: f64,
    interrupted: bool,
}

impl<'a> Progress<'a> {
    pub fn new(out: &'a Out, verbose: bool) -> Self {
        let bar = if io::stderr().is_terminal() && !is_pipe(io::stdout()) && !out.is_json() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            set_style(&bar, ["{bar:30} {pos} of {len} files, {rate}, {msg}", "{pos} of {len}, {msg}"]);
            bar.set_message("counting");
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { out, bar, verbose }
    }

    pub fn found(&self, count: u64) {
        self.bar.inc_length(count);
    }

    /// From now on it is known how much is left.
    pub fn all_found(&self) {
        let wide = "{bar:30} {pos} of {len} files, {rate}, {eta} left{msg}";
        set_style(&self.bar, [wide, "{pos} of {len}, {eta} left{msg}"]);
        self.bar.set_message("");
    }

    pub fn done(&self, report: &Report, tally: &Tally) -> Result<(), Trouble> {
        self.bar.inc(1);
        if tally.infected > 0 {
            self.bar.set_message(format!(", {} infected", tally.infected));
        }
        let is_news = match &report.result {
            Outcome::Infected { .. } | Outcome::Unscannable(_) | Outcome::NoVerdict(_) => true,
            Outcome::Clean { .. } | Outcome::Trusted { .. } | Outcome::NotScanned(_) | Outcome::Gone => {
                self.verbose
            }
        };
        if !is_news {
            return Ok(());
        }
        let text = if self.out.is_json() { as_json(report)? } else { self.as_text(report) };
        self.bar.suspend(|| output::print(&text))
    }

    pub fn unreadable(&self, path: &Path, why: &str) -> Result<(), Trouble> {
        self.bar.suspend(|| output::complain(&format!("{}: {why}", shown(path))));
        Ok(())
    }

    fn as_text(&self, report: &Report) -> String {
        let path = shown(&report.path);
        let says = match &report.result {
            Outcome::Clean { was_known: true } => "clean (known)".to_owned(),
            Outcome::Clean { was_known: false } => "clean".to_owned(),
            Outcome::Infected { threat, action, .. } => {
                let action = action.as_ref().map(|action| format!("; {}", action.text)).unwrap_or_default();
                format!("{} with {threat}{action}", self.out.coloured("infected", Colour::Red))
            }
            Outcome::Trusted { threat } => format!("trusted, though it is said to be infected with {threat}"),
            Outcome::NotScanned(reason) => format!("not scanned: {reason}"),
            Outcome::Unscannable(reason) | Outcome::NoVerdict(reason) => {
                format!("{}: {reason}", self.out.coloured("could not be scanned", Colour::Yellow))
            }
            Outcome::Gone => "gone meanwhile".to_owned(),
        };
        format!("{path}: {says}\n")
    }

    pub fn finish(&self, tally: &Tally, took: Duration, was_interrupted: bool) -> Result<(), Trouble> {
        self.bar.finish_and_clear();
        if self.out.is_json() {
            let summary =
                Summary { summary: tally, seconds: took.as_secs_f64(), interrupted: was_interrupted };
            return output::print(&one_line(&summary)?);
        }
        if was_interrupted {
            output::complain("interrupted; the same command goes on where this one has stopped");
        }
        if tally.is_hopeless {
            output::complain("given up, because the scanner does not answer: see vscanctl check");
        }
        output::print(&tally.text(took))
    }
}

/// What is at its other end, such as `less` or `tail`, writes to the terminal, too, and would get the bar in between.
fn is_pipe(output: impl AsFd) -> bool {
    fstat(output).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// The first one, if the terminal has room for it.
fn set_style(bar: &ProgressBar, [wide, narrow]: [&str; 2]) {
    const WIDE: u16 = 90;
    let columns = tcgetwinsize(io::stderr()).map_or(WIDE, |size| size.ws_col);
    let template = if columns < WIDE { narrow } else { wide };
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        // Writing to a terminal's text cannot fail.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", rate));
    }
}

fn as_json(report: &Report) -> Result<String, Trouble> {
    let mut line = Line {
        path: exact(&report.path),
        share: &report.share,
        result: "",
        threat: None,
        reason: None,
        action: None,
        now: None,
        known: false,
    };
    match &report.result {
        Outcome::Clean { was_known } => (line.result, line.known) = ("clean", *was_known),
        Outcome::Infected { threat, was_known, action } => {
            (line.result, line.threat, line.known) = ("infected", Some(threat.as_str()), *was_known);
            line.action = action.as_ref().map(|action| action.name.as_str());
            line.now = action.as_ref().and_then(|action| action.destination.as_ref());
        }
        Outcome::Trusted { threat } => (line.result, line.threat) = ("trusted", Some(threat.as_str())),
        Outcome::NotScanned(reason) => (line.result, line.reason) = ("not scanned", Some(reason.as_str())),
        Outcome::Unscannable(reason) | Outcome::NoVerdict(reason) => {
            (line.result, line.reason) = ("error", Some(reason.as_str()));
        }
        Outcome::Gone => line.result = "gone",
    }
    one_line(&line)
}

fn one_line<T: Serialize>(value: &T) -> Result<String, Trouble> {
    let text = serde_json::to_string(value);
    text.map(|text| text + "\n").map_err(|error| format!("this cannot be put into JSON: {error}"))
}
