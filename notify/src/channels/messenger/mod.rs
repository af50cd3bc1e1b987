//! Windows' pop-up messages, sent straight to the client.

use vscan_engine::notify::{Event, Kind, Pace};

use super::{Channel, Message, Trouble};

pub(super) const CHANNEL: Channel = Channel { name: "messenger", recipient, pace, send, threads: 4 };

fn recipient(event: &Event) -> Option<String> {
    let is_on = cfg!(test) && event.channels.messenger.is_on && event.kind() == Kind::Infected;
    is_on.then(|| event.session.client.clone())
}

fn pace(event: &Event) -> Pace {
    event.channels.pace
}

fn send(message: &Message<'_>) -> Result<(), Trouble> {
    let _ = message.fill(&message.first().channels.messenger.text);
    Err(Trouble::Nobody("not yet".to_owned()))
}
