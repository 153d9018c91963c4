//! What keeps a call alive that has no answer yet: a message that belongs to it, on every way; a comment, a log line or
//! another call's progress does not.

use crate::mcp::envelope::{Arrival, Id, Received};
use crate::mcp::walk::member;

/// The token under which a message of a server tells of progress.
pub fn progress_of(received: &Received<'_>) -> Option<Id> {
    match &received.arrival {
        Arrival::Notification(method) if &**method == "notifications/progress" => {
            Id::parse(member(received.params()?, "progressToken")?.0)
        }
        Arrival::Notification(_) | Arrival::Request(..) | Arrival::Result(_) | Arrival::Error(_) => None,
    }
}

/// Whether a message in the answer to the POST of a call belongs to this call: its progress, or a request, which a server
/// may send there only for the sake of the call (streamable HTTP, sending messages to the server).
pub fn belongs(received: &Received<'_>, token: Option<&Id>) -> bool {
    match &received.arrival {
        Arrival::Request(..) => true,
        Arrival::Notification(_) => token.is_some() && progress_of(received).as_ref() == token,
        Arrival::Result(_) | Arrival::Error(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope::receive;

    #[test]
    fn only_progress_under_the_token_and_requests_belong_to_a_call() {
        let check = |text: &str, token: Option<Id>, expected: bool| {
            let received = receive(text.as_bytes()).ok();
            assert_eq!(received.map(|received| belongs(&received, token.as_ref())), Some(expected), "{text}");
        };
        let progress =
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
        check(progress, Some(Id::Integer(7)), true);
        check(progress, Some(Id::Integer(8)), false);
        check(progress, Some(Id::Text("7".into())), false);
        check(progress, None, false);
        check(
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"progressToken":7}}"#,
            Some(Id::Integer(7)),
            false,
        );
        check(r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, None, false);
        check(r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#, None, true);
        check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Some(Id::Integer(1)), false);
    }
}
