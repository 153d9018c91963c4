//! Which annotations a tool's definition deserves (MCP, `ToolAnnotations`), each with the words that say so, beside those
//! that its server declares. Pure; the class must have been reached without the annotations.

use super::words::{Span, split_name};
use crate::model::{
    Annotations, BlastRadius, Category, Confidence, Evidence, EvidenceSource, Flag, ToolDefinition, Verdict,
};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// The rule data inside the binary.
const DATA: &str = include_str!("../rules/annotate/hints.toml");

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    // A test holds that it is valid; were it not, nothing would be said of idempotence, and no directory known.
    toml::from_str(DATA).unwrap_or_default()
});

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Verbs that what only reads does not begin with, beside those of `idempotent`.
    acts: Vec<String>,
    /// Verbs of acts that leave what was there before.
    adds: Vec<String>,
    /// Words of names for what may lie outside of the server's own system.
    seeks: Vec<String>,
    idempotent: Vec<Verbs>,
    directory: Vec<Directory>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verbs {
    value: bool,
    why: String,
    verbs: Vec<String>,
}

/// What a directory of servers asks of every tool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The word for it on the command line.
    pub id: String,
    /// What it is.
    pub name: String,
    /// Where its requirements are published.
    pub source: String,
    /// The day on which they were read, as `YYYY-MM-DD`.
    pub seen: String,
    /// What every tool must have: names of hints, or `title`.
    pub every: Vec<String>,
    /// Of these every tool must have at least one; empty asks for none.
    pub one_of: Vec<String>,
}

impl Directory {
    /// All that are known, in the order of the rule data.
    pub fn all() -> &'static [Self] {
        &KNOWN.directory
    }

    /// What a tool with these declarations lacks for this directory, in words of the specification.
    pub fn lacking(&self, tool: &ToolDefinition) -> Vec<String> {
        let has = |what: &str| match Hint::ALL.iter().find(|hint| hint.as_str() == what) {
            Some(hint) => hint.declared(&tool.annotations).is_some(),
            None => declared_title(tool).is_some(),
        };
        let mut lacking: Vec<String> = self.every.iter().filter(|what| !has(what)).cloned().collect();
        if !self.one_of.is_empty() && !self.one_of.iter().any(|what| has(what)) {
            lacking.push(self.one_of.join(" or "));
        }
        lacking
    }
}

/// One of the four hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub enum Hint {
    /// The tool does not modify its environment.
    #[serde(rename = "readOnlyHint")]
    ReadOnly,
    /// The tool may destroy or overwrite something, rather than only add.
    #[serde(rename = "destructiveHint")]
    Destructive,
    /// A second call with the same arguments has no further effect.
    #[serde(rename = "idempotentHint")]
    Idempotent,
    /// The tool reaches places or people outside of a closed system.
    #[serde(rename = "openWorldHint")]
    OpenWorld,
}

impl Hint {
    /// Every hint, in the order of the specification.
    pub const ALL: [Self; 4] = [Self::ReadOnly, Self::Destructive, Self::Idempotent, Self::OpenWorld];

    /// The key in `annotations`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnlyHint",
            Self::Destructive => "destructiveHint",
            Self::Idempotent => "idempotentHint",
            Self::OpenWorld => "openWorldHint",
        }
    }

    /// What a server declares.
    pub const fn declared(self, annotations: &Annotations) -> Option<bool> {
        match self {
            Self::ReadOnly => annotations.read_only,
            Self::Destructive => annotations.destructive,
            Self::Idempotent => annotations.idempotent,
            Self::OpenWorld => annotations.open_world,
        }
    }
}

/// How a declared hint stands beside the deserved one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Both are the same.
    Right,
    /// The definition does not say enough to tell.
    Unsure,
    /// It is deserved and not declared.
    Missing,
    /// It is declared, and strong evidence says the opposite.
    Wrong,
}

