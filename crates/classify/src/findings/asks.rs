//! Texts that ask the assistant for more than the tool's own job.
//!
//! Words do not generalise, roles do: what matters is what is wanted of the assistant's own context, into which argument
//! or place it is to be carried, which act beyond the tool is asked for, what is kept from the user, and under which
//! authority or condition. Words of each role are in `asks_words`; here sentences are read for the roles in them, and a
//! combination that honest texts do not make is a finding. What is the tool's own job (a chat, a vault) is no request.

use super::asks_words::{ADDRESSES, KNOWN, Role, Subject};
use super::decoded::{decoded, may_be_encoded};
use crate::model::Severity;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Longest text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most sentences of one text.
const SENTENCES_MAX: usize = 400;
/// Most nesting of a definition that is walked.
const DEPTH_MAX: usize = 64;
/// Sentences around one another in which a request is made and hidden.
const NEAR: usize = 3;

struct Lexicon {
    finder: AhoCorasick,
    roles: Vec<Role>,
    bounded: Vec<bool>,
}

static LEXICON: LazyLock<Option<Lexicon>> = LazyLock::new(|| {
    let (mut patterns, mut roles, mut bounded) = (Vec::new(), Vec::new(), Vec::new());
    for (role, words) in &KNOWN.roles {
        for word in words {
            patterns.push(word);
            roles.push(*role);
            bounded.push(word.is_ascii());
        }
    }
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
    Some(Lexicon { finder: builder.build(&patterns).ok()?, roles, bounded })
});

/// A request that is not the tool's own job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub severity: Severity,
    /// The predicate of a sentence about the text.
    pub what: &'static str,
    /// The sentence that says so, without hidden characters.
    pub quote: String,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The description, or instructions.
    Told,
    /// A parameter's name or description.
    Parameter,
    /// A value of an enum, a default.
    Value,
}

/// What one sentence has in it.
#[derive(Clone, Debug, Default)]
struct Sentence<'t> {
    text: &'t str,
    roles: u64,
    /// Of what the wanted context is.
    subjects: BTreeSet<Subject>,
    /// Names of the tool's own parameters that it speaks of.
    names_parameter: bool,
    /// A name that is no parameter of the tool and looks like that of a tool.
    names_other_tool: bool,
    has_address: bool,
}

impl Sentence<'_> {
    fn has(&self, role: Role) -> bool {
        self.roles & (1 << role as u64) != 0
    }

    fn any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }
}

/// A definition as far as requests are looked for.
struct Reader<'d> {
    lexicon: &'d Lexicon,
    /// Names of the tool's parameters, in lower case.
    parameters: BTreeSet<String>,
    /// What the tool's job is about, as its name and title say.
    job: BTreeSet<Subject>,
    /// What its own first sentence says beside that: whoever asks for too much writes that sentence, too, so that it
    /// excuses no request that is pressed.
    said: BTreeSet<Subject>,
    /// The description is about attacks and quotes them.
    quotes: bool,
    found: Option<Request>,
}

/// One of these roles has a part in every request that is found.
const DECISIVE: [Role; 12] = [
    Role::OwnContext,
    Role::OwnName,
    Role::PrivatePlace,
    Role::Secret,
    Role::Conceal,
    Role::Persist,
    Role::FollowIt,
    Role::Execute,
    Role::SystemTalk,
    Role::Praise,
    Role::Rivals,
    Role::Whatever,
];
/// So has one of these: an address, the assistant, what tells that something is encoded or spelled so that it hides.
const TELLING: [&str; 14] = [
    "@",
    "http",
    "ftp:",
    "assistant",
    "agent",
    "llm",
    "model",
    "rot13",
    " gur ",
    " naq ",
    "\\u",
    "\u{ff41}",
    "\u{ff45}",
    "\u{e0061}",
];

static TRIGGER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let decisive = KNOWN.roles.iter().filter(|(role, _)| DECISIVE.contains(role)).flat_map(|(_, words)| words);
    let mut builder = AhoCorasick::builder();
    builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
    // Names of parameters are written without blanks.
    let words: Vec<&str> = decisive.map(String::as_str).chain(TELLING).collect();
    let names = words.iter().filter(|word| word.is_ascii() && word.contains(' '));
    let names = names.flat_map(|word| ["_", "-", ""].map(|between| word.replace(' ', between)));
    builder.build(words.iter().map(|word| (*word).to_owned()).chain(names)).ok()
});

