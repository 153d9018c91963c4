//! Takes entries out of a server's lists that the client may not see; what stays is kept byte for byte. Pure.

use crate::mcp::json::{self, Members, PROTOTYPE, Tag, Visitor, string_value};
use crate::mcp::walk::{elements, member, members};
use std::ops::Range;

/// A page of the list of tools after filtering.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The result as the client gets it.
    pub result: String,
    /// All tools on the page, kept or not: name, and byte range of the definition in the original result.
    pub tools: Vec<(String, Range<usize>)>,
    /// Byte ranges of the kept definitions in the original result.
    pub kept: Vec<Range<usize>>,
    /// Whether more pages follow.
    pub more: bool,
    /// How many entries were taken out, those without a name included.
    pub dropped: usize,
}

/// Why a server's answer cannot be read in one way only; such an answer is never passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The answer is not JSON, or two readers could read it differently.
    #[error("the server's answer has no single reading")]
    Ambiguous,
    /// `tools` is missing or no array.
    #[error("the tool list has no `tools` array")]
    NoTools,
}

/// A visitor that does nothing, for scans that only look for flaws.
pub(super) struct Nothing;

impl Visitor for Nothing {
    fn member(&mut self, _: Tag, _: &[u8]) -> Tag {
        0
    }
    fn value(&mut self, _: Tag, _: Range<usize>) {}
}

/// Filters one page of the list of tools, and forbids to cache it. `listed` says of a name and its definition whether
/// the client may see the tool.
///
/// # Errors
/// The result has no single reading: a client could see tools in it that the gateway did not.
pub fn filter(result: &str, listed: impl Fn(&str, &str) -> bool) -> Result<Page, Unreadable> {
    let seen = json::scan(result, Members::Everywhere, &mut Nothing).map_err(|_| Unreadable::Ambiguous)?;
    if seen.flaw.is_some() {
        return Err(Unreadable::Ambiguous);
    }
    // A client that ignores case finds another member, and one that copies members one by one finds those of the
    // prototype where its own are missing.
    let near = |object: &str, known: &str| {
        members(object).any(|(name, _)| {
            let is_other = |name: &str| name == PROTOTYPE || json::nearly_known(name.as_bytes(), &[known]);
            string_value(name).is_some_and(|name| is_other(&name))
        })
    };
    if near(result, "tools") {
        return Err(Unreadable::Ambiguous);
    }
    let (tools, span) = member(result, "tools").ok_or(Unreadable::NoTools)?;
    if !tools.starts_with('[') {
        return Err(Unreadable::NoTools);
    }
    let (mut all, mut kept, mut dropped) = (Vec::new(), Vec::new(), 0);
    for element in elements(tools) {
        let definition = &tools[element.clone()];
        // Such a client would see another tool than the gateway does.
        if near(definition, "name") {
            return Err(Unreadable::Ambiguous);
        }
        // An entry without a name cannot be called, and no policy can speak of it.
        let name = member(definition, "name").and_then(|(literal, _)| string_value(literal).map(String::from));
        let Some(name) = name else {
            dropped += 1;
            continue;
        };
        let place = span.start + element.start..span.start + element.end;
        if listed(&name, definition) {
            kept.push(place.clone());
        } else {
            dropped += 1;
        }
        all.push((name, place));
    }
    let more = member(result, "nextCursor").is_some_and(|(cursor, _)| cursor != "null");
    let list = (dropped > 0).then(|| {
        let list: Vec<&str> = kept.iter().map(|span| &result[span.clone()]).collect();
        (span, format!("[{}]", list.join(",")))
    });
    let out = uncached(result, list).unwrap_or_else(|| result.to_owned());
    Ok(Page { result: out, tools: all, kept, more, dropped })
}

