//! Every way in which a request can end while its file is scanned. None may leave anything behind, or let content out
//! that was not scanned.

use vscan_tests::client::{Client, Pending, lease};
use vscan_tests::scanned::{Quiet, Scanned};

/// The scan ends, and its answer reaches whoever waits.
mod answers;
/// The file is another one by then.
mod files;
/// The request ends before its scan.
mod requests;

/// All that a lease can allow.
const ALL: u32 = lease::READ | lease::WRITE | lease::HANDLE;

/// A client whose open of this file is parked: its scan is held. What the client's smbd had open before.
#[track_caller]
fn parked(name: &str, content: &[u8]) -> (Scanned, Client, Quiet, Pending) {
    let it = Scanned::new("");
    it.plant(name, content);
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let open = it.park(&client, name);
    (it, client, quiet, open)
}
