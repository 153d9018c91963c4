//! One pass over a tool definition: its words, and which conditions they fulfil where.

use super::compile::{Compiled, Condition, ParameterCondition, Rule, flag_bit};
use super::hints::Hint;
use super::lookup::{grammar_at, is_preface, position, starts_with};
use super::vocabulary::{AtomId, Places, UNKNOWN, WordId, grammar, place};
use super::words::{Gap, Span, docstring, lead_in, listed_values, split_name, split_text};
use crate::model::{Annotations, Flag, Parameter, ToolDefinition, TypeSet};
use std::ops::Range;

/// Most of a description that is read, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 8 * 1024;
/// Most words of a description that are read.
pub const DESCRIPTION_WORDS_MAX: usize = 1_500;
/// Most of a parameter's description that is read, in bytes.
pub const PARAMETER_TEXT_BYTES_MAX: usize = 300;
/// Most words of a parameter's description that are read.
pub const PARAMETER_WORDS_MAX: usize = 40;
/// How much more of the description of an action parameter without a list of values is read.
const ACTION_TEXT_FACTOR: usize = 8;
/// Most parameters of a tool that are read in full; of the others the names are.
pub const PARAMETERS_READ_MAX: usize = 100;
/// Most values of a parameter that are read.
pub const VALUES_READ_MAX: usize = 100;
/// Most of a name, title or value that is read, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Longest phrase that is taken as the head of an object, in words.
const HEAD_WORDS_MAX: usize = 3;

/// Most sentences that are skipped before the one that says what the tool does.
const PREFACES_MAX: usize = 4;
/// Most words of a tag before the first sentence.
const TAG_WORDS_MAX: usize = 4;

/// A word of the definition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub start: u32,
    pub end: u32,
    pub gap: Gap,
    pub word: WordId,
}

/// Where in the definition a piece of text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Name,
    Title,
    Description,
    /// Name of the parameter with this index.
    Parameter(u16),
    /// Description of a parameter.
    ParameterText(u16),
    /// A value of a parameter.
    Value(u16, u16),
    Extension,
    /// A hint of the server.
    Annotation(Hint),
}

/// Where a condition was first fulfilled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub part: Part,
    pub start: u32,
    pub end: u32,
}

/// Fulfilled at no place that could be quoted.
const NO_HIT: Hit = Hit { part: Part::Name, start: 0, end: 0 };

/// A set of atoms.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(pub Vec<u64>);

impl Bits {
    pub fn reset(&mut self, atoms: usize) {
        self.0.clear();
        self.0.resize(atoms / 64 + 1, 0);
    }

    pub fn insert(&mut self, atom: AtomId) -> bool {
        match self.0.get_mut(usize::from(atom) / 64) {
            Some(word) => {
                let bit = 1 << (atom % 64);
                let fresh = *word & bit == 0;
                *word |= bit;
                fresh
            }
            None => false,
        }
    }

    pub fn has(&self, atom: AtomId) -> bool {
        self.0.get(usize::from(atom) / 64).is_some_and(|word| word & (1 << (atom % 64)) != 0)
    }

    fn merge(&mut self, other: &Self) {
        for (into, from) in self.0.iter_mut().zip(&other.0) {
            *into |= from;
        }
    }
}

/// Buffers of one classifying thread, used again for every tool.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    spans: Vec<Span>,
    lower: String,
    /// Words of the name, without the server's prefix.
    pub name: Vec<Token>,
    pub title: Vec<Token>,
    pub text: Vec<Token>,
    /// The description's sentences as ranges of `text`.
    pub sentences: Vec<Range<usize>>,
    /// The first sentence that says what the tool does: those before it are tags, or speak to the model.
    pub first: usize,
    /// Words of parameters: names, descriptions, values; see `parameters`.
    pub other: Vec<Token>,
    pub parameters: Vec<ParameterWords>,
    atoms: Bits,
    /// What holds for one verb and its object only.
    overlay: Bits,
    /// Overlays that later rules shall see.
    kept: Bits,
    hits: Vec<Hit>,
    /// Rules of which an alternative has its first atom, as bits by their indexes.
    awake: Vec<u64>,
    /// Atoms in the order in which they were first met.
    fresh: Vec<AtomId>,
    /// What the server is about, as bits.
    pub(super) domains: u16,
    pub(super) flags: u32,
    pub(super) categories: u8,
    no_parameters: bool,
}

