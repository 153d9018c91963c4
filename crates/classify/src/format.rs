//! What a rule file may say, as written: one struct a kind of entry, checked field by field, no more.

use crate::model::{BlastRadius, Category, Flag};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A list of words that rules refer to as `@id`, or that the reader of sentences needs (`grammar.…`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireClass {
    pub id: String,
    pub why: String,
    /// Words and phrases; English plurals are understood; `@other` takes the words of another class in.
    pub words: Vec<String>,
}

/// Verbs that mean a category unless a `reading` knows better.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireVerbs {
    pub id: String,
    pub why: String,
    #[serde(default)]
    pub references: Vec<String>,
    pub category: Category,
    /// Percent of the weight of the place that the verb stands in.
    #[serde(default = "hundred")]
    pub strength: u32,
    /// Words that are nouns as often: they act only where a verb must stand.
    #[serde(default)]
    pub noun: bool,
    /// Verbs that say nothing by themselves (`manage`, `perform`): the other verbs of the sentence speak.
    #[serde(default)]
    pub vague: bool,
    pub words: Vec<String>,
    #[serde(default)]
    pub tests: WireTests,
}

/// What a verb means together with what it is done to; or evidence, flags and radius from conditions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRule {
    pub id: String,
    pub why: String,
    #[serde(default)]
    pub references: Vec<String>,
    /// Alternatives: one of them must hold.
    #[serde(default)]
    pub when: Vec<WireCondition>,
    /// None of them may hold.
    #[serde(default)]
    pub unless: Vec<WireCondition>,
    /// `reading`: the verb's category here; absent, the verb is no evidence here. `evidence`: what the weight counts for.
    #[serde(default)]
    pub category: Option<Category>,
    /// `reading`: percent, as in `verbs`. `evidence`: points.
    #[serde(default)]
    pub weight: Option<u32>,
    /// `reading`: tried before readings of a lower rank.
    #[serde(default)]
    pub rank: u32,
    #[serde(default)]
    pub flags: Vec<Flag>,
    #[serde(default)]
    pub at_least: Option<BlastRadius>,
    #[serde(default)]
    pub at_most: Option<BlastRadius>,
    #[serde(default)]
    pub step: Option<WireStep>,
    /// Folds of labelled servers that it was written from; see `eval::fold`.
    #[serde(default)]
    pub from: Vec<u32>,
    /// The sentence of the rubric that it states, where it does not stand on examples.
    #[serde(default)]
    pub principle: Option<String>,
    #[serde(default)]
    pub tests: WireTests,
}

/// One step of the blast radius; however many rules say so, each way counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WireStep {
    /// One worse.
    Up,
    /// One better.
    Down,
}

/// All fields given must hold; within a field any word does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WireCondition {
    /// The acting verb of the name or of the description's first sentence, in its base form.
    pub verb: Vec<String>,
    /// What the verb is done to, up to the first preposition.
    pub object: Vec<String>,
    /// The last word of that.
    pub head: Vec<String>,
    /// What comes after the first preposition.
    pub target: Vec<String>,
    /// Anywhere in the name, once the server's prefix is off.
    pub name: Vec<String>,
    /// Anywhere in the description's first sentence.
    pub first: Vec<String>,
    /// Anywhere in the description, except in sentences that deny or compare.
    pub text: Vec<String>,
    /// Anywhere in the description, denials included ("cannot be undone").
    pub claim: Vec<String>,
    /// In the name, the title or the first sentence.
    pub any: Vec<String>,
    /// In the name of a parameter.
    pub param: Vec<String>,
    /// The whole name of a parameter.
    pub param_named: Vec<String>,
    /// The whole name of a parameter that takes free text: a string without a list of values.
    pub text_param: Vec<String>,
    /// In the description of a parameter.
    pub param_text: Vec<String>,
    /// In a value that a parameter may take.
    pub value: Vec<String>,
    /// One parameter for which all of this holds.
    pub parameter: Option<WireParameter>,
    /// What the server is about: half of its tools or more speak of it (`domain.…`).
    pub domain: Vec<String>,
    /// `key=value` of an extra member of the definition; compared without case.
    pub extension: Vec<String>,
    /// `hint=true` or `hint=false`.
    pub annotation: Vec<String>,
    /// The category decided on (not for `reading` and `evidence`).
    pub category: Vec<Category>,
    /// Flags set so far (for `radius` only).
    pub flag: Vec<Flag>,
    /// A regular expression on the description, tried last.
    pub pattern: Option<String>,
    /// Whether the tool takes arguments at all.
    pub no_parameters: Option<bool>,
}

/// What must hold for one and the same parameter, wherever in the schema it stands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WireParameter {
    /// Its whole name.
    pub named: Vec<String>,
    /// The last word or words of its name: `code` for `userCode`.
    pub head: Vec<String>,
    /// Any word of its name.
    pub any: Vec<String>,
    /// Its name does not end in these: `zip code`.
    pub except: Vec<String>,
    /// In its description.
    pub text: Vec<String>,
    /// In a value that it may take.
    pub value: Vec<String>,
    /// A JSON type that its schema admits.
    #[serde(rename = "type")]
    pub kind: Vec<WireType>,
    /// Whether calls must give it.
    pub required: Option<bool>,
    /// Free text, or a list of it: strings without a list of values.
    pub free: Option<bool>,
    /// Whether it is an argument itself, not a member of one.
    pub top: Option<bool>,
}

/// A JSON type as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WireType {
    /// Text.
    String,
    /// A number, whole or not.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// A table.
    Object,
}

/// Small tools beside a rule: in the one list it must speak, in the other it must keep silent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WireTests {
    #[serde(rename = "match")]
    pub matches: Vec<WireTool>,
    #[serde(rename = "ignore")]
    pub ignores: Vec<WireTool>,
}

/// A tool definition in short.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTool {
    pub name: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// Parameter name → JSON type, or values separated by `|`.
    #[serde(default)]
    pub input: BTreeMap<String, String>,
    /// Extra members.
    #[serde(default)]
    pub extensions: BTreeMap<String, String>,
    /// Hints.
    #[serde(default)]
    pub annotations: BTreeMap<String, bool>,
    /// What the verdict must be: `Execute low`.
    #[serde(default)]
    pub is: Option<String>,
}

/// A rule of an earlier layer that shall not speak.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireDisable {
    pub id: String,
    pub reason: String,
}

/// Points by the place that a verb stands in. A later layer may change single ones.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WireWeights {
    pub name_lead: Option<u32>,
    pub name_later: Option<u32>,
    pub name_joined: Option<u32>,
    pub description_main: Option<u32>,
    pub description_late: Option<u32>,
    pub description_next: Option<u32>,
    pub description_vague: Option<u32>,
    pub title_lead: Option<u32>,
    pub action_values: Option<u32>,
    pub action_text: Option<u32>,
    pub confidence_high: Option<u32>,
    pub confidence_medium: Option<u32>,
    pub confidence_lead_percent: Option<u32>,
}

const fn hundred() -> u32 {
    100
}
