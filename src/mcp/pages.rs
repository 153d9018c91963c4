//! The pages of a list: which cursor is followed, and where the walk ends.

use super::error::ConnectError;
use crate::model::{Note, beside_entries};
use crate::text::excerpt;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Longest cursor, in bytes.
pub const CURSOR_BYTES_MAX: usize = 64 * 1024;

/// How long one list may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most pages asked for.
    pub pages: usize,
    /// Most entries taken.
    pub entries: usize,
    /// Most bytes of all pages together.
    pub bytes: usize,
}

/// The largest server known has fewer than a thousand tools.
pub(super) const TOOLS: Bounds = Bounds { pages: 1000, entries: 20_000, bytes: 64 << 20 };
/// What is offered beside tools is often data of an account or a disk, and need not be known to the last.
pub(super) const EXTRAS: Bounds = Bounds { pages: 200, entries: 10_000, bytes: 16 << 20 };

/// What `nextCursor: ""` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EmptyCursor {
    /// The end. Revisions before 2026-07-28 do not say, most clients stop there, and servers write it so.
    End,
    /// A cursor like any other, which must not be taken for the end (2026-07-28, server/utilities/pagination).
    Cursor,
}

/// Whether a page may hold what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// It was reached by a cursor that leads somewhere.
    No,
    /// Its cursor leads back to pages that were listed.
    Perhaps,
}

/// One page.
#[derive(Debug)]
pub(super) struct ListPage<'a> {
    /// Its entries, to the letter.
    pub entries: Vec<&'a RawValue>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
    /// Whether the entries may have come before.
    pub repeated: Repeated,
}

/// The walk over one list so far.
#[derive(Debug)]
pub(super) struct Walk {
    method: &'static str,
    member: &'static str,
    bounds: Bounds,
    empty: EmptyCursor,
    bytes: usize,
    pages: usize,
    entries: usize,
    cursors: BTreeSet<String>,
    notes: Vec<Note>,
    beside: BTreeMap<String, Vec<Value>>,
}

impl Walk {
    /// The beginning of a list: its method, and the member of the answer that holds the entries.
    pub fn new(method: &'static str, member: &'static str, bounds: Bounds, empty: EmptyCursor) -> Self {
        let (cursors, notes, beside) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
        Self { method, member, bounds, empty, bytes: 0, pages: 0, entries: 0, cursors, notes, beside }
    }

    /// Takes the `result` of one request.
    ///
    /// # Errors
    /// The result is no list, or the list does not end.
    pub fn take<'a>(&mut self, result: &'a RawValue) -> Result<ListPage<'a>, ConnectError> {
        let invalid = |detail: String| ConnectError::InvalidAnswer {
            method: self.method,
            detail,
            quote: result.get().chars().take(512).collect(),
        };
        let members = object(result).map_err(invalid)?;
        // From 2026-07-28 on a result may be a question instead.
        if members.get("resultType").is_some_and(|kind| kind.get() != "\"complete\"") {
            return Err(invalid("the server wants more input before it answers".to_owned()));
        }
        let list = members.get(self.member).filter(|list| list.get() != "null");
        let list = list.ok_or_else(|| invalid(format!("no `{}`", self.member)))?;
        let entries: Vec<&RawValue> =
            serde_json::from_str(list.get()).map_err(|_| invalid(format!("`{}` is no list", self.member)))?;
        self.pages += 1;
        self.bytes += result.get().len();
        self.entries += entries.len();
        if self.bytes > self.bounds.bytes {
            return Err(self.endless(format!("more than {} MiB", self.bounds.bytes >> 20)));
        }
        if self.entries > self.bounds.entries {
            return Err(self.endless(format!("more than {} {}", self.bounds.entries, self.what())));
        }
        let said = members.iter().map(|(key, raw)| (key.as_str(), *raw));
        beside_entries(self.method, self.member, said, &mut self.beside);
        let (next, repeated) = match members.get("nextCursor").map(|raw| serde_json::from_str(raw.get())) {
            None | Some(Ok(Value::Null) | Err(_)) => (None, Repeated::No),
            Some(Ok(Value::String(cursor))) if cursor.is_empty() && self.empty == EmptyCursor::End => {
                self.note(
                    "empty_cursor",
                    "the cursor of the next page is empty, which was taken for the end".to_owned(),
                );
                (None, Repeated::No)
            }
            Some(Ok(Value::String(cursor))) => self.follow(cursor)?,
            Some(Ok(other)) => {
                let shown = excerpt(&other.to_string(), 80);
                self.note("odd_cursor", format!("the cursor `{shown}` is no string; the list may go on"));
                (None, Repeated::No)
            }
        };
        Ok(ListPage { entries, next, repeated })
    }

    /// Pages so far.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// What was odd about the cursors, and what the pages said beside their entries, as [`crate::model::Greeting::lists`]
    /// keeps it.
    pub fn finish(self) -> (Vec<Note>, BTreeMap<String, Vec<Value>>) {
        (self.notes, self.beside)
    }

    fn follow(&mut self, cursor: String) -> Result<(Option<String>, Repeated), ConnectError> {
        if cursor.len() > CURSOR_BYTES_MAX {
            return Err(self.endless(format!("a cursor of more than {} KiB", CURSOR_BYTES_MAX / 1024)));
        }
        if self.pages >= self.bounds.pages {
            return Err(self.endless(format!("more than {} pages", self.bounds.pages)));
        }
        if !self.cursors.insert(cursor.clone()) {
            let shown = excerpt(&cursor, 40);
            self.note("repeated_cursor", format!("cursor `{shown}` came a second time; the list ends there"));
            return Ok((None, Repeated::Perhaps));
        }
        Ok((Some(cursor), Repeated::No))
    }

    fn endless(&self, why: String) -> ConnectError {
        ConnectError::EndlessList { what: self.what(), why }
    }

    /// What is listed, in words.
    fn what(&self) -> &'static str {
        match self.member {
            "resourceTemplates" => "resource templates",
            member => member,
        }
    }

    fn note(&mut self, code: &str, message: String) {
        self.notes.push(Note { code: code.to_owned(), message: format!("{}: {message}", self.method) });
    }
}

