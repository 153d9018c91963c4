//! policy.json as checked values: what the parser makes, what the generator prints, what the JSON Schema is drawn from.

use super::json::JsonText;
use super::word::{Flow, Word};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A policy for one MCP server: which tools may be called, with which arguments, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "mcpol policy", deny_unknown_fields)]
pub struct Document {
    /// Where editors find the JSON Schema of this format.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of this format.
    pub version: Version,
    /// What the policy is for, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Anything else, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What happens to a tool that `tools` does not list.
    pub default: Unlisted,
    /// Whether decisions are enforced or only logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Tools taken out of `tools/list` and refused as unknown; `*` is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<String>,
    /// Rules for every call.
    #[serde(default, skip_serializing_if = "AllTools::is_empty")]
    pub all_tools: AllTools,
    /// Rules by exact tool name. An empty object allows the tool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, ToolRules>,
    /// Which resources may be read, subscribed to, listed and completed; without it they follow `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Offers>,
    /// Which prompts may be taken, listed and completed; without it they follow `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Offers>,
    /// What the server may ask of the client.
    #[serde(default, skip_serializing_if = "ClientRules::is_empty")]
    pub client: ClientRules,
    /// Which requests and notifications pass that no revision of the protocol knows; without it none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_methods: Option<UnknownMethods>,
    /// Rules about the course of a session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<Flow>,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It may.
    Allow,
    /// It is refused.
    Deny,
}

/// Which of the things that a server offers beside tools may be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Offers {
    /// All of them, or none.
    All(Access),
    /// Some of them.
    Some(OfferLists),
}

/// Names or URIs: exact, or with `*` at the end for all that begin so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OfferLists {
    /// Only these; without it all follow `default` that `hide` does not name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// None of these, however they are spelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<String>,
}

/// What the server may ask of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ClientRules {
    /// Texts of the client's model; without it as `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Access>,
    /// Answers of the person at the client; allowed without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elicitation: Option<Access>,
    /// The client's folders; without it the client's over stdio, and those of mcpol.toml over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots: Option<Access>,
}

impl ClientRules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which requests and notifications pass that no revision of the protocol knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum UnknownMethods {
    /// All of them, or none.
    All(UnknownWord),
    /// Those with exactly these methods.
    Some(Vec<String>),
}

/// What becomes of messages with unknown methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownWord {
    /// They pass, and are logged.
    Forward,
    /// They are refused, and logged.
    Refuse,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Version {
    /// The only one so far.
    #[serde(rename = "1")]
    V1,
}

/// What happens to a tool that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unlisted {
    /// Only the rules for all tools apply.
    Allow,
    /// It is refused, as if it did not exist.
    Deny,
}

/// Whether decisions are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A refused call does not reach the server.
    Enforce,
    /// Every call is forwarded; what would have been refused is logged.
    Shadow,
}

/// Rules for every call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AllTools {
    /// Every entry must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<WrittenEntry>")]
    pub require: Vec<Entry>,
    /// No entry may hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<WrittenEntry>")]
    pub deny_if: Vec<Entry>,
    /// How often calls may be made; `increment_from` is not possible here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
}

impl AllTools {
    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.require.is_empty() && self.deny_if.is_empty() && self.limits.is_empty()
    }
}

/// Rules of one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ToolRules {
    /// Anything for people: why the rules are as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A short form for the whole tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What the model is told when `action` refuses the call or asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether decisions about this tool are enforced; overrides the file's `mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Arguments must satisfy the tool's input schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate: Option<Validate>,
    /// Every entry must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<WrittenEntry>")]
    pub require: Vec<Entry>,
    /// No entry may hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<WrittenEntry>")]
    pub deny_if: Vec<Entry>,
    /// A person must agree to the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRules>,
    /// How often calls may be made, or how much they may add up to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Short for one limit with the counter `NAME_rate` and scope `grant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What `flows` take the tool for; without it for `unclassified`, with an empty list for nothing that they speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<Word>>,
}

impl ToolRules {
    /// Whether no rule is written: calls pass unless those for all tools say no.
    pub fn is_empty(&self) -> bool {
        *self == Self { comment: self.comment.clone(), flags: self.flags.clone(), ..Self::default() }
    }
}

