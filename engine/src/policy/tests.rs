use std::cell::Cell;
use std::path::Path;

use vscan_backends::verdict::{MinorError, MinorErrorKind, ThreatName};

use super::*;
use crate::settings::{FileText, Host, Share, load_text};

fn rules(text: &str) -> Settings {
    let host = Host { option: &|_| None, check_scanner: &|_, _| Ok(()) };
    let share = Share { name: "data", path: Path::new("/srv/data") };
    let loaded = load_text(&share, Some(FileText { path: Path::new("x"), text }), &host);
    assert_eq!(loaded.complaints, []);
    loaded.settings
}

/// The plan for a file of this size, and whether its type was asked for.
fn plan(text: &str, name: &str, size: u64) -> (Plan, bool) {
    let asked = Cell::new(false);
    let file_type = || {
        asked.set(true);
        Some("image/png".to_owned())
    };
    let path = format!("/srv/data/{name}");
    let facts = Facts { path: path.as_bytes(), path_in_share: name.as_bytes(), size, file_type: &file_type };
    (before(&facts, &rules(text)), asked.get())
}

const MIB: u64 = 1 << 20;

fn over(size: u64, limit: u64, unenforced: bool) -> Reason {
    Reason::OverMaxSize { size: Size(size), limit: Size(limit), unenforced }
}

#[test]
fn scans_what_no_rule_exempts() {
    for text in [
        "",
        "max file size = 2M",
        "max file size = 2M\nfiles over the limit = deny",
        "min file size = 2M",
        "exclude paths = tmp",
        "include paths = docs",
        r"exclude file regexp = \.iso$",
        "exclude paths = docs/b",
    ] {
        assert_eq!(plan(text, "docs/a.doc", 2 * MIB), (Plan::Scan, false), "{text}");
    }
    assert_eq!(plan("exclude file types = image/gif", "a", 1), (Plan::Scan, true));
}

#[test]
fn skips_what_a_rule_exempts_without_asking_for_the_type() {
    for (text, reason) in [
        ("max file size = 1M", over(2 * MIB, MIB, false)),
        ("min file size = 3M", Reason::UnderMinSize { size: Size(2 * MIB), limit: Size(3 * MIB) }),
        ("exclude paths = x; docs/*", Reason::ExcludedPath("docs/*".to_owned())),
        ("include paths = src", Reason::NotIncluded),
        (
            "include paths = docs\nexclude paths = /srv/data/docs",
            Reason::ExcludedPath("/srv/data/docs".to_owned()),
        ),
        (r"exclude file regexp = ^/srv/.*\.doc$", Reason::ExcludedByRegexp),
    ] {
        let text = format!("{text}\nexclude file types = image/png");
        assert_eq!(plan(&text, "docs/a.doc", 2 * MIB), (Plan::Skip(reason), false), "{text}");
    }
    let text = "exclude file types = image/*";
    assert_eq!(plan(text, "a", 1), (Plan::Skip(Reason::ExcludedType("image/png".to_owned())), true));
}

#[test]
fn skips_empty_files_whatever_the_rules() {
    assert_eq!(plan("include paths = docs", "a", 0), (Plan::Skip(Reason::Empty), false));
}

#[test]
fn refuses_files_over_the_limit_only_when_told_to_and_enforcing() {
    let deny = "max file size = 1M\nfiles over the limit = deny\n";
    assert_eq!(plan(deny, "a", MIB).0, Plan::Scan);
    assert_eq!(plan(deny, "a", MIB + 1).0, Plan::Refuse(over(MIB + 1, MIB, false)));
    assert_eq!(plan(&format!("{deny}enforce = no"), "a", MIB + 1).0, Plan::Skip(over(MIB + 1, MIB, true)));
}

#[test]
fn what_is_known_goes_before_the_limit_only_if_nothing_is_said_of_it() {
    for (over_the_limit, rest, is_said) in
        [("deny", "", true), ("deny", "enforce = no", true), ("allow", "", false)]
    {
        let text = format!("max file size = 1M\nfiles over the limit = {over_the_limit}\n{rest}");
        let rules = rules(&text);
        assert_eq!((refuses_size(MIB + 1, &rules), refuses_size(MIB, &rules)), (is_said, false), "{text}");
    }
}

