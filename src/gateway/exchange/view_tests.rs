//! Tests of views: which of the lists that a client was shown count.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]

use super::*;
use crate::catalog::LockedServer;
use crate::classify::{Options, RuleSet, classify};

const SAME: &str = r#"{"name":"same","description":"a"}"#;
const CHANGED: &str = r#"{"name":"same","description":"b"}"#;

fn reviewed(tools: &str) -> Reviewed {
    let text = format!("{{\"server\":\"s\",\"tools\":[{tools}]}}");
    let mut found = Vec::new();
    crate::catalog::read(text.as_bytes(), "x.json", &mut |it| found.push(it.unwrap())).unwrap();
    Reviewed::of([&LockedServer::of(&classify(RuleSet::builtin(), found.remove(0), &Options::default()), None)])
}

fn now(generation: u64) -> Moment {
    Moment { at: Instant::now(), generation }
}

const ESSENCE: Keep<'static> = Keep { essence: true, schema: None, repeats: false, interface: false };

fn take(listing: &mut Listing, tools: &[(&str, &str)]) {
    tools.iter().for_each(|(name, definition)| listing.take(name, definition, ESSENCE));
}

/// Shows the view a list of one page that was asked for in this generation.
fn list(view: &mut View, generation: u64, tools: &[(&str, &str)]) {
    view.page(Some(generation), false, now(generation), |listing| take(listing, tools));
}

#[test]
fn the_newest_list_decides() {
    let reviewed = reviewed(SAME);
    let mut view = View::default();
    let change = |view: &View, tool: &str| view.change(tool, &reviewed, now(0));
    assert_eq!(change(&view, "same"), Some(ToolChange::Unseen));
    list(&mut view, 0, &[("same", SAME), ("new", SAME)]);
    assert_eq!(change(&view, "same"), None);
    assert_eq!(change(&view, "new"), Some(ToolChange::New));
    list(&mut view, 0, &[("same", CHANGED)]);
    assert_eq!(change(&view, "same"), Some(ToolChange::Changed));
    list(&mut view, 0, &[]);
    assert_eq!(change(&view, "same"), Some(ToolChange::Gone));
    list(&mut view, 0, &[("same", SAME), ("same", CHANGED)]);
    assert_eq!(change(&view, "same"), Some(ToolChange::Changed), "every definition counts");
    list(&mut view, 0, &[("same", "{\"name\":5}")]);
    assert_eq!(change(&view, "same"), Some(ToolChange::Changed), "what cannot be read was not reviewed");
}

#[test]
fn pages_count_as_they_come() {
    let reviewed = reviewed(SAME);
    let mut view = View::default();
    list(&mut view, 0, &[("same", SAME)]);
    view.page(Some(0), true, now(0), |_| ());
    assert_eq!(view.change("same", &reviewed, now(0)), None, "not on the first page, and not gone yet");
    view.page(None, true, now(0), |listing| take(listing, &[("same", CHANGED)]));
    assert_eq!(view.change("same", &reviewed, now(0)), Some(ToolChange::Changed));
}

#[test]
fn a_list_that_was_taken_back_says_nothing() {
    let reviewed = reviewed(SAME);
    let mut view = View::default();
    list(&mut view, 0, &[("same", SAME)]);
    assert_eq!(view.change("same", &reviewed, now(1)), Some(ToolChange::Unseen));
    view.page(Some(0), false, now(1), |listing| take(listing, &[("same", SAME)]));
    assert_eq!(view.change("same", &reviewed, now(1)), Some(ToolChange::Unseen), "asked for before the notice");
    list(&mut view, 1, &[("same", SAME)]);
    assert_eq!(view.change("same", &reviewed, now(1)), None);
    view.page(Some(0), false, now(1), |listing| take(listing, &[("same", CHANGED)]));
    assert_eq!(view.change("same", &reviewed, now(1)), None, "an older list takes no newer one's place");
}

