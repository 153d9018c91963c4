//! The rule set: built-in files and the user's layers, checked as a whole, compiled once.

use super::compile::{Compiled, compile};
use super::format::WireStep;
use super::load::{Body, Entry, Files, Layers, RuleKind};
use super::pattern::Check;
use crate::model::{Category, Fingerprint, Flag};
use crate::problem::Problem;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock, OnceLock};

/// The rule files inside the binary, by name.
pub const BUILTIN_FILES: &[(&str, &str)] = &[
    ("grammar.toml", include_str!("../rules/grammar.toml")),
    ("classes.toml", include_str!("../rules/classes.toml")),
    ("verbs.toml", include_str!("../rules/verbs.toml")),
    ("languages.toml", include_str!("../rules/languages.toml")),
    ("readings.toml", include_str!("../rules/readings.toml")),
    ("evidence.toml", include_str!("../rules/evidence.toml")),
    ("flags.toml", include_str!("../rules/flags.toml")),
    ("radius.toml", include_str!("../rules/radius.toml")),
    ("annotations.toml", include_str!("../rules/annotations.toml")),
];

static BUILTIN: LazyLock<RuleSet> = LazyLock::new(|| {
    let mut problems = Vec::new();
    // A test holds that there are none; were there any, the entries that are valid still apply.
    RuleSet::build(&[], Check::Tested, &mut problems)
});

/// The rules that a classification uses: lexicons, rules, weights, floors. Built once, cheap to clone.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(super) layers: Arc<Layers>,
    pub(super) compiled: Arc<Compiled>,
    /// The texts of the files of each layer, and the fingerprint once it was asked for.
    texts: Arc<Vec<Vec<Cow<'static, str>>>>,
    fingerprint: Arc<OnceLock<String>>,
}

/// A rule as it is listed and explained.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct RuleInfo {
    /// Stable id.
    pub id: String,
    /// What it is for.
    pub kind: RuleKind,
    /// File that it was read from.
    pub file: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Why it says what it says.
    pub why: String,
    /// What it says, for example `Delete` or `flag egress, blast at least high`.
    pub says: String,
    /// OWASP and CWE entries.
    pub references: Vec<String>,
    /// Words of a class or of a list of verbs.
    pub words: Vec<String>,
    /// How many tests stand beside it.
    pub tests: usize,
}

impl RuleSet {
    /// The rules inside the binary, read on first use.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The built-in rules with more files as a layer on top; a rule with a known id replaces it.
    ///
    /// # Errors
    /// Everything that is wrong with the files, at once.
    pub fn load(files: &[(&str, &str)]) -> Result<Self, Vec<Problem>> {
        Self::layered(&[files])
    }

    /// The built-in rules with several layers on top, in this order: a later layer wins by id.
    ///
    /// # Errors
    /// Everything that is wrong with the files, at once.
    pub fn layered(layers: &[&[(&str, &str)]]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let set = Self::build(layers, Check::Now, &mut problems);
        problems.extend(set.careless());
        if problems.is_empty() {
            Ok(set)
        } else {
            problems.sort();
            problems.dedup();
            Err(problems)
        }
    }

