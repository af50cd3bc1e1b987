//! Folders are often read whole, and the inode numbers of their files lie close together: what is known of a file's
//! neighbours is taken along when it is looked up.

use std::cell::Cell;
use std::ops::RangeInclusive;

use crate::shared::Key;

/// So many inode numbers are looked up at once. What is known of them lies on one or two pages of the shared cache.
const BLOCK: u64 = 32;

/// So many inode numbers away, a file is a neighbour.
const NEAR: u64 = 128;

/// The file that was looked up last.
#[derive(Default)]
pub(super) struct Neighbours(Cell<Option<Key>>);

impl Neighbours {
    /// The inode numbers to look up along with this one: none, unless a neighbour was looked up before it.
    pub(super) fn of(&self, key: Key) -> Option<RangeInclusive<u64>> {
        let last = self.0.replace(Some(key))?;
        let is_near = last.filesystem == key.filesystem && last.ino.abs_diff(key.ino) <= NEAR;
        let first = key.ino - key.ino % BLOCK;
        is_near.then(|| first..=first.saturating_add(BLOCK - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::FilesystemId;

    fn key(filesystem: u8, ino: u64) -> Key {
        Key { filesystem: FilesystemId([filesystem; 16]), ino, scanners: 1 }
    }

    #[test]
    fn who_comes_near_again_gets_the_block() {
        let neighbours = Neighbours::default();
        assert_eq!(neighbours.of(key(1, 100)), None);
        assert_eq!(neighbours.of(key(1, 97)), Some(96..=127));
        assert_eq!(neighbours.of(key(1, 128)), Some(128..=159));
        assert_eq!(neighbours.of(key(2, 128)), None, "of another filesystem");
        assert_eq!(neighbours.of(key(2, 1000)), None, "far away");
        assert_eq!(neighbours.of(key(2, 1000 - NEAR)), Some(864..=895));
        assert_eq!(neighbours.of(key(2, u64::MAX)), None);
        assert_eq!(neighbours.of(key(2, u64::MAX - 1)), Some(u64::MAX - 31..=u64::MAX));
    }
}