#[test]
fn of_two_lists_at_a_time_no_part_counts_as_the_whole() {
    let reviewed = reviewed(SAME);
    let mut view = View::default();
    view.page(Some(0), true, now(0), |listing| take(listing, &[("same", SAME)]));
    // Another list comes whole before the second page of the first.
    list(&mut view, 0, &[("same", SAME)]);
    view.page(None, false, now(0), |listing| take(listing, &[("other", SAME)]));
    assert_eq!(view.change("same", &reviewed, now(0)), None, "it is on a page that came");
}

#[test]
fn a_list_says_nothing_to_the_lock_once_it_is_too_old() {
    let (reviewed, mut view) = (reviewed(SAME), View::aging(Duration::from_secs(5)));
    list(&mut view, 0, &[("same", SAME)]);
    let at = now(0);
    let later = |seconds| Moment { at: at.at + Duration::from_secs(seconds), ..at };
    assert_eq!(view.change("same", &reviewed, later(4)), None);
    assert_eq!(view.change("same", &reviewed, later(6)), Some(ToolChange::Unseen));
}

#[test]
fn lists_and_schemas_are_bounded() {
    let mut listing = Listing::default();
    (0..=LISTED_TOOLS_MAX).for_each(|at| listing.take(&format!("t{at}"), SAME, ESSENCE));
    assert_eq!(listing.tools.len(), LISTED_TOOLS_MAX);
    let (schemas, mut listing) = (Schemas::default(), Listing::default());
    let sized = |name: &str, bytes: usize| {
        let definition = format!("{{\"name\":\"{name}\",\"inputSchema\":{{\"x\":\"{}\"}}}}", "x".repeat(bytes - 8));
        (name.to_owned(), definition)
    };
    let keep = Keep { essence: false, schema: Some(&schemas), repeats: false, interface: false };
    for (name, definition) in [sized("a", SCHEMA_BYTES_MAX - 8), sized("b", 8), sized("c", 8)] {
        listing.take(&name, &definition, keep);
    }
    let kept = |name: &str| matches!(listing.tools[name].schema, KeptSchema::Schema(_));
    assert_eq!((kept("a"), kept("b"), kept("c")), (true, true, false));
}

fn policy(text: &str) -> Policy {
    crate::policy::parse(text, "policy.json").unwrap()
}

