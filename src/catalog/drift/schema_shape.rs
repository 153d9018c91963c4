//! The shapes that a JSON Schema accepts: references followed, `allOf` put together, `anyOf`, `oneOf` and lists of types
//! taken apart, so that two ways to write one thing compare as one.

use super::schema::Direction;
use crate::model::Fingerprint;
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Most shapes of one schema; of further ones only that there are more is known.
pub const SHAPES_MAX: usize = 64;
/// Deepest chain of references and combinators.
const EXPAND_DEPTH_MAX: usize = 12;
/// Longest value shown inside a change, in characters.
const VALUE_CHARS_MAX: usize = 80;

/// Keywords whose change may go either way, or whose effect depends on what is around them.
const INCOMPARABLE: [&str; 12] = [
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
    "additionalItems",
    "$dynamicRef",
];
/// Keywords that are compared one by one elsewhere, or lead to what is.
const COMPARED: [&str; 32] = [
    "$ref",
    "$defs",
    "definitions",
    "allOf",
    "anyOf",
    "oneOf",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "items",
    "prefixItems",
    "contains",
    "enum",
    "const",
    "description",
    "title",
    "default",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
];
/// Keywords that are read where they stand first; what `allOf` or a reference says beside that has to be equal.
const FIRST_ONLY: [&str; 16] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "additionalProperties",
    "patternProperties",
];
/// Keywords of a size: the lower one bounds from below.
const SIZES: [(&str, bool); 6] = [
    ("minLength", true),
    ("maxLength", false),
    ("minItems", true),
    ("maxItems", false),
    ("minProperties", true),
    ("maxProperties", false),
];
/// Keywords of which it cannot always be told which value refuses more.
const OPAQUE: [&str; 2] = ["multipleOf", "pattern"];
/// Keywords that say what a text means and refuse nothing (JSON Schema 2020-12, validation, sections 7 and 8).
const MEANING: [&str; 3] = ["format", "contentEncoding", "contentMediaType"];

/// One type with everything that is said about it: the schema's own members first, then those of references and
/// `allOf`.
#[derive(Clone, Debug)]
pub(super) struct Shape<'a> {
    kind: &'a str,
    layers: Vec<&'a Map<String, Value>>,
    /// The values of several shapes that were nothing but values.
    merged: Option<BTreeSet<String>>,
}

/// What differs among the keywords that nothing else looks at.
pub(super) struct Leftovers {
    /// Those that cannot be compared.
    pub incomparable: Vec<String>,
    /// Those that were not there before and can only refuse.
    pub bounding: Vec<String>,
    /// Those that change nothing about what is accepted.
    pub remarks: Vec<String>,
}

/// What a schema accepts, as far as it can be told.
pub(super) struct Shapes<'a> {
    /// No shape at all accepts nothing.
    pub shapes: Vec<Shape<'a>>,
    /// Whether something was left out: more shapes than are kept, deeper references, or one into this document that
    /// cannot be followed.
    pub doubt: bool,
}

