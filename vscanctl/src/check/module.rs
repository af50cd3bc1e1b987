//! Whether the installed smbd can load the module.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::output::{Remark, reason, shown};
use crate::samba::Smbd;

/// What vscan knows of each Samba, as src/host/abi.rs has it.
const HEADERS: &[&str] = &[
    include_str!("../../../samba-headers/vfs-43.h"),
    include_str!("../../../samba-headers/vfs-44.h"),
    include_str!("../../../samba-headers/vfs-45.h"),
    include_str!("../../../samba-headers/vfs-46.h"),
    include_str!("../../../samba-headers/vfs-47.h"),
    include_str!("../../../samba-headers/vfs-48.h"),
    include_str!("../../../samba-headers/vfs-49.h"),
    include_str!("../../../samba-headers/vfs-50.h"),
    include_str!("../../../samba-headers/vfs-51.h"),
    include_str!("../../../samba-headers/vfs-52.h"),
    include_str!("../../../samba-headers/vfs-53.h"),
];

pub fn check() -> Vec<Remark> {
    match Smbd::find() {
        Ok(smbd) => vec![version(&smbd.version), module(&smbd)],
        Err(trouble) => vec![Remark::mistake(trouble)],
    }
}

fn version(version: &str) -> Remark {
    if is_known(version) {
        return Remark::ok(format!("smbd {version} is one that vscan knows"));
    }
    let (first, last) = (known().map(|(first, _)| first).min(), known().map(|(_, last)| last).max());
    Remark::mistake(format!(
        "smbd {version} is not one that vscan knows (4.{} to 4.{}): the module will refuse to load, and the shares stay closed",
        first.unwrap_or(0),
        last.unwrap_or(0)
    ))
}

fn is_known(version: &str) -> bool {
    let Some(rest) = version.strip_prefix("4.") else { return false };
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let Ok(minor) = minor.parse::<u32>() else { return false };
    known().any(|(first, last)| (first..=last).contains(&minor))
}

/// The first and last minor version of Samba 4 of each header.
fn known() -> impl Iterator<Item = (u32, u32)> {
    HEADERS.iter().filter_map(|header| {
        Some((number(header, "SAMBA_MINOR_FIRST")?, number(header, "SAMBA_MINOR_LAST")?))
    })
}

fn number(header: &str, name: &str) -> Option<u32> {
    let mut lines = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.split_whitespace().next()?.parse().ok()
}

fn module(smbd: &Smbd) -> Remark {
    let path = smbd.modules.join("vscan.so");
    let at = shown(&path);
    let metadata = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Remark::mistake(format!(
                "{at} cannot be found ({}): install the module there; without it, \
                                            the shares stay closed",
                reason(&error)
            ));
        }
    };
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Remark::mistake(format!(
            "{at} belongs to or is writable for others than root, and smbd runs it as root: chown root and chmod 644 it"
        ));
    }
    match smbd.lacks(Path::new(&path)) {
        Ok(missing) if missing.is_empty() => {
            Remark::ok(format!("{at} can be loaded: smbd has every symbol that it needs"))
        }
        Ok(missing) => Remark::mistake(format!(
            "{at} cannot be loaded: this smbd lacks {}. Was it built for another program, or is this smbd's build unusual?",
            missing.join(", ")
        )),
        Err(trouble) => Remark::mistake(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samba-headers");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let headers = names.filter(|name| name.to_str().is_some_and(|name| name.starts_with("vfs-"))).count();
        assert_eq!((headers, headers), (HEADERS.len(), known().count()));
    }

    #[test]
    fn knows_the_versions_of_the_headers_and_no_others() {
        for version in ["4.13.13-Debian", "4.17.12-Debian", "4.20.0", "4.25.1"] {
            assert!(is_known(version), "{version}");
        }
        for version in ["4.12.0", "4.99.0", "3.6.25", "5.0.0", "4.x", ""] {
            assert!(!is_known(version), "{version}");
        }
    }
}
