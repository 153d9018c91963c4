//! A definition read sentence by sentence: which roles each has.

use super::decoded::decoded;
use super::lexicon::{Lexicon, WordHit};
use super::normal::{is_disguised, joined, normal, sentences, unmixed};
use super::role_sets::{ACTS, GROUPS, Roles, WANTED};
use super::roles::Role;
use super::shape::{
    clause_end, follows, has_code, has_destination, has_mail_address, has_path, is_alone, is_identifier, is_named,
    is_reference, is_secret_variable, masked, near, parts, skipped, stem, stems,
};
use memchr::memmem::Finder;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Longest text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most sentences of one text.
const SENTENCES_MAX: usize = 400;
/// Most nesting of a definition that is walked.
const DEPTH_MAX: usize = 64;
/// Sentences around one another that speak of one matter.
const NEAR: usize = 2;
/// Fewest words of a topic that make a sentence about it or not.
const TOPIC_WORDS_MIN: usize = 3;

/// One sentence with its roles.
#[derive(Clone, Debug)]
pub(crate) struct Sentence {
    pub(crate) text: String,
    pub(crate) roles: Roles,
    /// It in lower case, without addresses.
    plain: String,
}

impl Sentence {
    /// Stems of its words.
    pub(super) fn stems(&self) -> impl Iterator<Item = &str> {
        self.plain.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 2).map(stem)
    }
}

/// A definition as far as sentences are read.
pub(super) struct Reader<'l> {
    lexicon: &'l Lexicon,
    /// Names of the tool's parameters, in lower case.
    parameters: BTreeSet<String>,
    /// What finds each of these names in a text, where it has more than one letter.
    finders: Vec<(Finder<'static>, String)>,
    /// Stems of the words of its name, title, first sentence and parameters.
    topic: BTreeSet<String>,
    /// What its name, title and first sentence speak of.
    business: Roles,
    /// Where every sentence of it stands.
    place: Roles,
    about_threats: bool,
    read: Vec<Sentence>,
}

/// Every sentence of a tool's definition, or of that of a prompt or resource.
pub(super) fn of_definition(lexicon: &Lexicon, name: &str, value: &Value) -> Vec<Sentence> {
    let mut parameters = BTreeSet::new();
    names_of_parameters(value, 0, &mut parameters);
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let description = normal(text("description"));
    let first = sentences(&description).next().unwrap_or_default().to_lowercase();
    let names = format!("{} {}", words_of(name), normal(text("title")).to_lowercase());
    let mut place = Roles::default();
    place.add_if(Role::Prompt, value.get("arguments").is_some() || value.get("messages").is_some());
    place.add_if(Role::Resource, value.get("uri").is_some() || value.get("uriTemplate").is_some());
    let mut topic = BTreeSet::new();
    for text in [&names, &first].into_iter().chain(&parameters) {
        topic.extend(stems(&words_of(text)).map(str::to_owned));
    }
    let about_threats = is_about_threats(lexicon, &names, &first, &description);
    // A request is no account of the job, also where it comes first.
    let said = lexicon.roles(&first);
    let is_order = said.has(Role::Tag) || said.has(Role::Secret) && said.has(Role::Carry);
    let mut business = lexicon.roles(&names);
    if !is_order {
        let said = said.and(WANTED);
        business = Roles::union(business, said);
    }
    let named = parameters.iter().filter(|name| name.len() > 1);
    let finders = named.map(|name| (Finder::new(name).into_owned(), name.clone())).collect();
    let mut reader = Reader { lexicon, parameters, finders, topic, business, place, about_threats, read: Vec::new() };
    reader.walk(value, Roles::default(), 0);
    reader.read
}

/// Every sentence of a server's instructions.
pub(super) fn of_instructions(lexicon: &Lexicon, text: &str) -> Vec<Sentence> {
    let first = sentences(text).next().unwrap_or_default().to_lowercase();
    let mut reader = Reader {
        lexicon,
        parameters: BTreeSet::new(),
        finders: Vec::new(),
        topic: stems(&first).map(str::to_owned).collect(),
        business: lexicon.roles(&first),
        place: Roles::of(&[Role::Instructions]),
        about_threats: false,
        read: Vec::new(),
    };
    reader.text(text, Roles::default());
    reader.read
}