/// Shapes of one type without those that say nothing beside the others: values spelled as branches of their own become
/// one list, and beside a shape that takes every text or number there is no other.
pub(super) fn plain(shapes: Vec<Shape<'_>>) -> Vec<Shape<'_>> {
    if let Some(free) = shapes.iter().find(|shape| shape.is_scalar() && shape.is_free()) {
        return vec![free.clone()];
    }
    let (listed, mut rest): (Vec<_>, Vec<_>) = shapes.into_iter().partition(Shape::is_values);
    let values = listed.iter().filter_map(Shape::values).reduce(|a, b| &a | &b);
    rest.extend(listed.into_iter().next().map(|first| Shape { merged: values, ..first }));
    rest
}

/// The shapes of `schema`, whose references are looked up in `root`.
pub(super) fn shapes<'a>(root: &'a Value, schema: &'a Value) -> Shapes<'a> {
    let is_root = std::ptr::eq(root, schema);
    let (mut out, mut doubt) = (Vec::new(), false);
    for layers in expand(root, schema, 0, &mut doubt) {
        for kind in kinds(&layers) {
            // Arguments are an object whether the schema says so or not (MCP, `Tool.inputSchema`).
            let kind = if is_root && kind == "any" { "object" } else { kind };
            if out.len() < SHAPES_MAX {
                out.push(Shape { kind, layers: layers.clone(), merged: None });
            } else {
                doubt = true;
            }
        }
    }
    Shapes { shapes: out, doubt }
}

fn expand<'a>(root: &'a Value, schema: &'a Value, depth: usize, doubt: &mut bool) -> Vec<Vec<&'a Map<String, Value>>> {
    let object = match schema {
        Value::Object(object) => object,
        Value::Bool(false) => return Vec::new(),
        _ => return vec![Vec::new()],
    };
    let mut found = vec![vec![object]];
    if depth >= EXPAND_DEPTH_MAX {
        *doubt |= ["$ref", "allOf", "anyOf", "oneOf"].iter().any(|key| object.contains_key(*key));
        return found;
    }
    if let Some(path) = object.get("$ref").and_then(Value::as_str) {
        match local(root, path) {
            Some(target) => found = product(found, expand(root, target, depth + 1, doubt), doubt),
            // Into another document nobody looks; in this one what stands there may have changed.
            None => *doubt |= path.starts_with('#'),
        }
    }
    let branches = |key: &str| object.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for branch in branches("allOf") {
        found = product(found, expand(root, branch, depth + 1, doubt), doubt);
    }
    for key in ["anyOf", "oneOf"] {
        let any: Vec<_> = branches(key).iter().flat_map(|branch| expand(root, branch, depth + 1, doubt)).collect();
        if !branches(key).is_empty() {
            found = product(found, any, doubt);
        }
    }
    found
}

/// Every member of `a` together with every member of `b`.
fn product<'a>(
    a: Vec<Vec<&'a Map<String, Value>>>,
    b: Vec<Vec<&'a Map<String, Value>>>,
    doubt: &mut bool,
) -> Vec<Vec<&'a Map<String, Value>>> {
    *doubt |= a.len().saturating_mul(b.len()) > SHAPES_MAX;
    let both = a.iter().flat_map(|one| b.iter().map(|other| one.iter().chain(other).copied().collect()));
    both.take(SHAPES_MAX).collect()
}

/// A reference into the same document; any other is never followed.
fn local<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// The types that all layers admit; without a word about it, what the other keywords are about.
fn kinds<'a>(layers: &[&'a Map<String, Value>]) -> Vec<&'a str> {
    let mut named: Option<Vec<&str>> = None;
    for layer in layers {
        let own: Vec<&str> = match layer.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => continue,
        };
        named = Some(match named {
            None => own,
            Some(known) => {
                let both: Vec<_> = known.iter().copied().filter(|kind| own.contains(kind)).collect();
                // An integer is a number; any other contradiction keeps the outer word.
                if both.is_empty() && known == ["number"] && own == ["integer"] {
                    own
                } else if both.is_empty() {
                    known
                } else {
                    both
                }
            }
        });
    }
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return named;
    }
    let has = |keys: &[&str]| layers.iter().any(|layer| keys.iter().any(|key| layer.contains_key(*key)));
    if has(&["enum", "const"]) {
        let values = layers.iter().flat_map(|layer| listed(layer)).flatten();
        return values.map(type_of).collect::<BTreeSet<_>>().into_iter().collect();
    }
    if has(&["properties", "required", "additionalProperties", "patternProperties"]) {
        vec!["object"]
    } else if has(&["items", "prefixItems", "minItems", "maxItems"]) {
        vec!["array"]
    } else {
        vec!["any"]
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The values of `enum` and `const`, if there are any.
fn listed(layer: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (layer.get("const"), layer.get("enum")) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(Value::Array(several))) => Some(several.iter().collect()),
        (None, _) => None,
    }
}

