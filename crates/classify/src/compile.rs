//! Entries to what the judge runs: interned words, conditions as lists of atoms, verbs with their readings.

use super::format::{WireCondition, WireParameter, WireRule, WireStep, WireType, WireVerbs, WireWeights};
use super::load::{Body, Entry, Layers, RuleKind};
use super::pattern::{Check, Pattern};
use super::scan::Bits;
use super::vocabulary::{AtomId, Places, Slot, Verb, Vocabulary, grammar, place, plural};
use crate::model::{BlastRadius, Category, Flag, TypeSet};
use crate::problem::Problem;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Classes may refer to classes this deep.
const CLASS_DEPTH_MAX: usize = 8;
/// What the ids of classes that name a subject of servers begin with.
const DOMAIN: &str = "domain.";

/// Alternatives of a rule, ready to be tested.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    pub atoms: Box<[AtomId]>,
    /// Category bits; zero is any.
    pub categories: u8,
    /// Flag bits, any of which will do; zero is no condition.
    pub flags: u32,
    pub pattern: Option<Box<Pattern>>,
    pub no_parameters: Option<bool>,
    /// Subjects of the server, any of which will do; zero is no condition.
    pub domains: u16,
}

/// What must hold for one and the same parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ParameterCondition {
    /// All of these must hold of this parameter alone …
    pub atoms: Vec<AtomId>,
    /// … and this must not.
    pub except: Option<AtomId>,
    /// JSON types, any of which will do; none is no condition.
    pub types: TypeSet,
    pub required: Option<bool>,
    pub free: Option<bool>,
    pub top: Option<bool>,
}

/// A rule as it runs.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub id: Box<str>,
    pub why: Box<str>,
    pub kind: RuleKind,
    pub when: Vec<Condition>,
    pub unless: Vec<Condition>,
    pub category: Option<Category>,
    pub weight: u32,
    pub flags: Vec<Flag>,
    pub at_least: Option<BlastRadius>,
    pub at_most: Option<BlastRadius>,
    pub step: Option<WireStep>,
}

/// Points by place; zero where no file says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weights {
    pub name_lead: u32,
    pub name_later: u32,
    pub name_joined: u32,
    pub description_main: u32,
    pub description_late: u32,
    pub description_next: u32,
    pub description_vague: u32,
    pub title_lead: u32,
    pub action_values: u32,
    pub action_text: u32,
    pub confidence_high: u32,
    pub confidence_medium: u32,
    pub confidence_lead_percent: u32,
}

/// Everything that a classification needs.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub vocabulary: Vocabulary,
    pub rules: Vec<Rule>,
    pub evidence: Vec<u32>,
    /// Evidence that looks at the category decided on; it can only raise.
    pub raises: Vec<u32>,
    /// Evidence from annotations, looked at last; it can only raise, too.
    pub claims: Vec<u32>,
    /// Conditions on one parameter, with the atom that each fulfils.
    pub parameters: Vec<(ParameterCondition, AtomId)>,
    /// For each atom the conditions on a parameter that can hold once it does, as indexes of `parameters`.
    pub triggers: Vec<Vec<u16>>,
    /// Conditions on one act, a verb and what it is done to, with the atom that each fulfils.
    pub acts: Vec<(Vec<AtomId>, AtomId)>,
    /// For each atom the conditions on an act that can hold once it does, as indexes of `acts`.
    pub act_triggers: Vec<Vec<u16>>,
    /// Ids of the classes of subjects, in the order of their bits.
    pub domains: Vec<String>,
    /// For each atom the rules of which it is the first of an alternative.
    pub wakes: Vec<Vec<u32>>,
    /// Rules with an alternative that rests on no atom.
    pub unconditional: Bits,
    pub traits: Vec<u32>,
    /// Those of the traits that say nothing but what lowers the blast radius: every act must have them.
    pub lowering: Vec<u32>,
    pub radius: Vec<u32>,
    pub atoms: usize,
    /// `key=value` in lower case → atom.
    pub extensions: BTreeMap<String, AtomId>,
    /// `hint=true|false` → atom.
    pub annotations: BTreeMap<String, AtomId>,
    pub weights: Weights,
}

