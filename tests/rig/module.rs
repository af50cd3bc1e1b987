//! The programs under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The path of vscan.so: what `VSCAN_MODULE` names, or the workspace's own, built once per test process.
pub fn module() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("VSCAN_MODULE") {
            Some(path) => std::path::absolute(path).unwrap(),
            None => build("vscan", &mut cargo(), is_library),
        })
        .clone()
}

/// The path of vscanctl: what `VSCAN_CTL` names, or the workspace's own, built once per test process.
pub fn vscanctl() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("VSCAN_CTL") {
            Some(path) => std::path::absolute(path).unwrap(),
            None => build("vscanctl", &mut cargo(), |path| path.ends_with("vscanctl")),
        })
        .clone()
}

/// The path of vscan-notify, built once per test process.
pub fn vscan_notify() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("vscan-notify", &mut cargo(), |path| path.ends_with("vscan-notify"))).clone()
}

/// A vscan.so that knows Samba by the headers in this folder, and not by those of samba-headers. It is put beside them.
///
/// `target` is where cargo builds it. The first time takes a while; those that follow build the module itself only.
pub fn with_headers(folder: &Path, target: &Path) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut cargo = cargo();
    cargo.env("VSCAN_HEADERS", folder).arg("--target-dir").arg(target);
    let built = build("vscan", &mut cargo, is_library);
    let module = folder.join("vscan.so");
    std::fs::copy(built, &module).unwrap();
    module
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "so")
}

fn cargo() -> Command {
    // An optimised rig is there to measure an optimised module.
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--profile", profile]);
    command
}

fn build(package: &str, cargo: &mut Command, is_wanted: impl Fn(&Path) -> bool) -> PathBuf {
    let output = cargo
        .args(["--package", package])
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
