//! disconnect: a client leaves the share.

use vscan_engine::log::{Level, Log as _};

use crate::share::Share;

/// Says so to those who listen closely; what the share held is freed with it.
pub fn disconnect(share: &Share) {
    let context = share.context();
    let text = format!("disconnect: share {}, user {}, client {}", context.share, context.user, context.client);
    share.log().line(Level::Debug, &text);
}