#[test]
fn excluded_files_are_not_refused_for_their_size() {
    let deny = "max file size = 1M\nfiles over the limit = deny\n";
    for text in ["exclude paths = a", "exclude file types = image/png"] {
        assert!(matches!(plan(&format!("{deny}{text}"), "a", MIB + 1).0, Plan::Skip(_)), "{text}");
    }
}

#[test]
fn a_type_that_cannot_be_told_is_scanned() {
    let facts = Facts { path: b"/s/a", path_in_share: b"a", size: 1, file_type: &|| None };
    assert_eq!(before(&facts, &rules("exclude file types = image/png")), Plan::Scan);
}

#[test]
fn reasons_name_the_setting() {
    for (reason, shown) in [
        (over(12_897_485, 10 * MIB, false), "its 12.3M (12897485 bytes) are over max file size = 10M"),
        (
            over(MIB + 1, MIB, true),
            "its 1.0M (1048577 bytes) are over max file size = 1M; it would be refused, but enforce = no",
        ),
        (Reason::UnderMinSize { size: Size(7), limit: Size(10) }, "its 7 bytes are under min file size = 10"),
        (Reason::ExcludedPath("tmp".to_owned()), "exclude paths covers it (tmp)"),
    ] {
        assert_eq!(reason.to_string(), shown);
    }
}

fn infected() -> Result<Verdict, Fault> {
    Ok(Verdict::Infected(ThreatName::new(b"Test")))
}

fn minor() -> Result<Verdict, Fault> {
    Ok(Verdict::MinorError(MinorError { kind: MinorErrorKind::Encrypted, text: String::new() }))
}

fn faults() -> [Result<Verdict, Fault>; 3] {
    [Err(Fault::Garbled("x".into())), Err(Fault::Misbehaved("x".into())), Err(Fault::Transport("x".into()))]
}

fn caller() -> Result<Verdict, Fault> {
    Err(Fault::Caller("x".into()))
}

const NOTHING: Action = Action::Nothing;

#[test]
fn clean_files_are_allowed() {
    assert_eq!(after(&Ok(Verdict::Clean), &rules("")), Decision { access: Access::Allow, action: NOTHING });
}

#[test]
fn infected_files_are_denied_and_acted_on() {
    for (text, status, action) in [
        ("", Status::Infected, Action::Quarantine),
        ("infected status = access denied", Status::AccessDenied, Action::Quarantine),
        ("infected file action = unlink", Status::Infected, Action::Delete),
        ("infected file action = nothing", Status::Infected, NOTHING),
        ("deny access on error = no\ndeny access on minor error = no", Status::Infected, Action::Quarantine),
    ] {
        assert_eq!(
            after(&infected(), &rules(text)),
            Decision { access: Access::Deny(status), action },
            "{text}"
        );
    }
}

#[test]
fn each_class_of_errors_obeys_its_own_option() {
    let denied = Decision { access: Access::Deny(Status::AccessDenied), action: NOTHING };
    let allowed = Decision { access: Access::Allow, action: NOTHING };
    for verdict in faults() {
        assert_eq!(after(&verdict, &rules("deny access on minor error = no")), denied);
        assert_eq!(after(&verdict, &rules("deny access on error = no")), allowed);
    }
    for verdict in [minor(), caller()] {
        assert_eq!(after(&verdict, &rules("deny access on error = no")), denied);
        assert_eq!(after(&verdict, &rules("deny access on minor error = no")), allowed);
    }
}

#[test]
fn without_enforcement_nothing_is_denied_and_nothing_is_touched() {
    let rules = rules("enforce = no");
    let unenforced = |status| Decision { access: Access::AllowUnenforced(status), action: NOTHING };
    assert_eq!(after(&infected(), &rules), unenforced(Status::Infected));
    assert_eq!(after(&minor(), &rules), unenforced(Status::AccessDenied));
    for verdict in faults() {
        assert_eq!(after(&verdict, &rules), unenforced(Status::AccessDenied));
    }
    assert_eq!(after(&Ok(Verdict::Clean), &rules).access, Access::Allow);
}