/// A value as it is shown: text without quotes, the rest as JSON, all of it bounded and escaped.
pub(super) fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    crate::text::excerpt(&text, VALUE_CHARS_MAX)
}

/// A value as it is shown and told from others: two long ones may begin alike.
fn told(value: &Value) -> String {
    let bytes = value.as_str().map_or_else(|| value.to_string().len(), str::len);
    if bytes <= VALUE_CHARS_MAX {
        return shown(value);
    }
    format!("{} ({bytes} bytes, {})", shown(value), &Fingerprint::of(value).as_str()[..8])
}

/// The value of a bound as it is shown.
pub(super) fn bound_text(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), shown)
}

impl<'a> Shape<'a> {
    pub(super) fn kind(&self) -> &'a str {
        self.kind
    }

    /// The same shape as another type.
    pub(super) fn retyped(mut self, kind: &'a str) -> Self {
        self.kind = kind;
        self
    }

    /// The keyword where it is said first.
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.layers.iter().find_map(|layer| layer.get(keyword))
    }

    /// The keyword wherever it is said.
    pub(super) fn said(&self, keyword: &str) -> impl Iterator<Item = &'a Value> {
        self.layers.iter().filter_map(move |layer| layer.get(keyword))
    }

    /// Whether it is written the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.layers == other.layers && self.merged == other.merged
    }

    /// Whether everything of its type passes.
    pub(super) fn is_free(&self) -> bool {
        self.elsewhere().is_empty() && !self.keys().any(|key| is_asserting(key) && key != "type")
    }

    /// Whether it is a list of values and nothing else.
    fn is_values(&self) -> bool {
        self.is_scalar()
            && self.values().is_some()
            && !self.keys().any(|key| is_asserting(key) && !matches!(key, "type" | "enum" | "const"))
    }

    fn is_scalar(&self) -> bool {
        matches!(self.kind, "string" | "number" | "integer" | "boolean" | "null")
    }

    fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.layers.iter().flat_map(|layer| layer.keys()).map(String::as_str)
    }

    /// Whether an object passes with members that are not declared.
    pub(super) fn takes_undeclared(&self) -> bool {
        let refuses = |key: &str| self.get(key) == Some(&Value::Bool(false));
        !refuses("additionalProperties") && !refuses("unevaluatedProperties") && self.get("patternProperties").is_none()
    }

    /// How much the two have in common: names of properties, values, title.
    pub(super) fn likeness(&self, other: &Self) -> usize {
        let (a, b) = (self.properties(), other.properties());
        let shared = a.keys().filter(|name| b.contains_key(*name)).count();
        let equal = a.iter().filter(|(name, schema)| b.get(*name) == Some(*schema)).count();
        let (mine, theirs) = (self.values().unwrap_or_default(), other.values().unwrap_or_default());
        shared + equal + mine.intersection(&theirs).count() + usize::from(self.get("title") == other.get("title"))
    }

    /// Declared members of an object, by name.
    pub(super) fn properties(&self) -> BTreeMap<&'a str, &'a Value> {
        let mut found = BTreeMap::new();
        for layer in &self.layers {
            for (name, schema) in layer.get("properties").and_then(Value::as_object).into_iter().flatten() {
                found.entry(name.as_str()).or_insert(schema);
            }
        }
        found
    }

    /// Members that must be given.
    pub(super) fn required(&self) -> BTreeSet<&'a str> {
        self.said("required").filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect()
    }

    /// The values of this type that are accepted, where they are listed; `None` is any.
    pub(super) fn values(&self) -> Option<BTreeSet<String>> {
        if self.merged.is_some() {
            return self.merged.clone();
        }
        let fits = |value: &&Value| {
            let kind = type_of(value);
            self.kind == "any" || kind == self.kind || (kind == "integer" && self.kind == "number")
        };
        let lists = self.layers.iter().filter_map(|layer| listed(layer));
        lists.map(|values| values.into_iter().filter(fits).map(told).collect::<BTreeSet<_>>()).reduce(|a, b| &a & &b)
    }

    /// Bounds that differ, each with the way it goes.
    pub(super) fn bounds(&self, now: &Self) -> Vec<(&'static str, Direction)> {
        let mut found = Vec::new();
        let mut add = |keyword, direction: Option<Direction>| found.extend(direction.map(|way| (keyword, way)));
        for (keyword, exclusive, is_lower) in
            [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)]
        {
            let limit = |shape: &Self| shape.limit(keyword, exclusive, is_lower);
            let way = way(limit(self), limit(now), is_lower);
            // Said where it was said; both spellings may be in play.
            let place = if self.get(keyword).is_some() || now.get(keyword).is_some() { keyword } else { exclusive };
            add(place, way);
        }
        for (keyword, is_lower) in SIZES {
            let size = |shape: &Self| {
                let size = shape.get(keyword).and_then(Value::as_f64).map(|size| (size, false));
                size.filter(|(size, _)| !is_lower || *size > 0.0)
            };
            add(keyword, way(size(self), size(now), is_lower));
        }
        for keyword in OPAQUE {
            add(
                keyword,
                match (self.get(keyword), now.get(keyword)) {
                    (a, b) if a == b => None,
                    (was, Some(now)) if was.is_none_or(|was| refuses_more(keyword, was, now)) => {
                        Some(Direction::Narrowed)
                    }
                    (Some(_) | None, _) => Some(Direction::Opened),
                },
            );
        }
        for keyword in MEANING {
            add(keyword, (self.get(keyword) != now.get(keyword)).then_some(Direction::Same));
        }
        let unique = |shape: &Self| shape.get("uniqueItems") == Some(&Value::Bool(true));
        add(
            "uniqueItems",
            match (unique(self), unique(now)) {
                (true, false) => Some(Direction::Opened),
                (false, true) => Some(Direction::Narrowed),
                (true, true) | (false, false) => None,
            },
        );
        found
    }

    /// The effective bound: of `minimum` and `exclusiveMinimum` the stricter. The boolean of draft 4 makes the bound
    /// beside it exclusive.
    fn limit(&self, keyword: &str, exclusive: &str, is_lower: bool) -> Option<(f64, bool)> {
        let flag = self.get(exclusive) == Some(&Value::Bool(true));
        let plain = self.get(keyword).and_then(Value::as_f64).map(|bound| (bound, flag));
        let open = self.get(exclusive).and_then(Value::as_f64).map(|bound| (bound, true));
        match (plain, open) {
            (Some(a), Some(b)) => {
                let stricter = if is_lower { a.0 > b.0 } else { a.0 < b.0 };
                Some(if stricter { a } else { b })
            }
            (one, other) => one.or(other),
        }
    }

    /// What differs among the keywords that nothing else looks at.
    pub(super) fn leftovers(&self, now: &Self) -> Leftovers {
        let keys: BTreeSet<&str> = self.keys().chain(now.keys()).collect();
        let is_known = |key: &str| {
            COMPARED.contains(&key)
                || OPAQUE.contains(&key)
                || MEANING.contains(&key)
                || SIZES.iter().any(|(size, _)| *size == key)
        };
        let mut found = Leftovers { incomparable: Vec::new(), bounding: Vec::new(), remarks: Vec::new() };
        for key in keys.into_iter().filter(|key| !is_known(key) && self.get(key) != now.get(key)) {
            let list = match (self.get(key), now.get(key)) {
                _ if !INCOMPARABLE.contains(&key) => &mut found.remarks,
                // What refuses nothing on one side only says so; any other keyword that comes can only refuse.
                (was, now) if [was, now].into_iter().flatten().all(|value| is_true(key, value)) => &mut found.remarks,
                (None, Some(_)) if key != "$dynamicRef" => &mut found.bounding,
                _ => &mut found.incomparable,
            };
            list.push(crate::text::excerpt(key, VALUE_CHARS_MAX));
        }
        let hidden = |was: BTreeSet<String>, now: BTreeSet<String>| was != now && was.len().max(now.len()) > 1;
        let twice = FIRST_ONLY.into_iter().filter(|key| hidden(self.all(key), now.all(key)));
        found.incomparable.extend(twice.map(str::to_owned));
        let names: BTreeSet<&str> = self.properties().into_keys().chain(now.properties().into_keys()).collect();
        if names.into_iter().any(|name| hidden(self.declared(name), now.declared(name))) {
            found.incomparable.push("properties".to_owned());
        }
        if self.elsewhere() != now.elsewhere() {
            found.incomparable.push("$ref".to_owned());
        }
        found
    }

    /// Everything that a keyword says, each value once.
    fn all(&self, keyword: &str) -> BTreeSet<String> {
        self.said(keyword).map(Value::to_string).collect()
    }

    /// Every declaration of a member, also those behind the first.
    fn declared(&self, name: &str) -> BTreeSet<String> {
        self.said("properties").filter_map(|members| members.get(name)).map(Value::to_string).collect()
    }

    /// References into other documents.
    fn elsewhere(&self) -> BTreeSet<&'a str> {
        self.said("$ref").filter_map(Value::as_str).filter(|path| !path.starts_with('#')).collect()
    }
}

