//! The benchmark: that it works, not what it measures.

use std::process::{Command, Stdio};

use vscan_tests::module::module;

#[test]
fn the_benchmark_measures_all_of_its_parts() {
    let bench = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("--quick")
        .env("VSCAN_MODULE", module())
        // It builds programs, which may take a while, and says why if it fails.
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(bench.status.success(), "{}: {}", bench.status, String::from_utf8_lossy(&bench.stdout));
    let printed = String::from_utf8(bench.stdout).unwrap();
    for part in ["(a) ", "(b) ", "(c) ", "(d) ", "(e) ", "(f) ", "(g) "] {
        assert!(printed.contains(&format!("\n{part}")), "{part} is missing:\n{printed}");
    }
}
