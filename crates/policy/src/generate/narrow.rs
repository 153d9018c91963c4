//! Tools that some values of one argument make dangerous: which these are, and what the tool is without them.
//!
//! The question is put to whoever judges tools: the same definition is shown with fewer values, and without what its texts
//! say about the others. A tool that stays dangerous however few values it has is not one of these.

use crate::model::{Parameter, ToolDefinition, TypeSet, Verdict};
use std::collections::BTreeSet;

/// Most values of an argument that are looked at, each by itself.
const VALUES_MAX: usize = 64;
/// Shortest word of a value that is looked for in texts, in characters.
const WORD_CHARS_MIN: usize = 3;

/// Judges a definition as one of the server's tools.
pub type Judge<'j> = dyn Fn(&ToolDefinition) -> Verdict + 'j;

/// The argument that decides whether a tool is dangerous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowed {
    /// Its path below `args`.
    pub path: String,
    /// The values that leave the tool harmless enough, in the order of the schema.
    pub kept: Vec<String>,
    /// The others.
    pub refused: Vec<String>,
}

/// Looks for an argument without some of whose values a tool is not `is_bad`; with the verdict on what is left.
pub(super) fn narrow(
    tool: &ToolDefinition,
    judge: &Judge<'_>,
    is_bad: &dyn Fn(&Verdict) -> bool,
) -> Option<(Narrowed, Verdict)> {
    tool.parameters.iter().enumerate().filter(|(_, parameter)| chooses(parameter)).find_map(|(at, parameter)| {
        let by_itself = |value: &&String| !is_bad(&judge(&with_values(tool, at, std::slice::from_ref(*value))));
        let (kept, refused): (Vec<&String>, Vec<&String>) = parameter.values.iter().partition(by_itself);
        let (kept, refused): (Vec<_>, Vec<_>) =
            (kept.into_iter().cloned().collect(), refused.into_iter().cloned().collect());
        if kept.is_empty() || refused.is_empty() {
            return None;
        }
        let left = judge(&with_values(tool, at, &kept));
        (!is_bad(&left)).then(|| (Narrowed { path: parameter.path.clone(), kept, refused }, left))
    })
}

/// Whether a requirement can hold the argument to some of its values: one text of a closed list, by a plain path.
fn chooses(parameter: &Parameter) -> bool {
    let is_plain = |path: &str| {
        path.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    let different: BTreeSet<&String> = parameter.values.iter().collect();
    parameter.types == TypeSet::STRING
        && (2..=VALUES_MAX).contains(&parameter.values.len())
        && different.len() == parameter.values.len()
        && is_plain(&parameter.path)
}

/// The definition with only these values of one argument, and without what its texts say about the others.
fn with_values(tool: &ToolDefinition, at: usize, kept: &[String]) -> ToolDefinition {
    let mut narrowed = tool.clone();
    let all = &tool.parameters[at].values;
    let words_of = |values: &mut dyn Iterator<Item = &String>| -> BTreeSet<String> {
        values.flat_map(|value| words(value)).collect()
    };
    let kept_words = words_of(&mut kept.iter());
    let mut others = words_of(&mut all.iter().filter(|value| !kept.contains(value)));
    others.retain(|word| word.chars().count() >= WORD_CHARS_MIN && !kept_words.contains(word));
    // The first word of a value is its verb, and the rest what many values are about.
    let verbs: BTreeSet<String> = kept.iter().filter_map(|value| words(value).into_iter().next()).collect();
    let without = |text: &mut Option<String>| {
        if let Some(text) = text {
            *text = without_words(text, &others, &verbs);
        }
    };
    without(&mut narrowed.description);
    without(&mut narrowed.title);
    without(&mut narrowed.annotations.title);
    // The claim is about the tool with all its values.
    narrowed.annotations.destructive = narrowed.annotations.destructive.filter(|destructive| !destructive);
    for parameter in &mut narrowed.parameters {
        without(&mut parameter.description);
    }
    narrowed.parameters[at].values = kept.to_vec();
    narrowed
}

/// The words of a value or a text, in lower case: `deleteEvent` has two.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        if (c.is_uppercase() && before.is_lowercase()) || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The text without the clauses that begin with one of `others` and speak of none of `kept`, and without their words in the
/// rest.
fn without_words(text: &str, others: &BTreeSet<String>, kept: &BTreeSet<String>) -> String {
    let speaks =
        |part: &str, of: &BTreeSet<String>| words(part).iter().any(|word| of.iter().any(|one| is_form(word, one)));
    let mut out = String::with_capacity(text.len());
    for clause in text.split_inclusive(['\n', ';', '.', '(', ')']) {
        match (speaks(clause, others), speaks(clause, kept)) {
            (false, _) => out.push_str(clause),
            // A clause of its own: what it says is about the others.
            (true, false) if is_about_values(clause, others) => out.push('\n'),
            (true, _) => {
                for word in clause.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
                    match words(word).iter().any(|word| others.iter().any(|one| is_form(word, one))) {
                        true => out.extend(word.chars().filter(|c| !c.is_alphanumeric() && *c != '_')),
                        false => out.push_str(word),
                    }
                }
            }
        }
    }
    out
}

