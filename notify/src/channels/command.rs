//! Programs of the administrator's, with the environment of vfs_virusfilter's commands.
//!
//! What a file is called reaches a program as an argument or a variable, byte for byte. No shell looks at it, unless the
//! command is one: then its script gets variables, and no `%` is filled in.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use vscan_engine::log::facts;
use vscan_engine::notify::{Event, Kind, Occurrence, Pace, fill_bytes};
use vscan_engine::sys::program::{Ended, Ending, Identity, Input, Lifetime, Program};

use super::{Channel, Message, Trouble, json};

/// Four at once.
pub(super) const CHANNEL: Channel =
    Channel { name: "command", recipient, pace, send, threads: 4, mixes_kinds: false };

/// Where programs are looked for that are named without a directory.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What understands `-c` as a script.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ksh", "mksh", "zsh"];

fn recipient(event: &Event) -> Option<String> {
    event.channels.commands.of(event.kind()).first().cloned()
}

fn pace(event: &Event) -> Pace {
    let interval = event.channels.commands.interval;
    Pace { first: interval, longest: interval }
}

fn send(message: &Message<'_>) -> Result<(), Trouble> {
    let event = message.first();
    let failed = |why: &dyn std::fmt::Display| Trouble::Failed(why.to_string());
    // Of a program that is not there, nothing should be started.
    let (path, arguments) = command_line(event).ok_or_else(|| failed(&"there is no such program"))?;
    let mut program = Program::new(&path, event.channels.commands.timeout).map_err(|error| failed(&error))?;
    program.arguments = arguments;
    program.environment = environment(message);
    program.input = Input::bytes(&json::document(message)).map_err(|error| failed(&error))?;
    program.identity = identity(event).ok_or_else(|| failed(&"the client's user is not known"))?;
    // What it starts in the background may go on when it ends, as virusfilter-notify does.
    program.lifetime = Lifetime::Independent;
    match run(program).map_err(|error| failed(&error))? {
        Ending::Exited(0) => Ok(()),
        Ending::Exited(code) => Err(failed(&format!("exit status {code}"))),
        Ending::Killed(signal) => Err(failed(&format!("killed by signal {signal}"))),
        Ending::OutOfTime => {
            let limit = event.channels.commands.timeout.as_secs_f64();
            Err(failed(&format!("killed after {limit} s (command timeout)")))
        }
        Ending::NotStarted(errno) => Err(failed(&format!("cannot be started: {errno}"))),
        Ending::TooMuchOutput | Ending::Lost => Err(failed(&"nobody knows how it ended")),
    }
}

/// Starts a program, and waits for its end.
fn run(program: Program) -> std::io::Result<Ending> {
    /// In case that the end is missed.
    const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    let mut running = program.start()?;
    loop {
        if let Some(Ended { ending, .. }) = running.advance() {
            return Ok(ending);
        }
        // An error is no reason not to look again.
        let _ = poll(&mut [PollFd::from_borrowed_fd(running.watch(), PollFlags::IN)], Some(&LOOK));
    }
}

/// The user whose file it was; for a scanner, which is nobody's, root.
fn identity(event: &Event) -> Option<Identity> {
    match event.kind() {
        Kind::Infected | Kind::ScanError => {
            let rights = event.session.rights.as_ref()?;
            Some(Identity { user: rights.uid, group: rights.gid, groups: rights.groups.clone() })
        }
        Kind::ScannerState => Some(Identity::ROOT),
    }
}

/// The program, if it is there, and its arguments.
fn command_line(event: &Event) -> Option<(PathBuf, Vec<CString>)> {
    let words = event.channels.commands.of(event.kind());
    let (program, words) = words.split_first()?;
    let name = Path::new(program).file_name()?.to_str().unwrap_or_default();
    let mut arguments = Vec::new();
    let mut is_script = false;
    for word in words {
        let argument = if is_script { word.clone().into_bytes() } else { argument(word, event) };
        // A word of the settings has no zero byte, and no name has one.
        arguments.push(CString::new(argument).ok()?);
        is_script = SHELLS.contains(&name) && word.starts_with('-') && word.ends_with('c');
    }
    Some((find(program)?, arguments))
}

