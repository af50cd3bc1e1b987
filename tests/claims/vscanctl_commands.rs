//! What holds for every command of `vscanctl`, whoever runs it and wherever its answer goes.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use vscan_tests::module::vscanctl;
use vscan_tests::samples::{clean, eicar};
use vscan_tests::vscanctl::Said;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::Protected;

/// Every command that asks or tells vscan something, in a form that changes nothing.
const COMMANDS: [&[&str]; 13] = [
    &["check"],
    &["explain", "@FILE@"],
    &["scan", "--share", "s"],
    &["quarantine", "list"],
    &["quarantine", "show", "*"],
    &["quarantine", "delete", "*.none"],
    &["quarantine", "purge", "--older-than", "1000w"],
    &["status"],
    &["scanners"],
    &["cache", "stats"],
    &["cache", "top"],
    &["cache", "flush", "@FILE@"],
    &["metrics"],
];

/// A share with a file in quarantine and one in its place.
fn share_in_use() -> Protected {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.plant("good.doc", &clean(1, 100));
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.get("good.doc").unwrap();
    it
}

fn with_file<'a>(command: &[&'a str], file: &'a str) -> Vec<&'a str> {
    command.iter().map(|word| if *word == "@FILE@" { file } else { word }).collect()
}

fn run(program: &std::path::Path, arguments: &[&str]) -> Said {
    Command::new(program).args(arguments).env("COLUMNS", "100").output().unwrap().into()
}

#[test]
fn every_answer_can_be_had_as_json() {
    let it = share_in_use();
    let file = it.path("good.doc").display().to_string();
    let to = [it.smbd.path("back.com"), it.smbd.path("out.zip")].map(|path| path.display().to_string());
    let export = ["quarantine", "export", "*", "--to", &to[1]];
    let restore = ["quarantine", "restore", "*", "--to", &to[0]];
    for command in COMMANDS.iter().copied().chain([&export[..], &restore]) {
        let said = it.smbd.vscanctl(&[&with_file(command, &file), &["--json"][..]].concat());
        let lines: Vec<_> = said.out.lines().collect();
        // A scan tells of files as it goes: each is a line.
        let answers = if command[0] == "scan" { lines } else { vec![said.out.as_str()] };
        if said.code == 2 {
            assert!(
                said.out.is_empty() && said.err.contains("nothing in quarantine is called *.none"),
                "{said:?}"
            );
            continue;
        }
        for answer in answers {
            let parsed = serde_json::from_str::<serde_json::Value>(answer);
            assert!(
                parsed.is_ok_and(|answer| answer.is_object() || answer.is_array()),
                "{command:?}: {said:?}"
            );
        }
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{command:?}: {said:?}");
    }
    assert!(it.smbd.path("back.com").exists() && it.smbd.path("out.zip").exists());
}

#[test]
fn whoever_is_not_root_is_told_so() {
    // Where everybody can reach it.
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = home.path().join("vscanctl");
    std::fs::copy(vscanctl(), &program).unwrap();
    for command in COMMANDS {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid", "daemon", "--clear-groups"]).arg(&program).args(command);
        let said: Said = setpriv.output().unwrap().into();
        assert!(said.clone().exits(2).err.contains("only root can see"), "{command:?}: {said:?}");
    }
}

#[test]
fn without_a_configuration_each_says_which_one_it_wants() {
    for command in COMMANDS {
        let said = run(&vscanctl(), &[&["--config", "/nosuch/smb.conf"], command].concat()).exits(2);
        assert!(said.out.is_empty() && said.err.contains("testparm cannot read smb.conf"), "{said:?}");
        assert!(said.err.contains("/nosuch/smb.conf"), "{said:?}");
    }
}

