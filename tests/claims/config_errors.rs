//! A wrong configuration costs a line in the log, never the protection. `on config error = deny` is stricter.

use std::fs;

use vscan_tests::clamd::Clamd;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

/// A server whose share's scanner stands in smb.conf, so that it is found whatever happens to vscan.conf.
fn serve(more: &[(&str, &str)]) -> Smbd {
    serve_with(&Clamd::shared().socket().display().to_string(), more)
}

fn serve_with(socket: &str, more: &[(&str, &str)]) -> Smbd {
    let share = Share::vscan("s", "")
        .option("vscan:scanner", &format!("clamav:{socket}"))
        .option("vscan:quarantine directory", "@RIG@/quarantine");
    let share = more.iter().fold(share, |share, (name, value)| share.option(name, value));
    Smbd::new().share(share).global("log level", "1").start()
}

/// The lines of a configuration's mistakes since a mark. (That a quarantine below /tmp is no good idea is a mere notice.)
fn mistakes(smbd: &Smbd, mark: usize) -> Vec<String> {
    let log = smbd.log_since(mark);
    let about_config = |line: &&str| line.contains(".conf") && !line.contains("better choose another");
    log.lines().filter(about_config).map(|line| line.trim().to_owned()).collect()
}

/// Connects once: the infected file is refused and the clean one read, after one complaint with these words.
#[track_caller]
fn protects_and_says(smbd: &Smbd, words: &[&str]) {
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    plant(&smbd.dir("s").join("good.txt"), &clean(1, 100));
    let mark = smbd.log_mark();
    let refused = smbd.smbclient("s").get("bad.com").expect_err("the share is protected");
    assert!(
        refused.output.contains("NT_STATUS_VIRUS_INFECTED")
            || refused.output.contains("NT_STATUS_ACCESS_DENIED"),
        "{refused:?}"
    );
    says(smbd, mark, words);
    assert_eq!(smbd.smbclient("s").get("good.txt").expect("the share works"), clean(1, 100));
}

#[track_caller]
fn says(smbd: &Smbd, mark: usize, words: &[&str]) {
    let lines = mistakes(smbd, mark);
    assert_eq!(lines.len(), 1, "one line: {lines:#?}");
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {:?}", lines[0]);
    }
}

#[test]
fn a_named_file_that_is_missing_leaves_the_share_protected() {
    let smbd = serve(&[("vscan:config-file", "@RIG@/missing.conf")]);
    let path = smbd.path("missing.conf").display().to_string();
    protects_and_says(
        &smbd,
        &[&path, "cannot be read: No such file", "in force: the defaults, and what smb.conf says"],
    );
}

