//! What systemd, or whoever plays its part, is told and hands over: sockets that are open already, and when we are ready.

use std::io;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::listen::Listener;

/// The sockets that were handed over (`LISTEN_FDS`): the first is the public one, the second the admin one.
pub fn sockets() -> io::Result<(Option<Listener>, Option<Listener>)> {
    let mut handed = ListenFd::from_env();
    let mut take = |index| -> io::Result<Option<Listener>> {
        if let Ok(Some(socket)) = handed.take_unix_listener(index) {
            return Listener::from_unix(socket).map(Some);
        }
        handed.take_tcp_listener(index)?.map(Listener::from_tcp).transpose()
    };
    Ok((take(0)?, take(1)?))
}

/// Tells that beacons are taken.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells that the collector ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells that the configuration is being read again; [`ready`] follows.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Where nobody listens there is nobody to tell.
fn tell(what: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(what);
}
