//! Tests of the comparison of schemas: what opens, what narrows, what changes nothing.

use super::schema::{CHANGES_MAX, Change, Direction, compare};
use super::schema_shape::SHAPES_MAX;
use crate::catalog::normal;
use serde_json::{Value, json};

fn changes(was: Value, now: Value) -> Vec<Change> {
    compare(Some(&normal::schema(was)), Some(&normal::schema(now)))
}

/// Changes as `path way what`.
#[track_caller]
fn check(was: Value, now: Value, expected: &[&str]) {
    let found: Vec<_> = changes(was, now).iter().map(short).collect();
    assert_eq!(found, expected);
}

fn short(change: &Change) -> String {
    let way = match change.direction {
        Direction::Opened => "+",
        Direction::Narrowed => "-",
        Direction::Same => "=",
    };
    format!("{way} {} {:?}", change.path, change.kind)
}

fn with(property: Value) -> Value {
    json!({"type": "object", "properties": {"p": property}})
}

#[test]
fn equal_schemas_have_no_changes() {
    let recursive = json!({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "properties": {"a": {"$ref": "#/$defs/n"}}});
    check(recursive.clone(), recursive, &[]);
    check(json!({"properties": {"a": {"$ref": "#"}}}), json!({"properties": {"a": {"$ref": "#"}}}), &[]);
}

#[test]
fn parameters_come_go_and_become_optional() {
    check(
        json!({"properties": {"a": {}, "b": {}, "gone": {}}, "required": ["a"]}),
        json!({"properties": {"a": {}, "b": {}, "mode": {}}, "required": ["b", "mode"]}),
        &["+ a Optional", "- b Required", "- gone Removed", "+ mode Added { required: true }"],
    );
}

#[test]
fn nested_parameters_are_seen_through_references_arrays_and_combinators() {
    let schema = |inner: Value| {
        json!({"$defs": {"Item": inner}, "properties": {
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "maybe": {"anyOf": [{"$ref": "#/$defs/Item"}, {"type": "null"}]},
            "all": {"allOf": [{"$ref": "#/$defs/Item"}]}}})
    };
    check(
        schema(json!({"type": "object", "properties": {"id": {"type": "string"}}})),
        schema(json!({"type": "object", "properties": {"id": {"type": "string"}, "script": {"type": "string"}}})),
        &[
            "+ all.script Added { required: false }",
            "+ items[*].script Added { required: false }",
            "+ maybe.script Added { required: false }",
        ],
    );
}

#[test]
fn types_widen_and_narrow() {
    check(with(json!({"type": "string"})), with(json!({"type": ["string", "null"]})), &["+ p Values([\"null\"])"]);
    check(
        with(json!({"type": ["string", "array"]})),
        with(json!({"type": "array"})),
        &["- p FewerValues([\"string\"])"],
    );
    check(with(json!({"type": "integer"})), with(json!({"type": "number"})), &["+ p Values([\"fractions\"])"]);
    check(with(json!({"type": "number"})), with(json!({"type": "integer"})), &["- p FewerValues([\"fractions\"])"]);
    check(with(json!({"type": "string"})), with(json!({})), &["+ p Values([\"any value\"])"]);
    check(with(json!({})), with(json!({"type": "string"})), &["- p FewerValues([\"any value\"])"]);
}

#[test]
fn two_ways_to_write_one_thing_are_one() {
    let only_remark = "=  Remark([\"the way it is written\"])";
    check(
        with(json!({"type": ["string", "null"]})),
        with(json!({"anyOf": [{"type": "string"}, {"type": "null"}]})),
        &[only_remark],
    );
    check(with(json!({"enum": ["a"]})), with(json!({"type": "string", "const": "a"})), &[only_remark]);
    check(
        json!({"properties": {"p": {"type": "string"}}}),
        json!({"properties": {"p": {"$ref": "#/$defs/T"}}, "$defs": {"T": {"type": "string"}}}),
        &[only_remark],
    );
}

