//! What one JSON Schema accepts that another did not, parameter by parameter: through references, combinators, objects
//! in arrays. Works on the canonical form, so order never shows.
//!
//! Deciding in general whether one schema accepts everything that another does is hard (it subsumes satisfiability), so
//! whatever cannot be compared counts as opened: the doubt goes to the person who reads it.

use super::hazard::{Hazard, words};
use super::schema_shape::{Leftovers, Shape, bound_text, plain, shapes};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting that is compared; what lies deeper counts as incomparable when it differs.
pub const COMPARE_DEPTH_MAX: usize = 24;
/// Most changes kept of one schema in each direction; that there are more openings is said as one more.
pub const CHANGES_MAX: usize = 200;
/// Most pairs of schemas that are looked at in one comparison.
pub const PAIRS_MAX: usize = 20_000;
/// Most pairs of a member that is gone and one that came that are looked at for a new name.
const RENAME_PAIRS_MAX: usize = 400;

/// Which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Something is accepted that was not.
    Opened,
    /// Something is refused that was accepted.
    Narrowed,
    /// The same is accepted, as far as can be told; what happens may differ (a default), or what is said about it.
    Same,
}

/// What changed at one place of a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A parameter that was not there. `required` if calls without it are refused.
    Added {
        /// Whether calls without it are refused.
        required: bool,
    },
    /// A parameter that is not there any more.
    Removed,
    /// A parameter that takes what another one took before it.
    Renamed {
        /// The last part of its path before.
        from: String,
    },
    /// It may be left out now.
    Optional,
    /// It must be given now.
    Required,
    /// Types, shapes or values beside those that were known, each in a few words.
    Values(Vec<String>),
    /// Types, shapes or values that are not accepted any more.
    FewerValues(Vec<String>),
    /// A bound, pattern or format: keyword, before, now (`none` where absent).
    Bound {
        /// The keyword.
        keyword: String,
        /// The value before.
        was: String,
        /// The value now.
        now: String,
    },
    /// Members beside the declared ones.
    Unlisted {
        /// Whether they are accepted now.
        accepted: bool,
    },
    /// What is taken when the parameter is left out: before, now.
    Default {
        /// The value before.
        was: String,
        /// The value now.
        now: String,
    },
    /// What is said about it: description or title, before and now.
    Text {
        /// The keyword.
        keyword: String,
        /// The text before.
        was: String,
        /// The text now.
        now: String,
    },
    /// An object of which nothing is said any more: it takes whatever it is given.
    Loosened,
    /// A keyword that was not there: whatever it says, less is accepted than before.
    Bounded(Vec<String>),
    /// Keywords that cannot be compared.
    Incomparable(Vec<String>),
    /// Keywords that change nothing about what is accepted.
    Remark(Vec<String>),
}

/// One change of a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Dotted path of the parameter, for example `items[*].id`; empty for the schema as a whole.
    pub path: String,
    /// Which way it goes.
    pub direction: Direction,
    /// What it is.
    pub kind: Kind,
}

/// Every change from one schema to the other, sorted; empty only when the two are equal.
pub fn compare(was: Option<&Value>, now: Option<&Value>) -> Vec<Change> {
    let absent = Value::Object(serde_json::Map::new());
    let (was, now) = (was.unwrap_or(&absent), now.unwrap_or(&absent));
    let mut comparison =
        SchemaComparison { roots: (was, now), found: BTreeMap::new(), pairs: BTreeSet::new(), left: PAIRS_MAX };
    comparison.schemas(was, now, "", 0);
    let mut found: Vec<_> = comparison.found.into_values().flatten().collect();
    found.sort();
    if found.is_empty() && was != now {
        // Written in another way, and nothing that is looked at differs.
        let keywords = vec!["the way it is written".to_owned()];
        found.push(Change { path: String::new(), direction: Direction::Same, kind: Kind::Remark(keywords) });
    }
    found
}

struct SchemaComparison<'a> {
    roots: (&'a Value, &'a Value),
    /// By direction, so that a flood of harmless changes cannot hide an opening.
    found: BTreeMap<Direction, BTreeSet<Change>>,
    /// Pairs of references that are being compared right now: schemas may refer to themselves.
    pairs: BTreeSet<(&'a str, &'a str)>,
    /// Pairs of schemas that may still be looked at.
    left: usize,
}

