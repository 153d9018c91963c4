//! Answers of a server behind a URL as they come: which kind they are, JSON in one piece, and what is no message at all.

use super::body::Answer;
use super::exchange::Exchange;
use super::refusal::{Refusal, accepted, json};
use crate::gateway::exchange::{CallOutcome, Fate, invalid};
use crate::mcp::envelope::{Arrival, MESSAGE_BYTES_MAX, receive};
use crate::mcp::http::readdress::Place;
use crate::mcp::http::{Held, Unread, named_kind};
use crate::mcp::walk::member;
use bytes::Bytes;
use http::{Response, StatusCode, response};
use std::time::Duration;

pub(super) fn without_length(mut head: response::Parts) -> response::Parts {
    head.headers.remove(http::header::CONTENT_LENGTH);
    head
}

/// The server will not answer. A request gets an error, everything else the status alone.
pub(super) fn failed(
    exchange: &mut Exchange,
    status: StatusCode,
    outcome: CallOutcome,
    message: &str,
) -> Response<Answer> {
    match exchange.fail(outcome, message) {
        Some(error) => json(status, error),
        None => Refusal::new(status, message.to_owned()).into_response(),
    }
}

/// Reads a JSON body, which cannot be judged before its end.
pub(super) async fn collect(mut held: Held, patience: Option<Duration>) -> Result<Bytes, (CallOutcome, String)> {
    let reading = async {
        held.whole(MESSAGE_BYTES_MAX).await.map_err(|why| match why {
            Unread::TooLong => {
                (CallOutcome::TooLong, "the server's answer is longer than this gateway takes".to_owned())
            }
            Unread::Broken(_) => (CallOutcome::Broken, "the answer from the server broke off".to_owned()),
        })
    };
    match patience {
        None => reading.await,
        Some(wait) => tokio::time::timeout(wait, reading).await.unwrap_or_else(|_| {
            Err((CallOutcome::Timeout, format!("the server has not answered within {} s", wait.as_secs_f64())))
        }),
    }
}

/// An answer in one piece.
pub(super) async fn whole(
    head: response::Parts,
    held: Held,
    mut exchange: Exchange,
    patience: Option<Duration>,
) -> Response<Answer> {
    let body = match collect(held, patience).await {
        Ok(body) => body,
        Err((outcome, message)) => return failed(&mut exchange, StatusCode::BAD_GATEWAY, outcome, &message),
    };
    if !head.status.is_success() {
        // Errors of HTTP name the request as they like; only what could be taken for a result is looked at.
        let is_result = match receive(&body) {
            Ok(received) => matches!(received.arrival, Arrival::Result(_)),
            // The name of a member may be written with escapes.
            Err(_) => {
                memchr::memmem::find(&body, b"result").is_some()
                    || member(&String::from_utf8_lossy(&body), "result").is_some()
            }
        };
        if !is_result {
            return match settle_error(&mut exchange, &body) {
                Fate::Replace(message) => Response::from_parts(without_length(head), Answer::whole(message)),
                Fate::Pass | Fate::Drop => Response::from_parts(head, Answer::whole(body)),
            };
        }
    }
    if body.trim_ascii().is_empty() && !exchange.is_open() {
        return Response::from_parts(head, Answer::whole(body));
    }
    match exchange.message(&body) {
        Fate::Pass => Response::from_parts(head, Answer::whole(body)),
        Fate::Replace(message) => Response::from_parts(without_length(head), Answer::whole(message)),
        Fate::Drop => {
            // The whole body is one answer: what is wrong with it is what is wrong with the answer.
            let why = match receive(&body) {
                Ok(_) => "the server's answer is not for this request".to_owned(),
                Err(malformed) => invalid(&malformed.reason),
            };
            match exchange.fail(CallOutcome::Invalid, &why) {
                Some(error) => json(StatusCode::BAD_GATEWAY, error),
                None => accepted(),
            }
        }
    }
}

/// An answer with an error status: a JSON-RPC error is about this very request, whatever id it has. Passes as it came, or is
/// replaced.
fn settle_error(exchange: &mut Exchange, body: &Bytes) -> Fate {
    let is_for_this = match (receive(body), exchange.id()) {
        (Ok(received), Some(open)) => matches!(&received.arrival, Arrival::Error(id) if id == open),
        _ => false,
    };
    if is_for_this {
        exchange.message(body)
    } else if let Some(meant) = exchange.meant(body, Place::InRefusal).filter(|text| receive(text.as_bytes()).is_ok()) {
        exchange.message(meant.as_bytes())
    } else {
        // HTTP has errors of its own, which are no messages.
        exchange.refused(body.len());
        Fate::Pass
    }
}

/// An answer that is neither JSON nor events: pages of proxies, plain text, nothing at all.
pub(super) fn other(head: response::Parts, held: Held, mut exchange: Exchange) -> Response<Answer> {
    if head.status.is_success() {
        if exchange.is_open() {
            let kind = named_kind(&head.headers);
            let message = format!("the server answered with {kind}, which is neither JSON nor a stream of events");
            return failed(&mut exchange, StatusCode::BAD_GATEWAY, CallOutcome::NotMcp, &message);
        }
        // Nothing is due, and nothing that a client could take for a message passes.
        return Response::from_parts(without_length(head), Answer::empty());
    }
    exchange.refused(0);
    Response::from_parts(head, Answer::Raw(Box::new(held)))
}