#[test]
fn without_a_protected_share_there_is_nothing_to_say() {
    let home = tempfile::tempdir().unwrap();
    let conf = home.path().join("smb.conf");
    std::fs::write(&conf, "[global]\n[plain]\n  path = /tmp\n").unwrap();
    let conf = conf.to_str().unwrap();
    for arguments in [&["scan", "--all"][..], &["status"], &["scanners"], &["quarantine", "list"]] {
        let said = run(&vscanctl(), &[&["--config", conf], arguments].concat()).exits(2);
        assert!(said.err.contains("no share is protected"), "{arguments:?}: {said:?}");
    }
}

#[test]
fn a_wrong_command_line_is_trouble_and_says_what_would_be_right() {
    for (arguments, words) in [
        (&[][..], "Usage: vscanctl"),
        (&["chekc"], "'check'"),
        (&["explain"], "<PATH>"),
        (&["scan", "--all", "--share", "s"], "cannot be used with"),
        (&["scan", "--jobs", "0"], "must be a number from 1 to 1000"),
        (&["scan", "--jobs", "1000000"], "must be a number from 1 to 1000"),
        (&["status", "--watch", "fast"], "must be a number with s or ms"),
        (&["quarantine"], "export"),
        (&["quarantine", "purge"], "--older-than <AGE>"),
        (&["quarantine", "purge", "--older-than", "30"], "must be a number with h, d or w"),
        (&["cache"], "flush"),
        (&["completions", "cmd.exe"], "bash"),
    ] {
        let said = run(&vscanctl(), arguments).exits(2);
        assert!(said.out.is_empty() && said.err.contains(words), "{arguments:?}: {said:?}");
    }
}

/// Every command by its words, as the help itself lists them.
fn commands_in_help(parent: &[String]) -> Vec<Vec<String>> {
    let words: Vec<&str> = parent.iter().map(String::as_str).chain(["--help"]).collect();
    let help = run(&vscanctl(), &words).exits(0).out;
    assert!(
        help.contains("Usage: vscanctl") && help.lines().all(|line| line.chars().count() <= 100),
        "{help}"
    );
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return vec![parent.to_vec()] };
    let list = list.split("\n\n").next().unwrap().lines();
    let names =
        list.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let commands = names.filter(|name| *name != "help").map(str::to_owned);
    commands.flat_map(|name| commands_in_help(&[parent, &[name]].concat())).collect()
}

#[test]
fn the_help_leads_to_every_command_and_has_the_exit_codes() {
    let commands = commands_in_help(&[]);
    for wanted in COMMANDS {
        let is_it = |command: &Vec<String>| wanted.iter().zip(command).all(|(word, name)| word == name);
        assert!(commands.iter().any(is_it), "{wanted:?} is not in {commands:?}");
    }
    let help = run(&vscanctl(), &["--help"]).exits(0);
    for code in ["0", "1", "2", "130"] {
        let is_about = |line: &str| line.trim_start().split_once(' ').is_some_and(|(first, _)| first == code);
        assert!(help.out.split_once("Exit codes:").unwrap().1.lines().any(is_about), "{code}: {}", help.out);
    }
}

#[test]
fn whoever_has_read_enough_gets_no_complaint() {
    let it = share_in_use();
    let file = it.path("good.doc").display().to_string();
    for command in
        COMMANDS.iter().copied().chain([&["status", "--watch", "10ms"][..], &["completions", "bash"]])
    {
        let mut running = it.smbd.vscanctl_command(&with_file(command, &file));
        let mut running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        // As head(1) does.
        BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
        eventually(&format!("{command:?} ends"), SOON, || running.try_wait().unwrap());
        let said: Said = running.wait_with_output().unwrap().into();
        if command != ["quarantine", "delete", "*.none"] {
            assert_eq!((said.code, said.err.as_str()), (0, ""), "{command:?}");
        }
    }
}

#[test]
fn a_shell_can_complete_the_command_line() {
    let script = "source <(\"$0\" completions bash); COMP_WORDS=(vscanctl quar); COMP_CWORD=1; \
                  _vscanctl vscanctl quar vscanctl; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", script]).arg(vscanctl()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "quarantine", "{output:?}");
}
