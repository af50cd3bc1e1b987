//! The example file, from the table of options.

use std::fmt::Write;

use super::option::Opt;
use super::table::GROUPS;

const HEADER: &str = "\
# vscan.conf: the virus scanner's settings. Copy to /etc/samba/vscan.conf, or anywhere with
#     vscan:config-file = /path/to/file
# in smb.conf. Every option can also be set there, as vscan:option = value, and counts more than here.
#
# Options stand in [samba-vscan] or [vscan], which mean the same, and count for all shares; a section
# with the name of a share counts for that share, and more. Values are taken as they are, without quotes.
# A line that ends in a backslash goes on in the next. Files written for samba-vscan can be used unchanged.
#
# Every option is shown with its default. A value that cannot be understood is complained about in the log,
# with its line, and leaves the option at the choice that protects.

[vscan]
";

/// The text of `vscan.conf.example`: every option with its help and its default, commented out.
pub fn example() -> String {
    let mut text = HEADER.to_owned();
    for group in GROUPS {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n\n# ---- {} ----\n", group.title);
        for option in group.options {
            text.push('\n');
            entry(&mut text, option);
        }
    }
    text
}

fn entry(text: &mut String, option: &Opt) {
    let mut takes = format!("Takes {}.", option.kind.describe());
    if !option.aliases.is_empty() {
        let older: Vec<_> = option.aliases.iter().map(|alias| alias.name).collect();
        // Writing to a String cannot fail.
        let _ = write!(takes, " Older names: {}.", older.join(", "));
    }
    for line in wrapped(option.help).into_iter().chain(wrapped(&takes)) {
        let _ = writeln!(text, "# {line}");
    }
    let _ = writeln!(text, "{}", format!(";{} = {}", option.name, option.default).trim_end());
}

fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 100;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{FileText, Host, Settings, Share, load_text};

    #[test]
    fn the_example_file_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vscan.conf.example");
        if std::env::var_os("VSCAN_BLESS").is_some() {
            std::fs::write(&path, example()).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == example(),
            "vscan.conf.example is out of date: run VSCAN_BLESS=1 cargo test -p vscan-engine example"
        );
    }

    #[test]
    fn the_example_with_all_options_active_means_the_defaults() {
        let text = example().replace("\n;", "\n");
        let share = Share { name: "data", path: Path::new("/srv/data") };
        let host = Host { option: &|_| None, check_scanner: &|_, _| Ok(()) };
        let loaded = load_text(&share, Some(FileText { path: Path::new("x"), text: &text }), &host);
        assert_eq!(loaded.complaints, []);
        assert_eq!(format!("{:?}", loaded.settings), format!("{:?}", Settings::default()));
    }
}