fn find(program: &str) -> Option<PathBuf> {
    // A path of its own takes the place of each of these.
    PATH.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

/// A word with its `%` filled in. A name that begins with a dash must not become an option.
fn argument(word: &str, event: &Event) -> Vec<u8> {
    let filled = fill_bytes(word, &|letter| event.raw_value(letter));
    if filled.starts_with(b"-") && !word.starts_with('-') {
        return [b"./", filled.as_slice()].concat();
    }
    filled
}

/// All variables: those of vfs_virusfilter, and ours.
fn environment(message: &Message<'_>) -> Vec<CString> {
    let event = message.first();
    let mut variables = vec![("PATH", PATH.as_bytes().to_vec())];
    variables.extend(virusfilter(event));
    let ours = facts(event).into_iter().filter(|(name, _)| name.starts_with("VSCAN_"));
    variables.extend(ours.map(|(name, value)| (name, value.into_owned())));
    variables.push(("VSCAN_EVENTS", message.events.len().to_string().into_bytes()));
    let text = |(name, value): (&str, Vec<u8>)| CString::new([name.as_bytes(), b"=", &value].concat());
    // A value with a zero byte is nobody's name.
    variables.into_iter().map(text).filter_map(Result::ok).collect()
}

/// What vfs_virusfilter sets. Its script needs all of them but those that say what was done.
fn virusfilter(event: &Event) -> Vec<(&'static str, Vec<u8>)> {
    let session = &event.session;
    let (domain, user) = domain_and_user(event);
    let mut variables = vec![
        ("VIRUSFILTER_VERSION", env!("CARGO_PKG_VERSION").into()),
        ("VIRUSFILTER_MODULE_NAME", event.scanner.clone().into_bytes()),
        ("VIRUSFILTER_SERVER_IP", session.server_address.clone().into_bytes()),
        ("VIRUSFILTER_SERVER_NAME", session.host.clone().into_bytes()),
        ("VIRUSFILTER_SERVER_NETBIOS_NAME", session.server.clone().into_bytes()),
        ("VIRUSFILTER_SERVER_PID", session.pid.to_string().into_bytes()),
        ("VIRUSFILTER_SERVICE_NAME", event.share.clone().into_bytes()),
        ("VIRUSFILTER_SERVICE_PATH", event.share_path.as_bytes().to_vec()),
        ("VIRUSFILTER_CLIENT_IP", session.client.clone().into_bytes()),
        ("VIRUSFILTER_CLIENT_NAME", session.client_name.clone().into_bytes()),
        ("VIRUSFILTER_CLIENT_NETBIOS_NAME", session.machine.clone().into_bytes()),
        ("VIRUSFILTER_USER_NAME", user.into()),
        ("VIRUSFILTER_USER_DOMAIN", domain.into()),
        // Its script would go into the background by itself, where no time limit holds.
        ("VIRUSFILTER_NOTIFY_BG", b"1".to_vec()),
    ];
    match &event.occurrence {
        Occurrence::Infected { file, threat, action } => {
            variables
                .push(("VIRUSFILTER_INFECTED_SERVICE_FILE_PATH", file.path_in_share.as_bytes().to_vec()));
            variables.push(("VIRUSFILTER_INFECTED_FILE_REPORT", threat.clone().into_bytes()));
            variables.push(("VIRUSFILTER_INFECTED_FILE_ACTION", action.name.clone().into_bytes()));
            if let Some(destination) = &action.destination {
                variables.push(("VIRUSFILTER_QUARANTINED_FILE_PATH", destination.as_bytes().to_vec()));
            }
            if file.was_known {
                variables.push(("VIRUSFILTER_RESULT_IS_CACHE", b"yes".to_vec()));
            }
        }
        Occurrence::ScanError { file, reason } => {
            variables
                .push(("VIRUSFILTER_SCAN_ERROR_SERVICE_FILE_PATH", file.path_in_share.as_bytes().to_vec()));
            variables.push(("VIRUSFILTER_SCAN_ERROR_REPORT", reason.clone().into_bytes()));
        }
        Occurrence::ScannerState { .. } => {}
    }
    variables
}

/// A domain's users have it in their names; the others are the server's own.
fn domain_and_user(event: &Event) -> (&str, &str) {
    let user = &event.session.user;
    user.split_once('\\').unwrap_or((&event.session.server, user))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::channels::tests::infected;

    fn event(path: &[u8], words: &[&str]) -> Event {
        let mut event = infected(path);
        Arc::make_mut(&mut event.channels).commands.infected_file =
            words.iter().map(|word| (*word).to_owned()).collect();
        event
    }

    fn arguments(path: &[u8], words: &[&str]) -> Vec<Vec<u8>> {
        let (_, arguments) = command_line(&event(path, words)).unwrap();
        arguments.into_iter().map(CString::into_bytes).collect()
    }

    #[test]
    fn a_word_stays_one_word_whatever_is_put_into_it() {
        let words = ["/bin/true", "--subject", "Found: %f", "%v", "%U@example.org", "100%%", "%z"];
        let got = arguments(b"/srv/data/a b\n'\"$(reboot)\xff;", &words);
        let expected: [&[u8]; 6] =
            [b"--subject", b"Found: a b\n'\"$(reboot)\xff;", b"Eicar", b"ann@example.org", b"100%", b"%z"];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_name_is_never_an_option() {
        assert_eq!(arguments(b"/srv/data/-rf", &["rm", "%f", "-f"]), [&b"./-rf"[..], b"-f"]);
    }

    #[test]
    fn a_script_for_a_shell_is_left_alone() {
        let words = ["/bin/sh", "-c", "logger \"%f\" \"$VSCAN_PATH\"", "%f"];
        let got = arguments(b"/srv/data/$(reboot)", &words);
        assert_eq!(got, [&b"-c"[..], b"logger \"%f\" \"$VSCAN_PATH\"", b"$(reboot)"]);
    }

    #[test]
    fn a_program_without_a_directory_is_looked_for() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program"), None);
    }

    #[test]
    fn variables_are_those_of_virusfilter_byte_for_byte() {
        let events = [Arc::new(event(b"/srv/data/a\n\xff", &["/bin/true"]))];
        let environment = environment(&Message { events: &events });
        let has = |text: &[u8]| environment.iter().any(|variable| variable.as_bytes() == text);
        assert!(has(b"VIRUSFILTER_INFECTED_SERVICE_FILE_PATH=a\n\xff"));
        assert!(has(b"VIRUSFILTER_INFECTED_FILE_ACTION=quarantine"));
        assert!(has(b"VIRUSFILTER_QUARANTINED_FILE_PATH=/q/vir-1"));
        assert!(has(b"VSCAN_PATH=/srv/data/a\n\xff") && has(b"VSCAN_EVENTS=1"));
        assert!(!environment.iter().any(|variable| variable.as_bytes().starts_with(b"VIRUSFILTER_SCAN_")));
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let mut event = event(b"/srv/data/a", &["/bin/sleep", "1000"]);
        Arc::make_mut(&mut event.channels).commands.timeout = std::time::Duration::from_millis(200);
        event.session.rights = Some(vscan_engine::notify::Rights { uid: 1, gid: 1, groups: Vec::new() });
        let Err(Trouble::Failed(why)) = send(&Message { events: &[Arc::new(event)] }) else { panic!() };
        assert!(why.contains("command timeout"), "{why}");
    }
}
