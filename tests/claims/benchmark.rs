//! The benchmark: that it works, not what it measures.

use std::process::Command;

use vscan_tests::module::module;

#[test]
fn the_benchmark_measures_all_of_its_parts() {
    let bench = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("--quick")
        .env("VSCAN_MODULE", module())
        .output()
        .unwrap();
    assert!(bench.status.success(), "{}", String::from_utf8_lossy(&bench.stderr));
    let printed = String::from_utf8(bench.stdout).unwrap();
    for part in ["(a) ", "(b) ", "(c) ", "(d) ", "(e) ", "(f) ", "(g) "] {
        assert!(printed.contains(&format!("\n{part}")), "{part} is missing:\n{printed}");
    }
}
