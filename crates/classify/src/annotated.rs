//! A tool's definition with the hints that it deserves, everything else to the letter. Pure.

use super::hints::{Hint, Standing, ToolAdvice};
use mcpol_base::mcp::json::{PROTOTYPE, nearly_known, string_value};
use mcpol_base::mcp::walk::{member, members};

/// Which hints are put into a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// Those that the server does not declare.
    Missing,
    /// Those, and in place of what the server declares those that strong evidence speaks for.
    Wrong,
}

/// A hint that a definition gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HintChange {
    /// Which.
    pub hint: Hint,
    /// As the server declares it; nothing where it does not.
    pub declared: Option<bool>,
    /// As it is put in.
    pub value: bool,
}

impl ToolAdvice {
    /// The hints that the tool's definition should get. None lets a client ask less than what is declared beside it: a
    /// tool that calls itself destructive is not called one that only reads as well.
    pub fn changes(&self, filling: Filling) -> Vec<HintChange> {
        let declares = |wanted: Hint| self.hints.iter().any(|it| it.hint == wanted && it.declared == Some(true));
        let changes = self.hints.iter().filter_map(|it| {
            let is_wanted = match it.standing {
                Standing::Missing => true,
                Standing::Wrong => filling == Filling::Wrong,
                Standing::Right | Standing::Unsure => false,
            };
            let value = it.deserved.filter(|_| is_wanted)?;
            let is_bold = it.hint == Hint::ReadOnly && value && declares(Hint::Destructive);
            (!is_bold).then_some(HintChange { hint: it.hint, declared: it.declared, value })
        });
        changes.collect()
    }
}

/// A tool's definition, which was scanned before, with these hints, and with a title among its annotations where one is
/// given; everything else stays to the letter. `None` where two clients could read the definition's annotations in two
/// ways: those stay as they are.
pub fn annotated(definition: &str, changes: &[HintChange], title: Option<&str>) -> Option<String> {
    let is_odd = |object: &str, known: &[&str]| {
        members(object).any(|(name, _)| {
            string_value(name).is_none_or(|name| name == PROTOTYPE || nearly_known(name.as_bytes(), known))
        })
    };
    let declared = member(definition, "annotations").filter(|(value, _)| value.starts_with('{'));
    let names = Hint::ALL.map(Hint::as_str);
    if is_odd(definition, &["annotations"]) || declared.as_ref().is_some_and(|(value, _)| is_odd(value, &names)) {
        return None;
    }
    let mut wanted: Vec<(&str, String)> =
        changes.iter().map(|change| (change.hint.as_str(), change.value.to_string())).collect();
    wanted.extend(title.map(|title| ("title", serde_json::Value::from(title).to_string())));
    let kept = declared.iter().flat_map(|(value, _)| members(value).map(|(name, span)| (name, &value[span])));
    let is_replaced =
        |name: &str| string_value(name).is_some_and(|name| wanted.iter().any(|(wanted, _)| *wanted == name));
    let mut entries: Vec<String> =
        kept.filter(|(name, _)| !is_replaced(name)).map(|(name, value)| format!("{name}:{value}")).collect();
    entries.extend(wanted.iter().map(|(name, value)| format!("\"{name}\":{value}")));
    let annotations = format!("{{{}}}", entries.join(","));
    Some(match member(definition, "annotations") {
        Some((_, span)) => [&definition[..span.start], &annotations, &definition[span.end..]].concat(),
        None => {
            let end = definition.rfind('}').unwrap_or(definition.len());
            format!("{},\"annotations\":{annotations}{}", definition[..end].trim_end(), &definition[end..])
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hints::advise;
    use crate::promises::{listing, tool};
    use crate::{Options, RuleSet, assess};

    fn check(definition: &str, filling: Filling, expected: Option<&str>) {
        let listing = listing(vec![tool(&serde_json::from_str(definition).unwrap_or_default())]);
        let options = Options { ignore_annotations: true, ..Options::default() };
        let verdict = assess(RuleSet::builtin(), &listing, &options).remove(0).verdict;
        let changes = advise(&listing.tools[0], &verdict).changes(filling);
        assert_eq!(annotated(definition, &changes, None).as_deref(), expected, "{definition}");
    }

    #[test]
    fn what_is_missing_is_filled_in_and_the_rest_stays_to_the_letter() {
        check(
            r#"{"description":"List all time zones", "name":"list_zones","x":1.0}"#,
            Filling::Missing,
            Some(
                r#"{"description":"List all time zones", "name":"list_zones","x":1.0,"annotations":{"readOnlyHint":true,"destructiveHint":false,"openWorldHint":false}}"#,
            ),
        );
    }

    #[test]
    fn a_wrong_hint_is_replaced_only_when_that_is_asked_for() {
        let definition =
            r#"{"name":"delete_note","description":"Delete a note","annotations":{"readOnlyHint":true,"extra":"é"}}"#;
        let head = r#"{"name":"delete_note","description":"Delete a note","annotations":{"#;
        let rest = r#""destructiveHint":true,"idempotentHint":true,"openWorldHint":false}}"#;
        check(definition, Filling::Missing, Some(&format!(r#"{head}"readOnlyHint":true,"extra":"é",{rest}"#)));
        check(definition, Filling::Wrong, Some(&format!(r#"{head}"extra":"é","readOnlyHint":false,{rest}"#)));
    }

    #[test]
    fn a_tool_that_calls_itself_destructive_is_never_said_to_read_only() {
        check(
            r#"{"name":"list_zones","description":"List all time zones","annotations":{"destructiveHint":true}}"#,
            Filling::Missing,
            Some(
                r#"{"name":"list_zones","description":"List all time zones","annotations":{"destructiveHint":true,"openWorldHint":false}}"#,
            ),
        );
    }

    #[test]
    fn annotations_that_can_be_read_in_two_ways_stay_as_they_are() {
        for annotations in [
            r#""Annotations":{"readOnlyHint":false}"#,
            r#""annotations":{"readonlyhint":false}"#,
            r#""annotations":{"__proto__":{"readOnlyHint":false}}"#,
        ] {
            let definition = format!(r#"{{"name":"list_zones","description":"List all time zones",{annotations}}}"#);
            check(&definition, Filling::Wrong, None);
        }
    }
}
