//! Texts in the letters of DOS.

use oem_cp::code_table::{ENCODING_TABLE_CP_MAP, ENCODING_TABLE_CP850};
use oem_cp::{OEMCPHashMap, encode_string_lossy};

/// Windows shows no more, in bytes.
const MOST: usize = 1600;

/// A set of letters.
pub(super) struct CodePage(&'static OEMCPHashMap<char, u8>);

impl CodePage {
    /// By its number; Western Europe's if there is no such.
    pub(super) fn of(number: u16) -> Self {
        Self(ENCODING_TABLE_CP_MAP.get(&number).copied().unwrap_or(&ENCODING_TABLE_CP850))
    }

    /// A name. What is not among the letters becomes a question mark.
    pub(super) fn encode(&self, name: &str) -> Vec<u8> {
        encode_string_lossy(name, self.0)
    }

    /// A text, with the ends of lines that Windows wants, as far as Windows shows it.
    pub(super) fn encode_text(&self, text: &str) -> Vec<u8> {
        let mut bytes = self.encode(&text.replace("\r\n", "\n").replace('\n', "\r\n"));
        bytes.truncate(MOST);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_those_of_dos() {
        let western = CodePage::of(850);
        assert_eq!(western.encode("Größe 4.doc"), b"Gr\x94\xe1e 4.doc");
        assert_eq!(western.encode("\u{1f9a0}.com and \u{6f22}"), b"?.com and ?");
        assert_eq!(CodePage::of(866).encode("мир"), b"\xac\xa8\xe0");
        assert_eq!(CodePage::of(1).encode("ß"), western.encode("ß"));
    }

    #[test]
    fn lines_end_as_windows_wants() {
        assert_eq!(CodePage::of(850).encode_text("a\nb\r\nc"), b"a\r\nb\r\nc");
        assert_eq!(CodePage::of(850).encode_text(&"x".repeat(5000)).len(), MOST);
    }
}