/// Ranges of `other` for one parameter.
#[derive(Clone, Debug)]
pub(super) struct ParameterWords {
    pub index: u16,
    /// Its description shows examples of commands, not the choices there are.
    pub is_command: bool,
    pub text: Range<usize>,
    pub values: Vec<Range<usize>>,
    /// Where the schema lists no values: what the tool's description lists, with places in that text.
    pub told: Vec<Range<usize>>,
}

impl Scratch {
    /// Reads the definition; `prefix` is how many leading words of the name belong to the server.
    pub fn read(&mut self, compiled: &Compiled, tool: &ToolDefinition, prefix: usize) {
        self.atoms.reset(compiled.atoms);
        self.overlay.reset(compiled.atoms);
        self.kept.reset(compiled.atoms);
        // Not cleared: where a hit counts, its atom was set by this tool, and the hit with it.
        self.hits.resize(compiled.atoms, NO_HIT);
        (self.flags, self.categories) = (0, 0);
        self.no_parameters = tool.parameters.is_empty();

        self.name.clear();
        let name = cut(tool.name.as_str(), NAME_BYTES_MAX);
        self.spans.clear();
        split_name(name, &mut self.spans);
        let mut tokens = std::mem::take(&mut self.name);
        self.tokens(compiled, name, &mut tokens);
        let prefix = prefix.min(tokens.len());
        self.mark(compiled, &tokens[..prefix], place::PREFIX, Part::Name);
        tokens.drain(..prefix);
        self.mark(compiled, &tokens, place::NAME, Part::Name);
        self.name = tokens;

        self.title.clear();
        if let Some(title) = &tool.title {
            let mut tokens = std::mem::take(&mut self.title);
            self.spans.clear();
            split_text(title, NAME_BYTES_MAX, 64, &mut self.spans);
            self.tokens(compiled, title, &mut tokens);
            self.mark(compiled, &tokens, place::TITLE, Part::Title);
            self.title = tokens;
        }
        self.text.clear();
        self.sentences.clear();
        self.first = 0;
        if let Some(description) = &tool.description {
            self.description(compiled, description);
        }
        self.parameters(compiled, tool);
        for (key, value) in &tool.extensions {
            if !compiled.extensions.is_empty() && key.len() + value.len() < NAME_BYTES_MAX {
                let member = format!("{key}={value}").to_lowercase();
                if let Some(atom) = compiled.extensions.get(&member) {
                    self.set(*atom, Hit { part: Part::Extension, start: 0, end: 0 });
                }
            }
        }
    }

    /// The server's claims, where they are to be believed.
    pub fn annotations(&mut self, compiled: &Compiled, annotations: &Annotations) {
        for hint in Hint::ALL {
            let Some(value) = hint.declared(annotations) else { continue };
            let key = hint.as_str().to_ascii_lowercase();
            if let Some(atom) = compiled.annotations.get(&format!("{key}={value}")) {
                self.set(*atom, Hit { part: Part::Annotation(hint), start: 0, end: 0 });
            }
        }
        self.wake(compiled);
    }