pub(super) fn compile(layers: &Layers, check: Check, problems: &mut Vec<Problem>) -> Compiled {
    let mut compiler = Compiler {
        layers,
        check,
        problems,
        out: Compiled { vocabulary: Vocabulary::new(), weights: weights(&layers.weights), ..Compiled::default() },
        next: 0,
        word_atoms: FxHashMap::default(),
        verb_atoms: FxHashMap::default(),
        act_atoms: FxHashMap::default(),
        hint_atoms: BTreeMap::new(),
        slots: FxHashMap::default(),
    };
    compiler.grammar();
    compiler.subjects();
    // Verbs first: conditions on verbs refer to them.
    for entry in layers.entries.values() {
        if let Body::Verbs(verbs) = &entry.body {
            compiler.verbs(entry, verbs);
        }
    }
    let mut ranked: Vec<(u32, u32)> = Vec::new();
    for entry in layers.entries.values() {
        if let Body::Rule(rule) = &entry.body {
            let index = compiler.rule(entry, rule);
            match entry.kind {
                RuleKind::Reading => ranked.push((rule.rank, index)),
                RuleKind::Evidence if rule.when.iter().any(|condition| !condition.annotation.is_empty()) => {
                    compiler.out.claims.push(index);
                }
                RuleKind::Evidence if rule.when.iter().any(|condition| !condition.category.is_empty()) => {
                    compiler.out.raises.push(index);
                }
                RuleKind::Evidence => compiler.out.evidence.push(index),
                RuleKind::Trait => {
                    compiler.out.traits.push(index);
                    let lowers = |flag: &Flag| matches!(flag, Flag::Reversible | Flag::Ephemeral);
                    if rule.flags.iter().all(lowers) && compiler.out.lowering.len() < u32::BITS as usize {
                        compiler.out.lowering.push(index);
                    }
                }
                RuleKind::Radius => compiler.out.radius.push(index),
                RuleKind::Class | RuleKind::Verbs => {}
            }
        }
    }
    // Highest rank first; among equals the id decides, because entries come in the order of ids.
    ranked.sort_by_key(|(rank, index)| (std::cmp::Reverse(*rank), *index));
    for (_, index) in ranked {
        compiler.attach_reading(index);
    }
    compiler.out.vocabulary.seal();
    compiler.out.atoms = usize::from(compiler.next);
    compiler.wakes();
    compiler.out.triggers = vec![Vec::new(); compiler.out.atoms];
    compiler.out.act_triggers = vec![Vec::new(); compiler.out.atoms];
    for (at, (atoms, _)) in compiler.out.acts.iter().enumerate() {
        // The last is the rarest: object, head or target.
        if let (Some(last), Ok(at)) = (atoms.last(), u16::try_from(at)) {
            compiler.out.act_triggers[usize::from(*last)].push(at);
        }
    }
    for (at, (condition, _)) in compiler.out.parameters.iter().enumerate() {
        // Tried when its first atom is met: all of them must be.
        if let (Some(first), Ok(at)) = (condition.atoms.first(), u16::try_from(at)) {
            compiler.out.triggers[usize::from(*first)].push(at);
        }
    }
    compiler.out
}

struct Compiler<'a> {
    layers: &'a Layers,
    check: Check,
    problems: &'a mut Vec<Problem>,
    out: Compiled,
    /// The next atom's id: one more than there are.
    next: AtomId,
    /// Atoms by places and words, both sorted.
    word_atoms: FxHashMap<(Places, Vec<Slot>), AtomId>,
    verb_atoms: FxHashMap<Vec<u16>, AtomId>,
    act_atoms: FxHashMap<Vec<AtomId>, AtomId>,
    hint_atoms: BTreeMap<(bool, Vec<String>), AtomId>,
    /// Words and phrases as rules write them, with the plural.
    slots: FxHashMap<Cow<'a, str>, [Option<Slot>; 2]>,
}

