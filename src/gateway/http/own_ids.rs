//! Rewrites ids in messages from and to a child process that several clients may share. Where a client's id could be
//! taken for another's, its request goes out under an id of the gateway's own, as id and as progress token; what comes
//! back gets the client's again. A message is rewritten before it is judged, so what is judged is what is sent.

use crate::mcp::envelope::{Id, Malformed, Message, admit};
use crate::mcp::walk::member;
use std::ops::Range;

/// Names of members, from the outermost object inwards.
type Path = &'static [&'static str];

const ID: Path = &["id"];
const TOKEN_ASKED: Path = &["params", "_meta", "progressToken"];
const TOKEN_TOLD: Path = &["params", "progressToken"];
const WITHDRAWN: Path = &["params", "requestId"];
const SUBSCRIPTION: Path = &["params", "_meta", "io.modelcontextprotocol/subscriptionId"];

/// The byte range of the value at a path of a message.
fn place(text: &str, path: Path) -> Option<Range<usize>> {
    path.iter().try_fold(0..text.len(), |within, name| {
        let (_, span) = member(text.get(within.clone())?, name)?;
        Some(within.start + span.start..within.start + span.end)
    })
}

/// The message with this JSON value at each of these paths; a path that leads nowhere changes nothing.
fn replaced(text: &str, paths: &[Path], value: &str) -> String {
    let mut places: Vec<_> = paths.iter().filter_map(|path| place(text, path)).collect();
    places.sort_unstable_by_key(|span| span.start);
    let (mut out, mut at) = (String::with_capacity(text.len() + paths.len() * value.len()), 0);
    for span in places {
        out.push_str(&text[at..span.start]);
        out.push_str(value);
        at = span.end;
    }
    out.push_str(&text[at..]);
    out
}

fn json(id: &Id) -> String {
    let mut out = Vec::new();
    id.write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A client's request as the child gets it: under the gateway's own id.
pub(super) fn request(message: &Message, own: &Id) -> Result<Message, Malformed> {
    altered(message, &[ID, TOKEN_ASKED], own)
}

/// A client's `notifications/cancelled` as the child gets it: for the gateway's own id.
pub(super) fn withdrawal(message: &Message, own: &Id) -> Result<Message, Malformed> {
    altered(message, &[WITHDRAWN], own)
}

fn altered(message: &Message, paths: &[Path], own: &Id) -> Result<Message, Malformed> {
    // Admission has seen that it is text.
    admit(replaced(&String::from_utf8_lossy(message.line()), paths, &json(own)).as_bytes())
}

/// The child's answer as the client gets it: under the client's id.
pub(super) fn answer(text: &str, id: &Id) -> String {
    replaced(text, &[ID], &json(id))
}

/// The child's `notifications/progress` as the client gets it: with the client's token, given as JSON.
pub(super) fn progress(text: &str, token: &str) -> String {
    replaced(text, &[TOKEN_TOLD], token)
}

/// The child's message of a subscription as the client gets it that subscribed under this id.
pub(super) fn of_subscription(text: &str, id: &Id) -> String {
    replaced(text, &[SUBSCRIPTION], &json(id))
}

fn named(params: Option<&str>, path: Path) -> Option<Id> {
    let params = params?;
    Id::parse(&params[place(params, path)?])
}

/// The progress token in the `params` of the child's progress: the gateway's own id of the request.
pub(super) fn progress_of(params: Option<&str>) -> Option<Id> {
    named(params, &["progressToken"])
}

/// The subscription in the `params` of the child's message: the gateway's own id of the request that opened it.
pub(super) fn subscription_of(params: Option<&str>) -> Option<Id> {
    named(params, &["_meta", "io.modelcontextprotocol/subscriptionId"])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    #[test]
    fn a_request_goes_out_under_an_own_id_and_comes_back_under_its_clients() {
        let sent = |text: &str, as_sent: fn(&Message, &Id) -> Result<Message, Malformed>, own| {
            let altered = as_sent(&admit(text.as_bytes()).unwrap(), &Id::Integer(own)).unwrap();
            String::from_utf8(altered.line().to_vec()).unwrap()
        };
        let asked =
            r#"{"jsonrpc":"2.0","method":"m","params":{"x":{"id":1},"_meta":{"progressToken":"t","id":2}},"id":"a"}"#;
        let expected =
            r#"{"jsonrpc":"2.0","method":"m","params":{"x":{"id":1},"_meta":{"progressToken":77,"id":2}},"id":77}"#;
        assert_eq!(sent(asked, request, 77), expected);
        let asked = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#;
        assert_eq!(sent(asked, request, 5), asked.replace('1', "5"));
        let answered = r#"{"result":{"id":77},"id":77}"#;
        assert_eq!(answer(answered, &Id::Text("a\"".into())), r#"{"result":{"id":77},"id":"a\""}"#);
        let withdrawn = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#;
        assert_eq!(sent(withdrawn, withdrawal, 77), withdrawn.replace("\"a\"", "77"));
    }

    #[test]
    fn progress_and_subscriptions_are_told_by_the_own_id() {
        let params = r#"{"progress":1,"progressToken":77}"#;
        assert_eq!(progress_of(Some(params)), Some(Id::Integer(77)));
        assert_eq!(progress_of(Some(r#"{"progressToken":null}"#)), None);
        let message = r#"{"params":{"progress":1,"progressToken":77}}"#;
        assert_eq!(progress(message, "\"t\""), r#"{"params":{"progress":1,"progressToken":"t"}}"#);
        let news = r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}"#;
        assert_eq!(subscription_of(Some(news)), Some(Id::Integer(7)));
        let message = format!(r#"{{"method":"m","params":{news}}}"#);
        assert_eq!(of_subscription(&message, &Id::Integer(1)), message.replace('7', "1"));
        assert_eq!((progress_of(None), subscription_of(Some("[]"))), (None, None));
    }
}
