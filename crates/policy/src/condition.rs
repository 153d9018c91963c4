//! A condition that can be evaluated: path, operator, value; and what it means for a value to be missing or of a wrong type.

use super::decimal::Decimal;
use super::document::{Condition, Operator};
use super::host_in::HostRule;
use super::json::{Json, JsonText, Node};
use super::path::{ArgumentPath, Next, PathStep};
use super::path_within::Directory;
use super::pattern::Pattern;
use std::collections::BTreeMap;

/// Longest string that an operator looks at, in bytes of UTF-8; longer ones count as a wrong type.
pub const STRING_BYTES_MAX: usize = 64 * 1024;

/// Which way doubt falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stance {
    /// Every element must satisfy; doubt is false. For `require`.
    Require,
    /// Any element is enough; a wrong type is enough. For `deny_if` and `approval.when`.
    Refuse,
}

/// What a condition came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Holds,
    Fails,
    /// Missing or null.
    Missing,
    /// Present, but of a type (or size) that the operator cannot compare.
    WrongType,
}

impl Truth {
    /// Whether the condition counts as true from this stance.
    pub fn counts(self, stance: Stance) -> bool {
        match (self, stance) {
            (Self::Holds, _) | (Self::WrongType, Stance::Refuse) => true,
            (Self::WrongType, Stance::Require) | (Self::Fails | Self::Missing, _) => false,
        }
    }
}

/// A condition's outcome with the value that decided it.
pub(crate) struct Outcome<'n, 'a> {
    pub truth: Truth,
    pub found: Option<&'n Node<'a>>,
}

/// A condition, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Test {
    pub path: ArgumentPath,
    op: Operator,
    /// As written; shared with the document.
    value: JsonText,
    operand: Operand,
}

#[derive(Debug)]
enum Operand {
    Exists(bool),
    Equal(Vec<Value>, Sense),
    Order(Decimal, fn(std::cmp::Ordering) -> bool),
    Pattern(Pattern, Sense),
    Contains(Value, Sense),
    Starts(String),
    Ends(String),
    LengthAtMost(usize),
    LengthAtLeast(usize),
    Type(Vec<TypeName>),
    Within(Vec<Directory>),
    Host(Vec<HostRule>),
}

/// Whether an operator wants a match or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Match,
    NoMatch,
}

/// An owned value of a policy, with numbers ready to compare.
#[derive(Debug)]
enum Value {
    Null,
    Bool(bool),
    Number(Decimal),
    String(String),
    Array(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

/// The types that `type` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TypeName {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
}

const TYPE_NAMES: [(&str, TypeName); 6] = [
    ("string", TypeName::String),
    ("number", TypeName::Number),
    ("integer", TypeName::Integer),
    ("boolean", TypeName::Boolean),
    ("array", TypeName::Array),
    ("object", TypeName::Object),
];

/// What is wrong with a condition, and in which member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadCondition {
    /// `path` or `value`.
    pub member: &'static str,
    pub message: String,
    pub help: Option<String>,
}

impl Test {
    /// Compiles a condition; `value` is the parsed `condition.value`.
    pub fn compile(condition: &Condition, value: &Node<'_>) -> Result<Self, BadCondition> {
        let path = ArgumentPath::parse(&condition.path).map_err(|message| BadCondition {
            member: "path",
            message,
            help: None,
        })?;
        let operand = Operand::compile(condition.op, value).map_err(|(message, help)| BadCondition {
            member: "value",
            message,
            help,
        })?;
        Ok(Self { path, op: condition.op, value: condition.value.clone(), operand })
    }

    /// Evaluates against a call's arguments (`None`: the call has none).
    pub fn evaluate<'n, 'a>(&self, arguments: Option<&'n Node<'a>>, stance: Stance) -> Outcome<'n, 'a> {
        self.walk(arguments, &self.path.steps, stance)
    }

    fn walk<'n, 'a>(&self, node: Option<&'n Node<'a>>, steps: &[PathStep], stance: Stance) -> Outcome<'n, 'a> {
        let node = node.filter(|node| !matches!(node.json, Json::Null));
        let Some(node) = node else { return self.missing() };
        let Some((step, rest)) = steps.split_first() else {
            return Outcome { truth: self.operand.holds(node), found: Some(node) };
        };
        if let (PathStep::Each, Json::Array(items)) = (step, &node.json) {
            let mut last = Outcome { truth: Truth::Fails, found: Some(node) };
            for item in items {
                last = self.walk(Some(item), rest, stance);
                let decided = match stance {
                    Stance::Require => !last.truth.counts(stance),
                    Stance::Refuse => last.truth.counts(stance),
                };
                if decided {
                    break;
                }
            }
            return last;
        }
        match step.take(node) {
            Next::Found(next) => self.walk(Some(next), rest, stance),
            Next::Missing => self.missing(),
            Next::WrongType(node) => Outcome { truth: Truth::WrongType, found: Some(node) },
        }
    }

