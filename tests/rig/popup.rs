//! Receivers of pop-up messages.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::share::Share;
use crate::smbd::{Builder, Smbd};

/// A real one: an smbd that writes down what it receives.
pub struct Popups {
    smbd: Smbd,
}

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popup {
    /// From whom, with underscores for what is no letter.
    pub from: String,
    /// In UTF-8, as smbd translated it.
    pub text: String,
}

/// smbd runs it as a guest.
const SCRIPT: &str = r#"
name=$(mktemp -d "$1/popup.XXXXXX")
printf %s "$3" >"$name/from"
mv "$2" "$name/text"
chmod -R a+rX "$name"
mv "$name" "$1/done"
"#;

impl Popups {
    /// Starts it, without NetBIOS.
    pub fn new() -> Self {
        Self::start(Smbd::new())
    }

    /// Starts it where clients have it. Only in a [network of its own](crate::network::in_own_network).
    pub fn with_netbios() -> Self {
        Self::start(Smbd::new().port(139))
    }

    fn start(server: Builder) -> Self {
        let smbd = server
            .share(Share::plain("none"))
            .smb1()
            .global("message command", "sh @RIG@/receive @RIG@/popups %s %f")
            .start();
        let directory = smbd.path("popups");
        fs::create_dir_all(directory.join("done")).unwrap();
        for directory in [directory.join("done"), directory] {
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::write(smbd.path("receive"), SCRIPT).unwrap();
        fs::set_permissions(smbd.path("receive"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { smbd }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.smbd.port()
    }

    /// All that has come so far, in no order.
    pub fn received(&self) -> Vec<Popup> {
        let entries = fs::read_dir(self.smbd.path("popups/done")).unwrap().flatten();
        let read = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        entries
            .map(|entry| entry.path())
            .map(|path| Popup { from: read(path.join("from")), text: read(path.join("text")) })
            .collect()
    }
}

impl Default for Popups {
    fn default() -> Self {
        Self::new()
    }
}

/// Sends a message with smbclient. Only on port 139, it uses NetBIOS.
pub fn smbclient_message(port: u16, from: &str, to: &str, text: &str) {
    let mut smbclient = Command::new("smbclient")
        .args(["--configfile=/dev/null", "--option=client min protocol=NT1", "-M", to, "-I", "127.0.0.1"])
        .args(["-p", &port.to_string(), "-n", from.split(' ').next().unwrap(), "-U", from])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("smbclient is installed: run tests/setup.sh");
    smbclient.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(smbclient.wait().unwrap().success());
}

/// A receiver that agrees to everything and keeps the bytes.
pub struct Recorder {
    port: u16,
    packets: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    /// Starts it.
    pub fn new() -> Self {
        Self::on(0)
    }

    /// Starts it on this port.
    pub fn on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let packets = Arc::new(Mutex::new(Vec::new()));
        let sink = packets.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                while let Some(packet) = packet(&mut stream) {
                    let answer = answer(&packet);
                    sink.lock().unwrap().push(packet);
                    if stream.write_all(&answer).is_err() {
                        break;
                    }
                }
            }
        });
        Self { port, packets }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All packets so far, with their headers.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        self.packets.lock().unwrap().clone()
    }

    /// Takes them away.
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.packets.lock().unwrap())
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

/// A receiver that knows no messages of several blocks, with a real one behind it for the others.
///
/// smbd takes a message of one block only from those who have negotiated a dialect, which nobody does who sends messages. So
/// that is done here; the message itself and its answer are passed on as they are.
pub struct OneBlock {
    port: u16,
}

impl OneBlock {
    /// In front of this one.
    pub fn before(receiver: &Popups) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, receiver) = (listener.local_addr().unwrap().port(), receiver.port());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut smbd = TcpStream::connect(("127.0.0.1", receiver)).unwrap();
                while let Some(request) = packet(&mut stream) {
                    let answer = match request[COMMAND] {
                        SEND_MESSAGE => {
                            ask(&mut smbd, &negotiation());
                            ask(&mut smbd, &request)
                        }
                        _ => refusal(&request),
                    };
                    stream.write_all(&answer).unwrap();
                }
            }
        });
        Self { port }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Where a packet has its command.
const COMMAND: usize = 4 + 4;

/// SMB_COM_SEND_MESSAGE.
const SEND_MESSAGE: u8 = 0xd0;

fn ask(smbd: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    smbd.write_all(request).unwrap();
    packet(smbd).expect("smbd answers")
}

/// SMB_COM_NEGOTIATE (MS-CIFS 2.2.4.52): one dialect.
fn negotiation() -> Vec<u8> {
    let mut header = [0; 32];
    header[..5].copy_from_slice(b"\xffSMB\x72");
    let dialect = b"\x02NT LM 0.12\0";
    let content = [&header[..], &[0, dialect.len() as u8, 0], dialect].concat();
    [&[0, 0, 0, content.len() as u8], content.as_slice()].concat()
}

/// "No such command": ERRSRV and ERRsmbcmd.
fn refusal(request: &[u8]) -> Vec<u8> {
    let mut answer = answer(request);
    answer[COMMAND + 1] = 2;
    answer[COMMAND + 3] = 64;
    answer
}

fn packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).ok()?;
    let length = u16::from_be_bytes([packet[2], packet[3]]);
    packet.resize(4 + usize::from(length), 0);
    stream.read_exact(&mut packet[4..]).ok()?;
    Some(packet)
}

/// A session is granted; a request of SMB1 is answered by its own header, as a reply and without words and bytes.
fn answer(packet: &[u8]) -> Vec<u8> {
    if packet[0] == 0x81 {
        return vec![0x82, 0, 0, 0];
    }
    let mut answer = [&[0, 0, 0, 35], &packet[4..36], &[0, 0, 0]].concat();
    answer[4 + 9] = 0x80;
    answer
}