    fn description(&mut self, compiled: &Compiled, description: &str) {
        let mut tokens = std::mem::take(&mut self.text);
        self.spans.clear();
        split_text(description, DESCRIPTION_BYTES_MAX, DESCRIPTION_WORDS_MAX, &mut self.spans);
        self.tokens(compiled, description, &mut tokens);
        let lead = lead_in(description);
        if let Some(token) = tokens.iter_mut().find(|token| token.start as usize >= lead).filter(|_| lead > 0) {
            token.gap = Gap::Stop;
        }
        let mut start = 0;
        for at in 1..=tokens.len() {
            if at == tokens.len() || tokens[at].gap == Gap::Stop {
                self.sentences.push(start..at);
                start = at;
            }
        }
        let preface = |range: &Range<usize>| is_preface(compiled, &tokens[range.clone()], lead);
        let first = self.sentences.iter().take(PREFACES_MAX + 1).position(|range| !preface(range));
        self.first = first.unwrap_or(0);
        for at in 0..self.sentences.len() {
            let range = self.sentences[at].clone();
            let sentence = &tokens[range];
            // A tag such as "Read-only." says as much as the sentence that it stands before.
            let tag = at < self.first && sentence.len() <= TAG_WORDS_MAX;
            let is_first = at == self.first;
            let place = if is_first || tag { place::FIRST } else { place::TEXT };
            let aside = position(compiled, sentence, grammar::ASIDE);
            let denied = position(compiled, sentence, grammar::NEGATION);
            let end = match (aside, denied) {
                // A later sentence that compares is no evidence at all, the first one up to there.
                (Some(aside), denied) if is_first => aside.min(denied.unwrap_or(aside)),
                (Some(_), _) => 0,
                (None, Some(denied)) => denied,
                (None, None) => sentence.len(),
            };
            // Windows overlap by nothing: a phrase across the denial is neither here nor there.
            self.mark(compiled, &sentence[..end], place, Part::Description);
            if end < sentence.len() {
                self.mark(compiled, sentence, place::DENIED, Part::Description);
            }
        }
        self.text = tokens;
    }

    fn parameters(&mut self, compiled: &Compiled, tool: &ToolDefinition) {
        let mut tokens = std::mem::take(&mut self.other);
        tokens.clear();
        self.parameters.clear();
        for (index, parameter) in tool.parameters.iter().enumerate() {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            // What this parameter alone fulfils is noted first, for the conditions that are about one parameter.
            self.overlay.reset(compiled.atoms);
            std::mem::swap(&mut self.atoms, &mut self.overlay);
            self.fresh.clear();
            let told = parameter.description.as_deref();
            let told = told.or_else(|| docstring(tool.description.as_deref()?, &parameter.name));
            self.parameter(compiled, parameter, told, index, &mut tokens);
            let hit = Hit { part: Part::Parameter(index), start: 0, end: 1 };
            for at in 0..self.fresh.len() {
                let first = self.fresh.get(at).map_or(&[][..], |atom| &compiled.triggers[usize::from(*atom)]);
                for (condition, atom) in first.iter().filter_map(|at| compiled.parameters.get(usize::from(*at))) {
                    if self.met_by(condition, parameter) {
                        self.set(*atom, hit);
                    }
                }
            }
            std::mem::swap(&mut self.atoms, &mut self.overlay);
            self.atoms.merge(&self.overlay);
        }
        self.overlay.reset(compiled.atoms);
        self.told(compiled, tool.description.as_deref().unwrap_or_default(), &mut tokens);
        self.other = tokens;
    }

