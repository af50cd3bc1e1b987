//! One job: turn samba-headers/*.h into layout tables.
fn main() {}