/// Whether a keyword can make a schema refuse something by itself: what a reference or a branch leads to stands among
/// the layers.
fn is_asserting(key: &str) -> bool {
    let is_followed = matches!(key, "$ref" | "$defs" | "definitions" | "allOf" | "anyOf" | "oneOf");
    let is_known = COMPARED.contains(&key)
        || OPAQUE.contains(&key)
        || INCOMPARABLE.contains(&key)
        || SIZES.iter().any(|(size, _)| *size == key);
    is_known && !is_followed && !is_saying(key)
}

fn is_saying(key: &str) -> bool {
    matches!(key, "title" | "description" | "default" | "examples" | "$comment" | "deprecated")
}

/// Whether a keyword with this value refuses nothing: names of members are texts whatever is said of it.
fn is_true(key: &str, value: &Value) -> bool {
    const SCHEMAS: [&str; 6] =
        ["propertyNames", "unevaluatedProperties", "unevaluatedItems", "additionalItems", "then", "else"];
    let is_idle = |(member, value): (&String, &Value)| {
        is_saying(member) || (key == "propertyNames" && member == "type" && value == "string")
    };
    SCHEMAS.contains(&key)
        && match value {
            Value::Object(members) => members.iter().all(is_idle),
            value => value == &Value::Bool(true),
        }
}

/// Whether an expression, or the number that every value is a multiple of, is sure to admit nothing that it did not.
fn refuses_more(keyword: &str, was: &Value, now: &Value) -> bool {
    match (keyword, was, now) {
        ("pattern", Value::String(was), Value::String(now)) => crate::policy::matches_no_more(now, was),
        ("multipleOf", was, now) => {
            was.as_u64().zip(now.as_u64()).is_some_and(|(was, now)| was > 0 && now.is_multiple_of(was))
        }
        _ => false,
    }
}

/// Which way a bound goes; a bound is a number and whether the number itself is excluded.
fn way(was: Option<(f64, bool)>, now: Option<(f64, bool)>, is_lower: bool) -> Option<Direction> {
    match (was, now) {
        (None, None) => None,
        (Some(_), None) => Some(Direction::Opened),
        (None, Some(_)) => Some(Direction::Narrowed),
        (Some(was), Some(now)) => {
            let order = now.0.total_cmp(&was.0);
            let order = if is_lower { order } else { order.reverse() };
            match order.then(now.1.cmp(&was.1)) {
                Ordering::Less => Some(Direction::Opened),
                Ordering::Equal => None,
                Ordering::Greater => Some(Direction::Narrowed),
            }
        }
    }
}