    fn parameter(
        &mut self,
        compiled: &Compiled,
        parameter: &Parameter,
        told: Option<&str>,
        index: u16,
        tokens: &mut Vec<Token>,
    ) {
        let start = tokens.len();
        let name = cut(&parameter.name, NAME_BYTES_MAX);
        self.spans.clear();
        split_name(name, &mut self.spans);
        self.tokens(compiled, name, tokens);
        let words = &tokens[start..];
        self.mark(compiled, words, place::PARAM, Part::Parameter(index));
        for length in 1..=words.len().min(HEAD_WORDS_MAX) {
            self.mark_whole(compiled, &words[words.len() - length..], place::PARAM_HEAD, Part::Parameter(index));
        }
        // Beyond this many only names are read: a command can hide behind a hundred others.
        if usize::from(index) >= PARAMETERS_READ_MAX {
            return;
        }
        // Some servers put all their arguments into one object.
        let nested = parameter.path.contains('[') || !is_top(parameter);
        let grammar = |token: &Token| compiled.vocabulary.info(token.word).grammar;
        // `mode` alone can choose the act, `payment_mode` only says how.
        let chooses = |token: &Token| match words.len() {
            1 => grammar(token) & grammar::ACTION_PARAMETER != 0,
            2 => grammar(token) & (grammar::ACTION_PARAMETER | grammar::MANNER_PARAMETER) == grammar::ACTION_PARAMETER,
            _ => false,
        };
        let is_action = !nested && words.iter().any(chooses);
        let is_command = words.iter().any(|word| grammar(word) & grammar::COMMAND_PARAMETER != 0);
        let is_text = (parameter.types.is_any() || parameter.types.has(TypeSet::STRING)) && parameter.values.is_empty();
        // What lies deep inside a document that is handed over is not an argument of the tool.
        if is_top(parameter) {
            let places = place::PARAM_WHOLE | if is_text { place::PARAM_FREE } else { 0 };
            self.mark_whole(compiled, words, places, Part::Parameter(index));
        }
        let start = tokens.len();
        if let Some(text) = told {
            self.spans.clear();
            // A parameter that chooses the action may list its values here: read all of them.
            let longer = if is_action && parameter.values.is_empty() { ACTION_TEXT_FACTOR } else { 1 };
            let (bytes, words) = (PARAMETER_TEXT_BYTES_MAX * longer, PARAMETER_WORDS_MAX * longer);
            split_text(text, bytes, words, &mut self.spans);
            self.tokens(compiled, text, tokens);
            self.mark(compiled, &tokens[start..], place::PARAM_TEXT, Part::ParameterText(index));
        }
        let text = start..tokens.len();
        let mut values = Vec::new();
        for (at, value) in parameter.values.iter().take(VALUES_READ_MAX).enumerate() {
            let start = tokens.len();
            let value = cut(value, NAME_BYTES_MAX);
            self.spans.clear();
            split_name(value, &mut self.spans);
            self.tokens(compiled, value, tokens);
            let part = Part::Value(index, u16::try_from(at).unwrap_or(u16::MAX));
            self.mark(compiled, &tokens[start..], place::VALUE, part);
            if is_action {
                values.push(start..tokens.len());
            }
        }
        if is_action {
            self.parameters.push(ParameterWords { index, is_command, text, values, told: Vec::new() });
        }
    }

    /// What the description lists, one a line, where an argument that chooses the act lists nothing itself.
    fn told(&mut self, compiled: &Compiled, description: &str, tokens: &mut Vec<Token>) {
        let open = self.parameters.iter().position(|one| one.values.is_empty() && !one.is_command);
        let Some(open) = open else { return };
        for (at, value) in listed_values(cut(description, DESCRIPTION_BYTES_MAX)).take(VALUES_READ_MAX) {
            let start = tokens.len();
            self.spans.clear();
            split_name(value, &mut self.spans);
            self.tokens(compiled, value, tokens);
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            for token in &mut tokens[start..] {
                (token.start, token.end) = (token.start.saturating_add(at), token.end.saturating_add(at));
            }
            self.parameters[open].told.push(start..tokens.len());
        }
    }

    /// Whether all of the condition holds for this parameter, which alone is marked now.
    fn met_by(&self, condition: &ParameterCondition, parameter: &Parameter) -> bool {
        let kinds = parameter.types;
        let text = kinds.is_any() || kinds.has(TypeSet::STRING.with(TypeSet::ARRAY));
        condition.atoms.iter().all(|atom| self.atoms.has(*atom))
            && condition.except.is_none_or(|atom| !self.atoms.has(atom))
            && (condition.types.is_any() || kinds.is_any() || kinds.has(condition.types))
            && condition.required.is_none_or(|wanted| wanted == parameter.required)
            && condition.free.is_none_or(|wanted| wanted == (text && parameter.values.is_empty()))
            && condition.top.is_none_or(|wanted| wanted == is_top(parameter))
    }

