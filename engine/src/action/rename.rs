//! Rename: the infected file gets a name that says what it is.

use std::ffi::{OsStr, OsString};
use std::iter::once;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::io::Errno;

use super::entry::{Entry, other_names};
use super::moves::MoveError;
use super::{ActionError, Done, Job, stamp};

/// The longest name that Linux filesystems take, in bytes.
const NAME_MAX: usize = 255;

/// Longer endings of a name are not taken for an extension.
const EXTENSION_MAX: usize = 16;

impl Job<'_> {
    pub(super) fn rename(&self, entry: &Entry) -> Result<Done, ActionError> {
        let (prefix, suffix) = self.affixes()?;
        if carries(&entry.name, prefix, suffix) {
            return Ok(Done::AlreadyRenamed);
        }
        let stat = self.unchanged(entry)?;
        let failed = |errno| ActionError::Source { doing: "rename", path: entry.path(), errno };
        for name in numbered_names(prefix, &entry.name, suffix).map_err(failed)? {
            match self.carry_visibly(entry, &name) {
                Ok(()) => {
                    let to = entry.directory.join(name);
                    return Ok(Done::Renamed { to, other_names: other_names(&stat) });
                }
                Err(MoveError::System(Errno::EXIST)) => {}
                Err(trouble) => return Err(trouble.explain("rename", entry)),
            }
        }
        Err(failed(Errno::EXIST))
    }

    fn affixes(&self) -> Result<(&OsStr, &OsStr), ActionError> {
        let (prefix, suffix) = (self.places.rename_prefix, self.places.rename_suffix);
        if prefix.is_empty() && suffix.is_empty() {
            let problem = "it and \"rename suffix\" are both empty";
            return Err(ActionError::Setting { option: "rename prefix", problem });
        }
        check_affix("rename prefix", prefix)?;
        check_affix("rename suffix", suffix)?;
        Ok((prefix, suffix))
    }
}

/// What becomes part of a name must not be able to lead out of the directory.
pub(super) fn check_affix(option: &'static str, affix: &OsStr) -> Result<(), ActionError> {
    if affix.as_bytes().iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(ActionError::Setting { option, problem: "it contains a slash or a NUL" });
    }
    Ok(())
}

/// Whether we gave the file this name earlier: it must not grow with each open.
fn carries(name: &OsStr, prefix: &OsStr, suffix: &OsStr) -> bool {
    let name = name.as_bytes();
    name.len() > prefix.len() + suffix.len()
        && name.starts_with(prefix.as_bytes())
        && name.ends_with(suffix.as_bytes())
}

/// The names to try, in this order: `NAME.ext`, `NAME (2).ext` to `NAME (9).ext`, and one that nobody can have taken;
/// each between prefix and suffix.
pub(super) fn numbered_names(
    prefix: &OsStr,
    name: &OsStr,
    suffix: &OsStr,
) -> rustix::io::Result<Vec<OsString>> {
    let numbers = (2..10).map(|number| format!(" ({number})"));
    once(String::new())
        .chain(numbers)
        .chain(once(format!(" ({})", stamp::random()?)))
        .map(|number| fit(prefix, name, &number, suffix).ok_or(Errno::NAMETOOLONG))
        .collect()
}

/// Puts a name together, and shortens its stem if that makes it too long. `None` if nothing would be left of it.
pub(super) fn fit(prefix: &OsStr, name: &OsStr, number: &str, suffix: &OsStr) -> Option<OsString> {
    let (stem, extension) = split(name.as_bytes());
    let around = prefix.len() + number.len() + extension.len() + suffix.len();
    let stem = cut(stem, NAME_MAX.checked_sub(around)?);
    if stem.is_empty() {
        return None;
    }
    let parts = [prefix.as_bytes(), stem, number.as_bytes(), extension, suffix.as_bytes()];
    Some(OsString::from_vec(parts.concat()))
}

/// The stem, and the extension with its dot.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_MAX => name.split_at(dot),
        Some(_) | None => (name, b""),
    }
}

/// At most so many bytes, and not half a character if the bytes are UTF-8 there.
fn cut(bytes: &[u8], most: usize) -> &[u8] {
    if bytes.len() <= most {
        return bytes;
    }
    let continues = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
    let whole = (most.saturating_sub(3)..=most).rev().find(|&at| !continues(at));
    &bytes[..whole.unwrap_or(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(name: &[u8], number: &str) -> Vec<u8> {
        fit(OsStr::new("vir-"), OsStr::from_bytes(name), number, OsStr::new(".infected")).unwrap().into_vec()
    }

    #[test]
    fn puts_the_number_before_the_extension() {
        assert_eq!(fitted(b"a.b.doc", ""), b"vir-a.b.doc.infected");
        assert_eq!(fitted(b"a.b.doc", " (2)"), b"vir-a.b (2).doc.infected");
        assert_eq!(fitted(b".bashrc", " (2)"), b"vir-.bashrc (2).infected");
        assert_eq!(fitted(b"\xff\n", " (2)"), b"vir-\xff\n (2).infected");
    }

    #[test]
    fn shortens_the_stem_and_keeps_the_extension() {
        let name = [&[b'x'; 251][..], b".doc"].concat();
        let fitted = fitted(&name, "");
        assert_eq!(fitted.len(), NAME_MAX);
        assert!(fitted.ends_with(b"x.doc.infected"));
    }

    #[test]
    fn does_not_cut_a_character_in_two() {
        assert_eq!(cut("aß".as_bytes(), 2), b"a");
        assert_eq!(cut("aß".as_bytes(), 3), "aß".as_bytes());
        assert_eq!(cut("x\u{1f9a0}".as_bytes(), 4), b"x");
        assert_eq!(cut(&[0x80; 9], 5), &[0x80; 5], "not UTF-8: any place is as good");
        assert_eq!(cut("ß".as_bytes(), 1), b"");
    }

    #[test]
    fn refuses_affixes_that_leave_no_room() {
        let long = "x".repeat(250);
        assert_eq!(
            fit(OsStr::new(&long), OsStr::new("abc.doc"), "", OsStr::new("")).unwrap().len(),
            NAME_MAX
        );
        assert_eq!(fit(OsStr::new(&long), OsStr::new("abc.docx"), "", OsStr::new("")), None);
        assert_eq!(fit(OsStr::new(&long), OsStr::new("abc"), "", OsStr::new(&long)), None);
    }

    #[test]
    fn knows_its_own_names() {
        let carries = |name: &str, prefix: &str, suffix: &str| {
            super::carries(OsStr::new(name), OsStr::new(prefix), OsStr::new(suffix))
        };
        assert!(carries("vir-a.infected", "vir-", ".infected"));
        assert!(carries("vir-a", "vir-", ""));
        assert!(!carries("vir-a", "vir-", ".infected"));
        assert!(!carries("vir-.infected", "vir-", ".infected"), "nothing of a name is left");
        assert!(!carries("aba", "ab", "ba"), "prefix and suffix overlap");
    }
}
