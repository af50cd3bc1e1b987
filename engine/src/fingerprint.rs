//! One number for many things, the same in every process and every build: FNV-1a, with lengths in between.

/// A fingerprint in the making. Not meant to withstand anybody who looks for two things with the same one.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mix = |number: u64, byte: &u8| (number ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let length = (bytes.len() as u64).to_le_bytes();
        Self(length.iter().chain(bytes).fold(self.0, mix))
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_one_thing_ends_counts() {
        let of = |parts: [&str; 2]| {
            parts.iter().fold(Fingerprint::new(), |all, part| all.bytes(part.as_bytes())).finish()
        };
        assert_eq!(of(["ab", "c"]), of(["ab", "c"]));
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
    }
}