impl<'a> Compiler<'a> {
    fn wakes(&mut self) {
        self.out.wakes = vec![Vec::new(); self.out.atoms];
        self.out.unconditional.reset(self.out.rules.len());
        for (index, rule) in (0_u32..).zip(&self.out.rules) {
            for condition in &rule.when {
                match condition.atoms.first().and_then(|first| self.out.wakes.get_mut(usize::from(*first))) {
                    Some(woken) if woken.last() == Some(&index) => {}
                    Some(woken) => woken.push(index),
                    None => self.out.unconditional.0[index as usize / 64] |= 1 << (index % 64),
                }
            }
        }
    }

    fn grammar(&mut self) {
        for (id, bit) in grammar::NAMES {
            let Some(Entry { body: Body::Class(class), .. }) = self.layers.entries.get(id) else { continue };
            for term in &class.words {
                if let Some(info) = self.out.vocabulary.entry(term) {
                    info.grammar |= bit;
                }
            }
        }
    }

    /// Classes `domain.…`: what a server can be about.
    fn subjects(&mut self) {
        for entry in self.layers.entries.values().filter(|entry| entry.id().starts_with(DOMAIN)) {
            let Body::Class(class) = &entry.body else { continue };
            let at = self.out.domains.len();
            if at == u16::BITS as usize {
                self.problems.push(entry.problem(format!("more than {} subjects", u16::BITS)));
                break;
            }
            self.out.domains.push(class.id.clone());
            for slot in self.slots_of(entry, &class.words) {
                if let Some(info) = self.out.vocabulary.at(slot) {
                    info.domains |= 1 << at;
                }
            }
        }
    }

    fn verbs(&mut self, entry: &Entry, verbs: &WireVerbs) {
        let index = self.push(Rule {
            id: verbs.id.as_str().into(),
            why: verbs.why.as_str().into(),
            kind: RuleKind::Verbs,
            when: Vec::new(),
            unless: Vec::new(),
            category: Some(verbs.category),
            weight: verbs.strength,
            flags: Vec::new(),
            at_least: None,
            at_most: None,
            step: None,
        });
        for word in &verbs.words {
            let verb = Verb {
                rule: index,
                category: verbs.category,
                strength: verbs.strength,
                noun: verbs.noun,
                vague: verbs.vague,
                readings: Vec::new(),
                atoms: Vec::new(),
            };
            if !self.out.vocabulary.add_verb(&word.to_lowercase(), verb) {
                self.problems.push(entry.problem(format!("`{word}` is in another list of verbs already")));
            }
        }
    }

    fn push(&mut self, rule: Rule) -> u32 {
        let index = u32::try_from(self.out.rules.len()).unwrap_or(u32::MAX);
        self.out.rules.push(rule);
        index
    }

    fn rule(&mut self, entry: &Entry, wire: &'a WireRule) -> u32 {
        let when = wire.when.iter().map(|condition| self.condition(entry, condition)).collect();
        let unless = wire.unless.iter().map(|condition| self.condition(entry, condition)).collect();
        self.push(Rule {
            id: wire.id.as_str().into(),
            why: wire.why.as_str().into(),
            kind: entry.kind,
            when,
            unless,
            category: wire.category,
            weight: wire.weight.unwrap_or(if entry.kind == RuleKind::Reading { 100 } else { 0 }),
            flags: wire.flags.clone(),
            at_least: wire.at_least,
            at_most: wire.at_most,
            step: wire.step,
        })
    }

