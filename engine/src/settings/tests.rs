//! Claims about whole configurations.

use std::cell::RefCell;

use super::*;

const PATH: &str = "/etc/samba/x.conf";

/// Loads a file's text, with these options in smb.conf.
fn load_with(text: &str, smb_conf: &[(&str, &str)]) -> Loaded {
    let option = |name: &str| smb_conf.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let check_scanner = |spec: &str, _: &CommandOptions| match spec.split_once(':') {
        Some((name, place)) if ["clamav", "sophie", "trophie"].contains(&name) && place.starts_with('/') => {
            Ok(())
        }
        Some(("fprotd" | "oav" | "symantec", _)) => Ok(()),
        _ => Err("is no scanner".to_owned()),
    };
    let share = Share { name: "Data", path: Path::new("/srv/data") };
    let host = Host { option: &option, check_scanner: &check_scanner };
    load_text(&share, Some(FileText { path: Path::new(PATH), text }), &host)
}

fn load_ok(text: &str, smb_conf: &[(&str, &str)]) -> Settings {
    let loaded = load_with(text, smb_conf);
    assert_eq!(loaded.complaints, []);
    loaded.settings
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.complaints.iter().map(ToString::to_string).collect()
}

#[test]
fn the_addresses_of_samba_vscan_s_daemons_are_understood() {
    let ports =
        |ip: &str| [10200, 10201, 10202, 10203, 10204].map(|port| format!("fprotd:tcp:{ip}:{port}")).to_vec();
    for (text, scanners) in [
        ("icap ip = 192.0.2.7", vec!["symantec://192.0.2.7:1344".to_owned()]),
        ("icap port = 1345", vec!["symantec://127.0.0.1:1345".to_owned()]),
        ("oav port = 99\noav ip = ::1", vec!["oav:tcp:[::1]:99".to_owned()]),
        ("fprotd ip = 192.0.2.7", ports("192.0.2.7")),
        ("fprotd port = 10200;10201;10202;10203;10204", ports("127.0.0.1")),
        ("fsav socket = /tmp/.fsav-0", vec!["fsav:/tmp/.fsav-0".to_owned()]),
        ("avp socket file = /var/run/AvpCtl", vec!["kav:/var/run/AvpCtl".to_owned()]),
    ] {
        let host = Host { option: &|_| None, check_scanner: &|_, _| Ok(()) };
        let share = Share { name: "data", path: Path::new("/srv/data") };
        let loaded = load_text(&share, Some(FileText { path: Path::new(PATH), text }), &host);
        assert_eq!(loaded.complaints, [], "{text}");
        assert_eq!(loaded.settings.scanners, scanners, "{text}");
    }
}

#[test]
fn half_an_address_beside_a_whole_one_is_a_mistake() {
    let loaded = load_with("scanner = clamav:/a\nicap ip = 192.0.2.7", &[]);
    let expected = "/etc/samba/x.conf, line 2: icap ip = 192.0.2.7: has no effect beside \"scanner\"; in force: \
                    scanner = clamav:/a";
    assert_eq!(lines(&loaded), [expected]);
    assert_eq!(loaded.settings.scanners, ["clamav:/a"]);
    for half in
        ["icap ip = a b", "icap ip = ;;", "oav port = 0", "fprotd port = 10200;;10201", "oav port = x"]
    {
        let loaded = load_with(half, &[]);
        assert_eq!(loaded.complaints.len(), 1, "{half}: {:?}", lines(&loaded));
        assert_eq!(loaded.settings.scanners, Settings::default().scanners, "{half}");
    }
}

