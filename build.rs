//! One job: samba-headers/vfs-NN.h -> one module of bindings per VFS interface, for src/host/abi.rs.
//!
//! `VSCAN_HEADERS` names another folder of headers, to try them without touching those of this source.
//!
//! A build script has one answer to trouble: it stops the build with these words.
#![allow(clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=VSCAN_HEADERS");
    let folder = env::var_os("VSCAN_HEADERS").map_or_else(|| PathBuf::from("samba-headers"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut modules = String::new();
    let mut names = Vec::new();
    for header in headers(&folder) {
        let name = header.file_stem().and_then(|s| s.to_str()).expect("an ASCII name").replace("vfs-", "v");
        writeln!(modules, "pub mod {name} {{\n{}\n}}", bindings(&header)).expect("a String grows");
        names.push(name);
    }
    writeln!(modules, "every_interface! {{ {} }}", names.join(", ")).expect("a String grows");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("interfaces.rs");
    fs::write(&out, modules).unwrap_or_else(|e| panic!("cannot write {}: {e}", out.display()));
}

/// The headers, oldest interface first.
fn headers(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()))
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|p| {
            p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("vfs-") && n.ends_with(".h"))
        })
        .collect();
    found.sort();
    found
}

/// The Rust of one header. bindgen asserts every size and offset again, at compile time.
fn bindings(header: &Path) -> String {
    bindgen::Builder::default()
        .header(header.to_str().expect("a UTF-8 path"))
        .clang_arg("-std=c11")
        .allowlist_type(
            "smb_request|smb_filename|stat_ex|files_struct|connection_struct|vfs_handle_struct|vfs_fn_pointers",
        )
        .allowlist_var("[A-Z0-9_]+")
        .blocklist_type("__.*")
        .wrap_unsafe_ops(true)
        .derive_debug(false)
        .derive_copy(false)
        .layout_tests(true)
        .generate()
        .unwrap_or_else(|e| panic!("{} does not compile: {e}", header.display()))
        .to_string()
}
