//! The messages of SMB2 that the benchmark sends, ready to go, and the little it reads of the answers (MS-SMB2 2.2).
//!
//! Sessions are anonymous: nothing is signed, so that neither side spends its time on cryptography.

/// Commands (MS-SMB2 2.2.1.2).
pub mod command {
    pub const NEGOTIATE: u16 = 0;
    pub const SESSION_SETUP: u16 = 1;
    pub const TREE_CONNECT: u16 = 3;
    pub const CREATE: u16 = 5;
    pub const CLOSE: u16 = 6;
    pub const READ: u16 = 8;
    pub const WRITE: u16 = 9;
}

/// STATUS_PENDING: the answer comes later.
pub const PENDING: u32 = 0x0000_0103;
/// STATUS_VIRUS_INFECTED.
pub const VIRUS_INFECTED: u32 = 0xc000_0906;
/// STATUS_MORE_PROCESSING_REQUIRED: half of a login.
pub const MORE_PROCESSING: u32 = 0xc000_0016;

/// Bytes of the header in front of every message.
pub const HEADER: usize = 64;
/// What one credit pays for.
const PER_CREDIT: usize = 65536;
/// Credits to ask for with every request: enough for uploads with several megabytes in flight.
const WANTED_CREDITS: u16 = 512;

/// Names one open file.
pub type FileId = [u8; 16];

/// To whom a request is addressed.
#[derive(Clone, Copy, Default)]
pub struct Address {
    pub session: u64,
    pub tree: u32,
}

/// How a file is opened.
#[derive(Clone, Copy)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For writing; it is created or emptied.
    Overwrite,
}

/// How many credits a request costs that moves so many bytes: as many numbers it takes from the sequence, too.
pub fn charge(bytes: usize) -> u16 {
    bytes.div_ceil(PER_CREDIT).max(1) as u16
}

/// One message with its transport header.
pub fn message(to: Address, number: u64, command: u16, charge: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + HEADER + body.len());
    bytes.extend(((HEADER + body.len()) as u32).to_be_bytes());
    bytes.extend(b"\xfeSMB");
    bytes.extend(64u16.to_le_bytes());
    bytes.extend(charge.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(command.to_le_bytes());
    bytes.extend(WANTED_CREDITS.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(number.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(to.tree.to_le_bytes());
    bytes.extend(to.session.to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend(body);
    bytes
}

/// Dialect 2.1 and no other: requests of several credits, and no more handshakes than needed.
pub fn negotiate(client: u128) -> Vec<u8> {
    const SIGNING_ENABLED: u16 = 1;
    const LARGE_MTU: u32 = 4;
    let mut body = fields(&[36, 1, SIGNING_ENABLED, 0]);
    body.extend(LARGE_MTU.to_le_bytes());
    body.extend(client.to_le_bytes());
    body.extend([0; 8]);
    body.extend(0x0210u16.to_le_bytes());
    body
}

/// A step of a login with this token.
pub fn session_setup(token: &[u8]) -> Vec<u8> {
    let mut body = 25u16.to_le_bytes().to_vec();
    body.extend([0, 1]);
    body.extend([0; 8]);
    body.extend(fields(&[HEADER as u16 + 24, token.len() as u16]));
    body.extend([0; 8]);
    body.extend(token);
    body
}

/// NTLMSSP's first token (MS-NLMP 2.2.1.1).
pub fn ntlm_negotiate() -> Vec<u8> {
    let mut token = b"NTLMSSP\0\x01\0\0\0".to_vec();
    token.extend(NTLM_FLAGS.to_le_bytes());
    token.extend([0; 16]);
    token
}

/// NTLMSSP's last token (MS-NLMP 2.2.1.3), of nobody: no names, and one zero byte for an LM response.
pub fn ntlm_anonymous() -> Vec<u8> {
    const ANONYMOUS: u32 = 0x800;
    const END: u32 = 64;
    let mut token = b"NTLMSSP\0\x03\0\0\0".to_vec();
    for (length, at) in [(1, END), (0, END + 1), (0, END), (0, END), (0, END), (0, END + 1)] {
        token.extend(fields(&[length, length]));
        token.extend(at.to_le_bytes());
    }
    token.extend((NTLM_FLAGS | ANONYMOUS).to_le_bytes());
    token.push(0);
    token
}

/// UNICODE, REQUEST_TARGET, NTLM, ALWAYS_SIGN, EXTENDED_SESSIONSECURITY.
const NTLM_FLAGS: u32 = 0x0008_8205;

pub fn tree_connect(share: &str) -> Vec<u8> {
    let path = utf16(&format!(r"\\127.0.0.1\{share}"));
    let mut body = fields(&[9, 0, HEADER as u16 + 8, path.len() as u16]);
    body.extend(path);
    body
}

pub fn create(name: &str, open: Open) -> Vec<u8> {
    const IMPERSONATION: u32 = 2;
    const SHARE_ALL: u32 = 7;
    const NO_DIRECTORY: u32 = 0x40;
    const NORMAL: u32 = 0x80;
    // FILE_GENERIC_READ or FILE_GENERIC_WRITE; FILE_OPEN or FILE_OVERWRITE_IF.
    let (access, disposition) = match open {
        Open::Read => (0x0012_0089u32, 1u32),
        Open::Overwrite => (0x0012_0116, 5),
    };
    let name = utf16(name);
    let mut body = fields(&[57, 0]);
    body.extend(IMPERSONATION.to_le_bytes());
    body.extend([0; 16]);
    for value in [access, NORMAL, SHARE_ALL, disposition, NO_DIRECTORY] {
        body.extend(value.to_le_bytes());
    }
    body.extend(fields(&[HEADER as u16 + 56, name.len() as u16]));
    body.extend([0; 8]);
    body.extend(name);
    body
}

pub fn read(file: FileId, length: u32) -> Vec<u8> {
    let mut body = vec![49, 0, 0x50, 0];
    body.extend(length.to_le_bytes());
    body.extend([0; 8]);
    body.extend(file);
    body.extend([0; 17]);
    body
}

pub fn write(file: FileId, offset: u64, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(48 + data.len());
    body.extend(fields(&[49, HEADER as u16 + 48]));
    body.extend((data.len() as u32).to_le_bytes());
    body.extend(offset.to_le_bytes());
    body.extend(file);
    body.extend([0; 16]);
    body.extend(data);
    body
}

pub fn close(file: FileId) -> Vec<u8> {
    let mut body = fields(&[24, 0, 0, 0]);
    body.extend(file);
    body
}

/// An answer without its transport header.
pub struct Reply(pub Vec<u8>);

impl Reply {
    pub fn status(&self) -> u32 {
        self.u32(8)
    }

    /// The number of the request that this answers.
    pub fn number(&self) -> u64 {
        u64::from(self.u32(24)) | u64::from(self.u32(28)) << 32
    }

    pub fn tree(&self) -> u32 {
        self.u32(36)
    }

    pub fn session(&self) -> u64 {
        u64::from(self.u32(40)) | u64::from(self.u32(44)) << 32
    }

    /// Of a CREATE.
    pub fn file_id(&self) -> FileId {
        self.0[HEADER + 64..HEADER + 80].try_into().unwrap()
    }

    /// Bytes moved by a READ or WRITE, which say so at the same place.
    pub fn count(&self) -> u32 {
        self.u32(HEADER + 4)
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }
}

fn fields(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