#[test]
fn values_of_enums_are_compared_as_sets() {
    check(
        with(json!({"enum": ["get", "list"]})),
        with(json!({"enum": ["list", "delete"]})),
        &["+ p Values([\"delete\"])", "- p FewerValues([\"get\"])"],
    );
    check(
        with(json!({"type": "string", "enum": ["a"]})),
        with(json!({"type": "string"})),
        &["+ p Values([\"any value\"])"],
    );
    check(
        with(json!({"type": "string"})),
        with(json!({"type": "string", "enum": ["a"]})),
        &["- p FewerValues([\"all but a\"])"],
    );
}

#[test]
fn bounds_go_either_way() {
    let bound =
        |keyword: &str, was: &str, now: &str| format!("p Bound {{ keyword: {keyword:?}, was: {was:?}, now: {now:?} }}");
    let number =
        |text: &str| with(serde_json::from_str(&format!("{{\"type\": \"number\", {text}}}")).unwrap_or_default());
    check(number("\"maximum\": 5"), number("\"maximum\": 9"), &[&format!("+ {}", bound("maximum", "5", "9"))]);
    check(number("\"minimum\": 5"), number("\"minimum\": 9"), &[&format!("- {}", bound("minimum", "5", "9"))]);
    check(
        number("\"minimum\": 5"),
        number("\"exclusiveMinimum\": 5"),
        &[&format!("- {}", bound("minimum", "5", "none"))],
    );
    let text =
        |keyword: &str| with(serde_json::from_str(&format!("{{\"type\": \"string\", {keyword}}}")).unwrap_or_default());
    check(
        text("\"pattern\": \"^a\""),
        text("\"x-a\": 1"),
        &[&format!("+ {}", bound("pattern", "^a", "none")), "= p Remark([\"x-a\"])"],
    );
    check(
        text("\"pattern\": \"^[a-z0-9]+$\""),
        text("\"pattern\": \"^[a-z]+$\""),
        &[&format!("- {}", bound("pattern", "^[a-z0-9]+$", "^[a-z]+$"))],
    );
    check(
        text("\"pattern\": \"^[a-z]+$\""),
        text("\"pattern\": \"^[a-z]*$\""),
        &[&format!("+ {}", bound("pattern", "^[a-z]+$", "^[a-z]*$"))],
    );
    check(number("\"multipleOf\": 2"), number("\"multipleOf\": 6"), &[&format!("- {}", bound("multipleOf", "2", "6"))]);
    check(number("\"multipleOf\": 6"), number("\"multipleOf\": 2"), &[&format!("+ {}", bound("multipleOf", "6", "2"))]);
    check(text("\"minLength\": 0"), text("\"minLength\": 1"), &[&format!("- {}", bound("minLength", "0", "1"))]);
    check(
        text("\"format\": \"uri\""),
        text("\"format\": \"email\""),
        &[&format!("= {}", bound("format", "uri", "email"))],
    );
}

#[test]
fn unlisted_members_are_said() {
    let object = |more: Value| json!({"type": "object", "additionalProperties": more});
    check(object(json!(false)), object(json!(true)), &["+  Unlisted { accepted: true }"]);
    check(json!({"type": "object"}), object(json!(false)), &["-  Unlisted { accepted: false }"]);
    check(
        object(json!({"type": "string"})),
        object(json!({"type": "integer"})),
        &["+ * Values([\"integer\"])", "- * FewerValues([\"string\"])"],
    );
}

#[test]
fn what_cannot_be_compared_counts_as_opened() {
    check(with(json!({"not": {"type": "string"}})), with(json!({})), &["+ p Incomparable([\"not\"])"]);
    check(json!({"if": {"required": ["a"]}}), json!({"if": {"required": ["b"]}}), &["+  Incomparable([\"if\"])"]);
}