#[test]
fn later_layers_win() {
    let text = "scan timeout = 10\n[DATA]\nscan timeout = 30\n[vscan]\nscan timeout = 20\n[other]\nscan timeout = 99";
    assert_eq!(load_ok(text, &[]).scan_timeout, Duration::from_secs(30));
    assert_eq!(load_ok(text, &[("scan timeout", "40")]).scan_timeout, Duration::from_secs(40));
    let common = "scan timeout = 10\n[samba-vscan]\nscan timeout = 15\n[vscan]\nscan timeout = 20";
    assert_eq!(load_ok(common, &[]).scan_timeout, Duration::from_secs(20));
    assert_eq!(load_ok("", &[]).scan_timeout, Duration::from_secs(120));
}

#[test]
fn names_are_found_in_any_case_and_by_older_names() {
    assert!(!load_ok("Scan  ON open = No", &[]).scan_on_open);
    assert!(!load_ok("block access on error = no", &[]).deny_access_on_error);
    assert!(!load_ok("", &[("block access on error", "no")]).deny_access_on_error);
    let both = [("block access on error", "no"), ("deny access on error", "yes")];
    assert!(load_ok("", &both).deny_access_on_error);
}

#[test]
fn an_unknown_option_gets_one_line_with_the_nearest_name() {
    let loaded = load_with("[vscan]\nmax fiel size = 5\nscan on close = no\n", &[]);
    let expected = "/etc/samba/x.conf, line 2: max fiel size = 5: unknown option, did you mean \"max file size\"?; \
                    the line has no effect";
    assert_eq!(lines(&loaded), [expected]);
    assert_eq!(loaded.settings.scan_on_close, ScanOnClose::No);
    assert!(!loaded.refuses_opens());
    assert_eq!(load_with("xyzzy = 1", &[]).complaints[0].wrong, "unknown option; the line has no effect");
}

#[test]
fn a_bad_value_gets_one_line_and_the_protective_value() {
    let text = "scan on open = jes\nmax file size = 10X\nfiles over the limit = dney\nexclude file regexp = (\n\
                exclude paths = tmp;..\ndeny access on error = perhaps\ninfected file action = quarrantine\n\
                lru file entry lifetime = soon\nquarantine directory = .quarantine\nquarantine prefix = ../\n\
                exclude file types = */*\ninclude paths = ..\nscan timeout = 0\n";
    let loaded = load_with(text, &[]);
    let lines = lines(&loaded);
    assert_eq!(lines.len(), 13, "{lines:#?}");
    assert!(loaded.complaints.iter().all(|complaint| complaint.severity == Severity::Mistake));
    let expected = "/etc/samba/x.conf, line 2: max file size = 10X: is not a size: use bytes, or a number with K, M, G \
                    or T; in force: max file size = 0";
    assert!(lines.contains(&expected.to_owned()), "{lines:#?}");
    let mut sound = Settings { files_over_the_limit: OverLimit::Deny, ..Settings::default() };
    sound.cache.as_mut().unwrap().lifetime = Lifetime::For(Duration::from_secs(60 * 60));
    assert_eq!(format!("{:?}", loaded.settings), format!("{sound:?}"));
}

#[test]
fn a_bad_value_in_smb_conf_is_not_replaced_by_the_files_laxer_one() {
    let loaded = load_with("deny access on error = no", &[("deny access on error", "yse")]);
    assert!(loaded.settings.deny_access_on_error);
    let expected = "smb.conf, share Data: vscan:deny access on error = yse: must be yes or no; in force: deny access \
                    on error = yes";
    assert_eq!(lines(&loaded), [expected]);
}

#[test]
fn a_bad_line_that_is_overridden_does_no_harm() {
    assert_eq!(
        load_ok("scan timeout = x\n[data]\nscan timeout = 7", &[]).scan_timeout,
        Duration::from_secs(7)
    );
}

#[test]
fn a_mistake_closes_the_share_only_when_asked_to() {
    assert!(!load_with("scan on opne = no", &[]).refuses_opens());
    assert!(load_with("scan on opne = no\non config error = deny", &[]).refuses_opens());
    assert!(
        !load_with("scan archives = yes\nio timeout = 60000\non config error = deny", &[]).refuses_opens()
    );
}

