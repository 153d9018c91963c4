//! Where the parts of a policy stand in its text.

use crate::json::{self, Json, Node};
use crate::parse::POLICY_DEPTH_MAX;
use crate::problem::Place;

/// The text of a policy, searchable by JSON Pointer.
#[derive(Debug)]
pub struct Places<'t> {
    text: &'t str,
    root: Option<Node<'t>>,
}

impl<'t> Places<'t> {
    /// Reads a text; of one that is no JSON, no place is known.
    pub fn of(text: &'t str) -> Self {
        Self { text, root: json::parse(text, POLICY_DEPTH_MAX).ok() }
    }

    /// Where a part begins and ends; of a part that does not stand in the text (a bare condition has no `conditions`),
    /// the nearest part around it.
    pub fn nearest(&self, pointer: &str) -> (String, Option<(Place, Place)>) {
        let Some(mut node) = self.root.as_ref() else { return (pointer.to_owned(), None) };
        let (mut known, mut start) = (String::new(), node.start);
        for token in pointer.split('/').skip(1) {
            let name = token.replace("~1", "/").replace("~0", "~");
            let next = match &node.json {
                Json::Object(members) => {
                    members.iter().find(|member| member.name == name).map(|member| (member.start, &member.value))
                }
                Json::Array(items) => {
                    name.parse::<usize>().ok().and_then(|at| items.get(at)).map(|item| (item.start, item))
                }
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
            };
            match next {
                Some((from, next)) => {
                    (start, node) = (from, next);
                    known.push('/');
                    known.push_str(token);
                }
                // A bare condition stands where the list of one would.
                None if name == "conditions" || known.ends_with("/conditions") => {}
                None if matches!(&node.json, Json::Object(members) if members.iter().any(|member| member.name == "path")) =>
                    {}
                None => break,
            }
        }
        // A value on lines of its own is shown from its name; the end is that of the value.
        let place = |offset: u32| Place::of_offset(self.text, offset as usize);
        (known, Some((place(start), place(node.end))))
    }
}
