//! What goes wrong around an open, and what the client gets and the administrator reads then.

use std::path::Path;

use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

/// The client goes away.
mod client;
/// The file changes, moves or goes away while it is scanned.
mod moving;
/// We have a bug.
mod panic;
/// The quarantine cannot take the file.
mod quarantine;
/// The scanner fails.
mod scanner;
/// Memory errors and leaks.
mod valgrind;

/// The text of a vscan.conf with clamd, or what passes for it, at this socket.
pub(crate) fn conf(socket: &Path, more: &str) -> String {
    format!("[samba-vscan]\nscanner = clamav:{}\n{more}\n", socket.display())
}

/// A server with one share `s`, protected by clamd, or what passes for it, at this socket. It logs what an
/// administrator sees who has changed nothing.
pub(crate) fn protected(socket: &Path, more: &str) -> Smbd {
    Smbd::new().share(Share::vscan("s", &conf(socket, more))).global("log level", "1").start()
}

/// The lines about a file since a mark.
pub(crate) fn lines_about(smbd: &Smbd, mark: usize, name: &str) -> Vec<String> {
    smbd.log_since(mark)
        .lines()
        .filter(|line| line.contains(name))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// The line about a file since a mark, of which there is exactly one; it holds all these words.
#[track_caller]
pub(crate) fn the_line_about(smbd: &Smbd, mark: usize, name: &str, words: &[&str]) -> String {
    let lines = lines_about(smbd, mark, name);
    assert_eq!(lines.len(), 1, "one line about {name}: {lines:#?}");
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {:?}", lines[0]);
    }
    lines[0].clone()
}