/// One hint of one tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Advice {
    /// Which.
    pub hint: Hint,
    /// As the server declares it; nothing where it does not.
    pub declared: Option<bool>,
    /// As the definition deserves it; nothing where that cannot be told.
    pub deserved: Option<bool>,
    /// How the two stand to each other.
    pub standing: Standing,
    /// Why, in a sentence.
    pub because: String,
    /// Where the words stand that say so.
    pub source: EvidenceSource,
    /// These words, verbatim (unescaped), at most 160 bytes.
    pub quote: String,
}

/// All that should be said of one tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ToolAdvice {
    /// The tool, as declared.
    pub tool: String,
    /// `title` or `annotations.title`, as declared.
    pub title: Option<String>,
    /// A title made of the name, for a tool without one.
    pub proposed_title: String,
    /// The four hints.
    pub hints: Vec<Advice>,
}

fn declared_title(tool: &ToolDefinition) -> Option<&str> {
    tool.title.as_deref().or(tool.annotations.title.as_deref()).filter(|title| !title.trim().is_empty())
}

/// What a tool's annotations should be. `verdict` is the one without the server's own annotations.
pub fn advise(tool: &ToolDefinition, verdict: &Verdict) -> ToolAdvice {
    let advice = |hint: Hint| {
        let Deserved { value, is_strong, because, says } = match hint {
            Hint::ReadOnly => read_only(tool, verdict),
            Hint::Destructive => destructive(tool, verdict),
            Hint::Idempotent => idempotent(tool, verdict),
            Hint::OpenWorld => open_world(tool, verdict),
        };
        let declared = hint.declared(&tool.annotations);
        let standing = match (declared, value) {
            (_, None) => Standing::Unsure,
            (None, Some(_)) => Standing::Missing,
            (Some(declared), Some(deserved)) if declared == deserved => Standing::Right,
            (Some(_), Some(_)) if is_strong => Standing::Wrong,
            (Some(_), Some(_)) => Standing::Unsure,
        };
        let (source, quote) = quote(tool, verdict, &says);
        Advice { hint, declared, deserved: value, standing, because, source, quote }
    };
    ToolAdvice {
        tool: tool.name.as_str().to_owned(),
        title: declared_title(tool).map(str::to_owned),
        proposed_title: title_of(tool.name.as_str()),
        hints: Hint::ALL.into_iter().map(advice).collect(),
    }
}

/// What a hint should be, and on what that rests.
struct Deserved {
    value: Option<bool>,
    /// Strong enough to contradict the server.
    is_strong: bool,
    because: String,
    /// The words that evidence for it says; the first piece that says one of them is quoted.
    says: Vec<&'static str>,
}

fn unsure(because: &str) -> Deserved {
    Deserved { value: None, is_strong: false, because: because.to_owned(), says: Vec::new() }
}

const UNCLASSIFIED: &str = "the definition does not say what the tool does";

fn is_strong(verdict: &Verdict) -> bool {
    verdict.confidence == Confidence::High
}

fn read_only(tool: &ToolDefinition, verdict: &Verdict) -> Deserved {
    if verdict.flags.contains(&Flag::Unclassified) {
        return unsure(UNCLASSIFIED);
    }
    let says = vec![verdict.category.as_str()];
    let because = match verdict.category {
        // Clients stop asking where a tool reads only: that is said with high confidence or not at all.
        Category::Read if !is_strong(verdict) => return Deserved { says, ..unsure("it seems to read only") },
        Category::Read if begins_with_an_act(tool) => {
            return Deserved { says, ..unsure("it seems to read only, but begins with the verb of an act") };
        }
        Category::Read => "it reads only",
        Category::Write => "it creates or changes something",
        Category::Execute => "it runs or steers something",
        Category::Delete => "it removes something",
    };
    let value = Some(verdict.category == Category::Read);
    // The state of a tab or a session: servers may well call that reading.
    let is_slight = verdict.category == Category::Execute && verdict.blast_radius == BlastRadius::Low;
    Deserved { value, is_strong: is_strong(verdict) && !is_slight, because: because.to_owned(), says }
}