#[test]
fn a_complaint_is_one_line_whatever_the_value() {
    let loaded = load_with("", &[("scan on open", &format!("a\nb{}", "\u{fc}".repeat(500)))]);
    let line = &lines(&loaded)[0];
    assert!(!line.contains('\n') && line.chars().count() < 450, "{line}");
}

#[test]
fn a_line_that_is_no_option_is_a_mistake_and_an_open_bracket_is_forgiven() {
    let loaded = load_with("[vscan\nscan on open\nscan on close = no", &[]);
    assert_eq!(loaded.complaints.len(), 2);
    assert!(loaded.settings.scan_on_close == ScanOnClose::No && loaded.settings.scan_on_open);
}

#[test]
fn all_ways_to_name_the_scanner_agree() {
    let default = "clamav:/var/run/clamav/clamd.ctl";
    for (text, scanner) in [
        ("", default),
        ("scanner = clamav", default),
        ("scanner = clamav:/a", "clamav:/a"),
        ("clamd socket name = /a", "clamav:/a"),
        ("socket path = /a", "clamav:/a"),
        ("scanner = clamav\nsocket path = /a", "clamav:/a"),
        ("socket path = /a\nscanner = sophie", "sophie:/a"),
        ("sophie socket name = /var/run/sophie", "sophie:/var/run/sophie"),
        ("trophie socket name = /var/run/trophie", "trophie:/var/run/trophie"),
    ] {
        assert_eq!(load_ok(text, &[]).scanners, [scanner], "{text}");
    }
    assert_eq!(
        load_ok("scanner = clamav\nsocket path = /a", &[("socket path", "/b")]).scanners,
        ["clamav:/b"]
    );
}

#[test]
fn a_scanner_that_does_not_exist_is_a_mistake() {
    for text in ["scanner = klamav:/a", "socket path = a", "clamd socket name =", "scanner = sophie"] {
        let loaded = load_with(text, &[]);
        assert_eq!(loaded.settings.scanners, ["clamav:/var/run/clamav/clamd.ctl"]);
        assert_eq!(loaded.complaints[0].severity, Severity::Mistake, "{text}");
    }
    let loaded = load_with("scanner = clamav:/a\nsocket path = /b", &[]);
    assert_eq!(loaded.settings.scanners, ["clamav:/a"]);
    assert!(lines(&loaded)[0].contains("has no effect"));
}

#[test]
fn the_cache_is_off_in_either_way() {
    for text in ["max lru files entries = 0", "max lru files entries = -1", "cache time limit = 0"] {
        assert_eq!(load_ok(text, &[]).cache, None, "{text}");
    }
    let cache = load_ok("cache entry limit = 7\ncache time limit = -1", &[]).cache;
    assert_eq!(cache, Some(CacheLimits { entries: 7, lifetime: Lifetime::Unlimited }));
}

#[test]
fn renaming_always_changes_the_name() {
    let loaded = load_with("rename suffix =", &[]);
    assert_eq!(loaded.settings.rename_suffix, ".infected");
    assert_eq!(loaded.complaints.len(), 1);
    assert_eq!(load_ok("rename suffix =\nrename prefix = vir.", &[]).rename_suffix, "");
}

#[test]
fn a_quarantine_that_users_can_reach_is_noticed() {
    let loaded = load_with("quarantine directory = /srv/data/.quarantine", &[]);
    assert_eq!(loaded.complaints[0].severity, Severity::Notice);
    assert_eq!(loaded.settings.quarantine_directory, Path::new("/srv/data/.quarantine"));
}

#[test]
fn options_of_virusfilter_in_smb_conf_are_answered() {
    let loaded = load_with("", &[("scan mime", "yes"), ("exclude files", "/*.iso/")]);
    assert!(loaded.complaints.iter().all(|complaint| complaint.severity == Severity::Ignored));
    assert_eq!(loaded.complaints.len(), 2);
    assert!(lines(&loaded)[0].starts_with("smb.conf, share Data: vscan:"));
}