    fn condition(&mut self, entry: &Entry, wire: &'a WireCondition) -> Condition {
        let mut atoms = Vec::new();
        let mut act = Vec::new();
        if !wire.verb.is_empty() {
            act.extend(self.verb_atom(entry, &wire.verb));
        }
        for (words, places) in [(&wire.head, place::HEAD), (&wire.object, place::OBJECT), (&wire.target, place::TARGET)]
        {
            if !words.is_empty() {
                act.extend(self.word_atom(entry, words, places));
            }
        }
        // A verb and what it is done to are meant of one and the same act, not of two that the text joins.
        match act.as_slice() {
            [_, _, ..] => atoms.push(self.act_atom(act)),
            one => atoms.extend(one),
        }
        for (words, places) in [
            (&wire.name, place::NAME),
            (&wire.first, place::FIRST),
            (&wire.text, place::FIRST | place::TEXT),
            (&wire.claim, place::FIRST | place::TEXT | place::DENIED),
            (&wire.any, place::NAME | place::TITLE | place::FIRST | place::PREFIX),
            (&wire.param, place::PARAM),
            (&wire.param_named, place::PARAM_WHOLE),
            (&wire.text_param, place::PARAM_FREE),
            (&wire.value, place::VALUE),
        ] {
            if !words.is_empty() {
                atoms.extend(self.word_atom(entry, words, places));
            }
        }
        if !wire.param_text.is_empty() {
            // Name and description are meant of one and the same parameter.
            let text = self.word_atom(entry, &wire.param_text, place::PARAM_TEXT);
            let mut name =
                [&wire.param_named, &wire.text_param].into_iter().zip([place::PARAM_WHOLE, place::PARAM_FREE]);
            let name = name.rfind(|(words, _)| !words.is_empty());
            let name = name.and_then(|(words, places)| self.word_atom(entry, words, places));
            let both = ParameterCondition { atoms: name.into_iter().chain(text).collect(), ..Default::default() };
            atoms.push(self.parameter_atom(both));
        }
        if let Some(parameter) = &wire.parameter {
            let one = self.parameter(entry, parameter);
            atoms.push(self.parameter_atom(one));
        }
        for (texts, annotation) in [(&wire.extension, false), (&wire.annotation, true)] {
            if !texts.is_empty() {
                let mut texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
                texts.sort();
                let next = &mut self.next;
                let known = self.hint_atoms.entry((annotation, texts.clone()));
                let atom = *known.or_insert_with(|| fresh(next));
                let map = if annotation { &mut self.out.annotations } else { &mut self.out.extensions };
                map.extend(texts.into_iter().map(|text| (text, atom)));
                atoms.push(atom);
            }
        }
        let pattern = wire.pattern.as_deref().and_then(|pattern| {
            if atoms.is_empty() {
                let message = "a `pattern` needs words beside it, so that it is not tried on every tool";
                self.problems.push(entry.problem(message));
            }
            match Pattern::new(pattern, self.check) {
                Ok(pattern) => Some(Box::new(pattern)),
                Err(error) => {
                    let last = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                    self.problems.push(entry.problem(format!("`pattern` is not valid: {last}")));
                    None
                }
            }
        });
        let compiled = Condition {
            atoms: atoms.into(),
            categories: wire.category.iter().fold(0, |bits, category| bits | category_bit(*category)),
            flags: wire.flag.iter().fold(0, |bits, flag| bits | flag_bit(*flag)),
            pattern,
            no_parameters: wire.no_parameters,
            domains: self.domains(entry, &wire.domain),
        };
        if compiled.atoms.is_empty()
            && compiled.categories == 0
            && compiled.flags == 0
            && compiled.domains == 0
            && wire.no_parameters.is_none()
        {
            self.problems.push(entry.problem("a condition without any field would always hold"));
        }
        let early = entry.kind == RuleKind::Reading && compiled.categories != 0;
        if early || compiled.flags != 0 && matches!(entry.kind, RuleKind::Reading | RuleKind::Evidence) {
            self.problems.push(entry.problem("not decided yet here: `category` and `flag` do not apply"));
        }
        compiled
    }

