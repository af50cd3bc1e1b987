//! The manual page vscan.conf(5), from the table of options.

use std::fmt::Write;

use super::option::{Kind, Opt};
use super::table::GROUPS;

const HEADER: &str = r#".\" SPDX-License-Identifier: GPL-3.0-or-later
.\" Written by `VSCAN_BLESS=1 cargo test -p vscan-engine manual`: change engine/src/settings instead.
.Dd November 22, 2026
.Dt VSCAN.CONF 5
.Os
.Sh NAME
.Nm vscan.conf
.Nd settings of the virus scanner in Samba shares
.Sh DESCRIPTION
Every share with
.Ql vfs objects = vscan
reads this file when a client connects:
.Pa /etc/samba/vscan.conf
if it exists, or the file that
.Xr smb.conf 5
names for the share with
.Ql vscan:config\-file = /path/of/file .
.Pp
It consists of sections, and of lines
.Ql option = value
in them.
.Bl -bullet
.It
The sections
.Ql [vscan]
and
.Ql [samba\-vscan]
mean the same, and count for all shares.
A section with the name of a share counts for that share, and more.
.It
What
.Xr smb.conf 5
says as
.Ql vscan:option = value
counts more than this file.
.It
In the name of an option, upper and lower case and blanks do not count.
.It
A value is taken as it is, without quotes.
A line that ends in a backslash goes on in the next.
.It
A line that begins with
.Ql #
or
.Ql \&;
is a comment.
.It
The options of samba\-vscan and of
.Xr vfs_virusfilter 8
are understood by their names there.
.El
.Pp
A mistake costs a line in the log, with the file, the line and the name that was probably meant.
The option keeps its default, or the value that is given below for a mistake, and the share stays up: see
.Cm on config error .
.Sh OPTIONS
"#;

const FOOTER: &str = r#".Sh FILES
.Bl -tag -width Ds
.It Pa /etc/samba/vscan.conf
Read when
.Xr smb.conf 5
names no other file.
It need not exist.
.It Pa /usr/share/doc/vscan/examples/vscan.conf.example
Every option with its default, to be copied.
.El
.Sh EXAMPLES
A scanner on another machine, with the one on this machine as its stand\-in; no scan of the templates, and more caution
for the share
.Ql exchange :
.Bd -literal -offset indent
[vscan]
scanner = clamav:tcp:192.0.2.5:3310, clamav:/run/clamav/clamd.ctl
exclude paths = templates

[exchange]
scan on close = wait
exclude paths =
.Ed
.Pp
One option for one share, in
.Xr smb.conf 5 :
.Bd -literal -offset indent
[data]
    path = /srv/data
    vfs objects = vscan
    vscan:infected file action = rename
.Ed
.Sh SEE ALSO
.Xr vscanctl 1 ,
.Xr clamd.conf 5 ,
.Xr smb.conf 5 ,
.Xr vfs_vscan 8
"#;

/// The text of `docs/vscan.conf.5`: every option with its help and its default, as mdoc(7).
pub fn manual() -> String {
    let mut page = HEADER.to_owned();
    for group in GROUPS {
        // Writing to a String cannot fail.
        let _ = writeln!(page, ".Ss {}\n.Bl -tag -width Ds", group.title);
        for option in group.options {
            entry(&mut page, option);
        }
        page.push_str(".El\n");
    }
    page.push_str(FOOTER);
    page
}

fn entry(page: &mut String, option: &Opt) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, ".It Cm {} No = Ar {}", option.name, placeholder(option));
    page.push_str(&sentences(option.help));
    page.push_str(".Pp\n");
    page.push_str(&sentences(&format!("Takes {}.", option.kind.describe())));
    let _ = match option.default {
        "" => writeln!(page, "By default, it is empty."),
        default => writeln!(page, "The default is\n.Ql {} .", literal(default)),
    };
    if option.on_mistake != option.default {
        let _ = writeln!(page, "A value that is not understood means\n.Ql {} .", literal(option.on_mistake));
    }
    if !option.aliases.is_empty() {
        let names: Vec<_> = option.aliases.iter().map(|alias| alias.name).collect();
        page.push_str(&sentences(&format!("Older names: {}.", names.join(", "))));
    }
}

/// What stands for the value in the headline.
fn placeholder(option: &Opt) -> &'static str {
    match option.kind {
        Kind::YesNo => "yes | no",
        Kind::Size => "size",
        Kind::Duration => "time",
        Kind::Number => "number",
        Kind::Choice(_) => "word",
        Kind::Regexp => "expression",
        Kind::List => "list",
        Kind::Path => "path",
        Kind::Text => "text",
    }
}

/// Prose: a line for each sentence, so that the formatter sets them apart.
fn sentences(text: &str) -> String {
    let mut lines = String::new();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        lines.push_str(&literal(word));
        let ends = word.ends_with(['.', '?', '!'])
            && words.peek().is_some_and(|next| !next.starts_with(|c: char| c.is_ascii_lowercase()));
        lines.push(if ends || words.peek().is_none() { '\n' } else { ' ' });
    }
    // A line must not begin with a control character.
    lines.lines().fold(String::new(), |page, line| {
        page + if line.starts_with(['.', '\'']) { "\\&" } else { "" } + line + "\n"
    })
}

/// Text whose every character means itself, as the formatter wants it.
fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '"' => escaped.push_str("\\(dq"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::table::options;

    #[test]
    fn the_manual_page_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vscan.conf.5");
        if std::env::var_os("VSCAN_BLESS").is_some() {
            std::fs::write(&path, manual()).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == manual(),
            "docs/vscan.conf.5 is out of date: run VSCAN_BLESS=1 cargo test -p vscan-engine manual"
        );
    }

    #[test]
    fn every_option_has_its_headline() {
        let page = manual();
        for option in options() {
            assert!(page.contains(&format!("\n.It Cm {} No = Ar ", option.name)), "{}", option.name);
        }
    }

    #[test]
    fn characters_that_mean_something_to_the_formatter_mean_themselves() {
        assert_eq!(sentences(".a is it. So. or not"), "\\&.a is it.\nSo. or not\n");
        assert_eq!(literal(r#"\^-"'"#), r"\e\(ha\-\(dq\(aq");
    }
}
