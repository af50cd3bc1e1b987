//! Which files are scanned, and when.

use super::Group;
use super::{set, words};
use crate::settings::option::{Kind, Opt};
use crate::settings::patterns::{FileRegexp, MimeTypes, PathPatterns};
use crate::settings::value::{choice, size, yes_no};
use crate::settings::{OverLimit, ScanOnClose};

/// A yes or no for samba-vscan, in all the words for these.
fn scan_on_close(text: &str) -> Result<ScanOnClose, String> {
    match yes_no(text) {
        Ok(true) => Ok(ScanOnClose::Yes),
        Ok(false) => Ok(ScanOnClose::No),
        Err(_) if text.eq_ignore_ascii_case("wait") => Ok(ScanOnClose::Wait),
        Err(_) => Err("must be yes, no or wait".to_owned()),
    }
}

const OVER_LIMIT: &[(&str, OverLimit)] = &[("allow", OverLimit::Allow), ("deny", OverLimit::Deny)];

pub(super) const GROUP: Group = Group {
    title: "What is scanned",
    options: &[
        Opt {
            name: "scan on open",
            aliases: &[],
            kind: Kind::YesNo,
            default: "yes",
            on_mistake: "yes",
            help: "Scan a file before it is opened for reading. Files that were scanned already and have \
               not changed since are not scanned again.",
            apply: |draft, text| set(&mut draft.settings.scan_on_open, yes_no(text)),
        },
        Opt {
            name: "scan on close",
            aliases: &[],
            kind: Kind::Choice(|| vec!["yes", "no", "wait"]),
            default: "yes",
            on_mistake: "yes",
            help: "Scan a file after it was changed and closed. yes: the client goes on meanwhile, and an open of the file \
               waits for the result. wait: the client's close waits, and fails if something was found.",
            apply: |draft, text| set(&mut draft.settings.scan_on_close, scan_on_close(text)),
        },
        Opt {
            name: "max file size",
            aliases: &[],
            kind: Kind::Size,
            default: "0",
            on_mistake: "0",
            help: "Larger files are not scanned. 0: no limit. What happens to them is said by \"files over \
               the limit\".",
            apply: |draft, text| {
                set(
                    &mut draft.settings.max_file_size,
                    size(text).map(|size| Some(size).filter(|size| size.0 > 0)),
                )
            },
        },
        Opt {
            name: "files over the limit",
            aliases: &[],
            kind: Kind::Choice(|| words(OVER_LIMIT)),
            default: "allow",
            on_mistake: "deny",
            help: "Whether files that are larger than \"max file size\" may be opened without a scan.",
            apply: |draft, text| set(&mut draft.settings.files_over_the_limit, choice(text, OVER_LIMIT)),
        },
        Opt {
            name: "min file size",
            aliases: &[],
            kind: Kind::Size,
            default: "0",
            on_mistake: "0",
            help: "Smaller files are not scanned. Empty files never are.",
            apply: |draft, text| set(&mut draft.settings.min_file_size, size(text)),
        },
        Opt {
            name: "exclude file regexp",
            aliases: &[],
            kind: Kind::Regexp,
            default: "",
            on_mistake: "",
            help: "Files whose path matches are not scanned. One expression; it sees the share's path, a \
               slash and the name, distinguishes upper and lower case, and matches anywhere unless it \
               says ^ or $. There is no look-around and there are no backreferences. Whoever may choose \
               a file's name can make it match: an excluded place is safer than an excluded name.",
            apply: |draft, text| set(&mut draft.settings.exclude_file_regexp, FileRegexp::parse(text)),
        },
        Opt {
            name: "exclude file types",
            aliases: &[],
            kind: Kind::List,
            default: "",
            on_mistake: "",
            help: "Files of these MIME types are not scanned: image/png, or image/* for all of a kind. The \
               type is found by looking at how the content begins, which can be forged.",
            apply: |draft, text| set(&mut draft.settings.exclude_file_types, MimeTypes::parse(text)),
        },
        Opt {
            name: "include paths",
            aliases: &[],
            kind: Kind::List,
            default: "",
            on_mistake: "",
            help: "If this is not empty, only these files, and everything below these directories, are scanned. \
               An entry is absolute or relative to the share's root; * stands for anything within one \
               name and ? for one character.",
            apply: |draft, text| set(&mut draft.settings.include_paths, PathPatterns::parse(text)),
        },
        Opt {
            name: "exclude paths",
            aliases: &[],
            kind: Kind::List,
            default: "",
            on_mistake: "",
            help: "These files, and everything below these directories, are not scanned. The entries are like \
               those of \"include paths\", over which they win.",
            apply: |draft, text| set(&mut draft.settings.exclude_paths, PathPatterns::parse(text)),
        },
    ],
};