    fn parameter(&mut self, entry: &Entry, wire: &'a WireParameter) -> ParameterCondition {
        let mut atoms = Vec::new();
        for (words, places) in [
            (&wire.named, place::PARAM_WHOLE),
            (&wire.head, place::PARAM_HEAD),
            (&wire.any, place::PARAM),
            (&wire.text, place::PARAM_TEXT),
            (&wire.value, place::VALUE),
        ] {
            if !words.is_empty() {
                atoms.extend(self.word_atom(entry, words, places));
            }
        }
        if atoms.is_empty() {
            self.problems.push(entry.problem("a `parameter` needs words: `named`, `head`, `any`, `text` or `value`"));
        }
        let except = (!wire.except.is_empty()).then(|| self.word_atom(entry, &wire.except, place::PARAM_HEAD));
        let kinds = wire.kind.iter().map(|kind| match kind {
            WireType::String => TypeSet::STRING,
            WireType::Number => TypeSet::NUMBER,
            WireType::Boolean => TypeSet::BOOLEAN,
            WireType::Array => TypeSet::ARRAY,
            WireType::Object => TypeSet::OBJECT,
        });
        ParameterCondition {
            atoms,
            except: except.flatten(),
            types: kinds.fold(TypeSet::default(), TypeSet::with),
            required: wire.required,
            free: wire.free,
            top: wire.top,
        }
    }

    /// The atom that one act fulfils for which all of these hold.
    fn act_atom(&mut self, atoms: Vec<AtomId>) -> AtomId {
        if let Some(atom) = self.act_atoms.get(&atoms) {
            return *atom;
        }
        let atom = fresh(&mut self.next);
        self.act_atoms.insert(atoms.clone(), atom);
        self.out.acts.push((atoms, atom));
        atom
    }

    /// The atom that one parameter fulfils for which all of this holds.
    fn parameter_atom(&mut self, condition: ParameterCondition) -> AtomId {
        if let Some((_, atom)) = self.out.parameters.iter().find(|(known, _)| *known == condition) {
            return *atom;
        }
        let atom = fresh(&mut self.next);
        self.out.parameters.push((condition, atom));
        atom
    }

    fn domains(&mut self, entry: &Entry, names: &[String]) -> u16 {
        let mut bits = 0;
        for name in names {
            match self.out.domains.iter().position(|known| known.strip_prefix(DOMAIN) == Some(name)) {
                Some(at) => bits |= 1 << at,
                None => self.problems.push(entry.problem(format!("no class has the id `{DOMAIN}{name}`"))),
            }
        }
        bits
    }

    fn verb_atom(&mut self, entry: &Entry, words: &'a [String]) -> Option<AtomId> {
        let mut verbs = Vec::new();
        for term in self.terms(entry, words) {
            match self.out.vocabulary.verb_named(&term) {
                Some(verb) => verbs.push(verb),
                None => self.problems.push(entry.problem(format!("`{term}` is in no list of verbs"))),
            }
        }
        verbs.sort_unstable();
        verbs.dedup();
        if let Some(atom) = self.verb_atoms.get(&verbs) {
            return Some(*atom);
        }
        let atom = fresh(&mut self.next);
        for verb in &verbs {
            if let Some(verb) = self.out.vocabulary.verbs.get_mut(usize::from(*verb)) {
                verb.atoms.push(atom);
            }
        }
        self.verb_atoms.insert(verbs, atom);
        Some(atom)
    }

    fn word_atom(&mut self, entry: &Entry, words: &'a [String], places: Places) -> Option<AtomId> {
        let mut slots = self.slots_of(entry, words);
        slots.sort_unstable();
        slots.dedup();
        let key = (places, slots);
        if let Some(atom) = self.word_atoms.get(&key) {
            return Some(*atom);
        }
        let atom = fresh(&mut self.next);
        for slot in &key.1 {
            if let Some(info) = self.out.vocabulary.at(*slot) {
                info.atoms.push((places, atom));
            }
        }
        self.word_atoms.insert(key, atom);
        Some(atom)
    }