/// Whether a definition is about attacks, as its name or its first sentence says.
pub(super) fn is_about_attacks(lexicon: &Lexicon, name: &str, description: &str) -> bool {
    let description = normal(description);
    let first = sentences(&description).next().unwrap_or_default().to_lowercase();
    lexicon.roles(&words_of(name)).has(Role::Threat) || lexicon.roles(&first).has(Role::Threat)
}

/// Whether a text is about attacks on models, and speaks to nobody outside of what it quotes.
fn is_about_threats(lexicon: &Lexicon, names: &str, first: &str, description: &str) -> bool {
    let is_named = lexicon.roles(names).has(Role::Threat) || lexicon.roles(first).has(Role::Threat);
    if !is_named {
        return false;
    }
    let mut is_inside = false;
    let outside: String = description
        .to_lowercase()
        .chars()
        .filter(|c| {
            is_inside ^= matches!(c, '"' | '`');
            !is_inside
        })
        .collect();
    let words: BTreeSet<&str> = outside.split(|c: char| !c.is_alphanumeric()).collect();
    ["you", "must", "please", "important", "assistant"].iter().all(|word| !words.contains(word))
}

impl Reader<'_> {
    fn walk(&mut self, value: &Value, place: Roles, depth: usize) {
        if depth >= DEPTH_MAX {
            return;
        }
        match value {
            Value::String(text) => self.text(text, place),
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, place, depth + 1)),
            Value::Object(members) => {
                for (key, item) in members {
                    self.member(members, key, item, place, depth);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn member(
        &mut self,
        members: &serde_json::Map<String, Value>,
        key: &str,
        item: &Value,
        place: Roles,
        depth: usize,
    ) {
        let mut inside = place;
        match (key, item) {
            ("properties", Value::Object(parameters)) => {
                let required = members.get("required").and_then(Value::as_array);
                for (name, schema) in parameters {
                    let mut place = place;
                    place.add(Role::Parameter);
                    place.add_if(Role::Required, required.is_some_and(|all| all.iter().any(|it| it == name)));
                    self.parameter(name, schema, place, depth);
                }
                return;
            }
            ("arguments", Value::Array(arguments)) => {
                for argument in arguments {
                    let name = argument.get("name").and_then(Value::as_str).unwrap_or_default();
                    inside.add(Role::Parameter);
                    inside.add_if(Role::Required, argument.get("required") == Some(&Value::Bool(true)));
                    self.parameter(name, argument, inside, depth);
                }
                return;
            }
            ("enum" | "const" | "default" | "examples" | "example", _) => inside.add(Role::Value),
            ("title", _) => inside.add(Role::Title),
            ("outputSchema", _) => inside.add(Role::Output),
            ("name" | "type" | "$schema" | "format" | "pattern" | "$ref" | "required" | "mimeType", _) => return,
            _ => {}
        }
        self.walk(item, inside, depth + 1);
    }

    /// A parameter's name is read together with its description.
    fn parameter(&mut self, name: &str, schema: &Value, place: Roles, depth: usize) {
        let names = words_of(&normal(name));
        let mut named = place;
        named.add_if(Role::OwnSideChannel, self.is_side_channel(&names));
        let description = schema.get("description").and_then(Value::as_str);
        match description {
            Some(description) => self.text(&format!("{names}: {description}"), named),
            None => self.text(&names, named),
        }
        if let Value::Object(members) = schema {
            for (key, item) in members.iter().filter(|(key, _)| *key != "description") {
                self.member(members, key, item, named, depth + 1);
            }
        }
    }

    fn is_side_channel(&self, words: &str) -> bool {
        let words = words.trim();
        self.lexicon.hits(words).any(|hit| {
            hit.role == Role::SideChannel && hit.end == words.len() && (hit.start == 0 || words[hit.start..].len() > 3)
        })
    }

    fn text(&mut self, text: &str, place: Roles) {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let raw = &text[..end];
        let mut disguised = place;
        disguised.add(Role::Encoded);
        let plain = normal(raw);
        self.plain(&plain, if is_disguised(raw) { disguised } else { place });
        for other in unmixed(&plain).into_iter().chain(joined(&plain)) {
            self.plain(&other, disguised);
        }
        for other in decoded(raw) {
            self.plain(&normal(&other), disguised);
        }
    }

    fn plain(&mut self, text: &str, place: Roles) {
        let first = self.read.len();
        for sentence in sentences(text).take(SENTENCES_MAX) {
            for part in parts(sentence) {
                let lower = part.to_lowercase();
                let plain = masked(&lower);
                let roles = self.sentence(part, &lower, &plain, place);
                let plain = plain.into_owned();
                self.read.push(Sentence { text: part.to_owned(), roles, plain });
            }
        }
        // The description alone begins with what the tool does.
        if !place.meets(Roles::of(&[Role::Parameter, Role::Value, Role::Title, Role::Output, Role::Encoded]))
            && let Some(sentence) = self.read.get_mut(first)
        {
            sentence.roles.add(Role::First);
        }
        let count = self.read.len() - first;
        let own: Vec<Roles> = self.read[first..].iter().map(|sentence| sentence.roles).collect();
        for at in 0..count {
            let near = own.iter().enumerate().skip(at.saturating_sub(NEAR)).take(at.min(NEAR) + 1 + NEAR);
            let mut around = Roles::default();
            near.filter(|(other, _)| *other != at).for_each(|(_, roles)| around = Roles::union(around, *roles));
            let roles = &mut self.read[first + at].roles;
            let any = |of: &[Role]| around.meets(Roles::of(of));
            roles.add_if(Role::NearHush, any(&[Role::NotTell, Role::Hush, Role::NotAsk]));
            roles.add_if(Role::NearWanted, around.has(Role::Foreign));
            roles.add_if(Role::NearMove, any(&[Role::Send, Role::ToAddress]));
            roles.add_if(Role::NearAuthority, any(&[Role::Authority, Role::Consent]));
            roles.add_if(Role::NearTag, any(&[Role::Tag]));
            roles.add_if(Role::NearFault, any(&[Role::Fault]));
            roles.add_if(Role::NearCode, any(&[Role::Encoded, Role::CodeTalk]));
            roles.add_if(Role::NearRestraint, any(&[Role::Restraint]));
            let own = *roles;
            GROUPS.iter().for_each(|(group, of)| roles.add_if(*group, own.meets(*of)));
        }
    }

    /// The roles of one sentence, which is handed over as it stands, in lower case, and without addresses as well.
    fn sentence(&self, sentence: &str, lower: &str, text: &str, place: Roles) -> Roles {
        let mut roles = Roles::union(self.place, place);
        let hits: Vec<WordHit> = self.lexicon.hits(text).filter(|hit| hit.role != Role::SideChannel).collect();
        let mut clause = 0;
        while clause < text.len() {
            let end = clause_end(text, clause);
            self.clause(&text[..end], clause, &hits, &mut roles);
            clause = end;
        }
        self.shape(sentence, lower, text, &mut roles);
        self.relations(text, &hits, &mut roles);
        let wanted = roles.and(WANTED);
        if wanted != Roles::default() {
            let own = wanted.meets(self.business);
            roles.add(if own { Role::OwnBusiness } else { Role::Foreign });
        }
        roles.add_if(Role::AboutThreats, self.about_threats);
        roles
    }

    /// The roles of the words of a clause; what is negated is no act.
    fn clause(&self, text: &str, start: usize, hits: &[WordHit], roles: &mut Roles) {
        let inside = || hits.iter().filter(move |hit| hit.start >= start && hit.start < text.len());
        let begin = start + skipped(&text[start..]);
        let mut negated_from = None;
        for hit in inside().filter(|hit| hit.role == Role::Not) {
            let ends = [" and ", " but ", " y ", " und ", " et ", " e "];
            let end =
                ends.iter().filter_map(|word| text[hit.end..].find(word)).min().map_or(text.len(), |at| hit.end + at);
            negated_from = Some((hit.end, end)).filter(|_| negated_from.is_none()).or(negated_from);
        }
        let is_ascii = text.is_ascii();
        let is_negated = |hit: &WordHit| {
            negated_from.is_some_and(|(from, end)| hit.start >= from && hit.start < end)
            // Scripts that put the negation behind the verb.
            || !is_ascii && inside().any(|other| other.role == Role::Not && other.start >= hit.end && other.start - hit.end < 7)
        };
        let must = inside().filter(|hit| hit.role == Role::Must).map(|hit| hit.end).min();
        for hit in inside() {
            let is_act = ACTS.has(hit.role);
            let negated = hit.role != Role::Not && is_negated(hit);
            match hit.role {
                Role::Tell if negated => roles.add(Role::NotTell),
                Role::Ask if negated => roles.add(Role::NotAsk),
                role if is_act && negated => {
                    roles.add(Role::NotAct);
                    // `without deleting` is no deletion, but `not only sends` and long sentences may still be one.
                    let _ = role;
                }
                role => roles.add(role),
            }
            if is_act && !negated {
                let word = &text[hit.start..hit.end.min(text.len())];
                let is_base =
                    !(word.ends_with('s') && !word.ends_with("ss") || word.ends_with("ed") || word.ends_with("ing"));
                roles.add_if(Role::Imperative, hit.start == begin && is_base);
                roles.add_if(Role::MustAct, must.is_some_and(|must| hit.start >= must && hit.start - must < 24));
            }
        }
    }

    /// Which roles stand together within a few words.
    fn relations(&self, text: &str, hits: &[WordHit], roles: &mut Roles) {
        let negations: Vec<&WordHit> = hits.iter().filter(|hit| hit.role == Role::Not).collect();
        let is_denied = |hit: &WordHit| negations.iter().any(|not| hit.start >= not.end && hit.start - not.end < 16);
        let mut present = Roles::default();
        hits.iter().for_each(|hit| present.add(hit.role));
        let spans = |of: Roles| -> Vec<(usize, usize)> {
            if !present.meets(of) {
                return Vec::new();
            }
            hits.iter().filter(|hit| of.has(hit.role) && !is_denied(hit)).map(|hit| (hit.start, hit.end)).collect()
        };
        let role = |role: Role| spans(Roles::of(&[role]));
        let wanted: Vec<(usize, usize)> = hits
            .iter()
            .filter(|hit| WANTED.has(hit.role) && !self.business.has(hit.role))
            .map(|hit| (hit.start, hit.end))
            .collect();
        let moves = spans(Roles::of(&[Role::Carry, Role::Send, Role::Derive]));
        let reaches = spans(Roles::of(&[Role::Reach, Role::Run]));
        let acts = spans(ACTS);
        // What is looked for in the text itself is so only where there is something that it could stand close to.
        let slots = if moves.is_empty() && wanted.is_empty() { Vec::new() } else { self.own_parameters(text) };
        let sends = spans(Roles::of(&[Role::Send, Role::Carry]));
        let addresses: Vec<(usize, usize)> = if sends.is_empty() {
            Vec::new()
        } else {
            text.match_indices("@@").map(|(at, it)| (at, at + it.len())).collect()
        };
        let users = spans(Roles::of(&[Role::User]));
        let bends =
            spans(Roles::of(&[Role::Alter, Role::Must, Role::Argument, Role::Destination, Role::Carry, Role::Disable]));
        let mut tools = Vec::new();
        if !bends.is_empty() {
            tools.extend(text.match_indices('_').filter_map(|(at, _)| self.other_name(text, at)));
            tools.extend(spans(Roles::of(&[Role::OtherTool])));
        }
        let not_told: Vec<(usize, usize)> = hits
            .iter()
            .filter(|hit| matches!(hit.role, Role::Tell | Role::Ask) && is_denied(hit) || hit.role == Role::Hush)
            .map(|hit| (hit.start, hit.end))
            .collect();
        roles.add_if(Role::MovesWanted, near(&moves, &wanted, 48));
        roles.add_if(Role::ReachesWanted, near(&reaches, &wanted, 48));
        roles.add_if(Role::MovesInto, near(&moves, &slots, 60));
        roles.add_if(Role::WantedInto, near(&wanted, &slots, 60));
        roles.add_if(Role::SendsTo, near(&sends, &addresses, 60));
        roles.add_if(Role::UserNotTold, near(&not_told, &users, 32));
        roles.add_if(Role::AssistantActs, follows(&role(Role::Assistant), &acts, 32));
        roles.add_if(Role::UserAgreed, near(&role(Role::Consent), &users, 32));
        roles.add_if(Role::ToolBent, near(&tools, &bends, 40));
        roles.add_if(Role::AllWanted, near(&role(Role::Whole), &wanted, 24));
        let value = if wanted.is_empty() { None } else { text.find(": ").map(|at| (at, at + 1)) };
        roles.add_if(Role::ValueWanted, value.is_some_and(|value| follows(&[value], &wanted, 24)));
        let rules = spans(Roles::of(&[Role::User, Role::Authority, Role::Ask, Role::Context, Role::Restraint]));
        roles.add_if(Role::RuleBroken, near(&spans(Roles::of(&[Role::Override, Role::Disable])), &rules, 40));
        let harms = spans(Roles::of(&[Role::Destroy, Role::Disable, Role::Grant, Role::Buy, Role::Install]));
        let own =
            self.business.meets(Roles::of(&[Role::Destroy, Role::Disable, Role::Grant, Role::Buy, Role::Install]));
        roles.add_if(Role::HarmsOther, !harms.is_empty() && !own);
        roles.add_if(Role::EachAct, near(&role(Role::Each), &acts, 32));
    }

    /// Where the tool's parameters are named.
    fn own_parameters(&self, text: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (finder, name) in &self.finders {
            let places = finder.find_iter(text.as_bytes()).map(|at| (at, at + name.len()));
            found.extend(places.filter(|(at, end)| is_alone(text, *at, *end) && is_named(text, name)));
        }
        found
    }

    /// The name around an underscore, where it is none of the tool's parameters.
    fn other_name(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let start = at - text[..at].chars().rev().take_while(|c| part(*c)).count();
        let end = at + text[at..].chars().take_while(|c| part(*c)).count();
        let name = text[start..end].trim_end_matches('.');
        (is_identifier(name) && !self.parameters.contains(name)).then_some((start, end))
    }

    /// What a sentence is made like.
    fn shape(&self, sentence: &str, lower: &str, text: &str, roles: &mut Roles) {
        let mail = has_mail_address(lower);
        let url = lower.contains("://")
            && ["http://", "https://", "ftp://", "sftp://", "ws://", "wss://"]
                .iter()
                .any(|scheme| lower.contains(scheme));
        roles.add_if(Role::MailAddress, mail);
        roles.add_if(Role::Url, url);
        roles.add_if(Role::ToAddress, has_destination(lower));
        roles.add_if(Role::Path, has_path(text));
        let mut words = 0;
        for word in sentence.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))) {
            let word = word.trim_matches(['.', '-']);
            words += usize::from(!word.is_empty());
            roles.add_if(Role::SecretVariable, is_secret_variable(word));
            roles.add_if(Role::Reference, is_reference(word));
            let is_lower = word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
            let lower = if is_lower { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) };
            if lower.len() > 1 && self.parameters.contains(&*lower) && is_named(text, &lower) {
                roles.add(Role::OwnParameter);
                roles.add_if(Role::OwnSideChannel, self.is_side_channel(&words_of(&lower)));
            } else {
                roles.add_if(Role::OtherName, is_identifier(&lower) && !self.parameters.contains(&*lower));
            }
        }
        roles.add_if(Role::Quoted, text.matches('"').count() > 1);
        roles.add_if(Role::Code, has_code(text));
        roles.add_if(Role::Short, words < 6);
        let mut stems: Vec<&str> = stems(text).collect();
        stems.sort_unstable();
        stems.dedup();
        let known = stems.iter().filter(|stem| self.topic.contains(**stem)).count();
        roles.add_if(Role::OffTopic, stems.len() >= TOPIC_WORDS_MIN && known == 0);
        roles.add_if(Role::OnTopic, known >= TOPIC_WORDS_MIN || known * 2 >= stems.len() && known > 0);
    }
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
