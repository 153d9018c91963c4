//! Where in a call's arguments a condition or an increment looks.

use super::json::{Json, Node};
use crate::mcp::json::nearly_known;
use std::fmt;

/// Most steps of a path.
pub const PATH_STEPS_MAX: usize = 32;

/// A parsed path: `args`, `args.a.b`, `args.items[*].price`, or `args:/a~1b/0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArgumentPath {
    written: String,
    pub(crate) steps: Vec<PathStep>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// A member of an object.
    Key(String),
    /// A token of a JSON Pointer: a member of an object or, with an index, an element of an array.
    Token(String, Option<usize>),
    /// Every element of an array.
    Each,
}

/// Where one step leads.
pub(crate) enum Next<'n, 'a> {
    /// To a value; a null leads nowhere.
    Found(&'n Node<'a>),
    /// To nothing.
    Missing,
    /// The value is not of the kind that the step goes into, or has a member that some readers take for the one that is
    /// looked for.
    WrongType(&'n Node<'a>),
}

impl ArgumentPath {
    /// Reads a path; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("args").ok_or("a path starts with `args`")?;
        let steps = match rest.as_bytes().first() {
            None => Vec::new(),
            Some(b':') => Self::pointer(&rest[1..])?,
            Some(b'.') => Self::dotted(&rest[1..])?,
            Some(b'[') => return Err("the arguments of a call are an object, not an array".to_owned()),
            Some(_) => return Err("`args` is followed by `.` and a name, or by `:` and a JSON Pointer".to_owned()),
        };
        if steps.len() > PATH_STEPS_MAX {
            return Err(format!("a path has at most {PATH_STEPS_MAX} steps"));
        }
        Ok(Self { written: text.to_owned(), steps })
    }

    fn pointer(text: &str) -> Result<Vec<PathStep>, String> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = text.strip_prefix('/').ok_or("a JSON Pointer is empty or starts with `/`")?;
        let mut steps = Vec::new();
        for token in tokens.split('/') {
            let mut name = String::with_capacity(token.len());
            let mut chars = token.chars();
            while let Some(c) = chars.next() {
                match (c, c == '~') {
                    (_, false) => name.push(c),
                    (_, true) => match chars.next() {
                        Some('0') => name.push('~'),
                        Some('1') => name.push('/'),
                        _ => return Err("`~` in a JSON Pointer is followed by `0` or `1`".to_owned()),
                    },
                }
            }
            // RFC 6901, section 4: an index has no leading zeros.
            let plain = name == "0" || (!name.starts_with('0') && !name.is_empty());
            let index = (plain && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok()).flatten();
            steps.push(PathStep::Token(name, index));
        }
        Ok(steps)
    }

    fn dotted(text: &str) -> Result<Vec<PathStep>, String> {
        // Of the size that is needed: a policy may hold thousands of paths, of a step or two.
        let mut steps = Vec::with_capacity(text.bytes().filter(|byte| matches!(byte, b'.' | b'[')).count() + 1);
        for part in text.split('.') {
            let name = part.split('[').next().unwrap_or_default();
            if name.is_empty() || name.contains(']') {
                return Err("a name is missing between the dots".to_owned());
            }
            steps.push(PathStep::Key(name.to_owned()));
            let mut rest = &part[name.len()..];
            while !rest.is_empty() {
                rest = rest.strip_prefix("[*]").ok_or_else(|| {
                    "`[*]` stands for every element; one element is named by a JSON Pointer such as `args:/items/0`"
                        .to_owned()
                })?;
                steps.push(PathStep::Each);
            }
        }
        Ok(steps)
    }

    /// Whether the path names many values.
    pub fn is_many(&self) -> bool {
        self.steps.contains(&PathStep::Each)
    }

    /// The one value that a path without `[*]` names.
    pub fn find<'n, 'a>(&self, root: Option<&'n Node<'a>>) -> Next<'n, 'a> {
        let Some(mut node) = root else { return Next::Missing };
        for step in &self.steps {
            match step.take(node) {
                Next::Found(next) => node = next,
                other => return other,
            }
        }
        if matches!(node.json, Json::Null) { Next::Missing } else { Next::Found(node) }
    }

    /// The path as dotted parameter path of an input schema (`items[*].price`), if it can be written so.
    pub fn schema_path(&self) -> Option<String> {
        let mut out = String::new();
        for step in &self.steps {
            match step {
                PathStep::Each | PathStep::Token(_, Some(_)) => out.push_str("[*]"),
                PathStep::Key(name) | PathStep::Token(name, None) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(name);
                }
            }
        }
        (!self.steps.is_empty()).then_some(out)
    }
}

