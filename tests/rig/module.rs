//! The programs under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of vscan.so: what `VSCAN_MODULE` names, or the workspace's own, built once per test process.
pub fn module() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("VSCAN_MODULE") {
            Some(path) => std::path::absolute(path).unwrap(),
            None => build("vscan", |path| path.extension().is_some_and(|ext| ext == "so")),
        })
        .clone()
}

/// The path of vscanctl: what `VSCAN_CTL` names, or the workspace's own, built once per test process.
pub(crate) fn vscanctl() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("VSCAN_CTL") {
            Some(path) => std::path::absolute(path).unwrap(),
            None => build("vscanctl", |path| path.ends_with("vscanctl")),
        })
        .clone()
}

/// The path of vscan-notify: what `VSCAN_NOTIFY` names, or the workspace's own, built once per test process.
pub fn notify_program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("VSCAN_NOTIFY") {
            Some(path) => std::path::absolute(path).unwrap(),
            None => build("vscan-notify", |path| path.ends_with("vscan-notify")),
        })
        .clone()
}

fn build(package: &str, is_wanted: impl Fn(&Path) -> bool) -> PathBuf {
    // An optimised rig is there to measure an optimised module.
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", package, "--profile", profile])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{package} does not build");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == package)
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(|path| is_wanted(path))
        .expect("cargo names what it built")
}
