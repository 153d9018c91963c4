//! Four readers of one message, each with the habits of some real parser, and the promise that they agree.
//!
//! Shared by the fuzzer and by the property tests of the gateway. Nothing of the gateway's own scanner is used here: the
//! text is read with serde, every member kept, and the habits decide which of several members counts.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The policy that the gateway under test holds: one tool, and only with these arguments.
pub const POLICY: &str = r#"{"version": "1", "default": "deny", "hide": ["b"], "tools": {"a": {
    "require": [{"path": "args.x", "op": "eq", "value": 1}],
    "deny_if": [{"path": "args.y", "op": "exists", "value": true}, {"path": "args.z", "op": "gte", "value": 100},
                {"path": "args.t", "op": "eq", "value": "secret"}]}}}"#;

/// A JSON value with every member kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// `null`, `true` or `false`, as text.
    Word(&'static str),
    /// A number, as the nearest float.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Tree>),
    /// An object.
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Word("null"))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Word(if value { "true" } else { "false" }))
            }
            #[expect(clippy::cast_precision_loss, reason = "how a reader with floats only sees it")]
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Number(value as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "how a reader with floats only sees it")]
            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Number(value as f64))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Number(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// How a reader finds a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Refuses an object with two members of one name, as a strict reader does; then there is only one to find.
    Strict,
    /// The first of several.
    First,
    /// The last of several.
    Last,
    /// The last of all that are equal when case is ignored, as Go's `encoding/json` finds the fields of a structure.
    Folding,
    /// The first whose name is equal up to a NUL, as a reader in C finds it.
    EndingAtNul,
    /// The member itself, or else the prototype's: a reader in JavaScript that copied the object member by member.
    Prototype,
}

/// Every habit.
pub const HABITS: [Habit; 6] =
    [Habit::Strict, Habit::First, Habit::Last, Habit::Folding, Habit::EndingAtNul, Habit::Prototype];

/// What a server would do with a message, for one reader.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Whether the reader takes the message at all.
    pub taken: bool,
    /// Method, id, result, tool name, `_meta`, and the arguments `x`, `y`, `z` and `t`. Numbers are those of a reader with
    /// doubles.
    pub seen: [Option<Tree>; 9],
}

impl Habit {
    /// The member with this name, as it is found.
    pub fn member<'t>(self, tree: &'t Tree, wanted: &str) -> Option<&'t Tree> {
        let Tree::Object(members) = tree else { return None };
        let folded = |name: &str| name.to_uppercase().to_lowercase();
        let mut found = members.iter().filter(|(name, _)| match self {
            Self::Strict | Self::First | Self::Last | Self::Prototype => name == wanted,
            Self::Folding => folded(name) == folded(wanted),
            Self::EndingAtNul => name.split('\0').next() == Some(wanted),
        });
        let own = match self {
            Self::Strict | Self::First | Self::EndingAtNul => found.next(),
            Self::Last | Self::Folding | Self::Prototype => found.next_back(),
        };
        let own = own.map(|(_, value)| value);
        match (self, own) {
            (Self::Prototype, None) if wanted != "__proto__" => {
                self.member(tree, "__proto__").and_then(|prototype| self.member(prototype, wanted))
            }
            (_, own) => own,
        }
    }

    fn takes(self, tree: &Tree) -> bool {
        match tree {
            Tree::Object(members) => {
                let twice = |at: usize| members[..at].iter().any(|(name, _)| *name == members[at].0);
                let doubled = self == Self::Strict && (0..members.len()).any(twice);
                !doubled && members.iter().all(|(_, value)| self.takes(value))
            }
            Tree::List(items) => items.iter().all(|item| self.takes(item)),
            Tree::Word(_) | Tree::Number(_) | Tree::Text(_) => true,
        }
    }

    /// What a server with this habit would do.
    pub fn reading(self, tree: &Tree) -> Reading {
        let member = |tree: Option<&Tree>, name: &str| tree.and_then(|tree| self.member(tree, name)).cloned();
        let params = self.member(tree, "params");
        let arguments = params.and_then(|params| self.member(params, "arguments"));
        let seen = [
            member(Some(tree), "method"),
            member(Some(tree), "id"),
            member(Some(tree), "result"),
            member(params, "name"),
            member(params, "_meta"),
            member(arguments, "x"),
            member(arguments, "y"),
            member(arguments, "z"),
            member(arguments, "t"),
        ];
        Reading { taken: self.takes(tree), seen }
    }
}

fn is(tree: Option<&Tree>, text: &str) -> bool {
    matches!(tree, Some(Tree::Text(found)) if found == text)
}

/// The promise, for whatever reaches the server: every line is one message that all readers take and read alike, and a
/// call among them is one that [`POLICY`] permits.
///
/// # Errors
/// It does not hold; why.
pub fn check(to_server: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(to_server).map_err(|error| error.to_string())?;
    // Characters that some reader of lines takes for the end of one.
    if let Some(found) =
        text.find(['\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'])
    {
        return Err(format!("ends a line for some readers, at {found}: {text:?}"));
    }
    for line in text.split_terminator('\n') {
        check_line(line).map_err(|why| format!("{why}: {line}"))?;
    }
    if text.is_empty() || text.ends_with('\n') { Ok(()) } else { Err("half a line".to_owned()) }
}

fn check_line(line: &str) -> Result<(), String> {
    if !line.starts_with('{') || !line.ends_with('}') {
        return Err("not an object and nothing else".to_owned());
    }
    let tree: Tree = match serde_json::from_str(line) {
        Ok(tree) => tree,
        // A number that no float holds is the only JSON that serde_json does not take.
        Err(error) if error.to_string().contains("number out of range") => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let readings = HABITS.map(|habit| (habit, habit.reading(&tree)));
    let (_, strict) = &readings[0];
    let is_call = readings.iter().any(|(_, reading)| is(reading.seen[0].as_ref(), "tools/call"));
    for (habit, reading) in &readings {
        if !reading.taken {
            return Err(format!("{habit:?} refuses it"));
        }
        // Of other messages the members of the protocol must be read alike; what they carry is not judged.
        let judged = if is_call { 9 } else { 5 };
        if reading.seen[..judged] != strict.seen[..judged] {
            return Err(format!("{habit:?} reads {:?} where a strict reader reads {:?}", reading.seen, strict.seen));
        }
    }
    if is_call {
        if !is(strict.seen[3].as_ref(), "a") || strict.seen[5] != Some(Tree::Number(1.0)) {
            return Err("a call that the policy does not permit".to_owned());
        }
        if !matches!(strict.seen[6], None | Some(Tree::Word("null"))) {
            return Err("a call with an argument that the policy refuses".to_owned());
        }
        // What a reader with doubles finds is below the bound, and what one finds that cuts at NUL is another text.
        let is_below = match &strict.seen[7] {
            None | Some(Tree::Word("null")) => true,
            Some(Tree::Number(number)) => *number < 100.0,
            Some(_) => false,
        };
        let is_other = match &strict.seen[8] {
            None | Some(Tree::Word("null")) => true,
            Some(Tree::Text(text)) => text.split('\0').next() != Some("secret"),
            // A value of another type is not that text to any reader.
            Some(_) => true,
        };
        if !is_below || !is_other {
            return Err("a call with an argument that some reader takes for one that the policy refuses".to_owned());
        }
        if !matches!(strict.seen[1], Some(Tree::Text(_) | Tree::Number(_))) {
            return Err("a call without an id".to_owned());
        }
    }
    Ok(())
}
