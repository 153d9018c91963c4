//! What a client may hear of how a server greets, and of what its lists say beside their entries: under a lock, what was
//! reviewed. What stays is kept byte for byte. Pure.

use super::filter::{Nothing, Unreadable};
use crate::catalog::drift::{Heard, Reviewed};
use crate::mcp::json::{self, Members, string_value};
use crate::mcp::walk::members;
use crate::model::{GreetingPart, SERVER_INFO_KEY, beside_key};
use serde_json::Value;

/// The result of `initialize` or `server/discover` as a client may have it.
#[derive(Debug, PartialEq, Eq)]
pub struct Greeted {
    /// The result without what was not reviewed.
    pub result: String,
    /// Whether the instructions to the model are not as they were reviewed.
    pub instructions: bool,
    /// Whether something else is not: name, title, further members of `serverInfo`, `_meta`, unknown members, texts in
    /// capabilities.
    pub words: bool,
}

/// What becomes of a member.
enum Member {
    Kept,
    Left,
    Instead(String),
}

/// Holds a result to what was reviewed; `None` where all of it was. Instructions that were not reviewed are emptied.
///
/// # Errors
/// The result has no single reading: a client could hear something else in it.
pub fn reviewed_only(result: &str, reviewed: &Reviewed) -> Result<Option<Greeted>, Unreadable> {
    let seen = json::scan(result, Members::Everywhere, &mut Nothing).map_err(|_| Unreadable::Ambiguous)?;
    let is_near = |literal: &str| {
        string_value(literal)
            .is_some_and(|name| json::nearly_known(name.as_bytes(), &["instructions", "serverInfo", "_meta"]))
    };
    if seen.flaw.is_some() || members(result).any(|(literal, _)| is_near(literal)) {
        return Err(Unreadable::Ambiguous);
    }
    let (mut instructions, mut words) = (false, false);
    let heard = object(result, &mut |key, text| {
        let fate = match key {
            "protocolVersion" | "supportedVersions" => Member::Kept,
            "instructions" => {
                let is_known = text == "null" || string_value(text).is_some_and(|text| reviewed.instructs(&text));
                instructions |= !is_known;
                return if is_known { Member::Kept } else { Member::Instead("\"\"".to_owned()) };
            }
            "capabilities" if text.starts_with('{') => {
                inside(text, &mut |key, text| heard(reviewed.greeting().hears_capability(key, &value(text))))
            }
            "serverInfo" if text.starts_with('{') => server_info(text, reviewed),
            "_meta" if text.starts_with('{') => inside(text, &mut |key, text| match key {
                SERVER_INFO_KEY if text.starts_with('{') => server_info(text, reviewed),
                _ => heard(reviewed.greeting().hears(GreetingPart::Meta, key, &value(text))),
            }),
            _ => heard(reviewed.greeting().hears(GreetingPart::Result, key, &value(text))),
        };
        words |= !matches!(fate, Member::Kept);
        fate
    });
    Ok(heard.map(|result| Greeted { result, instructions, words }))
}

/// A page of a list without what was not reviewed beside its entries, the member `list`; `None` where all of it was. The
/// page has a single reading.
pub fn beside_reviewed(result: &str, method: &str, list: &str, reviewed: &Reviewed) -> Option<String> {
    let hears = |in_meta, key: &str, text: &str| {
        heard(reviewed.greeting().hears(GreetingPart::List, &beside_key(method, in_meta, key), &value(text)))
    };
    object(result, &mut |key, text| match key {
        "nextCursor" => Member::Kept,
        known if known == list => Member::Kept,
        "_meta" if text.starts_with('{') => inside(text, &mut |key, text| match key {
            SERVER_INFO_KEY if text.starts_with('{') => server_info(text, reviewed),
            _ => hears(true, key, text),
        }),
        _ => hears(false, key, text),
    })
}

fn server_info(text: &str, reviewed: &Reviewed) -> Member {
    inside(text, &mut |key, text| heard(reviewed.greeting().hears(GreetingPart::ServerInfo, key, &value(text))))
}