#[test]
fn a_command_is_split_into_words_and_no_more() {
    let line =
        r#"/usr/local/bin/virusfilter-notify --cc "%U@example.org" --subject-prefix 'Found: ' $(id) a\ b;c"#;
    let settings = load_ok("", &[("infected file command", line)]);
    let words =
        ["/usr/local/bin/virusfilter-notify", "--cc", "%U@example.org", "--subject-prefix", "Found: "];
    let [first @ .., a, b] = settings.notify.channels.commands.infected_file.as_slice() else { panic!() };
    assert_eq!(first, words);
    assert_eq!((a.as_str(), b.as_str()), ("$(id)", "a b;c"));
    for wrong in ["/bin/x 'a", "%f x", "'' x"] {
        let loaded = load_with("", &[("scan error command", wrong)]);
        assert_eq!(loaded.complaints.len(), 1, "{wrong}");
        assert!(loaded.settings.notify.channels.commands.scan_error.is_empty());
    }
}

#[test]
fn the_host_is_asked_for_every_name() {
    let asked = RefCell::new(Vec::new());
    let option = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        None
    };
    let host = Host { option: &option, check_scanner: &|_, _| Ok(()) };
    let _ = load_text(&Share { name: "a", path: Path::new("/a") }, None, &host);
    for name in table::all_names() {
        assert!(asked.borrow().iter().any(|n| n == name), "{name}");
    }
    assert!(!asked.borrow().iter().any(|n| n == "config-file"));
}

fn load_file(file: ConfigFile<'_>) -> Loaded {
    let host = Host { option: &|_| None, check_scanner: &|_, _| Ok(()) };
    load(&Share { name: "a", path: Path::new("/a") }, file, &host)
}

#[test]
fn a_named_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("v.conf");
    std::fs::write(&path, "scan on close = no").unwrap();
    let loaded = load_file(ConfigFile::Named(&path));
    assert_eq!(loaded.complaints, []);
    assert_eq!(loaded.settings.scan_on_close, ScanOnClose::No);
}

#[test]
fn a_file_that_cannot_be_read_costs_one_line_and_leaves_the_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let [missing, latin, huge] = ["missing", "latin", "huge"].map(|name| directory.path().join(name));
    std::fs::write(&latin, b"scan on close = no\n# Gr\xfc\xdfe\n").unwrap();
    std::fs::write(&huge, vec![b'#'; 2 << 20]).unwrap();
    let device = PathBuf::from("/dev/zero");
    for (path, reason) in [
        (&missing, "No such file"),
        (&latin, "line 2 is not UTF-8"),
        (&huge, "larger than 1M"),
        (&device, "not a regular file"),
    ] {
        let loaded = load_file(ConfigFile::Named(path));
        let lines = lines(&loaded);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(reason) && lines[0].starts_with(path.to_str().unwrap()), "{lines:?}");
        assert_eq!(loaded.complaints[0].severity, Severity::Mistake);
        assert!(loaded.settings.scan_on_close == ScanOnClose::Yes && !loaded.refuses_opens());
    }
}

/// The option lines that samba-vscan's sample files have in common.
const SAMBA_VSCAN: &str = "\
[samba-vscan]
; comment
max file size = 0\x20
verbose file logging = no\x20
scan on open = yes
scan on close = yes\x20
deny access on error = yes
deny access on minor error = yes
send warning message = yes
infected file action = quarantine
quarantine directory  = /tmp
quarantine prefix = vir-
max lru files entries = 100
lru file entry lifetime = 5
exclude file types =
exclude file regexp =
";

