//! The options: the single source of their names, defaults, help and meaning, one file for each theme.
//!
//! To add one: a field in `Settings`, a row in the file of its theme, and `VSCAN_BLESS=1 cargo test -p vscan-engine
//! settings` to write `vscan.conf.example` and `docs/vscan.conf.5` anew.

mod access;
mod action;
mod commands;
mod log;
mod mail;
mod notify;
mod pace;
mod results;
mod scanner;
mod scanner_command;
mod scope;
mod webhook;

use super::option::{Alias, Applied, Opt};

pub(super) use action::RENAME_SUFFIX;
pub(super) use scanner::{SCANNER, SOCKET_PATH};
pub(super) use scanner_command::COMMAND;

/// The options of one theme.
pub struct Group {
    /// What they are about, as a headline.
    pub title: &'static str,
    /// In the order of the documentation.
    pub options: &'static [Opt],
}

/// All options, in the order of the documentation.
pub static GROUPS: &[Group] = &[
    scanner::GROUP,
    scanner_command::GROUP,
    scope::GROUP,
    access::GROUP,
    action::GROUP,
    notify::GROUP,
    commands::GROUP,
    mail::GROUP,
    webhook::GROUP,
    results::GROUP,
    pace::GROUP,
    log::GROUP,
];

/// All options, without their themes.
pub fn options() -> impl Iterator<Item = &'static Opt> {
    GROUPS.iter().flat_map(|group| group.options)
}

fn set<T>(field: &mut T, parsed: Result<T, String>) -> Applied {
    *field = parsed?;
    Ok(None)
}

fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

const fn same(name: &'static str) -> Alias {
    Alias { name, prefix: "" }
}

/// Names compare as in smb.conf: case and blanks do not count.
pub(super) fn key(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// The option of this name, with what its value is to be put behind.
pub(super) fn find(name: &str) -> Option<(&'static Opt, &'static str)> {
    let wanted = key(name);
    let named = |option: &'static Opt| {
        if key(option.name) == wanted {
            return Some((option, ""));
        }
        option.aliases.iter().find(|alias| key(alias.name) == wanted).map(|alias| (option, alias.prefix))
    };
    options().find_map(named)
}

/// Every name that is understood.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    options()
        .flat_map(|option| std::iter::once(option.name).chain(option.aliases.iter().map(|alias| alias.name)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::action::Action;
    use crate::settings::draft::Draft;
    use crate::settings::option::Kind;
    use crate::settings::{ScanOnClose, Settings};

    #[test]
    fn no_name_occurs_twice() {
        let mut seen = HashSet::new();
        for name in all_names() {
            assert!(seen.insert(key(name)), "{name}");
        }
    }

    #[test]
    fn every_option_is_explained_and_found() {
        for option in options() {
            assert!(option.help.ends_with('.') && !option.help.contains("  "), "{}", option.name);
            assert_eq!(find(&option.name.to_uppercase()).unwrap().0.name, option.name);
            assert!(!option.kind.describe().is_empty());
        }
    }

    #[test]
    fn every_default_every_fallback_and_every_choice_can_be_read() {
        let mut draft = Draft::blank();
        for option in options() {
            let mut texts = vec![option.default, option.on_mistake];
            if let Kind::Choice(words) = option.kind {
                texts.extend(words());
            }
            for text in texts {
                assert_eq!((option.apply)(&mut draft, text), Ok(None), "{} = {text}", option.name);
            }
        }
    }

    #[test]
    fn defaults_protect() {
        let settings = Settings::default();
        assert!(settings.scan_on_open && settings.scan_on_close == ScanOnClose::Yes && settings.enforce);
        assert!(settings.deny_access_on_error && settings.deny_access_on_minor_error);
        assert_eq!(settings.max_file_size, None);
        assert!(settings.exclude_file_regexp.is_none() && settings.exclude_paths.is_empty());
        assert_eq!(settings.infected_file_action, Action::Quarantine);
        assert!(settings.cache.is_some() && settings.syslog.is_some());
    }
}
