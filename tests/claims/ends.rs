//! Every way in which a request can end while its file is scanned. None may leave anything behind, or let content out
//! that was not scanned.

use vscan_tests::client::{Client, Open, Pending, lease};
use vscan_tests::scanned::{Quiet, Scanned};
use vscan_tests::wait::SOON;

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

/// The same with an open, a read and a close as one compound.
#[track_caller]
fn compound_parked(name: &str, content: &[u8]) -> (Scanned, Client, Quiet, [Pending; 3]) {
    let it = Scanned::new("");
    it.plant(name, content);
    let (client, quiet) = it.connect();
    it.scanner.hold();
    let scans = it.scanner.scans();
    let parts = client.compound_read(name, Open::read(), 100);
    it.scanner.wait_for_scans(scans + 1, SOON);
    (it, client, quiet, parts)
}