    /// Words and phrases, in the singular and in the plural, with the classes among them resolved.
    fn slots_of(&mut self, entry: &Entry, words: &'a [String]) -> Vec<Slot> {
        let mut slots = Vec::new();
        for term in self.terms(entry, words) {
            let vocabulary = &mut self.out.vocabulary;
            let found = self.slots.entry(term).or_insert_with_key(|term| {
                let many = term.is_ascii().then(|| plural(term));
                [vocabulary.slot(term), many.and_then(|many| vocabulary.slot(&many))]
            });
            slots.extend(found.iter().flatten());
        }
        slots
    }

    /// Words with the classes among them resolved, in lower case.
    fn terms(&mut self, entry: &Entry, words: &'a [String]) -> Vec<Cow<'a, str>> {
        let mut out = Vec::with_capacity(words.len());
        self.resolve(entry, words, 0, &mut out);
        out
    }

    fn resolve(&mut self, entry: &Entry, words: &'a [String], depth: usize, out: &mut Vec<Cow<'a, str>>) {
        for word in words {
            let Some(id) = word.strip_prefix('@') else {
                let is_lower = word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
                out.push(if is_lower { Cow::Borrowed(word.as_str()) } else { Cow::Owned(word.to_lowercase()) });
                continue;
            };
            match self.layers.entries.get(id) {
                Some(Entry { body: Body::Class(class), .. }) if depth < CLASS_DEPTH_MAX => {
                    self.resolve(entry, &class.words, depth + 1, out);
                }
                Some(Entry { body: Body::Class(_), .. }) => {
                    self.problems.push(entry.problem(format!("class `{id}` refers to itself")));
                }
                _ => {
                    let classes = self.layers.entries.values().filter(|e| e.kind == RuleKind::Class).map(Entry::id);
                    let mut problem = entry.problem(format!("no class has the id `{id}`"));
                    problem.help = crate::text::nearest(id, classes).map(|near| format!("did you mean `@{near}`?"));
                    self.problems.push(problem);
                }
            }
        }
    }

    fn attach_reading(&mut self, index: u32) {
        let Some(rule) = self.out.rules.get(index as usize) else { return };
        let mut atoms = Bits::default();
        atoms.reset(usize::from(self.next));
        rule.when.iter().flat_map(|condition| &condition.atoms).for_each(|atom| _ = atoms.insert(*atom));
        for (parts, act) in &self.out.acts {
            if atoms.has(*act) {
                parts.iter().for_each(|atom| _ = atoms.insert(*atom));
            }
        }
        for verb in &mut self.out.vocabulary.verbs {
            if verb.atoms.iter().any(|atom| atoms.has(*atom)) {
                verb.readings.push(index);
            }
        }
    }
}

/// The next atom; past the most that there can be all share the last.
fn fresh(next: &mut AtomId) -> AtomId {
    let atom = *next;
    *next = next.saturating_add(1);
    atom
}

pub(super) const fn category_bit(category: Category) -> u8 {
    1 << category as u8
}

pub(super) const fn flag_bit(flag: Flag) -> u32 {
    1 << flag as u32
}

fn weights(wire: &WireWeights) -> Weights {
    let or = Option::unwrap_or_default;
    Weights {
        name_lead: or(wire.name_lead),
        name_later: or(wire.name_later),
        name_joined: or(wire.name_joined),
        description_main: or(wire.description_main),
        description_late: or(wire.description_late),
        description_next: or(wire.description_next),
        description_vague: or(wire.description_vague),
        title_lead: or(wire.title_lead),
        action_values: or(wire.action_values),
        action_text: or(wire.action_text),
        confidence_high: or(wire.confidence_high),
        confidence_medium: or(wire.confidence_medium),
        confidence_lead_percent: or(wire.confidence_lead_percent),
    }
}