impl<'a> SchemaComparison<'a> {
    fn add(&mut self, path: &str, direction: Direction, kind: Kind) {
        let found = self.found.entry(direction).or_default();
        if found.len() < CHANGES_MAX {
            found.insert(Change { path: path.to_owned(), direction, kind });
        } else if direction == Direction::Opened {
            let kind = Kind::Incomparable(vec![format!("more than {CHANGES_MAX} places")]);
            found.insert(Change { path: String::new(), direction, kind });
        }
    }

    fn schemas(&mut self, was: &'a Value, now: &'a Value, path: &str, depth: usize) {
        let reference = |schema: &'a Value| schema.get("$ref").and_then(Value::as_str);
        if was == now && !holds_reference(was) {
            return;
        }
        if depth >= COMPARE_DEPTH_MAX || self.left == 0 {
            if was != now {
                self.add(path, Direction::Opened, Kind::Incomparable(vec!["deep nesting".to_owned()]));
            }
            return;
        }
        self.left -= 1;
        let pair = reference(was).zip(reference(now));
        if pair.is_some_and(|pair| !self.pairs.insert(pair)) {
            return;
        }
        let (before, after) = (shapes(self.roots.0, was), shapes(self.roots.1, now));
        if before.doubt || after.doubt {
            let what = "more shapes or references than can be followed";
            self.add(path, Direction::Opened, Kind::Incomparable(vec![what.to_owned()]));
        }
        let (before, after) = (before.shapes, after.shapes);
        self.texts(&before, &after, path);
        self.alternatives(before, after, path, depth);
        if let Some(pair) = pair {
            self.pairs.remove(&pair);
        }
    }

    /// Descriptions, titles and defaults, wherever among the references and branches they stand.
    fn texts(&mut self, before: &[Shape<'a>], after: &[Shape<'a>], path: &str) {
        for keyword in ["description", "title"] {
            let (was, now) = (said(before, keyword), said(after, keyword));
            if was != now && !(path.is_empty() && keyword == "title") {
                let (was, now) = (was.join("\n"), now.join("\n"));
                self.add(path, Direction::Same, Kind::Text { keyword: keyword.to_owned(), was, now });
            }
        }
        let (was, now) = (said(before, "default"), said(after, "default"));
        if was != now {
            let text = |values: &[String]| if values.is_empty() { "none".to_owned() } else { values.join(" or ") };
            self.add(path, Direction::Same, Kind::Default { was: text(&was), now: text(&now) });
        }
    }

