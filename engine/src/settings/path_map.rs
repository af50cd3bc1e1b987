//! Where a scanner on another machine, or in a container, finds the files that we name.

use std::borrow::Cow;

/// Beginnings of paths, and what stands for them where the scanner is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathMap(Vec<(Vec<u8>, Vec<u8>)>);

impl PathMap {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// The path at which the scanner finds a file: the longest beginning that is in the map counts.
    pub fn seen_by_scanner<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        let below = |(ours, theirs): &'_ (Vec<u8>, Vec<u8>)| {
            let rest = path.strip_prefix(ours.as_slice())?;
            (rest.is_empty() || rest.starts_with(b"/"))
                .then(|| (ours.len(), [theirs.as_slice(), rest].concat()))
        };
        match self.0.iter().filter_map(below).max_by_key(|(length, _)| *length) {
            Some((_, seen)) => Cow::Owned(seen),
            None => Cow::Borrowed(path),
        }
    }
}

fn entry(text: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (ours, theirs) = text
        .split_once(':')
        .ok_or_else(|| format!("{text:?}: write our directory, a colon, the scanner's"))?;
    let directory = |text: &str| {
        let text = text.trim();
        let wrong = || format!("{text:?} is no absolute path");
        text.starts_with('/').then(|| text.trim_end_matches('/').as_bytes().to_vec()).ok_or_else(wrong)
    };
    Ok((directory(ours)?, directory(theirs)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(map: &str, path: &str) -> String {
        let map = PathMap::parse(map).unwrap();
        String::from_utf8(map.seen_by_scanner(path.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn accepts_directories_and_moves_what_is_below_them() {
        let map = "/srv/share:/mnt/share; /srv/share/b/ : /b";
        assert_eq!(seen(map, "/srv/share/a/f"), "/mnt/share/a/f");
        assert_eq!(seen(map, "/srv/share"), "/mnt/share");
        assert_eq!(seen(map, "/srv/share/b/f"), "/b/f", "the longest counts");
        assert_eq!(seen("/:/host", "/srv/f"), "/host/srv/f");
        assert_eq!(seen("/host:/", "/host/srv/f"), "/srv/f");
        assert_eq!(seen("", "/srv/f"), "/srv/f");
    }

    #[test]
    fn leaves_what_only_begins_alike() {
        assert_eq!(seen("/srv/share:/mnt", "/srv/share2/f"), "/srv/share2/f");
        assert_eq!(seen("/srv/share:/mnt", "/home/srv/share/f"), "/home/srv/share/f");
    }

    #[test]
    fn refuses_what_is_no_pair_of_absolute_paths() {
        for text in ["/srv", "srv:/mnt", "/srv:mnt", "/srv:", ":/mnt"] {
            assert!(PathMap::parse(text).is_err(), "{text}");
        }
    }
}