    /// Rules from these files alone, with everything that is wrong with them; what is valid applies.
    pub fn only(files: &[(&str, &str)]) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut layers = Layers::default();
        layers.add(files, &mut problems);
        let compiled = compile(&layers, Check::Now, &mut problems);
        (Self::new(layers, compiled, vec![owned(files)]), problems)
    }

    /// What is wrong or careless in the built-in rules together with these files: what `load` refuses.
    pub fn lint(files: &[(&str, &str)]) -> Vec<Problem> {
        Self::load(files).err().unwrap_or_default()
    }

    /// These rules without the ones that were written from the labelled servers of this fold alone (`eval::fold`): what
    /// a server of the fold is measured with, so that no rule is measured on what it was written from.
    #[must_use]
    pub fn without_fold(&self, fold: u32) -> Self {
        let mut layers = Layers::clone(&self.layers);
        layers.entries.retain(|_, entry| match &entry.body {
            Body::Rule(rule) => rule.from.is_empty() || rule.from.iter().any(|from| *from != fold),
            Body::Class(_) | Body::Verbs(_) => true,
        });
        // Taking a rule away leaves nothing that refers to it: what was valid stays so.
        let compiled = Arc::new(compile(&layers, Check::Tested, &mut Vec::new()));
        Self { layers: Arc::new(layers), compiled, ..self.clone() }
    }

    fn new(layers: Layers, compiled: Compiled, texts: Vec<Vec<Cow<'static, str>>>) -> Self {
        let (layers, compiled, texts) = (Arc::new(layers), Arc::new(compiled), Arc::new(texts));
        Self { layers, compiled, texts, fingerprint: Arc::default() }
    }

    fn build(added: &[Files<'_>], check: Check, problems: &mut Vec<Problem>) -> Self {
        let mut layers = Layers::default();
        layers.add(BUILTIN_FILES, problems);
        for files in added.iter().filter(|files| !files.is_empty()) {
            layers.add(files, problems);
        }
        let compiled = compile(&layers, check, problems);
        let builtin = BUILTIN_FILES.iter().map(|(_, text)| Cow::Borrowed(*text)).collect();
        let texts = std::iter::once(builtin).chain(added.iter().map(|files| owned(files))).collect();
        Self::new(layers, compiled, texts)
    }

    /// Rules without a reason, without tests or without an effect.
    fn careless(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for entry in self.layers.entries.values() {
            if entry.id().is_empty() || !entry.id().chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
                problems.push(entry.problem("an id is made of letters, digits, `-`, `.` and `_`"));
            }
            if entry.why().trim().is_empty() {
                problems.push(entry.problem("`why` is empty"));
            }
            if entry.tests().is_some_and(|tests| tests.matches.is_empty()) {
                problems.push(entry.problem("no test that it must match"));
            }
            if entry.tests().is_some_and(|tests| tests.ignores.is_empty()) && entry.kind != RuleKind::Verbs {
                problems.push(entry.problem("no test that it must not match"));
            }
            problems.extend(effect(entry).map(|message| entry.problem(message)));
            problems.extend(loose(entry).map(|field| {
                let message =
                    format!("an exception to what raises may not rest on a loose word (`{field}` in `unless`)");
                let help = "bind it to the verb's `object`, `head` or `target`, or to a `parameter`".to_owned();
                Problem { help: Some(help), ..entry.problem(message) }
            }));
        }
        problems
    }

    /// SHA-256 over the text of every rule file, 64 hexadecimal digits. Where files lie does not count, so it is the
    /// same on every machine; the version of mcpol does, because the rules mean nothing without their reader.
    pub fn fingerprint(&self) -> &str {
        let of_texts =
            || Fingerprint::of(&serde_json::json!([env!("CARGO_PKG_VERSION"), *self.texts])).as_str().to_owned();
        self.fingerprint.get_or_init(of_texts)
    }

    /// Every rule, in the order of ids.
    pub fn rules(&self) -> impl Iterator<Item = RuleInfo> + '_ {
        self.layers.entries.values().map(info)
    }

    /// One rule by id.
    pub fn rule(&self, id: &str) -> Option<RuleInfo> {
        self.layers.entries.get(id).map(info)
    }
}