    /// The accepted shapes on both sides, paired by type.
    fn alternatives(&mut self, before: Vec<Shape<'a>>, after: Vec<Shape<'a>>, path: &str, depth: usize) {
        let mut before = Group::of(before);
        let mut after = Group::of(after);
        // Every integer is a number: the one word in place of the other only widens or narrows.
        let only = |groups: &BTreeMap<String, Vec<Shape<'a>>>, kind: &str, other: &str| {
            groups.contains_key(kind) && !groups.contains_key(other)
        };
        if only(&before, "integer", "number") && only(&after, "number", "integer") {
            self.add(path, Direction::Opened, Kind::Values(vec!["fractions".to_owned()]));
            Group::rename(&mut before, "integer", "number");
        } else if only(&before, "number", "integer") && only(&after, "integer", "number") {
            self.add(path, Direction::Narrowed, Kind::FewerValues(vec!["fractions".to_owned()]));
            Group::rename(&mut after, "integer", "number");
        }
        let (any_before, any_after) = (before.contains_key("any"), after.contains_key("any"));
        let (mut more, mut fewer) = (Vec::new(), Vec::new());
        for (kind, new) in after {
            match before.remove(kind.as_str()) {
                Some(old) => self.group(old, new, path, depth),
                // Whatever is any value holds every type already, and only loses the others.
                None if any_before && kind != "any" => {}
                None => more.push(if kind == "any" { "any value".to_owned() } else { kind.clone() }),
            }
        }
        if any_before && !any_after {
            fewer.push("any value".to_owned());
        }
        fewer.extend(before.into_keys().filter(|kind| kind != "any" && !any_after));
        if !more.is_empty() {
            self.add(path, Direction::Opened, Kind::Values(more));
        }
        if !fewer.is_empty() {
            self.add(path, Direction::Narrowed, Kind::FewerValues(fewer));
        }
    }

    /// Shapes of one type. Equal ones are taken away; of the rest, each is compared with the one most like it.
    fn group(&mut self, old: Vec<Shape<'a>>, new: Vec<Shape<'a>>, path: &str, depth: usize) {
        let (mut old, new) = (plain(old), plain(new));
        let mut unmatched = Vec::new();
        for shape in new {
            match old.iter().position(|known| known.same(&shape)) {
                // Equal to the letter; references inside may still lead to something else.
                Some(at) => {
                    let known = old.remove(at);
                    self.shape(&known, &shape, path, depth);
                }
                None => unmatched.push(shape),
            }
        }
        let any = old.iter().find(|shape| shape.is_free()).cloned();
        let mut more = 0;
        for shape in unmatched {
            let nearest = (0..old.len()).max_by_key(|at| (old[*at].likeness(&shape), usize::MAX - at));
            match (nearest, &any) {
                (Some(at), _) => {
                    let known = old.remove(at);
                    self.shape(&known, &shape, path, depth);
                }
                // Whatever it is, the one that took everything took it.
                (None, Some(any)) => self.shape(any, &shape, path, depth),
                (None, None) => more += 1,
            }
        }
        if more > 0 {
            self.add(path, Direction::Opened, Kind::Values(vec![format!("{more} more shape(s)")]));
        }
        if !old.is_empty() {
            self.add(path, Direction::Narrowed, Kind::FewerValues(vec![format!("{} shape(s)", old.len())]));
        }
    }

    fn shape(&mut self, old: &Shape<'a>, new: &Shape<'a>, path: &str, depth: usize) {
        self.values(old, new, path);
        self.bounds(old, new, path);
        self.properties(old, new, path, depth);
        self.inner(old, new, path, depth);
        self.leftovers(old, new, path);
    }

    fn values(&mut self, old: &Shape<'a>, new: &Shape<'a>, path: &str) {
        let list = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>();
        match (old.values(), new.values()) {
            (None, None) => {}
            (Some(_), None) => self.add(path, Direction::Opened, Kind::Values(vec!["any value".to_owned()])),
            (None, Some(now)) => {
                let kind = Kind::FewerValues(vec![format!("all but {}", list(now).join(", "))]);
                self.add(path, Direction::Narrowed, kind);
            }
            (Some(was), Some(now)) => {
                let added: BTreeSet<_> = now.difference(&was).cloned().collect();
                let gone: BTreeSet<_> = was.difference(&now).cloned().collect();
                if !added.is_empty() {
                    self.add(path, Direction::Opened, Kind::Values(list(added)));
                }
                if !gone.is_empty() {
                    self.add(path, Direction::Narrowed, Kind::FewerValues(list(gone)));
                }
            }
        }
    }

    fn bounds(&mut self, old: &Shape<'a>, new: &Shape<'a>, path: &str) {
        for (keyword, direction) in old.bounds(new) {
            let (was, now) = (bound_text(old.get(keyword)), bound_text(new.get(keyword)));
            self.add(path, direction, Kind::Bound { keyword: keyword.to_owned(), was, now });
        }
    }

    fn properties(&mut self, old: &Shape<'a>, new: &Shape<'a>, path: &str, depth: usize) {
        let (mut was, now) = (old.properties(), new.properties());
        let (must_was, must_now) = (old.required(), new.required());
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        // Nothing is narrowed where nothing is said any more. The arguments of a tool that takes none are declared as
        // none (`properties` is empty).
        let is_silent = now.is_empty() && (!path.is_empty() || new.get("properties").is_none());
        if !was.is_empty() && is_silent && new.takes_undeclared() {
            self.add(path, Direction::Opened, Kind::Loosened);
            return;
        }
        let renamed = self.renamed(&was, &now, (&must_was, &must_now));
        for (from, to) in &renamed {
            let kind = Kind::Renamed { from: (*from).to_owned() };
            self.add(&inside(to), Direction::Same, kind);
            match (must_was.contains(from), must_now.contains(to)) {
                (true, false) => self.add(&inside(to), Direction::Opened, Kind::Optional),
                (false, true) => self.add(&inside(to), Direction::Narrowed, Kind::Required),
                (true, true) | (false, false) => {}
            }
            if let (Some(known), Some(schema)) = (was.remove(from), now.get(to)) {
                self.schemas(known, schema, &inside(to), depth + 1);
            }
        }
        for (name, schema) in &now {
            let required = must_now.contains(name);
            match was.get(name) {
                None if renamed.values().any(|to| to == name) => {}
                None => self.add(&inside(name), Direction::Opened, Kind::Added { required }),
                Some(known) => {
                    match (must_was.contains(name), required) {
                        (true, false) => self.add(&inside(name), Direction::Opened, Kind::Optional),
                        (false, true) => self.add(&inside(name), Direction::Narrowed, Kind::Required),
                        (true, true) | (false, false) => {}
                    }
                    self.schemas(known, schema, &inside(name), depth + 1);
                }
            }
        }
        for name in was.keys().filter(|name| !now.contains_key(*name)) {
            self.add(&inside(name), Direction::Narrowed, Kind::Removed);
        }
        // Names that must be given without being declared.
        let declared =
            |name: &&&str| was.contains_key(**name) || now.contains_key(**name) || renamed.contains_key(**name);
        for name in must_was.difference(&must_now).filter(|name| !declared(name)) {
            self.add(&inside(name), Direction::Opened, Kind::Optional);
        }
        for name in must_now.difference(&must_was).filter(|name| !declared(name)) {
            self.add(&inside(name), Direction::Narrowed, Kind::Required);
        }
    }

    /// Members that are gone and ones that came for them, by the old name: of the same type, and a word of the name or
    /// the whole description in common. Only where it can be told which came for which.
    fn renamed(
        &self,
        was: &BTreeMap<&'a str, &'a Value>,
        now: &BTreeMap<&'a str, &'a Value>,
        (must_was, must_now): (&BTreeSet<&'a str>, &BTreeSet<&'a str>),
    ) -> BTreeMap<&'a str, &'a str> {
        let gone: Vec<_> = was.iter().filter(|(name, _)| !now.contains_key(*name)).collect();
        let come: Vec<_> = now.iter().filter(|(name, _)| !was.contains_key(*name)).collect();
        if gone.is_empty() || come.is_empty() || gone.len().saturating_mul(come.len()) > RENAME_PAIRS_MAX {
            return BTreeMap::new();
        }
        let fits = |(from, old): (&'a str, &'a Value), (to, new): (&'a str, &'a Value)| {
            let kinds = |root, schema| shapes(root, schema).shapes.iter().map(Shape::kind).collect::<BTreeSet<_>>();
            let text = |schema: &'a Value| schema.get("description").and_then(Value::as_str);
            let same_text = text(old).is_some_and(|old| Some(old) == text(new));
            let (a, b) = (words(from), words(to));
            let (without, beside) = (was.len() - gone.len(), now.len() - come.len());
            // The only member of all, or the only one that must be given, before and after.
            let is_alone = without == 0 && beside == 0 && gone.len() == 1 && come.len() == 1
                || must_was.contains(from) && must_now.contains(to) && must_was.len() == 1 && must_now.len() == 1;
            let is_near = a.iter().any(|word| b.contains(word)) && (is_alone || a.last() == b.last());
            // A name that hands over more than the old one did is a new parameter, whatever it is like.
            let power = Hazard::of_name(to);
            (same_text || a.concat() == b.concat() || is_near)
                && (power.is_none() || power == Hazard::of_name(from))
                && kinds(self.roots.0, old) == kinds(self.roots.1, new)
        };
        let mut found = BTreeMap::new();
        for (from, old) in &gone {
            let mut fitting = come.iter().filter(|(to, new)| fits((from, old), (to, new)));
            let (Some((to, new)), None) = (fitting.next(), fitting.next()) else { continue };
            let back = gone.iter().filter(|(from, old)| fits((from, old), (to, new))).count();
            if back == 1 {
                found.insert(**from, **to);
            }
        }
        found
    }

    /// Items, unlisted members and patterns of names.
    fn inner(&mut self, old: &Shape<'a>, new: &Shape<'a>, path: &str, depth: usize) {
        const FALSE: &Value = &Value::Bool(false);
        const TRUE: &Value = &Value::Bool(true);
        for (keyword, suffix) in [("items", "[*]"), ("additionalProperties", ".*"), ("contains", "[any]")] {
            let (was, now) = (old.get(keyword).unwrap_or(TRUE), new.get(keyword).unwrap_or(TRUE));
            let place = format!("{path}{suffix}");
            match (was, now) {
                (Value::Array(a), Value::Array(b)) if keyword == "items" => self.tuple(a, b, path, depth),
                _ if was == FALSE && now != FALSE => {
                    // Beside declared members it is a way of writing: servers ignore what they do not know. Without
                    // any, the undeclared ones are all there is.
                    let declared = keyword == "additionalProperties" && !new.properties().is_empty();
                    let way = if declared { Direction::Same } else { Direction::Opened };
                    self.add(path, way, Kind::Unlisted { accepted: true });
                }
                _ if was != FALSE && now == FALSE => {
                    let declared = keyword == "additionalProperties" && !old.properties().is_empty();
                    let way = if declared { Direction::Same } else { Direction::Narrowed };
                    self.add(path, way, Kind::Unlisted { accepted: false });
                }
                _ => self.schemas(was, now, place.trim_start_matches('.'), depth + 1),
            }
        }
        let list =
            |shape: &Shape<'a>| shape.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.tuple(list(old), list(new), path, depth);
        let patterns = |shape: &Shape<'a>| shape.get("patternProperties").and_then(Value::as_object);
        let none = serde_json::Map::new();
        let (was, now) = (patterns(old).map_or_else(BTreeMap::new, index), patterns(new).unwrap_or(&none));
        for (pattern, schema) in patterns(new).map_or_else(BTreeMap::new, index) {
            let place = format!("{path}./{pattern}/");
            match was.get(pattern) {
                None => self.add(place.trim_start_matches('.'), Direction::Opened, Kind::Added { required: false }),
                Some(known) => self.schemas(known, schema, place.trim_start_matches('.'), depth + 1),
            }
        }
        for pattern in was.keys().filter(|pattern| !now.contains_key(**pattern)) {
            self.add(format!("{path}./{pattern}/").trim_start_matches('.'), Direction::Narrowed, Kind::Removed);
        }
    }

    fn tuple(&mut self, was: &'a [Value], now: &'a [Value], path: &str, depth: usize) {
        for (at, (a, b)) in was.iter().zip(now).enumerate() {
            self.schemas(a, b, &format!("{path}[{at}]"), depth + 1);
        }
        for at in was.len()..now.len() {
            self.add(&format!("{path}[{at}]"), Direction::Opened, Kind::Added { required: false });
        }
        for at in now.len()..was.len() {
            self.add(&format!("{path}[{at}]"), Direction::Narrowed, Kind::Removed);
        }
    }

    fn leftovers(&mut self, old: &Shape<'a>, new: &Shape<'a>, path: &str) {
        let Leftovers { incomparable, bounding, remarks } = old.leftovers(new);
        if !incomparable.is_empty() {
            self.add(path, Direction::Opened, Kind::Incomparable(incomparable));
        }
        if !bounding.is_empty() {
            self.add(path, Direction::Narrowed, Kind::Bounded(bounding));
        }
        if !remarks.is_empty() {
            self.add(path, Direction::Same, Kind::Remark(remarks));
        }
    }
}