/// A result with one piece replaced, and for one caller alone: a list depends on the caller and on a policy that may
/// change, so no cache may share it, or keep it for long. `None` where the result is so already.
fn uncached(result: &str, replaced: Option<(Range<usize>, String)>) -> Option<String> {
    let mut edits: Vec<_> = replaced.into_iter().collect();
    for (name, value) in [("cacheScope", "\"private\""), ("ttlMs", "0")] {
        if let Some((old, span)) = member(result, name)
            && old != value
        {
            edits.push((span, value.to_owned()));
        }
    }
    if edits.is_empty() {
        return None;
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(result.len());
    let mut at = 0;
    for (span, text) in edits {
        out.push_str(&result[at..span.start]);
        out.push_str(&text);
        at = span.end;
    }
    out.push_str(&result[at..]);
    Some(out)
}

/// A page of another list, in the member `list`, without the entries that `keep` does not want, and for one caller alone;
/// `None` where nothing changes.
///
/// # Errors
/// The result has no single reading: a client could see entries in it that the gateway did not.
pub fn entries(result: &str, list: &'static str, keep: impl Fn(&str) -> bool) -> Result<Option<String>, Unreadable> {
    let seen = json::scan(result, Members::Everywhere, &mut Nothing).map_err(|_| Unreadable::Ambiguous)?;
    let is_near = |name: &str| string_value(name).is_some_and(|name| json::nearly_known(name.as_bytes(), &[list]));
    if seen.flaw.is_some() || members(result).any(|(name, _)| is_near(name)) {
        return Err(Unreadable::Ambiguous);
    }
    // A page without a list, or with something else in its place, shows nothing.
    let Some((entries, span)) = member(result, list).filter(|(list, _)| list.starts_with('[')) else { return Ok(None) };
    let all: Vec<&str> = elements(entries).map(|entry| &entries[entry]).collect();
    let has_prototype =
        |entry: &&str| members(entry).any(|(name, _)| string_value(name).is_some_and(|it| it == PROTOTYPE));
    if all.iter().any(has_prototype) {
        return Err(Unreadable::Ambiguous);
    }
    let kept: Vec<&str> = all.iter().copied().filter(|entry| keep(entry)).collect();
    let list = (kept.len() < all.len()).then(|| (span, format!("[{}]", kept.join(","))));
    Ok(uncached(result, list))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: &str, expected: &str) {
        let page = filter(result, |name, _| !name.starts_with("rm"));
        assert_eq!(page.map(|page| page.result), Ok(expected.to_owned()), "{result}");
    }

    #[test]
    fn kept_tools_stay_to_the_letter() {
        check(
            r#"{"tools":[{"name":"a", "x" : 1.0}, {"name":"rm"},{"name":"b","\u0061":{}}],"extra":[ 1 ]}"#,
            r#"{"tools":[{"name":"a", "x" : 1.0},{"name":"b","\u0061":{}}],"extra":[ 1 ]}"#,
        );
        check(r#"{ "tools" : [ {"name":"a"} , {"name":"b"} ] }"#, r#"{ "tools" : [ {"name":"a"} , {"name":"b"} ] }"#);
        check(r#"{"nextCursor":"x","tools":[]}"#, r#"{"nextCursor":"x","tools":[]}"#);
    }

    #[test]
    fn entries_stay_to_the_letter_or_go() {
        let page = |result| entries(result, "prompts", |entry| !entry.contains("rm"));
        assert_eq!(page(r#"{"prompts":[{"name":"a"}]}"#), Ok(None));
        let kept = r#"{"x":1,"prompts":[{"name" : "a"}],"nextCursor":"2"}"#;
        let found = page(r#"{"x":1,"prompts":[{"name" : "a"}, {"name":"rm"}],"nextCursor":"2"}"#);
        assert_eq!(found, Ok(Some(kept.to_owned())));
        assert_eq!(page(r#"{"tools":[]}"#), Ok(None));
        assert_eq!(page(r#"{"Prompts":[{"name":"rm"}],"prompts":[]}"#), Err(Unreadable::Ambiguous));
        assert_eq!(page(r#"{"prompts":[],"prompts":[{"name":"rm"}]}"#), Err(Unreadable::Ambiguous));
        assert_eq!(page(r#"{"prompts":[{"name":"a","__proto__":{"title":"x"}}]}"#), Err(Unreadable::Ambiguous));
    }

    #[test]
    fn names_are_compared_decoded_and_entries_without_one_go() {
        check(
            r#"{"tools":[{"name":"r\u006d"},{"title":"x"},{"name":5},7,{"name":"a"}]}"#,
            r#"{"tools":[{"name":"a"}]}"#,
        );
    }

    #[test]
    fn nobody_may_keep_a_filtered_list() {
        check(
            r#"{"ttlMs":60000,"tools":[{"name":"rm"}],"cacheScope":"public"}"#,
            r#"{"ttlMs":0,"tools":[],"cacheScope":"private"}"#,
        );
    }

    #[test]
    fn a_list_with_two_readings_is_never_passed_on() {
        for (result, error) in [
            (r#"{"tools":[],"tools":[{"name":"rm"}]}"#, Unreadable::Ambiguous),
            (r#"{"tools":[{"name":"a","name":"rm"}]}"#, Unreadable::Ambiguous),
            (r#"{"tools":[{"name":"\ud800"}]}"#, Unreadable::Ambiguous),
            (r#"{"tools":[],"Tools":[{"name":"rm"}]}"#, Unreadable::Ambiguous),
            (r#"{"tools":[{"name":"a","NAME":"rm"}]}"#, Unreadable::Ambiguous),
            (r#"{"tools":[{"name":"a","__proto__":{"title":"rm"}}]}"#, Unreadable::Ambiguous),
            (r#"{"tools":[],"\u005f_proto__":{"nextCursor":"x"}}"#, Unreadable::Ambiguous),
            (r#"{"tools":{"name":"rm"}}"#, Unreadable::NoTools),
            (r#"{"tools":null}"#, Unreadable::NoTools),
            (r#"{}"#, Unreadable::NoTools),
            (r#"[{"name":"rm"}]"#, Unreadable::NoTools),
        ] {
            assert_eq!(filter(result, |_, _| true).map(|page| page.result), Err(error), "{result}");
        }
    }

    #[test]
    fn names_and_pages_are_told() {
        let page = filter(r#"{"tools":[{"name":"a"},{"name":"rm"}],"nextCursor":"2"}"#, |name, _| name == "a");
        let names = |page: &Page| page.tools.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let page = page.map(|page| (names(&page), page.more, page.dropped, page.kept.len()));
        assert_eq!(page, Ok((vec!["a".to_owned(), "rm".to_owned()], true, 1, 1)));
    }
}