fn owned(files: Files<'_>) -> Vec<Cow<'static, str>> {
    files.iter().map(|(_, text)| Cow::Owned((*text).to_owned())).collect()
}

/// What a rule lacks for its kind.
fn effect(entry: &Entry) -> Option<&'static str> {
    let Body::Rule(rule) = &entry.body else { return None };
    let moves = rule.at_least.is_some() || rule.at_most.is_some() || rule.step.is_some();
    if rule.when.is_empty() {
        return Some("`when` is missing");
    }
    match entry.kind {
        _ if rule.from.iter().any(|fold| *fold >= crate::eval::FOLDS) => Some("`from` names no fold"),
        _ if rule.principle.as_ref().is_some_and(|text| text.trim().is_empty()) => Some("`principle` is empty"),
        RuleKind::Reading if rule.when.iter().any(|condition| condition.verb.is_empty()) => {
            Some("a reading needs `verb` in each condition")
        }
        RuleKind::Evidence if rule.category.is_none() => Some("evidence needs `category`"),
        RuleKind::Trait if rule.flags.is_empty() => Some("a trait needs `flags`"),
        RuleKind::Radius if !moves => Some("a radius rule needs `at_least`, `at_most` or `step`"),
        RuleKind::Reading if moves || !rule.flags.is_empty() => {
            Some("flags and radius belong in `evidence`, a `trait` or a `radius` rule")
        }
        RuleKind::Evidence if rule.at_most.is_some() || rule.step.is_some() => {
            Some("evidence carries flags and `at_least` only")
        }
        RuleKind::Trait | RuleKind::Radius if rule.category.is_some() => {
            Some("only a reading or evidence speaks for a category")
        }
        _ => None,
    }
}

/// The field by which a word anywhere in the text would switch off what makes a verdict worse. "Runs a shell command and
/// returns a report" is a shell command.
fn loose(entry: &Entry) -> Option<&'static str> {
    let Body::Rule(rule) = &entry.body else { return None };
    let lowering = |flag: &Flag| matches!(flag, Flag::Reversible | Flag::Ephemeral | Flag::Metered);
    let raises = match entry.kind {
        RuleKind::Trait => !rule.flags.iter().all(lowering),
        RuleKind::Radius => rule.at_least.is_some() || rule.step == Some(WireStep::Up),
        RuleKind::Evidence => rule.category > Some(Category::Read),
        RuleKind::Reading => rule.category >= Some(Category::Execute),
        RuleKind::Class | RuleKind::Verbs => false,
    };
    if !raises {
        return None;
    }
    rule.unless.iter().find_map(|condition| {
        let fields = [
            ("any", !condition.any.is_empty()),
            ("first", !condition.first.is_empty()),
            ("text", !condition.text.is_empty()),
            ("claim", !condition.claim.is_empty()),
            ("pattern", condition.pattern.is_some()),
        ];
        fields.into_iter().find_map(|(field, given)| given.then_some(field))
    })
}

fn info(entry: &Entry) -> RuleInfo {
    let (references, words, says) = match &entry.body {
        Body::Class(class) => (Vec::new(), class.words.clone(), String::new()),
        Body::Verbs(verbs) => (verbs.references.clone(), verbs.words.clone(), verbs.category.to_string()),
        Body::Rule(rule) => {
            let mut says: Vec<String> = rule.category.iter().map(ToString::to_string).collect();
            if rule.category.is_none() && entry.kind == RuleKind::Reading {
                says.push("no evidence".to_owned());
            }
            if !rule.flags.is_empty() {
                let flags: Vec<&str> = rule.flags.iter().map(|flag| flag.as_str()).collect();
                says.push(format!("flag {}", flags.join(", ")));
            }
            says.extend(rule.at_least.map(|radius| format!("blast at least {radius}")));
            says.extend(rule.at_most.map(|radius| format!("blast at most {radius}")));
            says.extend(rule.step.map(|step| match step {
                WireStep::Up => "blast one step up".to_owned(),
                WireStep::Down => "blast one step down".to_owned(),
            }));
            (rule.references.clone(), Vec::new(), says.join(", "))
        }
    };
    RuleInfo {
        id: entry.id().to_owned(),
        kind: entry.kind,
        file: entry.file.clone(),
        line: entry.place.line,
        why: entry.why().to_owned(),
        says,
        references,
        words,
        tests: entry.tests().map_or(0, |tests| tests.matches.len() + tests.ignores.len()),
    }
}