/// Whether a clause begins with one of the values: `delete: removes the event`, `- "delete" (removes it)`.
fn is_about_values(clause: &str, others: &BTreeSet<String>) -> bool {
    words(clause).first().is_some_and(|first| others.iter().any(|one| is_form(first, one)))
}

/// Whether a word is a form of another: `deletes`, `deleted`, `deleting` of `delete`.
fn is_form(word: &str, of: &str) -> bool {
    let stem = of.strip_suffix('e').filter(|stem| stem.len() > WORD_CHARS_MIN).unwrap_or(of);
    let endings = ["", "e", "s", "es", "d", "ed", "ing", "ion", "al"];
    word.strip_prefix(stem).is_some_and(|rest| endings.contains(&rest))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::super::testing::verdict;
    use super::*;
    use crate::model::{BlastRadius, Category};
    use serde_json::{Value, json};

    fn tool(value: &Value) -> ToolDefinition {
        ToolDefinition::parse(&serde_json::value::RawValue::from_string(value.to_string()).unwrap()).unwrap()
    }

    /// Whatever speaks of deleting or removing deletes.
    fn judge(tool: &ToolDefinition) -> Verdict {
        let texts = tool.parameters.iter().flat_map(|it| it.values.iter().chain(&it.description)).map(String::as_str);
        let all: Vec<&str> = texts.chain([tool.name.as_str()]).chain(tool.description.as_deref()).collect();
        let deletes =
            words(&all.join(" ")).iter().any(|word| ["delet", "remov"].iter().any(|bad| word.starts_with(bad)));
        let category = if deletes { Category::Delete } else { Category::Write };
        verdict(category, BlastRadius::Medium, &[])
    }

    fn narrowed(value: &Value) -> Option<Narrowed> {
        narrow(&tool(value), &judge, &|verdict| verdict.category == Category::Delete).map(|(narrowed, _)| narrowed)
    }

    #[test]
    fn the_values_that_delete_are_found_and_the_rest_is_kept() {
        let action = |description: &str, values: &Value| {
            json!({"name": "calendar", "description": description, "inputSchema": {"properties": {
                "action": {"type": "string", "enum": values, "description": "What to do.\n- create: makes an event\n- delete: removes the event for good"},
                "id": {"type": "string"}}}})
        };
        let all = json!(["create", "update_event", "delete"]);
        for description in ["Manage events: create, update or delete them.", "Creates, updates, deletes.", "Events."] {
            let found = narrowed(&action(description, &all)).unwrap();
            assert_eq!((found.path.as_str(), found.refused.as_slice()), ("action", &["delete".to_owned()][..]));
            assert_eq!(found.kept, ["create", "update_event"]);
        }
        // What the texts say beyond the values stays said.
        assert_eq!(narrowed(&action("Manage events. Removes all others.", &all)), None);
        assert_eq!(narrowed(&action("Events.", &json!(["delete", "delete_all"]))), None);
        let in_name = json!({"name": "delete_or_get", "inputSchema": {"properties": {"a": {"type": "string", "enum": ["get", "delete"]}}}});
        assert_eq!(narrowed(&in_name), None);
    }

    #[test]
    fn an_argument_that_no_requirement_can_hold_is_left_alone() {
        for schema in [
            json!({"type": "array", "items": {"type": "string", "enum": ["get", "delete"]}}),
            json!({"enum": ["get", "delete"]}),
            json!({"type": "string", "enum": ["delete"]}),
        ] {
            assert_eq!(narrowed(&json!({"name": "t", "inputSchema": {"properties": {"a": schema}}})), None);
        }
    }

    #[test]
    fn forms_of_a_word_are_known() {
        for (word, of, expected) in [
            ("deletes", "delete", true),
            ("deletion", "delete", true),
            ("deleted", "delete", true),
            ("settings", "set", false),
            ("delegate", "delete", false),
            ("removal", "remove", true),
        ] {
            assert_eq!(is_form(word, of), expected, "{word}");
        }
    }
}