    /// The collected spans as tokens of `text`, runs cut into known words.
    fn tokens(&mut self, compiled: &Compiled, text: &str, out: &mut Vec<Token>) {
        for span in &self.spans {
            let Some(word) = text.get(span.start as usize..span.end as usize) else { continue };
            if span.run {
                let mut gap = span.gap;
                compiled.vocabulary.cut_run(word, |start, end, word| {
                    let at = |offset: usize| span.start + u32::try_from(offset).unwrap_or(0);
                    out.push(Token { start: at(start), end: at(end), gap, word });
                    gap = Gap::Space;
                });
                if gap == span.gap {
                    out.push(Token { start: span.start, end: span.end, gap, word: UNKNOWN });
                }
            } else {
                let word = compiled.vocabulary.find_span(word, span.hash, &mut self.lower);
                out.push(Token { start: span.start, end: span.end, gap: span.gap, word });
            }
        }
    }

    fn mark(&mut self, compiled: &Compiled, tokens: &[Token], places: Places, part: Part) {
        for (at, token) in tokens.iter().enumerate() {
            if token.word == UNKNOWN {
                continue;
            }
            let info = compiled.vocabulary.info(token.word);
            if info.places & places == 0 {
                continue;
            }
            for (wanted, atom) in &info.atoms {
                if wanted & places != 0 {
                    self.set(*atom, Hit { part, start: token.start, end: token.end });
                }
            }
            for phrase in &info.phrases {
                let Some(phrase) = compiled.vocabulary.phrases.get(*phrase as usize) else { continue };
                if phrase.info.places & places != 0 && starts_with(&tokens[at + 1..], &phrase.rest) {
                    let end = tokens.get(at + phrase.rest.len()).map_or(token.end, |last| last.end);
                    for (wanted, atom) in &phrase.info.atoms {
                        if wanted & places != 0 {
                            self.set(*atom, Hit { part, start: token.start, end });
                        }
                    }
                }
            }
        }
    }

    /// Conditions that all these words together fulfil, and not a part of them.
    fn mark_whole(&mut self, compiled: &Compiled, tokens: &[Token], places: Places, part: Part) {
        let Some((first, rest)) = tokens.split_first() else { return };
        let info = compiled.vocabulary.info(first.word);
        let atoms = if rest.is_empty() {
            &info.atoms
        } else {
            let phrases = info.phrases.iter().filter_map(|at| compiled.vocabulary.phrases.get(*at as usize));
            let mut whole = phrases.filter(|p| p.rest.len() == rest.len() && starts_with(rest, &p.rest));
            match whole.next() {
                Some(phrase) => &phrase.info.atoms,
                None => return,
            }
        };
        let end = rest.last().map_or(first.end, |last| last.end);
        for (wanted, atom) in atoms {
            if wanted & places != 0 {
                self.set(*atom, Hit { part, start: first.start, end });
            }
        }
    }

    fn set(&mut self, atom: AtomId, hit: Hit) {
        if self.atoms.insert(atom)
            && let Some(slot) = self.hits.get_mut(usize::from(atom))
        {
            *slot = hit;
            self.fresh.push(atom);
        }
    }

    /// Makes the overlay hold for one verb, what it is done to and where; conditions see it until the next call.
    pub fn focus(&mut self, compiled: &Compiled, verb: u16, objects: [&[Token]; 2], target: &[Token], part: Part) {
        self.overlay.reset(compiled.atoms);
        std::mem::swap(&mut self.atoms, &mut self.overlay);
        self.fresh.clear();
        let atoms = compiled.vocabulary.verbs.get(usize::from(verb)).map_or(&[][..], |verb| &verb.atoms);
        for atom in atoms {
            if self.atoms.insert(*atom)
                && let Some(slot) = self.hits.get_mut(usize::from(*atom))
            {
                *slot = NO_HIT;
            }
        }
        let container = |token: &Token| grammar_at(compiled, std::slice::from_ref(token)) & grammar::CONTAINER != 0;
        for object in objects {
            self.mark(compiled, object, place::OBJECT, part);
            // The head is the last word, or a phrase that ends there (`browser tab`); "task details" are about the task.
            let bare = object.iter().rposition(|token| !container(token)).map_or(object.len(), |at| at + 1);
            for object in [object, &object[..bare]].iter().take(if bare < object.len() { 2 } else { 1 }) {
                for words in 1..=object.len().min(HEAD_WORDS_MAX) {
                    self.mark_whole(compiled, &object[object.len() - words..], place::HEAD, part);
                }
            }
        }
        self.mark(compiled, target, place::TARGET, part);
        for at in 0..self.fresh.len() {
            let acts = self.fresh.get(at).map_or(&[][..], |atom| &compiled.act_triggers[usize::from(*atom)]);
            for (atoms, act) in acts.iter().filter_map(|at| compiled.acts.get(usize::from(*at))) {
                if atoms.iter().all(|atom| self.atoms.has(*atom)) {
                    let hit = atoms.last().and_then(|last| self.hits.get(usize::from(*last))).copied();
                    self.set(*act, hit.unwrap_or(Hit { part, start: 0, end: 0 }));
                }
            }
        }
        std::mem::swap(&mut self.atoms, &mut self.overlay);
    }