    fn missing<'n, 'a>(&self) -> Outcome<'n, 'a> {
        let truth = if matches!(self.operand, Operand::Exists(false)) { Truth::Holds } else { Truth::Missing };
        Outcome { truth, found: None }
    }

    /// The condition in words: "`args.amount` is greater than 10000".
    pub fn phrase(&self) -> String {
        phrase(&self.condition())
    }

    /// The condition as written.
    pub fn condition(&self) -> Condition {
        Condition { path: self.path.to_string(), op: self.op, value: self.value.clone() }
    }
}

/// A condition in words.
pub(crate) fn phrase(condition: &Condition) -> String {
    let value = crate::text::excerpt(condition.value.as_str(), 80);
    let says = match condition.op {
        Operator::Exists => {
            let there = condition.value.as_str() == "true";
            return format!("`{}` is {}", condition.path, if there { "given" } else { "not given" });
        }
        Operator::Eq => "is",
        Operator::Neq => "is not",
        Operator::Lt => "is less than",
        Operator::Lte => "is at most",
        Operator::Gt => "is greater than",
        Operator::Gte => "is at least",
        Operator::In => "is one of",
        Operator::NotIn => "is none of",
        Operator::Regex => "matches",
        Operator::NotRegex => "does not match",
        Operator::Contains => "contains",
        Operator::NotContains => "does not contain",
        Operator::StartsWith => "starts with",
        Operator::EndsWith => "ends with",
        Operator::LengthLte => "has a length of at most",
        Operator::LengthGte => "has a length of at least",
        Operator::Type => "has the type",
        Operator::PathWithin => "is a path within",
        Operator::HostIn => "is a URL with the host",
    };
    format!("`{}` {says} {value}", condition.path)
}

type Bad = (String, Option<String>);

impl Operand {
    fn compile(op: Operator, value: &Node<'_>) -> Result<Self, Bad> {
        Ok(match op {
            Operator::Exists => match value.json {
                Json::Bool(wanted) => Self::Exists(wanted),
                _ => return Err(wrong("`exists` takes `true` or `false`", value)),
            },
            Operator::Eq => Self::Equal(vec![comparable(value)?], Sense::Match),
            Operator::Neq => Self::Equal(vec![comparable(value)?], Sense::NoMatch),
            Operator::In => Self::Equal(list(op, value, comparable)?, Sense::Match),
            Operator::NotIn => Self::Equal(list(op, value, comparable)?, Sense::NoMatch),
            Operator::Lt => Self::Order(number(op, value)?, std::cmp::Ordering::is_lt),
            Operator::Lte => Self::Order(number(op, value)?, std::cmp::Ordering::is_le),
            Operator::Gt => Self::Order(number(op, value)?, std::cmp::Ordering::is_gt),
            Operator::Gte => Self::Order(number(op, value)?, std::cmp::Ordering::is_ge),
            Operator::Regex => Self::Pattern(pattern(op, value)?, Sense::Match),
            Operator::NotRegex => Self::Pattern(pattern(op, value)?, Sense::NoMatch),
            Operator::Contains => Self::Contains(comparable(value)?, Sense::Match),
            Operator::NotContains => Self::Contains(comparable(value)?, Sense::NoMatch),
            Operator::StartsWith => Self::Starts(string(op, value)?),
            Operator::EndsWith => Self::Ends(string(op, value)?),
            Operator::LengthLte => Self::LengthAtMost(length(op, value)?),
            Operator::LengthGte => Self::LengthAtLeast(length(op, value)?),
            Operator::Type => Self::Type(one_or_list(op, value, type_name)?),
            Operator::PathWithin => Self::Within(one_or_list(op, value, |node| {
                Directory::parse(&string(op, node)?).map_err(|message| (message, None))
            })?),
            Operator::HostIn => Self::Host(one_or_list(op, value, |node| {
                HostRule::parse(&string(op, node)?).map_err(|message| {
                    (
                        message,
                        Some("write a host such as `api.example.com`, or `*.example.com` for all below it".to_owned()),
                    )
                })
            })?),
        })
    }