/// Whether a definition, as JSON text, can have a request in it: most have none, and every scan asks of every tool.
pub(super) fn may_ask(raw: &str) -> bool {
    TRIGGER.as_ref().is_none_or(|trigger| trigger.is_match(raw)) || may_be_encoded(raw)
}

/// The worst request in a tool's definition, or in that of a prompt or resource.
pub(super) fn of_definition(name: &str, value: &Value) -> Option<Request> {
    let lexicon = LEXICON.as_ref()?;
    let mut parameters = BTreeSet::new();
    names_of_parameters(value, 0, &mut parameters);
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let description = normal(text("description"));
    let first = sentences(&description).next().unwrap_or_default().to_owned();
    let mut job = subjects(&format!("{} {}", words_of(name), normal(text("title"))));
    // A name says too easily that it is about attacks.
    job.remove(&Subject::Security);
    let quotes = quotes_attacks(text("description"));
    let mut reader = Reader { lexicon, parameters, job, said: BTreeSet::new(), quotes, found: None };
    // A request is no account of the job, also where it comes first.
    let told = reader.read(&first);
    let asks = told.has(Role::Conceal) || (told.has(Role::Carry) && told.names_parameter);
    if !asks {
        reader.said = subjects(&first);
    }
    reader.walk(value, Place::Told, 0);
    reader.found
}

/// Whether a text is about attacks on models, and speaks to nobody outside of what it quotes.
pub(super) fn quotes_attacks(text: &str) -> bool {
    let text = normal(text);
    let first = sentences(&text).next().unwrap_or_default();
    let mut is_inside = false;
    let outside: String = text
        .chars()
        .filter(|c| {
            is_inside ^= matches!(c, '"' | '“' | '”' | '`');
            !is_inside
        })
        .collect();
    let words: BTreeSet<&str> = outside.split(|c: char| !c.is_alphanumeric()).collect();
    subjects(first).contains(&Subject::Security)
        && ["you", "your", "must", "please", "important", "assistant"].iter().all(|word| !words.contains(word))
}

/// The worst request in a server's instructions to the model.
pub(super) fn of_instructions(text: &str) -> Option<Request> {
    let lexicon = LEXICON.as_ref()?;
    let mut reader = Reader {
        lexicon,
        parameters: BTreeSet::new(),
        job: BTreeSet::new(),
        said: BTreeSet::new(),
        quotes: false,
        found: None,
    };
    reader.text(text, Place::Told);
    reader.found
}