/// A short form for a whole tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The same as an empty object.
    Allow,
    /// Refused with the reason.
    Deny,
    /// Taken out of `tools/list` and refused as unknown.
    Hide,
    /// A person must agree to every call.
    RequireApproval,
}

/// What arguments are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Validate {
    /// The tool's input schema.
    Schema,
}

/// Conditions that belong together: the entry holds iff all of them do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Entry {
    /// Anything for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// All must hold; an empty list always does.
    pub conditions: Vec<Condition>,
    /// What the model is told when the entry refuses a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_deny: Option<String>,
    /// The last part of the rule's id in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// An entry as a person may write it: a bare condition is an entry with that one condition.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only the JSON Schema is drawn from it; the parser makes entries of both")]
enum WrittenEntry {
    Entry(Entry),
    Condition(BareCondition),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "BareCondition")]
#[expect(dead_code, reason = "only the JSON Schema is drawn from it; the parser makes entries of both")]
struct BareCondition {
    /// Anything for people.
    #[schemars(with = "String")]
    #[serde(default)]
    comment: Option<String>,
    /// Where in the call: `args`, `args.a.b`, `args.items[*].price`, or `args:/a~1b/0` (JSON Pointer).
    path: String,
    /// How the value is compared.
    op: Operator,
    /// What it is compared with.
    value: JsonText,
    /// What the model is told when the condition refuses a call.
    #[schemars(with = "String")]
    #[serde(default)]
    on_deny: Option<String>,
    /// The last part of the rule's id in logs.
    #[schemars(with = "String")]
    #[serde(default)]
    id: Option<String>,
}

/// One comparison of a call's argument with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Condition {
    /// Where in the call: `args`, `args.a.b`, `args.items[*].price`, or `args:/a~1b/0` (JSON Pointer).
    pub path: String,
    /// How the value is compared.
    pub op: Operator,
    /// What it is compared with.
    pub value: JsonText,
}