    /// Whether a value that is present satisfies the operator. Never `Missing`.
    fn holds(&self, node: &Node<'_>) -> Truth {
        if let Self::Exists(wanted) = self {
            return truth(*wanted);
        }
        if node.as_str().is_some_and(is_doubtful) {
            return Truth::WrongType;
        }
        let answer = match self {
            // Answered above, before the length of a string matters.
            Self::Exists(wanted) => Some(*wanted),
            Self::Equal(values, sense) => any_equal(values.iter(), node).map(|equal| sense.of(equal)),
            Self::Order(bound, wanted) => decimal(node).and_then(|number| number.compare(bound)).map(wanted),
            Self::Pattern(pattern, sense) => {
                node.as_str().and_then(|text| pattern.is_match(text)).map(|found| sense.of(found))
            }
            Self::Contains(value, sense) => contains(value, node).map(|found| sense.of(found)),
            Self::Starts(start) => node.as_str().map(|text| text.starts_with(start.as_str())),
            Self::Ends(end) => node.as_str().map(|text| text.ends_with(end.as_str())),
            Self::LengthAtMost(max) => length_of(node).map(|length| length <= *max),
            Self::LengthAtLeast(min) => length_of(node).map(|length| length >= *min),
            Self::Type(names) => has_type(names, node),
            Self::Within(directories) => node.as_str().and_then(|text| Directory::any_holds(directories, text)),
            Self::Host(rules) => node.as_str().and_then(|text| HostRule::any_allows(rules, text)),
        };
        answer.map_or(Truth::WrongType, truth)
    }
}

fn truth(holds: bool) -> Truth {
    if holds { Truth::Holds } else { Truth::Fails }
}

impl Sense {
    fn of(self, found: bool) -> bool {
        match self {
            Self::Match => found,
            Self::NoMatch => !found,
        }
    }
}

fn decimal(node: &Node<'_>) -> Option<Decimal> {
    match node.json {
        Json::Number(text) => Decimal::parse(text),
        _ => None,
    }
}

/// Whether readers may take a text for different ones: C's strings end at NUL, and long ones are not looked at.
fn is_doubtful(text: &str) -> bool {
    text.len() > STRING_BYTES_MAX || text.contains('\0')
}

/// `None` where a number or string inside is out of bounds, or some readers find it equal and others do not.
fn any_equal<'v>(values: impl Iterator<Item = &'v Value>, node: &Node<'_>) -> Option<bool> {
    let found = Value::of(node)?;
    any(values.map(|value| value.equals(&found)))
}

/// Whether any of several answers is yes; one that is in doubt counts where no other is yes.
fn any(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut none = Some(false);
    for answer in answers {
        match answer {
            Some(true) => return Some(true),
            Some(false) => {}
            None => none = None,
        }
    }
    none
}

fn contains(value: &Value, node: &Node<'_>) -> Option<bool> {
    match (&node.json, value) {
        (Json::String(text), Value::String(part)) => Some(text.contains(part.as_str())),
        (Json::Array(items), value) => {
            // A number out of bounds beside the one that is looked for is doubt enough.
            let items: Vec<Value> = items.iter().map(Value::of).collect::<Option<_>>()?;
            any(items.iter().map(|item| value.equals(item)))
        }
        _ => None,
    }
}

fn length_of(node: &Node<'_>) -> Option<usize> {
    match &node.json {
        Json::String(text) => Some(text.chars().count()),
        Json::Array(items) => Some(items.len()),
        _ => None,
    }
}

fn has_type(names: &[TypeName], node: &Node<'_>) -> Option<bool> {
    let number = match &node.json {
        Json::Number(text) => Some(Decimal::parse(text)?),
        _ => None,
    };
    let is_integer = match &number {
        Some(number) if names.contains(&TypeName::Integer) && !names.contains(&TypeName::Number) => {
            number.is_integer_to_all()?
        }
        Some(_) | None => false,
    };
    Some(names.iter().any(|name| match name {
        TypeName::String => matches!(node.json, Json::String(_)),
        TypeName::Number => number.is_some(),
        TypeName::Integer => is_integer,
        TypeName::Boolean => matches!(node.json, Json::Bool(_)),
        TypeName::Array => matches!(node.json, Json::Array(_)),
        TypeName::Object => matches!(node.json, Json::Object(_)),
    }))
}