/// The members of a result.
pub(super) fn object(result: &RawValue) -> Result<BTreeMap<String, &RawValue>, String> {
    match result.get().trim_ascii_start().as_bytes().first() {
        Some(b'{') => serde_json::from_str(result.get()).map_err(|error| error.to_string()),
        _ if result.get() == "null" => Err("the result is null".to_owned()),
        _ => Err("the result is no object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn walk(empty: EmptyCursor) -> Walk {
        Walk::new("tools/list", "tools", TOOLS, empty)
    }

    fn take(walk: &mut Walk, page: &Value) -> Result<Option<String>, ConnectError> {
        let raw = RawValue::from_string(page.to_string()).unwrap_or_default();
        walk.take(&raw).map(|page| page.next)
    }

    /// The cursors that are followed, and the codes of the notes.
    fn cursors(empty: EmptyCursor, given: &[Value]) -> (Vec<Option<String>>, Vec<String>) {
        let mut walk = walk(empty);
        let next =
            given.iter().map(|cursor| take(&mut walk, &json!({"tools": [], "nextCursor": cursor})).ok().flatten());
        let next = next.collect();
        (next, walk.finish().0.into_iter().map(|note| note.code).collect())
    }

    #[track_caller]
    fn check(empty: EmptyCursor, given: &[Value], expected: &[Option<&str>], notes: &[&str]) {
        let (next, codes) = cursors(empty, given);
        let next: Vec<_> = next.iter().map(Option::as_deref).collect();
        assert_eq!(
            (next.as_slice(), codes.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
            (expected, notes)
        );
    }

    #[test]
    fn pages_follow_cursors_until_one_is_missing() {
        let both = [EmptyCursor::End, EmptyCursor::Cursor];
        for empty in both {
            check(empty, &[json!("a"), json!(null)], &[Some("a"), None], &[]);
            check(empty, &[json!("a"), json!(5)], &[Some("a"), None], &["odd_cursor"]);
        }
    }

    #[test]
    fn an_empty_cursor_is_a_cursor_where_the_revision_says_so_and_never_goes_unsaid() {
        check(EmptyCursor::End, &[json!("")], &[None], &["empty_cursor"]);
        check(EmptyCursor::Cursor, &[json!(""), json!(null)], &[Some(""), None], &[]);
        check(EmptyCursor::Cursor, &[json!(""), json!("")], &[Some(""), None], &["repeated_cursor"]);
    }

    #[test]
    fn a_cursor_that_comes_again_ends_the_walk() {
        check(
            EmptyCursor::End,
            &[json!("a"), json!("b"), json!("a")],
            &[Some("a"), Some("b"), None],
            &["repeated_cursor"],
        );
    }

    #[test]
    fn the_list_ends_at_its_bounds() {
        let why = |walk: &mut Walk, page: &Value| match take(walk, page) {
            Err(error @ ConnectError::EndlessList { .. }) => error.to_string(),
            other => format!("{other:?}"),
        };
        let mut pages = walk(EmptyCursor::End);
        for number in 1..TOOLS.pages {
            assert!(take(&mut pages, &json!({"tools": [], "nextCursor": number.to_string()})).is_ok());
        }
        let more = json!({"tools": [], "nextCursor": "more"});
        assert_eq!(why(&mut pages, &more), "the list of tools does not end: more than 1000 pages");

        let tools: Vec<_> = (0..TOOLS.entries).map(|n| json!({"name": format!("t{n}")})).collect();
        let mut pages = walk(EmptyCursor::End);
        assert!(matches!(take(&mut pages, &json!({"tools": tools, "nextCursor": "x"})), Ok(Some(_))));
        let last = json!({"tools": [{"name": "last"}]});
        assert_eq!(why(&mut pages, &last), "the list of tools does not end: more than 20000 tools");
        let long = json!({"tools": [], "nextCursor": "x".repeat(CURSOR_BYTES_MAX + 1)});
        assert_eq!(
            why(&mut walk(EmptyCursor::End), &long),
            "the list of tools does not end: a cursor of more than 64 KiB"
        );
    }

    #[test]
    fn a_result_that_is_no_list_is_an_error() {
        for page in [
            json!({}),
            json!({"tools": {}}),
            json!({"tools": [], "resultType": "input_required"}),
            json!([]),
            json!(null),
        ] {
            let taken = take(&mut walk(EmptyCursor::End), &page);
            assert!(matches!(taken, Err(ConnectError::InvalidAnswer { .. })), "{page}");
        }
        assert!(take(&mut walk(EmptyCursor::End), &json!({"tools": [], "resultType": "complete"})).is_ok());
    }
}