#[test]
fn values_in_branches_of_their_own_are_a_list_of_values() {
    let branches = |values: &[&str]| {
        let each: Vec<_> = values.iter().map(|value| json!({"type": "string", "const": value})).collect();
        with(json!({"anyOf": each}))
    };
    let list = |values: &[&str]| with(json!({"type": "string", "enum": values}));
    check(list(&["a", "b"]), branches(&["a", "b"]), &["=  Remark([\"the way it is written\"])"]);
    check(list(&["a", "b"]), branches(&["a", "c"]), &["+ p Values([\"c\"])", "- p FewerValues([\"b\"])"]);
    // A branch that takes every text takes those of the others too.
    let any = with(json!({"anyOf": [{"type": "string", "const": "a"}, {"type": "string"}]}));
    let narrow = with(json!({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "string", "pattern": "^b"}]}));
    assert!(changes(any.clone(), narrow.clone()).iter().all(|change| change.direction == Direction::Narrowed));
    assert!(changes(narrow, any).iter().any(|change| change.direction == Direction::Opened));
}

#[test]
fn a_keyword_that_comes_can_only_refuse() {
    check(with(json!({})), with(json!({"not": {"type": "string"}})), &["- p Bounded([\"not\"])"]);
    let named = |names: Value| with(json!({"type": "object", "propertyNames": names}));
    check(with(json!({"type": "object"})), named(json!({"type": "string"})), &["= p Remark([\"propertyNames\"])"]);
    check(with(json!({"type": "object"})), named(json!({"pattern": "^a"})), &["- p Bounded([\"propertyNames\"])"]);
    check(named(json!({"pattern": "^a"})), with(json!({"type": "object"})), &["+ p Incomparable([\"propertyNames\"])"]);
}

#[test]
fn an_object_of_which_nothing_is_said_any_more_is_opened() {
    let object = |more: Value| with(json!({"type": "object", "properties": more}));
    let inner = || object(json!({"mode": {"enum": ["dry"]}}));
    check(inner(), with(json!({"type": "object"})), &["+ p Loosened"]);
    check(
        inner(),
        with(json!({"type": "object", "additionalProperties": false})),
        &["= p Unlisted { accepted: false }", "- p.mode Removed"],
    );
    // A tool that takes nothing any more says so; one that says nothing takes whatever it is given.
    check(inner(), json!({"type": "object", "properties": {}}), &["- p Removed"]);
    check(inner(), json!({"type": "object"}), &["+  Loosened"]);
}

#[test]
fn a_parameter_under_another_name_is_no_new_one() {
    let named = |names: &[&str]| {
        let all: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        json!({"type": "object", "properties": all, "required": names})
    };
    check(named(&["repoId"]), named(&["repo_id"]), &["= repo_id Renamed { from: \"repoId\" }"]);
    check(named(&["dir"]), named(&["work_dir"]), &["= work_dir Renamed { from: \"dir\" }"]);
    // It hands over more than the old one did.
    check(named(&["note"]), named(&["note_url"]), &["- note Removed", "+ note_url Added { required: true }"]);
    // Which came for which cannot be told.
    assert!(
        changes(named(&["id"]), named(&["a_id", "b_id"]))
            .iter()
            .all(|change| !matches!(change.kind, super::Kind::Renamed { .. }))
    );
}

#[test]
fn texts_and_defaults_change_nothing_about_what_is_accepted() {
    check(
        with(json!({"type": "boolean", "default": false, "description": "a"})),
        with(json!({"type": "boolean", "default": true, "description": "b"})),
        &[
            "= p Default { was: \"false\", now: \"true\" }",
            "= p Text { keyword: \"description\", was: \"a\", now: \"b\" }",
        ],
    );
}

#[test]
fn an_absent_schema_takes_anything() {
    assert_eq!(compare(None, Some(&json!({"type": "object"}))).len(), 1);
    let found: Vec<_> = compare(None, Some(&json!({"properties": {"a": {}}}))).iter().map(short).collect();
    assert_eq!(found, ["+ a Added { required: false }"]);
}

