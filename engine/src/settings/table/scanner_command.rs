//! Scanner programs.

use super::Group;
use super::set;
use crate::settings::option::{Kind, Opt};
use crate::settings::scanner_command::{exit_codes, run_as};

pub(in crate::settings) const COMMAND: Opt = Opt {
    name: "scanner command",
    aliases: &[],
    kind: Kind::Text,
    default: "",
    on_mistake: "",
    help: "What \"scanner = command:custom\" runs for each file: a program with its absolute path, and its arguments with \
           blanks in between. It is not run by a shell, but quotation marks hold words together as in one. The file is the \
           program's standard input; one that wants a path is best given /proc/self/fd/0, which is that same file, or else %f, \
           the file's own path.",
    apply: |draft, text| set(&mut draft.command.line, Ok(text.to_owned())),
};

pub(super) const GROUP: Group = Group {
    title: "Scanner programs (scanner = command:...)",
    options: &[
        COMMAND,
        Opt {
            name: "scanner command clean exit codes",
            aliases: &[],
            kind: Kind::List,
            default: "0",
            on_mistake: "0",
            help: "The exit codes by which that program says that it found nothing, such as 0, 2, 10-15. One that no list has is \
               an error, and so is an end by a signal.",
            apply: |draft, text| set(&mut draft.command.codes.clean, exit_codes(text)),
        },
        Opt {
            name: "scanner command infected exit codes",
            aliases: &[],
            kind: Kind::List,
            default: "1",
            on_mistake: "1",
            help: "The exit codes by which it says that it found a virus.",
            apply: |draft, text| set(&mut draft.command.codes.infected, exit_codes(text)),
        },
        Opt {
            name: "scanner command minor error exit codes",
            aliases: &[],
            kind: Kind::List,
            default: "",
            on_mistake: "",
            help: "The exit codes by which it says that it could not scan this file (\"deny access on minor error\").",
            apply: |draft, text| set(&mut draft.command.codes.minor_error, exit_codes(text)),
        },
        Opt {
            name: "scanner command threat regexp",
            aliases: &[],
            kind: Kind::Regexp,
            default: "",
            on_mistake: "",
            help: "What in its output means a virus, whatever the exit code is. The first pair of parentheses is around the \
               virus' name, such as (?m): (.+) FOUND$ for clamscan. Beware of output that repeats the file's name.",
            apply: |draft, text| set(&mut draft.command.threat, Ok(text.to_owned())),
        },
        Opt {
            name: "scanner command user",
            aliases: &[],
            kind: Kind::Text,
            default: "root",
            on_mistake: "nobody",
            help: "Who scanner programs run as, those that are known by name (command:clamscan) included. Another user than root \
               can do less harm if a file breaks the scanner; but it must be able to read the files, unless the program reads \
               its standard input, as clamscan does with the argument \"-\".",
            apply: |draft, text| set(&mut draft.settings.command.run_as, run_as(text)),
        },
    ],
};
