//! The manual page and the completions, from the command line's own definition.

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::{Cli, EXIT_CODES};
use crate::{Exit, Trouble, output};

pub fn completions(shell: Shell) -> Result<Exit, Trouble> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vscanctl", &mut text);
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Good)
}

pub fn print() -> Result<Exit, Trouble> {
    output::print(&page().map_err(|error| format!("the manual page cannot be made: {error}"))?)?;
    Ok(Exit::Good)
}

/// `vscanctl.1`: one page for all commands.
fn page() -> io::Result<String> {
    let command = Cli::command();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).section("1").manual("vscan").date("");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut page = vec![String::from_utf8_lossy(&page).into_owned(), ".SH COMMANDS\n".to_owned()];
    for command in command.get_subcommands() {
        add_command(&mut page, command, "vscanctl")?;
    }
    page.push(exit_codes());
    page.push(".SH SEE ALSO\nvscan.conf(5), smb.conf(5), testparm(1), clamd(8)\n".to_owned());
    Ok(page.concat())
}

fn add_command(page: &mut Vec<String>, command: &clap::Command, parent: &str) -> io::Result<()> {
    let full_name = format!("{parent} {}", command.get_name());
    if command.is_hide_set() || command.get_name() == "help" {
        return Ok(());
    }
    if command.has_subcommands() {
        // What it says of itself, and options that all of its commands take.
        if command.get_arguments().next().is_some() {
            add_section(page, command, &full_name)?;
        }
        for sub in command.get_subcommands() {
            add_command(page, sub, &full_name)?;
        }
        return Ok(());
    }
    add_section(page, command, &full_name)
}

fn add_section(page: &mut Vec<String>, command: &clap::Command, full_name: &str) -> io::Result<()> {
    let alone = command.clone().bin_name(full_name).disable_help_flag(true).disable_help_subcommand(true);
    let man = Man::new(alone);
    let mut text = Vec::new();
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // A section of the page, not pages of its own: only the command's line is a headline.
    let text = text
        .replace(".SH SYNOPSIS\n", &format!(".SS {full_name}\n"))
        .replace(".SH DESCRIPTION\n", ".PP\n")
        .replace(".SH OPTIONS\n", ".PP\n");
    page.push(text);
    Ok(())
}

fn exit_codes() -> String {
    let rows = EXIT_CODES.lines().skip(1).filter_map(|line| line.trim().split_once(' '));
    let rows = rows.map(|(code, meaning)| format!(".TP\n{code}\n{}\n", meaning.trim()));
    format!(".SH EXIT STATUS\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_page_has_every_option_of_every_command() {
        fn check(command: &clap::Command, page: &str) {
            for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
                let written = format!("\\-\\-{}", option.replace('-', "\\-"));
                assert!(page.contains(&written), "{} --{option}", command.get_name());
            }
            command.get_subcommands().filter(|sub| !sub.is_hide_set()).for_each(|sub| check(sub, page));
        }
        check(&Cli::command(), &page().unwrap());
    }

    #[test]
    fn the_manual_page_is_what_the_command_line_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vscanctl.1");
        let page = page().unwrap();
        if std::env::var_os("VSCAN_BLESS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == page,
            "docs/vscanctl.1 is out of date: run VSCAN_BLESS=1 cargo test -p vscanctl manual"
        );
    }
}