impl fmt::Display for ArgumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PathStep {
    /// Goes one step. `Each` is not a single step and is answered by its caller.
    pub fn take<'n, 'a>(&self, node: &'n Node<'a>) -> Next<'n, 'a> {
        match (self, &node.json) {
            (_, Json::Null) => Next::Missing,
            (Self::Key(name) | Self::Token(name, _), Json::Object(members)) => match node.get(name) {
                Some(value) => Next::Found(value),
                // `Amount` is `amount` to a server that ignores case, so it must not count as missing.
                None if members.iter().any(|other| nearly_known(other.name.as_bytes(), &[name])) => {
                    Next::WrongType(node)
                }
                None => Next::Missing,
            },
            (Self::Token(_, Some(index)), Json::Array(items)) => items.get(*index).map_or(Next::Missing, Next::Found),
            (Self::Key(_) | Self::Token(..) | Self::Each, _) => Next::WrongType(node),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::super::json;
    use super::*;

    fn check(path: &str, arguments: &str, expected: &str) {
        let root = json::parse(arguments, 16).unwrap();
        let found = match ArgumentPath::parse(path).unwrap().find(Some(&root)) {
            Next::Found(node) => node.compact(),
            Next::Missing => "missing".to_owned(),
            Next::WrongType(node) => format!("wrong type {}", node.json.type_name()),
        };
        assert_eq!(found, expected, "{path} in {arguments}");
    }

    #[test]
    fn paths_lead_where_they_say() {
        for (path, arguments, expected) in [
            ("args", r#"{"a":1}"#, r#"{"a":1}"#),
            ("args:", r#"{"a":1}"#, r#"{"a":1}"#),
            ("args.a.b", r#"{"a":{"b":"x"}}"#, r#""x""#),
            ("args.user-id", r#"{"user-id":7}"#, "7"),
            ("args.a.b", r#"{"a":{}}"#, "missing"),
            ("args.a.b", r#"{"a":null}"#, "missing"),
            ("args.a", r#"{"a":null}"#, "missing"),
            ("args.a.b", r#"{"a":[{"b":1}]}"#, "wrong type array"),
            ("args.a.b", r#"{"a":"x"}"#, "wrong type string"),
            ("args:/a~1b/0", r#"{"a/b":[5]}"#, "5"),
            ("args:/a~0b", r#"{"a~b":5}"#, "5"),
            ("args:/a.b", r#"{"a.b":5}"#, "5"),
            ("args:/", r#"{"":5}"#, "5"),
            ("args:/a/1", r#"{"a":[5]}"#, "missing"),
            ("args:/a/01", r#"{"a":[5,6]}"#, "wrong type array"),
            ("args:/a/0", r#"{"a":{"0":5}}"#, "5"),
            ("args:/a/b", r#"{"a":[5]}"#, "wrong type array"),
            ("args.amount", r#"{"Amount":5}"#, "wrong type object"),
            ("args.a.task", "{\"a\":{\"tas\u{212a}\":5}}", "wrong type object"),
            ("args.amount", r#"{"amounts":5}"#, "missing"),
            ("args.amount", r#"{"amount":5,"Amount":6}"#, "5"),
            ("args:/a/99999999999999999999999", r#"{"a":[5]}"#, "wrong type array"),
        ] {
            check(path, arguments, expected);
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        for bad in [
            "",
            "amount",
            "argsx",
            "args.",
            "args..a",
            "args.a.",
            "args[*]",
            "args.a[0]",
            "args.a[*",
            "args.a]",
            "args:a",
            "args:/~2",
            "args:/~",
        ] {
            assert!(ArgumentPath::parse(bad).is_err(), "{bad}");
        }
        assert!(ArgumentPath::parse(&format!("args{}", ".a".repeat(PATH_STEPS_MAX))).is_ok());
        assert!(ArgumentPath::parse(&format!("args{}", ".a".repeat(PATH_STEPS_MAX + 1))).is_err());
    }
}