#[test]
fn a_flood_of_harmless_changes_hides_no_opening() {
    let schema = |text: &str, more: &[(String, Value)]| {
        let many = (0..=CHANGES_MAX).map(|at| (format!("a{at}"), json!({"description": text})));
        json!({"properties": many.chain(more.iter().cloned()).collect::<serde_json::Map<_, _>>()})
    };
    let found = changes(schema("a", &[]), schema("b", &[("z".to_owned(), json!({}))]));
    assert_eq!(found.len(), CHANGES_MAX + 1);
    assert!(found.iter().map(short).any(|change| change == "+ z Added { required: false }"));
    let openings = |count: usize| {
        let more: Vec<_> = (0..count).map(|at| (format!("z{at}"), json!({}))).collect();
        changes(schema("a", &[]), schema("a", &more))
    };
    assert_eq!(openings(CHANGES_MAX).len(), CHANGES_MAX);
    let found = openings(CHANGES_MAX + 1);
    assert_eq!(found.len(), CHANGES_MAX + 1);
    assert_eq!(short(&found[0]), format!("+  Incomparable([\"more than {CHANGES_MAX} places\"])"));
}

#[test]
fn what_cannot_be_followed_counts_as_opened() {
    let opened = |was: Value, now: Value| changes(was, now).iter().any(|change| change.direction == Direction::Opened);
    let branches = |count: usize, more: Value| {
        let mut all: Vec<_> = (0..count).map(|at| json!({"type": "string", "const": at.to_string()})).collect();
        all.push(more);
        with(json!({"anyOf": all}))
    };
    let (was, now) = (json!({"type": "string", "const": "x"}), json!({"type": "object"}));
    assert!(opened(branches(SHAPES_MAX - 1, was.clone()), branches(SHAPES_MAX - 1, now.clone())), "seen");
    assert!(opened(branches(SHAPES_MAX + 9, was.clone()), branches(SHAPES_MAX + 9, now)), "not seen");
    let bound = |inner: u32| with(json!({"allOf": [{"type": "integer", "maximum": 10}, {"maximum": inner}]}));
    assert!(opened(bound(5), bound(500)), "the second of two bounds");
    let member = |inner: Value| {
        with(json!({"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": inner}}]}))
    };
    assert!(opened(member(json!({"maxLength": 5})), member(json!({"maxLength": 500}))), "the second of two members");
    let elsewhere = |at: &str| with(json!({"$ref": at}));
    assert!(opened(elsewhere("https://a.io/1"), elsewhere("https://a.io/2")), "another document");
    let named =
        |inner: Value| json!({"$defs": {"x": {"$anchor": "x", "anyOf": [inner]}}, "properties": {"p": {"$ref": "#x"}}});
    assert!(opened(named(was), named(json!({}))), "a name in this document");
    let value = |end: &str| with(json!({"enum": [format!("{}{end}", "x".repeat(200)), "y"]}));
    assert!(opened(value("a"), value("b")), "values that begin alike");
}

#[test]
fn two_ways_to_write_one_thing_open_nothing() {
    let plain = json!({"type": "string", "maxLength": 5, "description": "a"});
    let referred = json!({"$defs": {"S": {"type": "string", "maxLength": 5}},
        "properties": {"p": {"allOf": [{"$ref": "#/$defs/S"}], "description": "a"}}});
    check(with(plain), referred, &["=  Remark([\"the way it is written\"])"]);
}

#[test]
fn deep_and_wide_schemas_end() {
    let mut deep = (json!({"type": "string"}), json!({"type": "integer"}));
    for _ in 0..40 {
        deep = (with(deep.0), with(deep.1));
    }
    assert!(!changes(deep.0, deep.1).is_empty());
    // Each definition refers to the next one many times: 12^20 paths.
    let mut defs = serde_json::Map::new();
    for at in 0..20 {
        let next = format!("#/$defs/d{}", at + 1);
        let properties: serde_json::Map<_, _> = (0..12).map(|n| (format!("p{n}"), json!({"$ref": next}))).collect();
        defs.insert(format!("d{at}"), json!({"properties": properties}));
    }
    let schema = |last: Value| {
        let mut defs = defs.clone();
        defs.insert("d20".to_owned(), last);
        json!({"$defs": defs, "$ref": "#/$defs/d0"})
    };
    assert!(!changes(schema(json!({"type": "string"})), schema(json!({"type": "number"}))).is_empty());
}