impl Reader<'_> {
    fn walk(&mut self, value: &Value, place: Place, depth: usize) {
        if depth >= DEPTH_MAX {
            return;
        }
        match value {
            Value::String(text) => self.text(text, place),
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, place, depth + 1)),
            Value::Object(members) => {
                for (key, item) in members {
                    match (key.as_str(), item) {
                        ("properties", Value::Object(parameters)) => {
                            let required = members.get("required").and_then(Value::as_array);
                            for (name, schema) in parameters {
                                let is_required = required.is_some_and(|all| all.iter().any(|it| it == name));
                                self.parameter(name, schema, is_required);
                                self.walk(schema, Place::Parameter, depth + 1);
                            }
                        }
                        ("enum" | "const" | "default", item) => {
                            self.walk(item, Place::Value, depth + 1);
                        }
                        ("name", _) => {}
                        (_, item) => self.walk(item, place, depth + 1),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A parameter that asks for the assistant's own context, by its name or by its description.
    fn parameter(&mut self, name: &str, schema: &Value, is_required: bool) {
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let text = format!("{}: {}", words_of(name), normal(description));
        let sentence = self.read(&text);
        if sentence.any(&[Role::Negated, Role::ModelCalled]) || self.is_about(Subject::Chat) {
            return;
        }
        if sentence.has(Role::OwnContext) {
            self.add(Severity::Error, "wants the assistant's own context in an argument", &text);
        } else if sentence.has(Role::OwnName) && is_required {
            self.add(Severity::Warning, "wants to know which assistant calls", &text);
        }
    }

    fn text(&mut self, text: &str, place: Place) {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let raw = &text[..end];
        let text = normal(raw);
        self.plain(&text, place, false);
        for hidden in decoded(raw) {
            self.plain(&normal(&hidden), place, true);
        }
    }

    /// What is asked for in a text. One that was encoded has something to hide.
    fn plain(&mut self, text: &str, place: Place, was_encoded: bool) {
        let read: Vec<Sentence<'_>> = sentences(text).take(SENTENCES_MAX).map(|sentence| self.read(sentence)).collect();
        for (at, sentence) in read.iter().enumerate() {
            let around = &read[at.saturating_sub(NEAR)..(at + NEAR + 1).min(read.len())];
            self.judge(sentence, around, place, was_encoded);
        }
    }

    fn judge(&mut self, it: &Sentence<'_>, around: &[Sentence<'_>], place: Place, was_encoded: bool) {
        use Role::{
            Address, Argument, Authority, Blame, Boast, Carry, Command, Conceal, ErrorTalk, Execute, FollowIt, Imposed,
            Negated, Obligation, OtherTool, OwnContext, Persist, Praise, PrivatePlace, Reveal, Rivals, Secret,
            SystemTalk, Timing, Unbound, UseThis, Whatever, WriteInto,
        };
        let near = |role: Role| around.iter().any(|sentence| sentence.has(role));
        let is_negated = it.has(Negated) && !near(Conceal);
        // Own credentials are part of many a tool's job, so that a secret is asked for says little by itself.
        let is_pressed = near(Conceal) || it.any(&[Authority, Timing]);
        let is_foreign = self.is_foreign(it, is_pressed);
        let wanted = it.any(&[OwnContext, PrivatePlace]) && is_foreign && !is_negated;
        let wants_secret = it.has(Secret) && is_foreign && !is_negated;
        let error = if self.quotes { Severity::Note } else { Severity::Error };
        let carries = it.any(&[Carry, Reveal])
            && (it.names_parameter || has_destination(it.text) || it.any(&[Role::Place, Reveal]));
        if (wanted || (wants_secret && is_pressed)) && carries {
            self.add(error, "has content of the assistant's context carried along", it.text);
        }
        if wanted && it.any(&[Carry, Command, Reveal]) && (near(Conceal) || it.any(&[Obligation, Authority, Timing])) {
            self.add(error, "asks for an act beyond the tool's own job", it.text);
        }
        let is_hidden = |other: &Sentence<'_>| {
            let moves = other.any(&[Carry, Command, Reveal]);
            other.any(&[OwnContext, PrivatePlace, Persist])
                || (moves && other.any(&[Secret, OtherTool, Imposed]) && (other.names_parameter || other.has_address))
                || (other.has(Carry) && has_destination(other.text))
        };
        if it.has(Conceal) && around.iter().any(is_hidden) {
            self.add(error, "keeps something from the user", it.text);
        }
        let other = it.has(OtherTool) || it.names_other_tool;
        let imposes = it.has(Imposed) && (mail_address(it.text) || it.any(&[OwnContext, Conceal]));
        if other && imposes && it.any(&[Obligation, Carry, Command]) {
            self.add(error, "bends how other tools are called", it.text);
        }
        if it.has(Persist) && it.any(&[WriteInto, Carry]) && is_foreign {
            self.add(error, "writes itself into what later sessions read", it.text);
        }
        if it.has_address && it.has(Command) && it.has(FollowIt) {
            self.add(error, "takes its orders from elsewhere", it.text);
        }
        let remedies = wanted || (wants_secret && it.any(&[Carry, Argument])) || (it.has(Execute) && it.has(Address));
        if it.has(ErrorTalk) && remedies && (near(Conceal) || it.has(Execute) && !self.is_about(Subject::File)) {
            self.add(error, "has an error answered by a dangerous act", it.text);
        }
        let is_told = it.any(&[Obligation, Conceal, Authority, Timing, Address]);
        if has_destination(it.text) && it.has(Carry) && is_told && !self.is_about(Subject::Mail) {
            self.add(error, "sends what it gets to an address of its own", it.text);
        }
        let marks = around.iter().filter(|sentence| sentence.has(SystemTalk)).count();
        if it.has(SystemTalk) && (it.has(Unbound) || (marks > 1 && near(Unbound))) {
            self.add(error, "poses as a system message that lifts restrictions", it.text);
        }
        let presses = it.has(UseThis) && it.has(Whatever);
        if presses || it.has(Praise) && (near(Rivals) || it.any(&[Blame, Boast])) || it.has(Rivals) && it.has(Blame) {
            self.add(Severity::Warning, "presses for its own use before that of other tools", it.text);
        }
        if was_encoded
            && (it.any(&[OwnContext, PrivatePlace, Conceal, Persist])
                || wants_secret
                || it.has_address && it.has(Carry))
        {
            self.add(error, "hides orders in an encoded text", it.text);
        }
        let is_for_assistant = ["assistant", "agent", "llm", "model"].iter().any(|word| it.text.contains(word));
        if place == Place::Value && is_for_assistant && it.has(Obligation) && it.any(&[Command, Carry, Execute]) {
            self.add(error, "gives the assistant orders in a value", it.text);
        }
    }

    fn is_about(&self, subject: Subject) -> bool {
        self.job.contains(&subject) || self.said.contains(&subject)
    }

    /// Whether what a sentence wants is nothing that the tool's own job is about: as name and title say where it is
    /// pressed, else also as its first sentence does.
    fn is_foreign(&self, sentence: &Sentence<'_>, is_pressed: bool) -> bool {
        let mut wanted = sentence.subjects.iter().filter(|subject| **subject != Subject::Security).peekable();
        let known = |subject: &Subject| self.job.contains(subject) || !is_pressed && self.said.contains(subject);
        wanted.peek().is_none() || wanted.any(|subject| !known(subject))
    }

    fn add(&mut self, severity: Severity, what: &'static str, quote: &str) {
        if self.found.as_ref().is_none_or(|found| severity > found.severity) {
            self.found = Some(Request { severity, what, quote: quote.trim().to_owned() });
        }
    }

    /// The roles in one sentence, which is in lower case.
    fn read<'t>(&self, text: &'t str) -> Sentence<'t> {
        let mut sentence = Sentence { text, ..Sentence::default() };
        for hit in self.lexicon.finder.find_overlapping_iter(text) {
            let pattern = hit.pattern().as_usize();
            if self.lexicon.bounded[pattern] && !is_whole(text, hit.start(), hit.end()) {
                continue;
            }
            let role = self.lexicon.roles[pattern];
            sentence.roles |= 1 << role as u64;
            if matches!(role, Role::OwnContext | Role::Secret | Role::PrivatePlace | Role::Persist) {
                sentence.subjects.extend(subjects(&text[hit.start()..hit.end()]));
            }
        }
        sentence.has_address = has_address(text);
        for word in text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))) {
            let word = word.trim_matches(['.', '-']);
            sentence.names_parameter |= word.len() > 2 && self.parameters.contains(word) && is_quoted(text, word);
            sentence.names_other_tool |= word.contains('_')
                && !word.starts_with('_')
                && !self.parameters.contains(word)
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'));
        }
        sentence.names_parameter |= sentence.has(Role::Argument);
        sentence
    }
}

