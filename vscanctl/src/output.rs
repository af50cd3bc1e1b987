//! How answers look: words and colours for people, JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::Serialize;
use vscan_engine::action::Bytes;

/// Where the answer goes, and in which form.
pub struct Out {
    json: bool,
    colours: bool,
}

/// What a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    Ok,
    Note,
    Mistake,
}

/// A line with its meaning.
#[derive(Clone, Debug, Serialize)]
pub struct Remark {
    pub mark: Mark,
    pub text: String,
}

impl Remark {
    pub fn ok(text: impl Into<String>) -> Self {
        Self { mark: Mark::Ok, text: text.into() }
    }

    pub fn note(text: impl Into<String>) -> Self {
        Self { mark: Mark::Note, text: text.into() }
    }

    pub fn mistake(text: impl Into<String>) -> Self {
        Self { mark: Mark::Mistake, text: text.into() }
    }
}

/// How a text stands out on a terminal.
#[derive(Clone, Copy)]
pub enum Colour {
    Green,
    Yellow,
    Red,
    Bold,
    Dim,
}

impl Out {
    pub fn new(json: bool) -> Self {
        // An empty NO_COLOR counts as none: https://no-color.org
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { json, colours: io::stdout().is_terminal() && !unwanted }
    }

    /// What makes room for a table that is printed again and again; nothing where that is no terminal.
    pub fn clear(&self) -> &'static str {
        if io::stdout().is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" }
    }

    /// Whether a program reads this.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer in the form that was asked for.
    pub fn answer<T: Serialize>(
        &self,
        answer: &T,
        as_text: impl FnOnce(&Self) -> String,
    ) -> Result<(), String> {
        if self.json { print(&(json(answer)? + "\n")) } else { print(&as_text(self)) }
    }

    pub fn coloured(&self, text: &str, colour: Colour) -> String {
        let code = match colour {
            _ if !self.colours => return text.to_owned(),
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Red => "1;31",
            Colour::Bold => "1",
            Colour::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A headline.
    pub fn headline(&self, text: &str) -> String {
        format!("{}\n", self.coloured(text, Colour::Bold))
    }

    /// A line that begins with its meaning.
    pub fn remark(&self, remark: &Remark) -> String {
        let mark = match remark.mark {
            Mark::Ok => self.coloured("ok     ", Colour::Green),
            Mark::Note => self.coloured("note   ", Colour::Yellow),
            Mark::Mistake => self.coloured("MISTAKE", Colour::Red),
        };
        format!("  {mark}  {}\n", remark.text)
    }
}

/// Columns as wide as what is in them, two blanks apart. The last one is as long as it likes.
pub fn table(rows: &[Vec<String>], indent: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}{}\n", " ".repeat(indent), cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

pub fn json<T: Serialize>(answer: &T) -> Result<String, String> {
    serde_json::to_string_pretty(answer)
        .map_err(|error| format!("this answer cannot be put into JSON: {error}"))
}

/// Prints to standard output.
pub fn print(text: &str) -> Result<(), String> {
    print_to_reader(text).map(drop)
}

/// The same; whether anybody still reads: `vscanctl ... | head` has seen enough.
pub fn print_to_reader(text: &str) -> Result<bool, String> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output cannot be written to: {}", reason(&error))),
        Ok(()) => Ok(true),
    }
}

/// Says on standard error what went wrong.
pub fn complain(trouble: &str) {
    // If not even that can be written, the exit code still says it.
    let _ = writeln!(io::stderr(), "vscanctl: {trouble}");
}

/// How long something has lasted, in the largest unit that fits.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// The system's words without the number that Rust adds.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// A path for people: one line, whatever is in it.
pub fn shown(path: &Path) -> String {
    vscan_engine::log::shown(path).to_string()
}

/// A path for programs: nothing is lost.
pub fn exact(path: &Path) -> Bytes {
    path.as_os_str().as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_blanks() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect();
        let rows = [row(&["a", "Größe", "x"]), row(&["long", "b", ""])];
        assert_eq!(table(&rows, 2), "  a     Größe  x\n  long  b\n");
    }
}