impl Value {
    fn of(node: &Node<'_>) -> Option<Self> {
        Some(match &node.json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(text) => Self::Number(Decimal::parse(text)?),
            Json::String(text) if is_doubtful(text) => return None,
            Json::String(text) => Self::String(text.clone().into_owned()),
            Json::Array(items) => Self::Array(items.iter().map(Self::of).collect::<Option<_>>()?),
            Json::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|member| {
                        let name = Some(&member.name).filter(|name| !is_doubtful(name))?;
                        Some((name.clone().into_owned(), Self::of(&member.value)?))
                    })
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

impl Value {
    /// Whether two values are deeply equal; `None` where a reader that takes the nearest doubles finds otherwise.
    fn equals(&self, other: &Self) -> Option<bool> {
        // Every part must be equal, so one that is surely not decides; the doubt of another does not count then.
        let all = |parts: &mut dyn Iterator<Item = Option<bool>>| {
            let unequal = any(parts.map(|equal| equal.map(|equal| !equal)));
            unequal.map(|unequal| !unequal)
        };
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.compare(b).map(std::cmp::Ordering::is_eq),
            (Self::Array(a), Self::Array(b)) if a.len() == b.len() => {
                all(&mut a.iter().zip(b).map(|(a, b)| a.equals(b)))
            }
            (Self::Object(a), Self::Object(b)) if a.len() == b.len() && a.keys().eq(b.keys()) => {
                all(&mut a.values().zip(b.values()).map(|(a, b)| a.equals(b)))
            }
            (Self::Null, Self::Null) => Some(true),
            (Self::Bool(a), Self::Bool(b)) => Some(a == b),
            (Self::String(a), Self::String(b)) => Some(a == b),
            _ => Some(false),
        }
    }
}

fn wrong(message: &str, value: &Node<'_>) -> Bad {
    let kind = value.json.type_name();
    let article = if kind.starts_with(['a', 'o']) { "an" } else { "a" };
    let what = if kind == "null" { "null".to_owned() } else { format!("{article} {kind}") };
    (format!("{message}, and this is {what}"), None)
}

fn comparable(value: &Node<'_>) -> Result<Value, Bad> {
    if matches!(value.json, Json::Null) {
        let help = "to ask whether the argument is there, use `exists`".to_owned();
        return Err(("null counts as missing, so nothing is ever equal to it".to_owned(), Some(help)));
    }
    let cannot = "a number or a string in it is too long to compare, or holds NUL";
    Value::of(value).ok_or_else(|| (cannot.to_owned(), None))
}

fn number(op: Operator, value: &Node<'_>) -> Result<Decimal, Bad> {
    match value.json {
        Json::Number(text) => Decimal::parse(text)
            .ok_or_else(|| ("a number has at most 200 digits and an exponent from -400 to 400".to_owned(), None)),
        _ => Err(wrong(&format!("`{}` compares with a number", op.as_str()), value)),
    }
}

fn string(op: Operator, value: &Node<'_>) -> Result<String, Bad> {
    match value.as_str() {
        Some(text) if is_doubtful(text) => Err(("a string has at most 64 KiB and no NUL".to_owned(), None)),
        Some(text) => Ok(text.to_owned()),
        None => Err(wrong(&format!("`{}` takes a string", op.as_str()), value)),
    }
}

fn pattern(op: Operator, value: &Node<'_>) -> Result<Pattern, Bad> {
    Pattern::parse(&string(op, value)?)
}

fn length(op: Operator, value: &Node<'_>) -> Result<usize, Bad> {
    let scaled = match value.json {
        Json::Number(text) => Decimal::parse(text).and_then(|number| number.scaled(0).ok()),
        _ => None,
    };
    scaled
        .and_then(|length| usize::try_from(length).ok())
        .ok_or_else(|| wrong(&format!("`{}` takes an integer from 0 up", op.as_str()), value))
}

fn type_name(value: &Node<'_>) -> Result<TypeName, Bad> {
    let name = string(Operator::Type, value)?;
    TYPE_NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or_else(|| {
        let known = TYPE_NAMES.map(|(known, _)| known);
        let help = match crate::text::nearest(&name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("use one of {}", known.join(", ")),
        };
        (format!("`{name}` is not a type"), Some(help))
    })
}

fn list<T>(op: Operator, value: &Node<'_>, one: impl Fn(&Node<'_>) -> Result<T, Bad>) -> Result<Vec<T>, Bad> {
    match &value.json {
        Json::Array(items) if items.is_empty() => {
            Err((format!("`{}` takes a list with something in it", op.as_str()), None))
        }
        Json::Array(items) => items.iter().map(one).collect(),
        _ => Err(wrong(&format!("`{}` takes a list", op.as_str()), value)),
    }
}

fn one_or_list<T>(op: Operator, value: &Node<'_>, one: impl Fn(&Node<'_>) -> Result<T, Bad>) -> Result<Vec<T>, Bad> {
    match &value.json {
        Json::Array(_) => list(op, value, one),
        Json::String(_) => Ok(vec![one(value)?]),
        _ => Err(wrong(&format!("`{}` takes a string or a list of strings", op.as_str()), value)),
    }
}