#[test]
fn the_default_file_may_be_missing() {
    let smbd = serve(&[]);
    plant(&smbd.dir("s").join("good.txt"), &clean(1, 100));
    assert_eq!(smbd.smbclient("s").get("good.txt").unwrap(), clean(1, 100));
    assert_eq!(mistakes(&smbd, 0), [""; 0]);
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_share_protected() {
    let smbd = serve(&[]);
    let path = smbd.path("conf/s.conf");
    let shown = path.display().to_string();
    fs::write(&path, b"[vscan]\nquarantine prefix = f\xfcr-\n").unwrap();
    protects_and_says(
        &smbd,
        &[&shown, "cannot be read: line 2 is not UTF-8: save the file in that encoding"],
    );
    fs::write(&path, vec![b'\n'; 2 << 20]).unwrap();
    protects_and_says(&smbd, &[&shown, "cannot be read: it is larger than 1M"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    protects_and_says(&smbd, &[&shown, "cannot be read: it is not a regular file"]);
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    protects_and_says(&smbd, &[&shown, "cannot be read: Too many levels of symbolic links"]);
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    protects_and_says(&smbd, &[&shown, "cannot be read: it is not a regular file"]);
}

#[test]
fn an_unknown_option_gets_the_nearest_name() {
    let smbd = serve(&[]);
    for (line, words) in [
        ("max flie size = 10M", "unknown option, did you mean \"max file size\"?; the line has no effect"),
        ("deny acess on error = no", "unknown option, did you mean \"deny access on error\"?"),
        ("colour = blue", "unknown option; the line has no effect"),
        ("what is this", "is neither \"option = value\" nor a [section]; the line has no effect"),
    ] {
        smbd.rewrite_conf("s", &format!("[vscan]\n\n{line}\n"));
        protects_and_says(&smbd, &["s.conf, line 3: ", line, words]);
    }
}

/// One mistake of each kind; with each, the option keeps the value that protects.
#[test]
fn a_bad_value_leaves_the_option_at_the_value_that_protects() {
    let smbd = serve(&[]);
    for (line, words) in [
        ("scan on open = perhaps", ["must be yes or no", "in force: scan on open = yes"]),
        ("scan on close = 2", ["must be yes, no or wait", "in force: scan on close = yes"]),
        ("deny access on error = nope", ["must be yes or no", "in force: deny access on error = yes"]),
        ("enforce = nein", ["must be yes or no", "in force: enforce = yes"]),
        ("max file size = 10X", ["is not a size", "in force: max file size = 0"]),
        ("min file size = -1", ["is not a size", "in force: min file size = 0"]),
        ("files over the limit = denny", ["did you mean deny?", "in force: files over the limit = deny"]),
        (
            "infected file action = quarrantine",
            ["did you mean quarantine?", "in force: infected file action = quarantine"],
        ),
        ("infected status = virus", ["must be one of", "in force: infected status = virus infected"]),
        ("exclude file regexp = (bad", ["unclosed", "in force: exclude file regexp = nothing"]),
        ("exclude file types = all", ["exclude file types", "in force: exclude file types = nothing"]),
        (
            "max lru files entries = many",
            ["is not a whole number", "in force: max lru files entries = 10000"],
        ),
        ("lru file entry lifetime = ever", ["is not a time", "in force: lru file entry lifetime = "]),
        ("connect timeout = 0", ["would give up before it begins", "in force: connect timeout = 5"]),
        ("io timeout = soon", ["is not a time", "in force: io timeout = 60"]),
        ("scan timeout = 30h", ["is longer than a day", "in force: scan timeout = 120"]),
        ("quarantine prefix = ../", ["may not contain a slash", "in force: quarantine prefix = vir-"]),
        ("syslog facility = kitchen", ["must be one of", "in force: syslog facility = "]),
        ("syslog priority = loud", ["must be one of", "in force: syslog priority = "]),
        ("on config error = ignore", ["must be one of", "in force: on config error = "]),
    ] {
        smbd.rewrite_conf("s", &format!("[vscan]\n{line}\n"));
        protects_and_says(&smbd, &["s.conf, line 2: ", line, words[0], words[1]]);
    }
}

/// Without its scanner the share cannot say what is clean; it denies all that it would have to scan.
#[test]
fn a_bad_scanner_leaves_the_share_with_the_default_one() {
    let smbd = Smbd::new().share(Share::vscan("s", "")).global("log level", "1").start();
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    for (line, words) in [
        ("scanner = clamd:/run/clamd.ctl", "clamav"),
        ("scanner = clamav:", "clamav"),
        ("scanner = clamav:tcp:localhost:99999", "99999"),
        ("scanner = clamav:run/clamd.ctl", "write /path/of/socket"),
    ] {
        smbd.rewrite_conf("s", &format!("[vscan]\n{line}\n"));
        let mark = smbd.log_mark();
        smbd.smbclient("s").get("bad.com").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
        says(&smbd, mark, &[line, words, "in force: scanner = clamav:/var/run/clamav/clamd.ctl"]);
    }
}

#[test]
fn a_bad_value_in_smb_conf_names_the_share() {
    let smbd = serve(&[("vscan:max file size", "huge"), ("vscan:deny access on error", "yes")]);
    let words =
        ["smb.conf, share s: vscan:max file size = huge: is not a size", "in force: max file size = 0"];
    protects_and_says(&smbd, &words);
}

#[test]
fn on_config_error_deny_refuses_files_until_the_mistake_is_mended() {
    let smbd = serve(&[("vscan:on config error", "deny")]);
    plant(&smbd.dir("s").join("good.txt"), &clean(1, 100));
    let missing = smbd.path("conf/s.conf");
    fs::remove_file(&missing).unwrap();
    let refuse = |words: &[&str]| {
        let mark = smbd.log_mark();
        smbd.smbclient("s").get("good.txt").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
        says(&smbd, mark, words);
        let why = "good.txt\": access denied because the configuration has errors (see above) and \"on config error = deny\"";
        assert_eq!(smbd.log_since(mark).matches(why).count(), 1);
        smbd.smbclient("s").ls().ok();
    };
    refuse(&["cannot be read: No such file"]);
    smbd.rewrite_conf("s", "[vscan]\nio timout = 5\n");
    refuse(&["s.conf, line 2: io timout = 5: unknown option, did you mean \"io timeout\"?"]);
    smbd.rewrite_conf("s", "[vscan]\nio timeout = five\n");
    refuse(&["is not a time"]);
    smbd.rewrite_conf("s", "[vscan]\nio timeout = 5\n");
    assert_eq!(smbd.smbclient("s").get("good.txt").unwrap(), clean(1, 100));
}
