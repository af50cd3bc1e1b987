use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A member, a size or a slot, as the reference names it, and its number in one Samba tree.
type Numbers = BTreeMap<String, u64>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samba-headers")
}

/// The headers, by interface.
fn headers() -> BTreeMap<u64, String> {
    let entries = std::fs::read_dir(folder()).unwrap().flatten();
    let interface = |name: &str| name.strip_prefix("vfs-")?.strip_suffix(".h")?.parse().ok();
    let read = |entry: std::fs::DirEntry| {
        let number = interface(entry.file_name().to_str()?)?;
        Some((number, std::fs::read_to_string(entry.path()).unwrap()))
    };
    entries.filter_map(read).collect()
}

/// What was measured: for each tree its interface and its numbers.
fn measured() -> Vec<(u64, Numbers)> {
    let text = std::fs::read_to_string(folder().join("reference.tsv")).unwrap();
    let mut rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t'));
    let interfaces = rows.by_ref().find(|row| row.clone().next() == Some("interface")).unwrap();
    let mut trees: Vec<_> =
        interfaces.skip(1).map(|number| (number.parse().unwrap(), Numbers::new())).collect();
    for mut row in rows {
        let name = row.next().unwrap();
        let values: Vec<_> = row.collect();
        assert_eq!(values.len(), trees.len(), "{name}");
        for ((_, numbers), value) in trees.iter_mut().zip(values) {
            if value != "-" {
                numbers.insert(name.to_owned(), value.parse().unwrap());
            }
        }
    }
    trees
}

/// The macro by which a header states a number.
fn macro_of(name: &str) -> String {
    name.strip_prefix("sizeof.")
        .map_or(name.to_owned(), |of| format!("size.{of}"))
        .replace('.', "_")
        .to_uppercase()
}

fn states(header: &str, name: &str) -> bool {
    header.contains(&format!("#define {} ", macro_of(name)))
}

/// The number in C, not by the header's macro but by the structure that the module uses.
fn expression(name: &str) -> String {
    let (what, of) = name.split_once('.').unwrap();
    match what {
        "sizeof" => format!("sizeof(struct {of})"),
        "slot" => format!("offsetof(struct vfs_fn_pointers, {of}_fn) / sizeof(void *)"),
        _ => format!("offsetof(struct {what}, {of})"),
    }
}

/// What a C compiler makes of these numbers with this header.
fn compiled(interface: u64, names: &[&String]) -> Numbers {
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("probe.c"), dir.path().join("probe"));
    let prints =
        names.iter().map(|name| format!("    printf(\"{name} %zu\\n\", (size_t)({}));\n", expression(name)));
    let code = format!(
        "#include \"vfs-{interface}.h\"\n#include <stdio.h>\nint main(void) {{\n    \
         printf(\"interface %zu\\n\", (size_t)VFS_INTERFACE);\n{}}}\n",
        prints.collect::<String>()
    );
    std::fs::write(&source, code).unwrap();
    let status = Command::new("cc").arg("-I").arg(folder()).arg("-o").arg(&program).arg(&source).status();
    assert!(status.expect("cc can be run").success(), "vfs-{interface}.h does not compile");
    let output = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    let pair =
        |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    output.lines().filter_map(pair).collect()
}

/// The interface whose trees were compiled: some differ from an earlier one in nothing that matters here.
fn reference_for(interface: u64) -> u64 {
    match interface {
        44 | 46 => 45,
        48 => 47,
        other => other,
    }
}

#[test]
fn headers_say_what_a_compiler_says_of_sambas_own() {
    let trees = measured();
    for (interface, header) in headers() {
        let like = reference_for(interface);
        let columns: Vec<_> = trees.iter().filter(|(number, _)| *number == like).collect();
        assert!(!columns.is_empty(), "nobody has measured vfs-{interface}.h");
        for (_, numbers) in columns {
            let stated: Vec<_> = numbers.keys().filter(|name| states(&header, name)).collect();
            let compiled = compiled(interface, &stated);
            assert_eq!(compiled["interface"], interface);
            for name in stated {
                assert_eq!(compiled[name], numbers[name], "{name} in vfs-{interface}.h");
            }
        }
    }
}

#[test]
fn headers_state_no_number_that_was_not_measured() {
    let names: Vec<String> = measured().iter().flat_map(|(_, numbers)| numbers.keys().cloned()).collect();
    let known: Vec<String> = names.iter().map(|name| macro_of(name)).collect();
    let others = [
        "VFS_INTERFACE",
        "SAMBA_MINOR_FIRST",
        "SAMBA_MINOR_LAST",
        "CREATE_FILE_TAKES_DIRFSP",
        "OPENAT_TAKES_HOW",
    ];
    for (interface, header) in headers() {
        for line in header.lines().filter_map(|line| line.strip_prefix("#define ")) {
            let name = line.split(' ').next().unwrap();
            let is_known = others.contains(&name) || known.iter().any(|known| known == name);
            assert!(is_known, "{name} in vfs-{interface}.h");
        }
    }
}

#[test]
fn every_tree_that_was_measured_has_its_header() {
    let headers = headers();
    for (interface, numbers) in measured() {
        let header = &headers[&interface];
        let stated = numbers.keys().filter(|name| states(header, name)).count();
        assert_eq!(stated, 30, "vfs-{interface}.h states all that shape.h needs");
    }
}

#[test]
fn headers_of_interfaces_that_were_not_compiled_equal_the_ones_they_name() {
    let headers = headers();
    let facts = |interface: u64| -> Vec<String> {
        let is_fact = |line: &&str| {
            line.starts_with("#define ") && !line.contains("MINOR") && !line.contains("VFS_INTERFACE")
        };
        headers[&interface].lines().filter(is_fact).map(str::to_owned).collect()
    };
    for (interface, like) in [(44, 45), (46, 45), (48, 47)] {
        assert_eq!(facts(interface), facts(like), "vfs-{interface}.h");
    }
}
