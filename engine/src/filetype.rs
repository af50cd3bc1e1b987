//! What kind of file this is, by how its content begins.

use std::os::fd::BorrowedFd;

use rustix::io::{Errno, pread};

/// The rules of the type database look at places up to 2 KiB into a file, and search the first 4 KiB for words. The
/// one type that is searched for farther out is not worth a longer read.
const PREFIX: usize = 8192;

/// The MIME type of an open file, whose offset stays where it is. None if it cannot be read or is empty.
///
/// The database is compiled in: no other file is opened, whoever the process runs as.
pub fn mime_type(fd: BorrowedFd<'_>) -> Option<String> {
    let mut prefix = [0; PREFIX];
    let length = fill(fd, &mut prefix).ok()?;
    let bytes = prefix.get(..length).filter(|bytes| !bytes.is_empty())?;
    Some(tree_magic_mini::from_u8(bytes).to_owned())
}

/// Reads the beginning of a file until the buffer is full or the file ends.
fn fill(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match pread(fd, rest, filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::fd::AsFd;

    use super::*;

    fn file_with(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn tells_common_types_and_leaves_the_offset_alone() {
        for (content, mime) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"plain words\n", "text/plain"),
            (b"\0\x01\x02", "application/octet-stream"),
        ] {
            let mut file = file_with(content);
            file.seek(SeekFrom::Start(3)).unwrap();
            assert_eq!(mime_type(file.as_fd()).as_deref(), Some(mime));
            assert_eq!(file.stream_position().unwrap(), 3);
        }
    }

    #[test]
    fn tells_nothing_about_what_cannot_be_read() {
        assert_eq!(mime_type(file_with(b"").as_fd()), None);
        assert_eq!(mime_type(File::open("/").unwrap().as_fd()), None);
        let (pipe, _writer) = std::io::pipe().unwrap();
        assert_eq!(mime_type(pipe.as_fd()), None);
    }

    #[test]
    fn the_prefix_reaches_as_far_as_the_rules() {
        let mut content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        content.resize(2080, 0);
        content.extend(b"Microsoft Excel 5.0 Worksheet");
        assert_eq!(mime_type(file_with(&content).as_fd()).as_deref(), Some("application/vnd.ms-excel"));
    }
}