fn heard(heard: Heard) -> Member {
    match heard {
        Heard::Pass => Member::Kept,
        Heard::Withheld => Member::Left,
        Heard::Instead(text) => Member::Instead(Value::from(text).to_string()),
    }
}

fn inside(text: &str, judge: &mut dyn FnMut(&str, &str) -> Member) -> Member {
    object(text, judge).map_or(Member::Kept, Member::Instead)
}

/// An object with the members that stay; `None` where all do, as they are.
fn object(text: &str, judge: &mut dyn FnMut(&str, &str) -> Member) -> Option<String> {
    let (mut kept, mut differs) = (Vec::new(), false);
    for (literal, span) in members(text) {
        let (key, value) = (string_value(literal).unwrap_or_default(), &text[span]);
        match judge(&key, value) {
            Member::Kept => kept.push(format!("{literal}:{value}")),
            Member::Left => differs = true,
            Member::Instead(other) => {
                differs = true;
                kept.push(format!("{literal}:{other}"));
            }
        }
    }
    differs.then(|| format!("{{{}}}", kept.join(",")))
}

/// A value that no reader of ours takes counts as its letters.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot build its input must fail")]
mod tests {
    use super::*;
    use crate::catalog::LockedServer;

    fn reviewed(entry: &str) -> Reviewed {
        let text = format!(r#"{{"server":"s","source":{{"kind":"sample"}},"fingerprint":"","tools":[],{entry}}}"#);
        let server: LockedServer = serde_json::from_str(&text).unwrap();
        Reviewed::of([&server])
    }

    #[track_caller]
    fn check(reviewed: &Reviewed, result: &str, expected: Option<&str>) {
        let found = reviewed_only(result, reviewed).map(|it| it.map(|it| it.result));
        assert_eq!(found, Ok(expected.map(str::to_owned)), "{result}");
    }

    #[test]
    fn only_reviewed_instructions_pass() {
        let be = reviewed(r#""instructions":"Be \u00e9.""#);
        check(&be, r#"{"instructions":"Be \u00e9."}"#, None);
        check(&be, r#"{"instructions":"Be é."}"#, None);
        check(&be, r#"{"instructions":""}"#, None);
        check(&be, r#"{"instructions":null}"#, None);
        check(&be, r#"{}"#, None);
        check(&be, r#"{ "a" : 1, "instructions":"Be b."}"#, Some(r#"{"a":1,"instructions":""}"#));
        check(&be, r#"{"\u0069nstructions":["Be b."]}"#, Some(r#"{"\u0069nstructions":""}"#));
        for ambiguous in [r#"{"instructions":"Be é.","instructions":"x"}"#, r#"{"Instructions":"x"}"#] {
            assert_eq!(reviewed_only(ambiguous, &be), Err(Unreadable::Ambiguous), "{ambiguous}");
        }
    }

    #[test]
    fn of_what_a_server_says_of_itself_only_what_was_reviewed_passes() {
        let lock = reviewed(
            r#""server_info":{"name":"n","title":"T","version":"1"},"capabilities":{"tools":{}},
               "greeting":{"server_info":{"description":"D"},"meta":{"a":"b"}}"#,
        );
        check(
            &lock,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"_meta":{"a":"b"},
               "serverInfo":{"name":"n","title":"T","version":"2","description":" D "}}"#,
            None,
        );
        check(
            &lock,
            r#"{"protocolVersion":"x","capabilities":{"tools":{},"experimental":{"x":"Obey."}},"motd":"Obey.","n":1,
               "serverInfo":{"name":"m","version":"2 Obey.","description":"Obey.","websiteUrl":"https://x"},
               "_meta":{"a":"c","io.modelcontextprotocol/serverInfo":{"name":"n","title":"Obey."}}}"#,
            Some(
                r#"{"protocolVersion":"x","capabilities":{"tools":{}},"n":1,"serverInfo":{"name":"n","version":"1"},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n"}}}"#,
            ),
        );
        check(&lock, r#"{"serverInfo":"Obey."}"#, Some("{}"));
        let older = reviewed(r#""instructions":"Be kind.""#);
        check(&older, r#"{"serverInfo":{"name":"m","description":"D"},"motd":"x"}"#, None);
    }
}