fn destructive(tool: &ToolDefinition, verdict: &Verdict) -> Deserved {
    let has = |flag: &Flag| verdict.flags.contains(flag);
    if has(&Flag::Unclassified) {
        return unsure(UNCLASSIFIED);
    }
    for (flag, because) in [
        (Flag::Irreversible, "what it does cannot be undone"),
        (Flag::Destructive, "what was there before is lost"),
        (Flag::CodeExecution, "code of the caller can destroy anything"),
    ] {
        if has(&flag) {
            return Deserved {
                value: Some(true),
                is_strong: is_strong(verdict),
                because: because.to_owned(),
                says: vec![flag.as_str(), verdict.category.as_str()],
            };
        }
    }
    let says = vec![verdict.category.as_str()];
    match verdict.category {
        Category::Delete if !has(&Flag::Reversible) && !has(&Flag::Ephemeral) => Deserved {
            value: Some(true),
            is_strong: is_strong(verdict),
            because: "it removes something".to_owned(),
            says,
        },
        Category::Read if !is_strong(verdict) || begins_with_an_act(tool) => {
            Deserved { says, ..unsure("it seems to read only") }
        }
        Category::Read => Deserved { value: Some(false), is_strong: false, because: "it reads only".to_owned(), says },
        // Most definitions are silent about what they overwrite, and clients take silence for the worse.
        Category::Write | Category::Execute | Category::Delete if !leaves_what_was_there(tool, verdict) => {
            Deserved { says, ..unsure("the definition does not say what becomes of what was there before") }
        }
        // Never strong: a definition that is silent about what is lost proves little.
        Category::Write | Category::Execute | Category::Delete => Deserved {
            value: Some(false),
            is_strong: false,
            because: "nothing says that something is lost".to_owned(),
            says,
        },
    }
}

/// Whether the name or the text begins with the verb of an act. `Generates` is one of `generate`.
fn begins_with_an_act(tool: &ToolDefinition) -> bool {
    let text = tool.description.as_deref().unwrap_or_default();
    let told = text.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty()).map(str::to_lowercase);
    let is_act = |word: &str| {
        let lists = KNOWN.idempotent.iter().map(|list| &list.verbs).chain([&KNOWN.acts]);
        lists.flatten().any(|verb| verb == word)
    };
    let first = words_of(tool.name.as_str()).into_iter().next();
    first.into_iter().chain(told).any(|word| is_act(&word) || word.strip_suffix('s').is_some_and(is_act))
}

/// Whether an act adds to what is there or can be put back, and can do nothing else.
fn leaves_what_was_there(tool: &ToolDefinition, verdict: &Verdict) -> bool {
    let undoable = verdict.flags.contains(&Flag::Reversible) || verdict.flags.contains(&Flag::Ephemeral);
    let adds = || words_of(tool.name.as_str()).iter().any(|word| KNOWN.adds.contains(word));
    // A statement, a request, a job of the caller's: it may do anything.
    let at_most = if verdict.category == Category::Execute { BlastRadius::Medium } else { BlastRadius::High };
    verdict.confidence != Confidence::Low && verdict.blast_radius <= at_most && (undoable || adds())
}

fn idempotent(tool: &ToolDefinition, verdict: &Verdict) -> Deserved {
    if verdict.flags.contains(&Flag::Unclassified) {
        return unsure(UNCLASSIFIED);
    }
    if verdict.category == Category::Read {
        return Deserved {
            says: vec![verdict.category.as_str()],
            ..unsure("it means nothing for a tool that reads only")
        };
    }
    let words = words_of(tool.name.as_str());
    let known = words.iter().find_map(|word| KNOWN.idempotent.iter().find(|list| list.verbs.contains(word)));
    match known {
        Some(list) => {
            Deserved { value: Some(list.value), is_strong: false, because: list.why.clone(), says: Vec::new() }
        }
        None => unsure("its name does not tell what a second call does"),
    }
}

