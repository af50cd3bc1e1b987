//! What is under test, as cargo builds it: the module, and the programs beside it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of vscan.so: what `VSCAN_MODULE` names, or the workspace's own, built once per test process.
pub fn module() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("VSCAN_MODULE") {
            Some(path) => std::path::absolute(path).unwrap(),
            None => build("vscan", "filenames", |path| path.extension().is_some_and(|ext| ext == "so")),
        })
        .clone()
}

/// The path of vscan-notify, built once per test process.
pub fn notify_program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("vscan-notify", "executable", |_| true)).clone()
}

/// Builds a package of the workspace; the file that cargo names in this field of its report.
fn build(package: &str, field: &str, wanted: fn(&PathBuf) -> bool) -> PathBuf {
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
        // One name, or several.
        .flat_map(|message| {
            message[field].as_array().cloned().unwrap_or_else(|| vec![message[field].clone()])
        })
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(wanted)
        .expect("cargo names the file it built")
}
