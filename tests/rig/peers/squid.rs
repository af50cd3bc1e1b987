//! squid, a web proxy that shows what it fetches to an ICAP server.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::Judgement;
use crate::keeper::{Kept, Mounts};
use crate::wait::{SOON, eventually};

/// A running proxy; ends when it is dropped.
pub struct Squid {
    daemon: Kept,
    port: u16,
    home: TempDir,
}

impl Squid {
    /// A proxy before the ICAP service at this port of 127.0.0.1; returns when it accepts connections.
    pub fn start(icap_port: u16, service: &str) -> Self {
        let home = tempfile::Builder::new().prefix("vscan-rig-squid-").tempdir_in("/tmp").unwrap();
        // squid works as a user of its own.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let port = super::free_port();
        let conf_path = home.path().join("squid.conf");
        fs::write(&conf_path, conf(home.path(), port, icap_port, service)).unwrap();
        let command = ["squid", "-N", "-f", &conf_path.display().to_string()];
        let daemon = Kept::start(Mounts::Shared, "", &command, &home.path().join("output"));
        let squid = Self { daemon, port, home };
        eventually("squid listens", SOON, || TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(()));
        squid
    }

    /// Fetches this content through the proxy. The name of a threat is what its page says.
    pub fn judge(&mut self, content: &[u8]) -> Judgement {
        assert!(!self.daemon.has_ended(), "squid has ended: {}", self.log());
        let origin = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = origin.local_addr().unwrap();
        let response = [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len())
                .as_bytes(),
            content,
        ]
        .concat();
        let server = std::thread::spawn(move || serve(&origin, &response));
        let answer = self.get(&format!("http://{address}/file")).unwrap();
        server.join().unwrap().unwrap();
        let (head, body) = match answer.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => (String::from_utf8_lossy(&answer[..at]), &answer[at + 4..]),
            None => (String::from_utf8_lossy(&answer), &[][..]),
        };
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        match status {
            "200" if body == content => Judgement::Clean,
            "403" => Judgement::Malware(String::from_utf8_lossy(body).into_owned()),
            _ => Judgement::Trouble(format!("{head}\n{}", self.log())),
        }
    }

    fn get(&self, url: &str) -> io::Result<Vec<u8>> {
        let mut proxy = TcpStream::connect(("127.0.0.1", self.port))?;
        proxy.set_read_timeout(Some(SOON))?;
        write!(proxy, "GET {url} HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        proxy.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        read("output") + &read("cache.log")
    }
}

/// A web server for one request.
fn serve(origin: &TcpListener, response: &[u8]) -> io::Result<()> {
    let (mut client, _) = origin.accept()?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.extend(byte);
    }
    client.write_all(response)
}

fn conf(at: &Path, port: u16, icap_port: u16, service: &str) -> String {
    let at = at.display();
    format!(
        "http_port 127.0.0.1:{port}\nvisible_hostname rig.test\npid_filename {at}/pid\ncoredump_dir {at}\n\
         cache_log {at}/cache.log\naccess_log none\ncache deny all\nhttp_access allow all\nshutdown_lifetime 0 seconds\n\
         pinger_enable off\nicap_enable on\n\
         icap_service scanner respmod_precache icap://127.0.0.1:{icap_port}/{service} bypass=off\n\
         adaptation_access scanner allow all\n"
    )
}