#[test]
fn a_list_names_several_scanners_and_one_mistake_costs_only_that_one() {
    assert_eq!(load_ok("scanner = clamav:/a, sophie:/b", &[]).scanners, ["clamav:/a", "sophie:/b"]);
    assert_eq!(load_ok("scanner mode = balance", &[]).scanner_mode, ScannerMode::Balance);
    let loaded = load_with("scanner = klamav:/a; sophie:/b", &[]);
    assert_eq!(loaded.settings.scanners, ["sophie:/b"]);
    assert_eq!(loaded.complaints[0].severity, Severity::Mistake);
    assert!(lines(&loaded)[0].ends_with("in force: scanner = sophie:/b"), "{:?}", lines(&loaded));
    for text in ["scanner =", "scanner = ;"] {
        let loaded = load_with(text, &[]);
        assert_eq!(loaded.settings.scanners, ["clamav:/var/run/clamav/clamd.ctl"]);
        assert!(lines(&loaded)[0].contains("names no scanner"), "{:?}", lines(&loaded));
    }
}

#[test]
fn sample_files_of_samba_vscan_mean_what_they_meant() {
    for (own, scanner) in [
        ("clamd socket name = /var/run/clamd\nscan archives = yes\n", "clamav:/var/run/clamd"),
        ("libclamav max files in archive = 1000\nclamd socket name = /c\n", "clamav:/c"),
        ("sophie socket name = /var/run/sophie\n", "sophie:/var/run/sophie"),
        ("trophie socket name = /var/run/trophie\n", "trophie:/var/run/trophie"),
    ] {
        let loaded = load_with(&format!("{SAMBA_VSCAN}{own}"), &[]);
        assert!(loaded.complaints.iter().all(|c| c.severity != Severity::Mistake), "{:#?}", lines(&loaded));
        let settings = loaded.settings;
        assert_eq!(settings.scanners, [scanner]);
        assert_eq!(settings.quarantine_directory, Path::new("/tmp"));
        assert_eq!(settings.quarantine_prefix, "vir-");
        assert_eq!(settings.infected_file_action, Action::Quarantine);
        let lifetime = Lifetime::For(Duration::from_secs(5));
        assert_eq!(settings.cache, Some(CacheLimits { entries: 100, lifetime }));
        assert!(settings.max_file_size.is_none() && settings.exclude_file_regexp.is_none());
        assert!(settings.exclude_file_types.is_empty());
    }
}

#[test]
fn the_example_for_smb_conf_shows_options_that_exist_with_their_defaults() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../smb.conf.example")).unwrap();
    let mut seen = 0;
    for line in ini::lines(&text) {
        let ini::Content::Option { name, value } = line.content else { continue };
        let Some(name) = name.strip_prefix("vscan:").filter(|name| *name != "config-file") else { continue };
        let (option, _) = table::find(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((option.name, option.default), (name, value.as_str()));
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn no_value_of_any_option_makes_nonsense() {
    let long = "x".repeat(10_000);
    let values =
        ["", "0", "-1", "999999999999999999999", "/", "..", "*", "\0", "\u{fc}", ";;", "=", "[", "\\", &long];
    for option in super::table::options() {
        for value in values {
            let loaded = load_with(&format!("{} = {value}", option.name), &[]);
            assert!(loaded.complaints.len() <= 1, "{} = {value}: {:?}", option.name, lines(&loaded));
            assert!(lines(&loaded).iter().all(|line| line.len() < 2000 && !line.contains(char::is_control)));
            let settings = loaded.settings;
            for wait in [settings.connect_timeout, settings.io_timeout, settings.scan_timeout] {
                assert!(!wait.is_zero() && wait <= Duration::from_secs(86_400));
            }
            assert!(settings.quarantine_directory.is_absolute() && !settings.scanners.is_empty());
            assert!(!settings.rename_prefix.is_empty() || !settings.rename_suffix.is_empty());
            assert!(settings.cache.is_none_or(|cache| cache.entries > 0));
            assert!(settings.exclude_file_regexp.is_none_or(|regexp| !regexp.is_match(b"/srv/data/a")));
            assert!(settings.exclude_paths.covering(b"/srv/data/a", b"a").is_none());
        }
    }
}