macro_rules! operators {
    ($($(#[$doc:meta])* $variant:ident => $text:literal),+ $(,)?) => {
        /// How a value is compared.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Operator { $($(#[$doc])* $variant),+ }

        impl Operator {
            /// Every operator, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in policy.json.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

operators! {
    /// Deeply equal.
    Eq => "eq",
    /// Not deeply equal.
    Neq => "neq",
    /// A number less than.
    Lt => "lt",
    /// A number less than or equal to.
    Lte => "lte",
    /// A number greater than.
    Gt => "gt",
    /// A number greater than or equal to.
    Gte => "gte",
    /// Deeply equal to one of a list.
    In => "in",
    /// Deeply equal to none of a list.
    NotIn => "not_in",
    /// Present and not null (`true`), or missing or null (`false`).
    Exists => "exists",
    /// A string in which the regular expression matches somewhere.
    Regex => "regex",
    /// A string that contains a string, or an array that contains a value.
    Contains => "contains",
    /// A string in which the regular expression matches nowhere.
    NotRegex => "not_regex",
    /// A string that does not contain a string, or an array that does not contain a value.
    NotContains => "not_contains",
    /// A string that starts with a string.
    StartsWith => "starts_with",
    /// A string that ends with a string.
    EndsWith => "ends_with",
    /// A string of at most so many characters, or an array of at most so many elements.
    LengthLte => "length_lte",
    /// A string of at least so many characters, or an array of at least so many elements.
    LengthGte => "length_gte",
    /// Of one of these JSON types.
    Type => "type",
    /// A path inside one of these directories, by its text alone.
    PathWithin => "path_within",
    /// An http or https URL with one of these hosts.
    HostIn => "host_in",
}

impl Operator {
    /// Whether a policy with this operator means the same in the hosted gateway that the format comes from.
    pub const fn is_portable(self) -> bool {
        match self {
            Self::Eq
            | Self::Neq
            | Self::Lt
            | Self::Lte
            | Self::Gt
            | Self::Gte
            | Self::In
            | Self::NotIn
            | Self::Exists
            | Self::Regex
            | Self::Contains => true,
            Self::NotRegex
            | Self::NotContains
            | Self::StartsWith
            | Self::EndsWith
            | Self::LengthLte
            | Self::LengthGte
            | Self::Type
            | Self::PathWithin
            | Self::HostIn => false,
        }
    }
}

/// How often calls may be made, or how much an argument may add up to, in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Limit {
    /// Anything for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Limits with one name share a counter, also across tools.
    pub counter: String,
    /// `minute`, `hour`, `day`, `week`, `month` (UTC), or a span such as `90s`, `15m`, `6h`.
    #[schemars(regex(pattern = r"^(minute|hour|day|week|month|[1-9][0-9]*[smh])$"))]
    pub window: String,
    /// The most that the counter may reach in one window.
    pub max: u64,
    /// Who shares the counter.
    #[serde(default)]
    pub scope: Scope,
    /// Where in the call the amount stands that is added; without it a call adds 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increment_from: Option<String>,
    /// Most decimals of an amount, 0 to 9.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(max = 9))]
    pub scale: u32,
    /// When a call that was sent is given back; without it never. Not with `increment_from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<Refund>,
    /// What the model is told when the limit refuses a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_deny: Option<String>,
    /// The last part of the rule's id in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Limit {
    /// At most `max` calls of a grant in each window, and nothing else said.
    pub fn of_calls(counter: String, window: String, max: u64) -> Self {
        Self {
            comment: None,
            counter,
            window,
            max,
            scope: Scope::Grant,
            increment_from: None,
            scale: 0,
            refund: None,
            on_deny: None,
            id: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(scale: &u32) -> bool {
    *scale == 0
}

/// When a call that was sent is given back to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Refund {
    /// When the server answers with a JSON-RPC error, and the client has not withdrawn the call: in the window that it
    /// was counted in.
    Error,
}

/// Who shares a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everyone who calls under one grant.
    #[default]
    Grant,
    /// One session of one client.
    Session,
    /// Everyone who calls this server.
    Server,
    /// Everyone, on all servers.
    Global,
}

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Self] = &[Self::Grant, Self::Session, Self::Server, Self::Global];

    /// The word in policy.json.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Session => "session",
            Self::Server => "server",
            Self::Global => "global",
        }
    }
}

/// A limit in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RateLimit {
    /// `10/minute`, `100/15m`.
    Text(#[schemars(regex(pattern = r"^[0-9]+/(minute|hour|day|week|month|[1-9][0-9]*[smh])$"))] String),
    /// So many calls in so many seconds.
    Seconds {
        /// Most calls in one window.
        max: u64,
        /// Length of the window in seconds.
        window: u32,
    },
}

impl RateLimit {
    /// The limit that this is short for.
    pub fn written_out(&self, tool: &str) -> Limit {
        let (max, window) = match self {
            Self::Text(text) => {
                let (max, window) = text.split_once('/').unwrap_or((text, "minute"));
                (max.trim().parse().unwrap_or(0), window.trim().to_owned())
            }
            Self::Seconds { max, window } => (*max, format!("{window}s")),
        };
        Limit::of_calls(format!("{tool}_rate"), window, max)
    }
}

/// A person must agree to the call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ApprovalRules {
    /// Only calls for which all of these hold; without them every call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// What the person is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Seconds until the question lapses, and until an approval does; 300 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604800))]
    pub ttl_s: Option<u32>,
}

impl Document {
    /// The document as pretty JSON with two spaces and a line break at the end.
    pub fn print(&self) -> String {
        // Every part is a string, a number or a checked JSON text: printing cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The JSON Schema (draft 2020-12) of policy.json, as pretty JSON with a line break at the end.
pub fn schema_text() -> String {
    let schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>();
    let mut schema = schema.to_value();
    without_null(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// A member that may be left out may not be null: takes the null out of every "this or null".
fn without_null(schema: &mut serde_json::Value) {
    use serde_json::Value;
    if let Value::Object(members) = schema {
        if let Some(Value::Array(types)) = members.get_mut("type") {
            types.retain(|name| name != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                members.insert("type".to_owned(), one);
            }
        }
        let is_null = |schema: &Value| schema.get("type").is_some_and(|name| name == "null");
        if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
            choices.retain(|choice| !is_null(choice));
            if let [Value::Object(one)] = choices.as_slice() {
                let one = one.clone();
                members.remove("anyOf");
                members.extend(one);
            }
        }
        members.values_mut().for_each(without_null);
    } else if let Value::Array(items) = schema {
        items.iter_mut().for_each(without_null);
    }
}
