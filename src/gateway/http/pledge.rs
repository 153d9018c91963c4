//! Pledges over HTTP: in a header, or in `_meta` of the message.

use super::refusal::Refusal;
use super::sessions::Joint;
use crate::clock;
use crate::gateway::audit::Route;
use crate::gateway::decider::Decider;
use crate::gateway::exchange::DoorRefusal;
use crate::gateway::pledges::{NotPledged, PLEDGE_HEADER, of_server, pledged_by};
use crate::mcp::envelope::Message;
use crate::policy::{BadPledge, Caller, OtherSession, Pledge};
use http::{Extensions, HeaderMap, StatusCode};
use std::sync::Arc;

/// Takes what a request to one server pledges, for the session of its caller or for the request alone.
///
/// # Errors
/// It is no pledge, or cannot be kept.
pub(super) fn take(
    decider: &Decider,
    caller: &mut Caller,
    way: Route,
    (beside, headers): (&Extensions, &HeaderMap),
    message: &Message,
) -> Result<(), Refusal> {
    if let Some(Joint { session, pledge }) = beside.get() {
        // What it pledges names tools as the endpoint of all servers does, and was read there.
        (caller.course, caller.pledge) = (session.clone().map(OtherSession::Joint), pledge.clone());
        return Ok(());
    }
    let server = Arc::clone(&caller.server);
    match read(headers, message, of_server(&server))? {
        Some(pledge) => keep(decider, caller, way, pledge, message),
        None => Ok(()),
    }
}

/// Keeps a pledge for the session of a caller, or for the request alone.
///
/// # Errors
/// It cannot be kept.
pub(super) fn keep(
    decider: &Decider,
    caller: &mut Caller,
    way: Route,
    pledge: Pledge,
    message: &Message,
) -> Result<(), Refusal> {
    decider.pledge(clock::now(), caller, way, pledge).map_err(|refused| refusal(refused, message))
}

/// What a request pledges; `place` says which server and tool a name stands for.
///
/// # Errors
/// It is no pledge.
pub(super) fn read(
    headers: &HeaderMap,
    message: &Message,
    place: impl Fn(&str) -> Option<(String, String)>,
) -> Result<Option<Pledge>, Refusal> {
    let texts: Result<Vec<&str>, _> = headers.get_all(PLEDGE_HEADER).iter().map(http::HeaderValue::to_str).collect();
    let texts = texts.map_err(|_| refusal(BadPledge::NoList.into(), message))?;
    pledged_by(Some(message), texts, place).map_err(|bad| refusal(bad.into(), message))
}

fn refusal(refused: NotPledged, message: &Message) -> Refusal {
    let status = match &refused {
        NotPledged::Bad(_) => StatusCode::BAD_REQUEST,
        NotPledged::Unkept(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let DoorRefusal { code, message: text } = refused.into();
    message.id().into_iter().fold(Refusal::new(status, text).with_code(code), Refusal::to)
}