fn index(members: &serde_json::Map<String, Value>) -> BTreeMap<&str, &Value> {
    members.iter().map(|(key, value)| (key.as_str(), value)).collect()
}

/// What a keyword says in any of the shapes, each value once.
fn said(shapes: &[Shape<'_>], keyword: &str) -> Vec<String> {
    let values: BTreeSet<String> = shapes
        .iter()
        .flat_map(|shape| shape.said(keyword))
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    values.into_iter().collect()
}

/// The shapes of each type.
struct Group;

impl Group {
    fn of(shapes: Vec<Shape<'_>>) -> BTreeMap<String, Vec<Shape<'_>>> {
        let mut groups: BTreeMap<String, Vec<Shape<'_>>> = BTreeMap::new();
        for shape in shapes {
            groups.entry(shape.kind().to_owned()).or_default().push(shape);
        }
        groups
    }

    fn rename(groups: &mut BTreeMap<String, Vec<Shape<'_>>>, from: &str, to: &'static str) {
        let shapes = groups.remove(from).unwrap_or_default();
        groups.insert(to.to_owned(), shapes.into_iter().map(|shape| shape.retyped(to)).collect());
    }
}

fn holds_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.contains_key("$ref") || members.contains_key("$dynamicRef") || members.values().any(holds_reference)
        }
        Value::Array(items) => items.iter().any(holds_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