/// Whether a word stands in the text as a name: in quotation marks or back-ticks, or it is no word of prose.
fn is_quoted(text: &str, word: &str) -> bool {
    word.contains('_')
        || text.match_indices(word).any(|(at, _)| {
            let mark = |c: Option<char>| {
                c.is_some_and(|c| matches!(c, '`' | '\'' | '"' | '‘' | '’' | '“' | '”' | '«' | '»' | '「'))
            };
            mark(text[..at].chars().next_back()) && mark(text[at + word.len()..].chars().next())
        })
}

/// A mail address, or a URL.
fn has_address(text: &str) -> bool {
    ADDRESSES.iter().any(|scheme| text.contains(scheme)) || mail_address(text)
}

fn mail_address(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let host: String =
            text[at + 1..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).collect();
        before && host.trim_end_matches('.').contains('.')
    })
}

/// An address that something goes to: `to https://…`, or a mail address.
fn has_destination(text: &str) -> bool {
    let before = |at: usize| text[..at].trim_end_matches(['`', '\'', '"', ' ', '<', '(']);
    let is_target = |at: usize| {
        ["to", "towards", "at the address", "到", "へ", "a", "à", "an", "на"].iter().any(|word| {
            before(at).strip_suffix(word).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric) || !word.is_ascii())
        })
    };
    if ["e.g.", "for example", "example:", "such as", "例如"].iter().any(|word| text.contains(word)) {
        return false;
    }
    mail_address(text) || ADDRESSES.iter().any(|scheme| text.match_indices(scheme).any(|(at, _)| is_target(at)))
}

