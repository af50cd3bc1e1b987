//! The scanners' part of the manual page `docs/vfs_vscan.8`, from the registry.

use std::fmt::Write as _;
use std::path::Path;

use crate::registry::SCANNERS;

const BEGIN: &str =
    ".\\\" Begin of the scanners: `VSCAN_BLESS=1 cargo test -p vscan-backends manual` writes them.\n";
const END: &str = ".\\\" End of the scanners.\n";

/// A row for each scanner, as mdoc(7).
fn rows() -> String {
    let mut rows = ".Bl -tag -width Ds\n".to_owned();
    for scanner in SCANNERS {
        let (scheme, about) = (scanner.scheme, literal(scanner.about));
        let address = literal(scanner.default_address);
        writeln!(rows, ".It Cm {scheme}\n{about};\nby default\n.Ql {scheme}:{address} .").unwrap();
    }
    rows + ".El\n"
}

/// Text whose every character means itself, as the formatter wants it.
fn literal(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

#[test]
fn the_manual_page_has_a_row_for_every_scanner() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vfs_vscan.8");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (there, after) = rest.split_once(END).unwrap();
    if std::env::var_os("VSCAN_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", rows())).unwrap();
        return;
    }
    assert!(
        there == rows(),
        "docs/vfs_vscan.8 is out of date: run VSCAN_BLESS=1 cargo test -p vscan-backends manual"
    );
}
