//! Who is told about an infected file.

use std::path::PathBuf;

use super::Group;
use super::set;
use crate::settings::option::{Applied, Kind, Opt};
use crate::settings::value::{port, timeout, yes_no};

fn set_path(field: &mut PathBuf, text: &str) -> Applied {
    let path = PathBuf::from(text);
    if !path.is_absolute() || text.contains(char::is_control) {
        return Err("must be an absolute path, without quotes".to_owned());
    }
    *field = path;
    Ok(None)
}

fn set_time(field: &mut std::time::Duration, text: &str) -> Applied {
    let (time, remark) = timeout(text)?;
    *field = time;
    Ok(remark)
}

const WARNING_FILE_TEXT: &str = "The file %f is no longer here: it was infected with a virus.\\n\\n\
    Virus: %v\\nFound: %T, when %u used the file from %m\\nWhat was done: %a\\n\\n\
    Nothing more needs to be done about the virus here. If you need the file, please ask your administrator for help.\\n\
    Do not copy it here again: it would be found again.\\n";

/// A text, or what is in a file.
fn text_or_file(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        super::super::read(text.as_ref()).map_err(|error| error.to_string())
    } else {
        Ok(text.to_owned())
    }
}

/// Those that `vscan-notify` knows.
fn code_page(text: &str) -> Result<u16, String> {
    const KNOWN: [u16; 18] =
        [437, 720, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864, 865, 866, 869, 874];
    let number = text.strip_prefix("CP").unwrap_or(text).parse();
    number
        .ok()
        .filter(|number| KNOWN.contains(number))
        .ok_or_else(|| format!("must be one of: {}", KNOWN.map(|number| number.to_string()).join(", ")))
}

pub(super) const GROUP: Group = Group {
    title: "Messages",
    options: &[
        Opt {
            name: "send warning message",
            aliases: &[],
            kind: Kind::YesNo,
            default: "yes",
            on_mistake: "yes",
            help: "Send a pop-up message (WinPopup, Windows Messenger) to a client that came upon an infected file. Windows \
               up to XP shows them, and so does Samba with \"message command\". Any other client is left alone for an \
               hour, and one line in the log says so.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.messenger.is_on, yes_no(text)),
        },
        Opt {
            name: "warning message",
            aliases: &[],
            kind: Kind::Text,
            default: "%f on %S is infected with %v.\\n\\nAccess was denied; %a.\\nPlease ask your administrator for help.",
            on_mistake: "%f on %S is infected with %v.\\n\\nAccess was denied; %a.\\nPlease ask your administrator for help.",
            help: "The text of that message. %f is the file's path in the share and %F that on the server, %v the virus, %a \
               what was done with the file, %S the share, %P its directory, %u the user, %I, %m and %M the client's address, \
               NetBIOS name and name in the network, %i, %L and %h the server's, %d the smbd, %n the scanner, %% a percent \
               sign, and \\n begins a new line.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.messenger.text, Ok(text.to_owned())),
        },
        Opt {
            name: "messenger port",
            aliases: &[],
            kind: Kind::Number,
            default: "139",
            on_mistake: "139",
            help: "The client's port for such messages. Only 139 has NetBIOS sessions, which reach the service by its name; on \
               445 and any other port, SMB stands alone.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.messenger.port, port(text)),
        },
        Opt {
            name: "messenger code page",
            aliases: &[],
            kind: Kind::Number,
            default: "850",
            on_mistake: "850",
            help: "The letters of the clients' DOS, as smb.conf's \"dos charset\" without CP: 850 for Western Europe, 852 for \
               Central Europe, 866 for Cyrillic, 437 for the United States. What is not among them becomes a question mark.",
            apply: |draft, text| {
                set(&mut draft.settings.notify.channels.messenger.code_page, code_page(text))
            },
        },
        Opt {
            name: "warning file",
            aliases: &[],
            kind: Kind::YesNo,
            default: "no",
            on_mistake: "no",
            help: "Leave a note beside an infected file that was moved to quarantine, deleted or renamed: its name and \
               .VIRUS.txt. It replaces no file, it belongs to the user, and a restore from quarantine removes it.",
            apply: |draft, text| set(&mut draft.settings.notify.warning_file, yes_no(text)),
        },
        Opt {
            name: "warning file text",
            aliases: &[],
            kind: Kind::Text,
            default: WARNING_FILE_TEXT,
            on_mistake: WARNING_FILE_TEXT,
            help: "What the note says, with the letters of \"warning message\" and %T, the time; or the absolute path of a \
               file with such a text in UTF-8.",
            apply: |draft, text| set(&mut draft.settings.notify.warning_file_text, text_or_file(text)),
        },
        Opt {
            name: "notify interval",
            aliases: &[],
            kind: Kind::Duration,
            default: "10",
            on_mistake: "10",
            help: "The first event is told at once. Those that follow, for the same recipient and share, are collected for \
               this long and told as one, with their number. Each further message takes four times as long.",
            apply: |draft, text| set_time(&mut draft.settings.notify.channels.pace.first, text),
        },
        Opt {
            name: "longest notify interval",
            aliases: &[],
            kind: Kind::Duration,
            default: "1h",
            on_mistake: "1h",
            help: "How long events are collected at most. When nothing has happened for so long as they were collected, the \
               next event is told at once again.",
            apply: |draft, text| set_time(&mut draft.settings.notify.channels.pace.longest, text),
        },
        Opt {
            name: "notify spool",
            aliases: &[],
            kind: Kind::Path,
            default: "/var/spool/vscan",
            on_mistake: "/var/spool/vscan",
            help: "Where events wait until they are sent. smbd gathers them for 150 ms and writes them at once; if it is killed in \
               that time, only the log has them. The directory must belong to root alone; it is made when it is missing.",
            apply: |draft, text| set_path(&mut draft.settings.notify.spool, text),
        },
        Opt {
            name: "notify program",
            aliases: &[],
            kind: Kind::Path,
            default: "/usr/libexec/vscan-notify",
            on_mistake: "/usr/libexec/vscan-notify",
            help: "The program that sends them. smbd starts it when there is something to send, at nice 10, and it ends by itself.",
            apply: |draft, text| set_path(&mut draft.settings.notify.program, text),
        },
    ],
};
