use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The pages: everything in docs that ends in a section's number.
fn pages() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().flatten().map(|entry| entry.path());
    let is_page =
        |path: &PathBuf| path.extension().is_some_and(|end| ["1", "5", "8"].iter().any(|it| end == *it));
    files.filter(is_page).collect()
}

/// What man(1) makes of a page, and whether it has something to say about it.
fn rendered(page: &Path) -> Output {
    let mut man = Command::new("man");
    man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").env("MANPAGER", "cat");
    man.args(["--warnings", "--local-file"]).arg(page).output().expect("man can be run: run tests/setup.sh")
}

#[test]
fn every_manual_page_is_rendered_without_a_warning() {
    let pages = pages();
    for name in ["vfs_vscan.8", "vscan.conf.5"] {
        assert!(pages.iter().any(|page| page.ends_with(name)), "{name}");
    }
    for page in pages {
        let output = rendered(&page);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", page.display());
        assert!(output.status.success() && output.stdout.len() > 1000, "{}", page.display());
    }
}

#[test]
fn what_is_rendered_has_every_option_and_its_default() {
    let output = rendered(&folder().join("vscan.conf.5"));
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let example = std::fs::read_to_string(folder().join("../vscan.conf.example")).unwrap();
    let options = example.lines().filter_map(|line| line.strip_prefix(';')?.split_once(" ="));
    let mut seen = 0;
    for (name, default) in options {
        assert!(words.contains(&format!(" {name} = ")), "{name}");
        // A longer one may be broken.
        if default.len() < 20 && !default.trim().is_empty() {
            assert!(words.contains(&format!("The default is ‘{}’", default.trim())), "{name} = {default}");
        }
        seen += 1;
    }
    assert!(seen > 30, "{seen} options in the example");
}