    /// Keeps what the overlay holds for the rules that come later.
    pub fn keep_focus(&mut self) {
        self.kept.merge(&self.overlay);
    }

    /// Ends looking at single verbs: what was kept holds from now on.
    pub fn drop_focus(&mut self, compiled: &Compiled) {
        self.overlay.0.fill(0);
        self.atoms.merge(&self.kept);
        self.wake(compiled);
    }

    /// Notes which rules can hold at all, by the first atom of each of their alternatives.
    fn wake(&mut self, compiled: &Compiled) {
        self.awake.clear();
        self.awake.extend_from_slice(&compiled.unconditional.0);
        for (at, word) in self.atoms.0.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let atom = at * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                for rule in compiled.wakes.get(atom).map_or(&[][..], |rules| rules) {
                    if let Some(slot) = self.awake.get_mut(*rule as usize / 64) {
                        *slot |= 1 << (rule % 64);
                    }
                }
            }
        }
    }

    /// Whether the rule with this index can hold, as of the last `wake`.
    pub fn is_awake(&self, rule: u32) -> bool {
        self.awake.get(rule as usize / 64).is_some_and(|word| word & (1 << (rule % 64)) != 0)
    }

    /// Whether the rule speaks, and which of its alternatives does.
    pub fn holds<'r>(&self, rule: &'r Rule, tool: &ToolDefinition) -> Option<&'r Condition> {
        let spoke = rule.when.iter().find(|condition| self.fulfilled(condition, tool))?;
        if rule.unless.iter().any(|condition| self.fulfilled(condition, tool)) {
            return None;
        }
        Some(spoke)
    }

    fn fulfilled(&self, condition: &Condition, tool: &ToolDefinition) -> bool {
        condition.atoms.iter().all(|atom| self.atoms.has(*atom) || self.overlay.has(*atom))
            && (condition.categories == 0 || condition.categories & self.categories != 0)
            && (condition.flags == 0 || condition.flags & self.flags != 0)
            && (condition.domains == 0 || condition.domains & self.domains != 0)
            && condition.no_parameters.is_none_or(|wanted| wanted == self.no_parameters)
            && condition.pattern.as_ref().is_none_or(|pattern| {
                pattern.is_match(cut(tool.description.as_deref().unwrap_or_default(), DESCRIPTION_BYTES_MAX))
            })
    }

    /// The most telling place that fulfilled a condition: a parameter or text before the bare name.
    pub fn hit(&self, condition: &Condition) -> Option<Hit> {
        let hits = condition.atoms.iter().filter_map(|atom| self.hits.get(usize::from(*atom)));
        hits.copied().filter(|hit| hit.end > 0 || matches!(hit.part, Part::Extension | Part::Annotation(_))).max_by_key(
            |hit| match hit.part {
                Part::Description => 5,
                Part::Value(..) | Part::Parameter(_) | Part::ParameterText(_) => 4,
                Part::Extension | Part::Annotation(_) => 3,
                Part::Title => 2,
                Part::Name => 1,
            },
        )
    }

    pub fn add_flag(&mut self, flag: Flag) {
        self.flags |= flag_bit(flag);
    }
}

/// Whether the parameter is an argument itself or a member of one, not deeper.
fn is_top(parameter: &Parameter) -> bool {
    parameter.path.bytes().filter(|byte| *byte == b'.').count() <= 1
}

/// At most so many bytes, cut at a character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