fn typed(kind: &str) -> String {
    format!(r#"{{"name":"t","inputSchema":{{"properties":{{"a":{{"type":"{kind}"}}}}}}}}"#)
}

#[test]
fn arguments_are_held_to_the_newest_schema_that_this_viewer_was_shown() {
    let policy = policy(r#"{"version":"1","default":"deny","tools":{"t":{"validate":"schema"}}}"#);
    let schemas = Schemas::default();
    let show = |view: &mut View, definitions: &[String]| {
        view.page(Some(0), false, now(0), |listing| {
            let keep = Keep { essence: false, schema: Some(&schemas), repeats: false, interface: false };
            definitions.iter().for_each(|definition| listing.take("t", definition, keep));
        });
    };
    let takes = |view: &View, arguments: &str| {
        view.schema(&policy, None, "t", now(0)).map(|schema| schema.check(arguments).is_ok())
    };
    let (mut one, mut other) = (View::default(), View::default());
    assert!(one.wants_list(&policy, None, "t", now(0)));
    show(&mut one, &[typed("integer")]);
    assert_eq!((takes(&one, r#"{"a":1}"#), takes(&one, r#"{"a":"x"}"#)), (Some(true), Some(false)));
    assert_eq!(takes(&other, "{}"), None, "another viewer was shown nothing");
    show(&mut other, &[typed("string")]);
    show(&mut one, &[typed("boolean")]);
    assert_eq!((takes(&one, r#"{"a":true}"#), takes(&one, r#"{"a":1}"#)), (Some(true), Some(false)), "the newest");
    assert_eq!(takes(&other, r#"{"a":"x"}"#), Some(true));
    assert!(!one.wants_list(&policy, None, "t", now(0)) && one.wants_list(&policy, None, "t", now(1)));
    show(&mut one, &[typed("boolean"), typed("boolean")]);
    assert_eq!(takes(&one, r#"{"a":true}"#), Some(true), "the same twice");
    show(&mut one, &[typed("boolean"), typed("string")]);
    assert_eq!(takes(&one, r#"{"a":true}"#), None, "two that differ are none");
    assert!(!one.wants_list(&policy, None, "t", now(0)), "and asking again does not help");
}

#[test]
fn a_locked_schema_comes_first_and_needs_no_list() {
    let policy = policy(r#"{"version":"1","default":"deny","tools":{"t":{"validate":"schema"}}}"#);
    let guard = Guard::new(reviewed(&typed("integer")), crate::gateway::locked::OnChange::Warn);
    let view = View::default();
    let schema = view.schema(&policy, Some(&guard), "t", now(0)).unwrap();
    assert!(schema.check(r#"{"a":1}"#).is_ok() && schema.check(r#"{"a":"x"}"#).is_err());
    assert!(guard.set(reviewed(&typed("string"))).is_some());
    assert!(view.schema(&policy, Some(&guard), "t", now(0)).unwrap().check(r#"{"a":"x"}"#).is_ok());
}

#[test]
fn an_unlisted_name_may_be_a_hidden_one_where_some_are_hidden() {
    let policy = policy(r#"{"version":"1","default":"allow","hide":["rm"]}"#);
    let mut view = View::default();
    assert!(view.wants_list(&policy, None, "same", now(0)));
    assert_eq!(view.against(&policy, None, "same", now(0)), None, "no list says so");
    list(&mut view, 0, &[("same", SAME)]);
    assert!(!view.wants_list(&policy, None, "rm2", now(0)));
    assert_eq!(view.against(&policy, None, "same", now(0)), None);
    assert_eq!(view.against(&policy, None, "rm2", now(0)), Some(ToolChange::Unlisted));
    list(&mut view, 0, &[("rm2", SAME)]);
    assert_eq!(view.against(&policy, None, "same", now(0)), Some(ToolChange::Unlisted), "the newest list counts");
}

#[test]
fn a_name_that_may_be_a_ruled_one_passes_only_where_a_list_shows_it() {
    let policy = policy(r#"{"version":"1","default":"allow","tools":{"echo":{"action":"deny"}}}"#);
    let others = ["Echo", "echo ", "echo\u{200b}", "\u{ff45}cho", "e-cho", "%65cho"];
    let mut view = View::default();
    for name in others {
        assert!(policy.wants_lists_for(name) && view.wants_list(&policy, None, name, now(0)), "{name:?}");
        assert_eq!(view.against(&policy, None, name, now(0)), Some(ToolChange::Unlisted), "{name:?}");
    }
    for name in ["echo", "echo2", "other"] {
        assert!(!policy.wants_lists_for(name), "{name:?}");
        assert_eq!(view.against(&policy, None, name, now(0)), None, "{name:?}");
    }
    list(&mut view, 0, &[("echo", SAME), ("Echo", SAME)]);
    assert_eq!(view.against(&policy, None, "Echo", now(0)), None, "a tool of its own");
    assert_eq!(view.against(&policy, None, "echo ", now(0)), Some(ToolChange::Unlisted));
    assert!(!view.wants_list(&policy, None, "echo ", now(0)));
}

#[test]
fn schemas_that_are_equal_are_kept_once() {
    let schemas = Schemas::default();
    let one = schemas.of("{}");
    assert!(Arc::ptr_eq(&one, &schemas.of("{}")));
    drop(one);
    for number in 0..100 {
        drop(schemas.of(&number.to_string()));
    }
    assert!(schemas.0.lock().unwrap().len() < 50, "what no list holds is let go");
}
