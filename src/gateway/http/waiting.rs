//! The answer to a call that waits for a person, where the client wants to hear of progress: a stream from the start, so
//! that neither the client nor whatever lies between takes the call for dead. The answer itself comes as its last events.

use super::body::{Answer, BodyError, Pieces};
use super::mcp_headers::EVENTS;
use super::refusal::Refusal;
use crate::gateway::exchange::{PROGRESS_EVERY, Telling};
use crate::gateway::reply;
use crate::mcp::envelope::{Arrival, Id, MESSAGE_BYTES_MAX, Received, ReplyTo, receive};
use crate::mcp::http::ContentKind;
use crate::mcp::sse::event;
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body as _, Frame};
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::time::Sleep;

/// What remains to be done for the answer.
type Rest = Pin<Box<dyn Future<Output = Result<Response<Answer>, Refusal>> + Send>>;

/// A call that waits.
pub struct Waiting {
    id: Id,
    telling: Telling,
    /// When the client hears of it again; nothing before the first time.
    next: Option<Pin<Box<Sleep>>>,
    state: WaitState,
}

enum WaitState {
    /// In a mutex, which is never locked: a body must be shareable, and what remains need not be.
    Waiting(Mutex<Rest>),
    /// The answer is one message, of which so much is there.
    Whole(Answer, BytesMut),
    /// The answer is a stream itself.
    Stream(Answer),
    Over,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("id", &self.id).field("telling", &self.telling).finish_non_exhaustive()
    }
}

impl Pieces for Waiting {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match &mut self.state {
                WaitState::Over => return Poll::Ready(None),
                WaitState::Waiting(rest) => {
                    let rest = rest.get_mut().unwrap_or_else(PoisonError::into_inner);
                    if let Poll::Ready(response) = rest.as_mut().poll(cx) {
                        let response = response.unwrap_or_else(Refusal::into_response);
                        self.state = begun(response);
                        continue;
                    }
                    if let Some(next) = &mut self.next {
                        std::task::ready!(next.as_mut().poll(cx));
                    }
                    self.next = Some(Box::pin(tokio::time::sleep(PROGRESS_EVERY)));
                    let mut line = Vec::new();
                    self.telling.tell(&mut line);
                    return Poll::Ready(Some(Ok(event(&line))));
                }
                WaitState::Stream(answer) => {
                    let Some(frame) = std::task::ready!(Pin::new(answer).poll_frame(cx)) else {
                        self.state = WaitState::Over;
                        continue;
                    };
                    match frame.map(Frame::into_data) {
                        Ok(Ok(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                        Ok(Err(_)) => {}
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                WaitState::Whole(answer, taken) => {
                    match std::task::ready!(Pin::new(answer).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                        Some(Ok(Ok(bytes))) if taken.len() + bytes.len() <= MESSAGE_BYTES_MAX => {
                            taken.extend_from_slice(&bytes);
                        }
                        Some(Ok(Err(_))) => {}
                        // Too long, or broken off: no message, as at its end if there is none in it.
                        Some(Ok(Ok(_)) | Err(_)) => return self.last(&[]),
                        None => {
                            let taken = std::mem::take(taken);
                            return self.last(&taken);
                        }
                    }
                }
            }
        }
    }
}

impl Waiting {
    /// A call with this id and token waits for this approval.
    pub fn new(id: Id, token: &str, approval: &str) -> Self {
        Self { id, telling: Telling::new(token, approval), next: None, state: WaitState::Over }
    }

    /// The response that begins now and ends with what this comes to.
    pub fn until(self, rest: Rest) -> Response<Answer> {
        let waiting = Self { state: WaitState::Waiting(Mutex::new(rest)), ..self };
        let mut response = Response::new(Answer::stream(waiting));
        response.headers_mut().insert(CONTENT_TYPE, EVENTS);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    /// The message that ends the wait.
    fn last(&mut self, body: &[u8]) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.state = WaitState::Over;
        // An answer with an error status may name whomever the server likes; here there is no status to tell that.
        let is_ours = |received: &Received<'_>| match &received.arrival {
            Arrival::Result(id) | Arrival::Error(id) => *id == self.id,
            Arrival::Request(..) | Arrival::Notification(_) => false,
        };
        let message = receive(body).ok().filter(is_ours).map_or_else(
            || {
                let mut line = Vec::new();
                let what = "the server's answer is not valid";
                reply::error(&mut line, &ReplyTo::Id(self.id.clone()), reply::INTERNAL_ERROR, what);
                event(&line)
            },
            // A line break would end the line of the event. None is in a text: there it would have to be an escape.
            |received| {
                let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
                let line: Vec<u8> = received.text.bytes().filter(|byte| !is_break(byte)).collect();
                event(&line)
            },
        );
        Poll::Ready(Some(Ok(message)))
    }
}

fn begun(response: Response<Answer>) -> WaitState {
    if response.status() == StatusCode::ACCEPTED {
        // The client has withdrawn the call, and hears no more of it.
        return WaitState::Over;
    }
    let is_stream = ContentKind::of(response.headers()) == ContentKind::EventStream;
    let answer = response.into_body();
    if is_stream { WaitState::Stream(answer) } else { WaitState::Whole(answer, BytesMut::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::http::refusal::json;
    use http_body_util::BodyExt as _;

    async fn heard(rest: Result<Response<Answer>, Refusal>) -> String {
        let waiting = Waiting::new(Id::Integer(1), "7", "ap");
        let rest = Box::pin(async move {
            // Not at once: the client hears of it first.
            tokio::task::yield_now().await;
            rest
        });
        let collected = waiting.until(rest).into_body().collect().await;
        collected.map_or_else(|error| error.to_string(), |all| String::from_utf8_lossy(&all.to_bytes()).into_owned())
    }

    #[tokio::test]
    async fn a_client_hears_that_its_call_waits_and_then_the_answer_whatever_it_is() {
        const WAITS: &str = concat!(
            "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":7,",
            "\"progress\":0.000001,\"message\":\"waiting for approval ap\"}}\n\n"
        );
        let stream = |text: &str| {
            let mut response = Response::new(Answer::whole(text.to_owned()));
            response.headers_mut().insert(CONTENT_TYPE, EVENTS);
            response
        };
        let refusal = || Refusal::new(StatusCode::UNAUTHORIZED, "no").to(&Id::Integer(1));
        let invalid = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":\"the server's answer is not valid\"}}";
        for (rest, last) in [
            (
                Ok(json(StatusCode::OK, b"{\"jsonrpc\":\"2.0\",\n \"id\":1,\"result\":{}}".to_vec())),
                "event: message\ndata: {\"jsonrpc\":\"2.0\", \"id\":1,\"result\":{}}\n\n".to_owned(),
            ),
            (Ok(stream(": x\n\ndata: {}\n\n")), ": x\n\ndata: {}\n\n".to_owned()),
            (
                Err(refusal()),
                "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32600,\"message\":\"no\"}}\n\n".to_owned(),
            ),
            (
                Ok(json(StatusCode::NOT_FOUND, b"{\"jsonrpc\":\"2.0\",\"id\":\"other\",\"error\":{}}".to_vec())),
                format!("event: message\ndata: {invalid}\n\n"),
            ),
            (Ok(Response::new(Answer::whole("<html>"))), format!("event: message\ndata: {invalid}\n\n")),
            (Ok(Response::new(Answer::empty())), format!("event: message\ndata: {invalid}\n\n")),
        ] {
            assert_eq!(heard(rest).await, format!("{WAITS}{last}"));
        }
    }
}