fn subjects(text: &str) -> BTreeSet<Subject> {
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    let has =
        |word: &String| if word.is_ascii() { words.contains(word.as_str()) } else { text.contains(word.as_str()) };
    KNOWN.subjects.iter().filter(|(_, of)| of.iter().any(has)).map(|(subject, _)| *subject).collect()
}

fn names_of_parameters(value: &Value, depth: usize, names: &mut BTreeSet<String>) {
    if depth >= DEPTH_MAX {
        return;
    }
    if let Value::Object(members) = value {
        for (key, item) in members {
            if key == "properties"
                && let Value::Object(properties) = item
            {
                names.extend(properties.keys().map(|name| name.to_lowercase()));
            }
            if key == "arguments"
                && let Value::Array(arguments) = item
            {
                let named = arguments.iter().filter_map(|argument| argument.get("name")?.as_str());
                names.extend(named.map(str::to_lowercase));
            }
            names_of_parameters(item, depth + 1, names);
        }
    }
}

/// The words of a name with blanks between them, in lower case.
fn words_of(name: &str) -> String {
    let mut out = String::new();
    let mut last = ' ';
    for c in name.chars() {
        if c.is_uppercase() && last.is_lowercase() {
            out.push(' ');
        }
        out.push(if matches!(c, '_' | '-' | '.' | '/') { ' ' } else { c });
        last = c;
    }
    out.to_lowercase()
}

/// As a model reads it: without hidden characters, full-width letters as the plain ones, in lower case, with plain
/// quotation marks; characters of the Unicode tag block, which nobody sees, as the letters that they stand for.
fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let plain = match c {
            '\u{e0020}'..='\u{e007e}' | '\u{ff01}'..='\u{ff5e}' => {
                let offset = if c >= '\u{e0000}' { 0xe0000 } else { 0xfee0 };
                char::from_u32(c as u32 - offset).unwrap_or(c)
            }
            '’' | '‘' => '\'',
            '\u{3000}' | '\u{a0}' => ' ',
            '\n' | '\t' | '\r' => c,
            c if crate::text::is_hidden(c) => continue,
            c => c,
        };
        out.extend(plain.to_lowercase());
    }
    out
}

/// The sentences of a text. A full stop ends one where a blank follows; a line break that is only a fold does not.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = sentence_end(rest);
            let (one, after) = rest.split_at(end);
            rest = after;
            if !one.trim().is_empty() {
                return Some(one.trim());
            }
        }
        None
    })
}

fn sentence_end(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let ends = match c {
            '。' | '！' | '？' => true,
            '.' | '!' | '?' | ';' => {
                next.is_none_or(char::is_whitespace)
                    && !["e.g", "i.e", " etc", " vs", "p.s"].iter().any(|short| text[..at].ends_with(short))
            }
            '\n' => next.is_none_or(|next| matches!(next, '\n' | '-' | '*' | '<' | '[')),
            '>' => text[..at].rfind('<').is_some_and(|open| at - open < 40),
            _ => false,
        };
        if ends {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// No letter or digit on either side.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let first = text[start..end].chars().next();
    let last = text[start..end].chars().next_back();
    (!letter(first) || !letter(text[..start].chars().next_back()))
        && (!letter(last) || !letter(text[end..].chars().next()))
}

#[cfg(test)]
#[path = "asks_tests.rs"]
mod tests;