fn open_world(tool: &ToolDefinition, verdict: &Verdict) -> Deserved {
    if verdict.flags.contains(&Flag::Unclassified) {
        return unsure(UNCLASSIFIED);
    }
    for (flag, because) in [
        (Flag::Egress, "content leaves for a place that the caller chooses"),
        (Flag::OpenWorld, "it reaches arbitrary places outside"),
    ] {
        if verdict.flags.contains(&flag) {
            return Deserved {
                value: Some(true),
                is_strong: is_strong(verdict),
                because: because.to_owned(),
                says: vec![flag.as_str()],
            };
        }
    }
    let says = vec![Flag::UntrustedContent.as_str()];
    if verdict.flags.contains(&Flag::UntrustedContent) {
        return Deserved { says, ..unsure("it may return what third parties wrote") };
    }
    let seeks = || words_of(tool.name.as_str()).iter().any(|word| KNOWN.seeks.contains(word));
    if verdict.confidence == Confidence::Low || seeks() {
        return unsure("the definition does not say what it reaches");
    }
    let because = "nothing says that it reaches beyond its own system".to_owned();
    Deserved { value: Some(false), is_strong: false, because, says: vec![verdict.category.as_str()] }
}

/// The strongest words of the definition that say one of these; else its name.
fn quote(tool: &ToolDefinition, verdict: &Verdict, says: &[&str]) -> (EvidenceSource, String) {
    let fits = |piece: &&Evidence, wanted: &str| {
        !piece.quote.trim().is_empty() && piece.says.split([' ', ',']).any(|word| word == wanted)
    };
    for wanted in says {
        let mut fitting = verdict.evidence.iter().filter(|piece| fits(piece, wanted));
        // A sentence says more than a name that stands beside it anyway.
        let told = fitting.clone().find(|piece| piece.source == EvidenceSource::Description);
        if let Some(piece) = told.or_else(|| fitting.next()) {
            return (piece.source.clone(), piece.quote.clone());
        }
    }
    (EvidenceSource::Name, tool.name.as_str().chars().take(QUOTE_CHARS_MAX).collect())
}

/// Longest name that is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 80;

/// The words of a name, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut spans: Vec<Span> = Vec::new();
    split_name(name, &mut spans);
    spans.iter().filter_map(|span| name.get(span.start as usize..span.end as usize)).map(str::to_lowercase).collect()
}

