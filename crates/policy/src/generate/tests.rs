//! The table of the recommended policy, row by row, in both forms.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use super::testing::{compact, standard, tool, verdict};
use super::*;
use crate::model::{Confidence, Evidence, Finding, Flag, Severity};
use serde_json::json;

use BlastRadius::{Critical, High, Low, Medium};
use Category::{Delete, Execute, Read, Write};
use Profile::{ReadOnly, Standard, Strict};

const FREE: &str = r#","tools":{"Do_It":{}}"#;
const HIDE: &str = r#","hide":["Do_It"]"#;

fn wishes(profile: Profile, form: Form) -> Wishes<'static> {
    Wishes { profile, ..Wishes::standard(form) }
}

/// What is written beside version and default, without reasons.
fn written(verdict: &Verdict, profile: Profile, form: Form) -> String {
    let raw = json!({"name": "Do_It", "inputSchema": {"type": "object"}}).to_string();
    let tool = ToolDefinition::parse(&serde_json::value::RawValue::from_string(raw).unwrap()).unwrap();
    let mut made = generate([(&tool, verdict)], &wishes(profile, form));
    for rules in made.document.tools.values_mut() {
        let has_reason = rules.comment.take().is_some();
        assert_eq!(has_reason, form == Form::Full && !rules.is_empty(), "{rules:?}");
    }
    let text = compact(&made.document);
    let policy = crate::parse(&text, "p").unwrap();
    if form == Form::Portable && profile != Strict {
        assert_eq!(crate::check_portable(&policy, &crate::Places::of(&text)), []);
    }
    text.strip_prefix(r#"{"version":"1","default":"deny""#).unwrap().strip_suffix('}').unwrap().to_owned()
}

#[test]
fn each_class_gets_what_the_table_says_in_the_form_of_others() {
    let limit = |max: u64| {
        format!(
            r#","tools":{{"Do_It":{{"limits":[{{"counter":"do_it_rate","window":"minute","max":{max},"scope":"grant"}}]}}}}"#
        )
    };
    let human = r#","tools":{"Do_It":{"deny_if":[{"conditions":[],"on_deny":"Requires human approval."}]}}"#;
    for (category, radius, flags, profile, expected) in [
        (Read, Low, &[][..], Standard, FREE),
        (Read, Medium, &[], Standard, FREE),
        (Read, High, &[], Standard, &limit(10)),
        (Read, Low, &[Flag::Credential], Standard, &limit(10)),
        (Write, Medium, &[], Standard, &limit(30)),
        (Write, High, &[Flag::Egress], Standard, &limit(30)),
        (Write, Critical, &[Flag::Egress], Standard, human),
        (Execute, Medium, &[], Standard, &limit(10)),
        (Execute, High, &[Flag::Unclassified], Standard, &limit(10)),
        (Execute, Critical, &[Flag::CodeExecution], Standard, HIDE),
        (Execute, Critical, &[], Standard, HIDE),
        (Delete, Low, &[], Standard, HIDE),
        (Delete, High, &[Flag::Financial], Standard, HIDE),
        (Write, High, &[Flag::Financial], Standard, human),
        (Execute, Critical, &[Flag::Financial], Standard, human),
        (Execute, Critical, &[Flag::Financial, Flag::CodeExecution], Standard, HIDE),
        (Read, Low, &[], ReadOnly, FREE),
        (Write, Low, &[], ReadOnly, ""),
        (Delete, Low, &[], ReadOnly, ""),
    ] {
        assert_eq!(written(&verdict(category, radius, flags), profile, Form::Portable), expected);
    }
}

#[test]
fn each_class_gets_what_the_table_says_in_full() {
    let limit = |max: u64, more: &str| format!(r#","tools":{{"Do_It":{{{more}"rate_limit":"{max}/minute"}}}}"#);
    let human = |max: u64| limit(max, r#""action":"require_approval","#);
    let strictly = |max: u64| limit(max, r#""action":"require_approval","validate":"schema","#);
    let checked = |max: u64| limit(max, r#""validate":"schema","#);
    for (category, radius, flags, profile, expected) in [
        (Read, Low, &[][..], Standard, FREE),
        (Read, High, &[], Standard, &limit(10, "")),
        (Write, Medium, &[], Standard, &limit(30, "")),
        (Write, High, &[Flag::Privilege], Standard, &limit(30, "")),
        (Write, Critical, &[], Standard, &human(30)),
        (Write, High, &[Flag::Financial], Standard, &human(30)),
        (Execute, Critical, &[Flag::Financial], Standard, &human(10)),
        (Execute, Medium, &[], Standard, &limit(10, "")),
        (Delete, Low, &[], Standard, HIDE),
        (Read, Low, &[], Strict, FREE),
        (Read, High, &[], Strict, &human(10)),
        (Read, Low, &[Flag::Egress], Strict, &human(10)),
        (Write, Medium, &[], Strict, &checked(30)),
        (Write, High, &[], Strict, &strictly(30)),
        (Write, Medium, &[Flag::Privilege], Strict, &strictly(30)),
        (Execute, Medium, &[], Strict, &strictly(10)),
        (Execute, Medium, &[Flag::Reversible], Strict, &checked(10)),
        (Execute, High, &[], Strict, &strictly(10)),
        (Execute, Critical, &[], Strict, HIDE),
    ] {
        assert_eq!(written(&verdict(category, radius, flags), profile, Form::Full), expected);
    }
}

#[test]
fn findings_decide_before_the_class() {
    let with = |category, severity| {
        let finding =
            Finding { id: "instructs-model".to_owned(), severity, message: "m".to_owned(), tool: String::new() };
        Verdict { findings: vec![finding], ..verdict(category, Low, &[]) }
    };
    for (category, severity, expected) in [
        (Read, Severity::Note, FREE),
        (Read, Severity::Warning, r#","tools":{"Do_It":{"action":"require_approval","rate_limit":"10/minute"}}"#),
        (Write, Severity::Warning, r#","tools":{"Do_It":{"action":"require_approval","rate_limit":"30/minute"}}"#),
        (Delete, Severity::Warning, HIDE),
        (Read, Severity::Error, HIDE),
    ] {
        assert_eq!(written(&with(category, severity), Standard, Form::Full), expected);
    }
    assert_eq!(written(&with(Read, Severity::Error), ReadOnly, Form::Full), HIDE);
    let refused = r#","tools":{"Do_It":{"deny_if":[{"conditions":[],"on_deny":"Requires human approval."}]}}"#;
    assert_eq!(written(&with(Read, Severity::Warning), Standard, Form::Portable), refused);
}

#[test]
fn what_the_rules_are_unsure_of_passes_only_where_nothing_speaks_for_worse() {
    let says = |category: Category, weight: u32| Evidence {
        rule: "r".to_owned(),
        source: EvidenceSource::Name,
        quote: String::new(),
        says: category.as_str().to_owned(),
        weight,
    };
    for (confidence, category, other, flags, expected) in [
        (Confidence::Low, Read, says(Delete, 30), &[][..], Ruling::Hide),
        (Confidence::Low, Read, says(Execute, 30), &[], Ruling::Approve(10)),
        (Confidence::Low, Write, says(Execute, 30), &[], Ruling::Approve(30)),
        (Confidence::Low, Execute, says(Execute, 0), &[Flag::Unclassified], Ruling::Approve(10)),
        (Confidence::Low, Read, says(Write, 30), &[], Ruling::Allow),
        (Confidence::Low, Read, says(Delete, 0), &[], Ruling::Allow),
        (Confidence::Medium, Read, says(Delete, 30), &[], Ruling::Allow),
    ] {
        let mut verdict = verdict(category, Low, flags);
        (verdict.confidence, verdict.evidence) = (confidence, vec![other]);
        assert_eq!(ruling::ruling("do_it", &verdict, Standard).0, expected, "{verdict:?}");
        let listed = expected == Ruling::Allow;
        let in_reads_only = ruling::ruling("do_it", &verdict, ReadOnly).0;
        assert_eq!(in_reads_only == Ruling::Allow, listed, "{verdict:?}");
    }
}

#[test]
fn a_tool_that_some_values_make_dangerous_is_held_to_the_others() {
    let raw = json!({"name": "calendar", "inputSchema": {"properties": {
        "action": {"type": "string", "enum": ["create", "list", "delete"]}}}})
    .to_string();
    let tool = ToolDefinition::parse(&serde_json::value::RawValue::from_string(raw).unwrap()).unwrap();
    let judge = |tool: &ToolDefinition| {
        let deletes = tool.parameters.iter().any(|parameter| parameter.values.contains(&"delete".to_owned()));
        verdict(if deletes { Delete } else { Write }, Medium, &[])
    };
    let made = |verdict: &Verdict, form| {
        let made = generate([(&tool, verdict)], &Wishes { judge: Some(&judge), ..Wishes::standard(form) });
        (compact(&made.document), made.review[0].why.clone())
    };
    let require = r#""require":[{"conditions":[{"path":"args.action","op":"in","value":["create","list"]}]}]"#;
    let (text, why) = made(&judge(&tool), Form::Portable);
    assert!(text.contains(&format!(r#""calendar":{{{require},"limits""#)), "{text}");
    assert!(why.ends_with("but only by `delete` of `action`; without: creates or changes data"), "{why}");
    let (text, _) = made(&judge(&tool), Form::Full);
    assert!(text.contains(&format!(r#"{require},"rate_limit":"30/minute""#)), "{text}");
    assert!(crate::parse(&text, "p").is_ok(), "{text}");
    // Neither a finding nor a person's own word is taken back by looking again.
    let finding = |severity| Finding { id: "f".to_owned(), severity, message: String::new(), tool: String::new() };
    let with = |severity| Verdict { findings: vec![finding(severity)], ..judge(&tool) };
    assert!(made(&with(Severity::Error), Form::Full).0.contains(r#""hide":["calendar"]"#));
    assert!(made(&with(Severity::Warning), Form::Full).0.contains(&format!(r#"require_approval",{require}"#)));
    let own = Evidence {
        rule: "override".to_owned(),
        source: EvidenceSource::Override,
        quote: String::new(),
        says: "Delete".to_owned(),
        weight: 1,
    };
    let overridden = Verdict { evidence: vec![own], ..judge(&tool) };
    assert!(made(&overridden, Form::Full).0.contains(r#""hide":["calendar"]"#));
}

#[test]
fn arguments_are_held_only_against_a_schema_that_can_be_used() {
    let write = verdict(Write, Medium, &[]);
    for (schema, expected) in [
        (json!({"type": "object"}), true),
        (json!({"type": "object", "required": null}), false),
        (json!({"$ref": "https://example.com/x"}), false),
    ] {
        let raw = json!({"name": "t", "inputSchema": schema}).to_string();
        let tool = ToolDefinition::parse(&serde_json::value::RawValue::from_string(raw).unwrap()).unwrap();
        let made = generate([(&tool, &write)], &wishes(Strict, Form::Full));
        assert_eq!(made.review[0].validated, expected, "{schema}");
        assert_eq!(made.review[0].why.contains("schema cannot be used"), !expected, "{schema}");
        assert_eq!(compact(&made.document).contains("validate"), expected, "{schema}");
    }
    assert!(!generate([(&tool("t"), &write)], &wishes(Strict, Form::Full)).review[0].validated);
}

#[test]
fn several_tools_have_a_limit_together() {
    let read = verdict(Read, Low, &[]);
    let delete = verdict(Delete, Low, &[]);
    let (a, b) = (tool("a"), tool("b"));
    let text = |other| compact(&standard([(&a, &read), (&b, other)]).document);
    assert!(
        text(&read)
            .contains(r#""all_tools":{"limits":[{"counter":"calls","window":"minute","max":120,"scope":"grant"}]}"#)
    );
    assert!(!text(&delete).contains("all_tools"));
}

#[test]
fn tools_come_in_the_order_of_names_and_the_stricter_twin_counts() {
    let read = verdict(Read, Low, &[]);
    let delete = verdict(Delete, High, &[]);
    let tools = [tool("b"), tool("a"), tool("b")];
    let selection = Selection { only: BTreeSet::new(), except: ["x".to_owned()].into() };
    let made =
        generate(tools.iter().zip([&read, &read, &delete]), &Wishes { selection, ..Wishes::standard(Form::Portable) });
    assert_eq!(compact(&made.document), r#"{"version":"1","default":"deny","hide":["b"],"tools":{"a":{}}}"#);
}

#[test]
fn names_that_cannot_be_written_down_are_left_to_the_default() {
    for name in ["a*", "a\u{202e}b", "a b", &"x".repeat(201)] {
        let made = standard([(&tool(name), &verdict(Write, Low, &[]))]);
        assert_eq!(compact(&made.document), r#"{"version":"1","default":"deny"}"#);
        assert_eq!(made.review[0].ruling, Ruling::LeaveOut);
    }
}
