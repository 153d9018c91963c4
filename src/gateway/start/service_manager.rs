//! Tells the service manager of the system (systemd, by `NOTIFY_SOCKET`) that the gateway listens, and that it ends.

use crate::gateway::said::Said;

/// What a service manager hears of.
#[derive(Clone, Copy, Debug)]
pub(super) enum ServiceState {
    /// Clients can connect.
    Ready,
    /// No new connection is taken; calls in flight end.
    Stopping,
}

/// Tells it, if one has asked for that.
#[cfg(target_os = "linux")]
pub(super) fn tell(state: ServiceState, say: fn(&Said<'_>)) {
    use sd_notify::NotifyState;
    let state = match state {
        ServiceState::Ready => NotifyState::Ready,
        ServiceState::Stopping => NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        say(&Said::warning(format!("the service manager cannot be told: {error}")));
    }
}

/// There is none that asks for it.
#[cfg(not(target_os = "linux"))]
pub(super) fn tell(_state: ServiceState, _say: fn(&Said<'_>)) {}