/// `pause_focus_session` as `Pause focus session`.
fn title_of(name: &str) -> String {
    let mut title = words_of(name).join(" ");
    if let Some(first) = title.chars().next() {
        title.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    title
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot read its own tool must fail")]
mod tests {
    use super::*;
    use crate::promises::{listing, tool as tool_of};
    use crate::{Options, RuleSet, assess};
    use serde_json::json;

    fn of(tool: serde_json::Value) -> ToolAdvice {
        let listing = listing(vec![tool_of(&tool)]);
        let options = Options { ignore_annotations: true, ..Options::default() };
        let verdict = assess(RuleSet::builtin(), &listing, &options).remove(0).verdict;
        advise(&listing.tools[0], &verdict)
    }

    fn check(tool: serde_json::Value, expected: [(Option<bool>, Standing); 4]) {
        let advice = of(tool);
        let got: Vec<_> = advice.hints.iter().map(|hint| (hint.deserved, hint.standing)).collect();
        assert_eq!(got, expected, "{}", advice.tool);
    }

    #[test]
    fn the_rule_data_is_valid_and_names_its_sources() {
        let known: Known = toml::from_str(DATA).unwrap();
        assert!(known.idempotent.len() == 2 && known.directory.len() >= 2);
        let (yes, no) = (&known.idempotent[0].verbs, &known.idempotent[1].verbs);
        assert!(yes.iter().all(|verb| !no.contains(verb)), "a verb is in one list only");
        let twice = |verb: &&String| yes.contains(verb) || no.contains(verb);
        assert_eq!(known.acts.iter().find(twice), None, "those of the lists count anyway");
        assert!(!known.adds.is_empty() && !known.seeks.is_empty());
        for directory in &known.directory {
            assert!(directory.source.starts_with("https://") && directory.seen.len() == 10, "{}", directory.id);
            for what in directory.every.iter().chain(&directory.one_of) {
                assert!(what == "title" || Hint::ALL.iter().any(|hint| hint.as_str() == what), "{what}");
            }
        }
    }

    #[test]
    fn hints_follow_from_the_class_and_not_from_what_is_declared() {
        use Standing::{Missing, Right, Unsure, Wrong};
        check(
            json!({"name": "list_zones", "description": "List all time zones", "annotations": {"readOnlyHint": false}}),
            [(Some(true), Wrong), (Some(false), Missing), (None, Unsure), (Some(false), Missing)],
        );
        check(
            json!({"name": "delete_note", "description": "Delete a note", "annotations": {"readOnlyHint": true, "destructiveHint": true}}),
            [(Some(false), Wrong), (Some(true), Right), (Some(true), Missing), (Some(false), Missing)],
        );
        check(
            json!({"name": "send_email", "description": "Send an email to any recipient", "inputSchema": {"properties": {"to": {"type": "string"}, "body": {"type": "string"}}}}),
            [(Some(false), Missing), (Some(false), Missing), (Some(false), Missing), (Some(true), Missing)],
        );
    }

    #[test]
    fn what_would_let_a_client_ask_less_is_said_on_good_grounds_alone() {
        let deserved = |name: &str, description: &str| {
            let advice = of(json!({"name": name, "description": description}));
            [0, 1, 3].map(|at: usize| advice.hints[at].deserved)
        };
        for (name, description, expected) in [
            ("list_zones", "List all time zones", [Some(true), Some(false), Some(false)]),
            // What third parties wrote may come from anywhere.
            ("list_notes", "List all notes", [Some(true), Some(false), None]),
            // Reading by its class, an act by its verb.
            ("note_summary", "Generates a summary of a note", [None, None, Some(false)]),
            ("add_comment", "Add a comment to a task", [Some(false), Some(false), Some(false)]),
            ("archive_note", "Archive a note", [Some(false), Some(false), Some(false)]),
            // What was there before may be lost, or not.
            ("update_task", "Update the title of a task", [Some(false), None, Some(false)]),
            ("search_notes", "List notes that hold a text", [Some(true), Some(false), None]),
        ] {
            assert_eq!(deserved(name, description), expected, "{name}");
        }
    }

    #[test]
    fn what_the_definition_does_not_say_is_not_claimed() {
        let advice = of(json!({"name": "frobnicator"}));
        assert!(advice.hints.iter().all(|hint| hint.deserved.is_none() && hint.standing == Standing::Unsure));
        assert_eq!(advice.proposed_title, "Frobnicator");
    }

    #[test]
    fn every_hint_quotes_the_definition() {
        let text = "Pause the current focus session";
        let advice = of(json!({"name": "pauseFocus_session", "description": text}));
        assert_eq!(advice.hints[0].quote, text);
        assert_eq!(advice.proposed_title, "Pause focus session");
    }

    #[test]
    fn directories_say_what_a_tool_lacks() {
        let bare = tool_of(&json!({"name": "a"}));
        let hinted = tool_of(&json!({"name": "a", "title": "A", "annotations": {"destructiveHint": false}}));
        let lacking = |id: &str, tool| Directory::all().iter().find(|it| it.id == id).unwrap().lacking(tool);
        assert_eq!(lacking("claude-directory", &bare), ["title", "readOnlyHint or destructiveHint"]);
        assert_eq!(lacking("claude-directory", &hinted), [""; 0]);
        assert_eq!(lacking("chatgpt-apps", &hinted), ["readOnlyHint", "openWorldHint"]);
    }
}
