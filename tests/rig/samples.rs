//! Files to be scanned. Nothing here, and nothing in this repository, is what a scanner would flag as it lies there.

use std::path::Path;
use std::process::Command;

/// The EICAR test file (68 bytes): every scanner takes it for a virus, and it does nothing.
pub fn eicar() -> Vec<u8> {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS", "-TEST-FILE!$H+H*"].concat().into_bytes()
}

/// `length` bytes that no scanner minds, different for each `seed`.
pub fn clean(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + (state % 26) as u8
    };
    std::iter::repeat_with(letter).take(length).collect()
}

/// A zip archive with [`eicar`] in it, encrypted: a scanner can only say that it cannot look.
pub fn encrypted_zip() -> Vec<u8> {
    zip(&["-P", "secret"])
}

/// A zip archive with [`eicar`] in it.
pub fn infected_zip() -> Vec<u8> {
    zip(&[])
}

fn zip(options: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("eicar.com"), eicar()).unwrap();
    let status = Command::new("zip")
        .args(["-q"])
        .args(options)
        .args(["a.zip", "eicar.com"])
        .current_dir(dir.path())
        .status();
    assert!(status.expect("zip can be run").success());
    std::fs::read(dir.path().join("a.zip")).unwrap()
}

/// Writes a file into a share behind smbd's back, owned by the share's user.
pub fn plant(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
    let owner = path.parent().unwrap().metadata().unwrap();
    use std::os::unix::fs::MetadataExt;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
