//! Which verbs act in a tool's name, title, first sentence and action values, and what each means with its object.

use super::compile::{Compiled, category_bit};
use super::lookup::{grammar_at, verb_at};
use super::scan::{Part, Scratch, Token};
use super::vocabulary::{Form, Verb, grammar};
use super::words::{Gap, is_verb_last};
use crate::model::{Category, Parameter, ToolDefinition};
use std::ops::Range;

/// Most words of a sentence that are searched for its main verb.
const MAIN_VERB_WORDS_MAX: usize = 30;

/// Fewest verbs in a row of a text that are taken for a list of operations.
const LISTED_MIN: usize = 3;

/// Which text a verb speaks from; within one group the worst verb counts, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Name,
    Description,
    Title,
    Values,
}

/// A verb with its place, its object and, once resolved, its meaning.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub group: Group,
    pub verb: u16,
    pub part: Part,
    /// Bytes of the verb in its part.
    pub span: Range<u32>,
    /// What it is done to, and after the first preposition where, as ranges of the part's tokens.
    pub object: Range<usize>,
    pub target: Range<usize>,
    /// Points before the verb's own strength.
    pub base: u32,
    /// `None`: no evidence here.
    pub category: Option<Category>,
    pub points: u32,
    /// Index of the rule that gave it its meaning.
    pub rule: u32,
    /// Which of the rules that lower (`Compiled::lowering`) would speak about this act, as bits.
    pub lowered: u32,
    /// Whether it is a value of its own: its ranges are of the words of parameters, wherever it is quoted from.
    pub listed: bool,
}

pub(super) fn collect(compiled: &Compiled, scratch: &Scratch, tool: &ToolDefinition, out: &mut Vec<Candidate>) {
    out.clear();
    let anchor = description(compiled, scratch, tool, out);
    name(compiled, &scratch.name, anchor, out);
    title(compiled, scratch, out);
    values(compiled, scratch, tool, out);
    listed(compiled, scratch, tool, out);
}

fn verb_of(compiled: &Compiled, id: u16) -> Option<&Verb> {
    compiled.vocabulary.verbs.get(usize::from(id))
}

fn candidate(group: Group, verb: u16, part: Part, tokens: &[Token], at: Range<usize>, base: u32) -> Candidate {
    let span = match (tokens.get(at.start), tokens.get(at.end.saturating_sub(1))) {
        (Some(first), Some(last)) => first.start..last.end,
        _ => 0..0,
    };
    Candidate {
        group,
        verb,
        part,
        span,
        object: 0..0,
        target: 0..0,
        base,
        category: None,
        points: 0,
        rule: 0,
        lowered: 0,
        listed: false,
    }
}

/// The verb that the text begins with, where it can be nothing else.
type Anchor = Option<u16>;

fn name(compiled: &Compiled, tokens: &[Token], anchor: Anchor, out: &mut Vec<Candidate>) {
    let weights = &compiled.weights;
    let base_verb = |at: usize| {
        let (found, length) = verb_at(compiled, tokens.get(at..)?)?;
        (found.form == Form::Base).then_some(())?;
        Some((found.verb, length, verb_of(compiled, found.verb)?))
    };
    // Words such as `bulk` or `force` stand before the verb without changing that it leads.
    let lead = (0..tokens.len())
        .find(|at| grammar_at(compiled, &tokens[*at..]) & grammar::ADVERB == 0 || (*at + 1 == tokens.len()));
    let Some(lead) = lead else { return };
    // `do_not_exercise`: what a name denies is not what the tool does; the text says that.
    if anchor.is_some() && grammar_at(compiled, &tokens[lead..]) & grammar::NEGATION != 0 {
        return;
    }
    let mut main = None;
    for at in lead..tokens.len() {
        let Some((verb, length, info)) = base_verb(at) else { continue };
        let is_last = at + length == tokens.len();
        if at == lead {
            // `order_cancel`, `log_get_entries`: a noun first, the verb last or next.
            let next = at + length;
            let conjunction = grammar_at(compiled, tokens.get(next..).unwrap_or_default()) & grammar::CONJUNCTION != 0;
            let second = if info.category == Category::Read { at } else { next };
            let other = [tokens.len() - 1, second].into_iter().filter(|other| info.noun && !conjunction && *other > at);
            let mut acting = other.filter_map(|other| Some((other, base_verb(other)?)));
            main = match acting.find(|(_, (_, _, info))| !info.noun) {
                Some((other, (verb, length, _))) => Some((other, verb, length, true)),
                None => Some((at, verb, length, true)),
            };
            break;
        }
        if !info.noun {
            main = Some((at, verb, length, false));
            break;
        }
        if is_last || main.is_none() {
            main = Some((at, verb, length, false));
        }
    }
    let Some((mut at, mut verb, mut length, mut leads)) = main else { return };
    let mut doubtful = false;
    if let Some(anchor) = anchor.filter(|anchor| *anchor != verb) {
        let own = verb_of(compiled, verb);
        let named =
            (lead..tokens.len()).find_map(|at| Some((at, base_verb(at)?)).filter(|(_, (verb, ..))| *verb == anchor));
        match named {
            // `show_create`: "Create a show". What is called a removal stays one, whatever the text begins with.
            Some((found, (_, words, _))) if own.is_none_or(|own| own.category != Category::Delete || own.noun) => {
                (at, verb, length, leads) = (found, anchor, words, true);
            }
            Some(_) => {}
            None => {
                let says = verb_of(compiled, anchor).map(|verb| verb.category);
                // `protect_document`: a noun behind a word that no list has is no verb at all.
                doubtful = own.is_some_and(|own| own.noun && (Some(own.category) != says || !leads));
            }
        }
    }
    let in_the_middle = verb_of(compiled, verb).is_some_and(|info| info.noun) && at + length < tokens.len();
    let base = match (leads, in_the_middle) {
        (true, _) => weights.name_lead,
        (false, false) => weights.name_later,
        // More likely a noun.
        (false, true) => weights.name_later / 2,
    };
    // A word that is a noun as well, beside a text that begins with a verb: the text decides.
    let base = if doubtful { base / 2 } else { base };
    let mut found = candidate(Group::Name, verb, Part::Name, tokens, at..at + length, base);
    (found.object, found.target) = object_after(compiled, tokens, at + length);
    if found.object.is_empty() && at > 0 {
        found.object = 0..at;
    }
    let (object, target) = (found.object.clone(), found.target.clone());
    let vague = verb_of(compiled, verb).is_some_and(|verb| verb.vague);
    out.push(found);
    for next in at + length..tokens.len() {
        let Some((verb, length, info)) = base_verb(next) else { continue };
        let after_conjunction = grammar_at(compiled, &tokens[next - 1..]) & grammar::CONJUNCTION != 0;
        let direct = next == at + 2;
        let last = next + length == tokens.len();
        let joined = after_conjunction && (direct || (last && !info.noun));
        if joined || vague && next == at + 1 {
            let base = match (joined, info.noun) {
                (true, _) => weights.name_joined,
                (false, false) => weights.name_later,
                (false, true) => weights.name_later / 2,
            };
            let mut found = candidate(Group::Name, verb, Part::Name, tokens, next..next + length, base);
            (found.object, found.target) = object_after(compiled, tokens, next + length);
            if found.object.is_empty() {
                (found.object, found.target) = (object.clone(), target.clone());
            }
            out.push(found);
        }
    }
}

/// What follows a verb: its object up to a preposition or comma, then what the preposition leads to. "Details of a task"
/// is about the task: after a word that only says how much is told, `of` leads on to the object.
fn object_after(compiled: &Compiled, tokens: &[Token], from: usize) -> (Range<usize>, Range<usize>) {
    let mut end = from;
    while let Some(token) = tokens.get(end) {
        let bits = grammar_at(compiled, &tokens[end..]);
        let parted = end > from && matches!(token.gap, Gap::Comma | Gap::Colon | Gap::Stop);
        let leads_on = bits & grammar::OF != 0
            && end > from
            && grammar_at(compiled, &tokens[end - 1..end]) & grammar::CONTAINER != 0;
        // "Runs a command and returns a report": the report is no part of what is run.
        let next_act = bits & grammar::CONJUNCTION != 0
            && verb_at(compiled, tokens.get(end + 1..).unwrap_or_default()).is_some_and(|(next, _)| {
                let noun = verb_of(compiled, next.verb).is_none_or(|verb| verb.noun);
                !noun && next.form != Form::Gerund
            });
        if parted || next_act || bits & grammar::PREPOSITION != 0 && !leads_on {
            break;
        }
        end += 1;
    }
    let mut stop = end;
    while let Some(token) = tokens.get(stop) {
        if stop > end && matches!(token.gap, Gap::Stop) {
            break;
        }
        stop += 1;
    }
    (from..end, end..stop)
}

/// The main verb of a sentence: its position, form and length.
fn main_verb(compiled: &Compiled, sentence: &[Token], verb_last: bool) -> Option<(usize, u16, usize, Form, bool)> {
    if verb_last {
        let found = (0..sentence.len()).rev().find_map(|at| {
            let (found, length) = verb_at(compiled, &sentence[at..])?;
            Some((at, found.verb, length, found.form, true))
        });
        return found;
    }
    let mut after_noun = false;
    let mut after_determiner = false;
    let mut subject = false;
    let mut fallback = None;
    let mut at = 0;
    while at < sentence.len().min(MAIN_VERB_WORDS_MAX) {
        let token = &sentence[at];
        if matches!(token.gap, Gap::Colon) {
            (after_noun, after_determiner, subject) = (false, false, false);
        }
        let bits = grammar_at(compiled, &sentence[at..]);
        if let Some((found, length)) = verb_at(compiled, &sentence[at..]) {
            let info = verb_of(compiled, found.verb)?;
            let plain = !after_noun && !(after_determiner && (info.noun || found.form != Form::Gerund));
            // "The endpoint returns …": after a noun only a third person that is no plural, or `to` + verb.
            let to = at > 0 && grammar_at(compiled, &sentence[at - 1..]) & grammar::SUBJECT != 0;
            let third = after_noun && found.form == Form::Third && !info.noun;
            // "Creates a …" after "This tool": preamble words keep `after_noun` false.
            if plain && bits & grammar::PREAMBLE == 0 || third || to {
                return Some((at, found.verb, length, found.form, !after_noun || to || subject));
            }
            if fallback.is_none() && bits & grammar::PREAMBLE == 0 {
                let last = sentence.get(at + length).is_none_or(|next| next.gap != Gap::Space);
                if !info.noun && found.form != Form::Third || last && found.form == Form::Base {
                    fallback = Some((at, found.verb, length, found.form, false));
                }
            }
        }
        if bits & grammar::DETERMINER != 0 {
            after_determiner = true;
        } else if bits & (grammar::PREAMBLE | grammar::ADVERB | grammar::SUBJECT) != 0 {
            after_determiner = false;
            subject = true;
        } else {
            after_noun = true;
            after_determiner = false;
        }
        at += 1;
    }
    fallback
}

fn description(compiled: &Compiled, scratch: &Scratch, tool: &ToolDefinition, out: &mut Vec<Candidate>) -> Anchor {
    let weights = &compiled.weights;
    let text = tool.description.as_deref().unwrap_or_default();
    let mut anchor = None;
    for (number, range) in scratch.sentences.iter().skip(scratch.first).take(3).enumerate() {
        let sentence = &scratch.text[range.clone()];
        let bytes = sentence.first().map_or(0, |t| t.start as usize)..sentence.last().map_or(0, |t| t.end as usize);
        let verb_last = text.get(bytes).is_some_and(is_verb_last);
        let Some((at, verb, length, form, sure)) = main_verb(compiled, sentence, verb_last) else { continue };
        let base = match (number, sure) {
            (0, true) => weights.description_main,
            (0, false) => weights.description_late,
            _ => weights.description_next,
        };
        let from = range.start + at;
        let tokens = &scratch.text[..range.end];
        if let Some(info) = verb_of(compiled, verb).filter(|info| number == 0 && sure && !info.vague && !verb_last) {
            let before = (range.start..from).all(|at| {
                grammar_at(compiled, &tokens[at..]) & (grammar::PREAMBLE | grammar::ADVERB | grammar::SUBJECT) != 0
            });
            let determined = tokens
                .get(from + length)
                .is_some_and(|_| grammar_at(compiled, &tokens[from + length..]) & grammar::DETERMINER != 0);
            anchor = (before && form != Form::Gerund && (!info.noun || determined)).then_some(verb);
        }
        let mut found = candidate(Group::Description, verb, Part::Description, tokens, from..from + length, base);
        (found.object, found.target) = object_after(compiled, tokens, from + length);
        if verb_last && found.object.is_empty() {
            found.object = range.start..from;
        }
        let (object, target) = (found.object.clone(), found.target.clone());
        let vague = verb_of(compiled, verb).is_some_and(|verb| verb.vague);
        out.push(found);
        // "Create, update or delete …", "Open X and delete Y"; after a vague verb any verb of the sentence.
        let mut next = from + length;
        let mut listing = true;
        while next < range.end {
            let token = &tokens[next];
            let bits = grammar_at(compiled, &tokens[next..]);
            if bits & (grammar::NEGATION | grammar::ASIDE) != 0 {
                break;
            }
            let before = grammar_at(compiled, &tokens[next - 1..]);
            let linked = before & grammar::CONJUNCTION != 0 || matches!(token.gap, Gap::Comma | Gap::Slash);
            if let Some((verb, length)) = verb_at(compiled, &tokens[next..]) {
                let noun = verb_of(compiled, verb.verb).is_none_or(|verb| verb.noun);
                let joined = linked && verb.form == form && (listing || !noun && before & grammar::CONJUNCTION != 0);
                // "Tests the wallet by paying …": the means is an act, too.
                let means = verb.form == Form::Gerund && before & grammar::MEANS != 0 && !noun;
                if joined || vague || means {
                    let base = match (joined, vague) {
                        (true, _) => base,
                        (false, true) => weights.description_vague,
                        (false, false) => weights.description_late,
                    };
                    let mut found =
                        candidate(Group::Description, verb.verb, Part::Description, tokens, next..next + length, base);
                    (found.object, found.target) = object_after(compiled, tokens, next + length);
                    if found.object.is_empty() && !listing {
                        (found.object, found.target) = (object.clone(), target.clone());
                    }
                    out.push(found);
                    next += length;
                    continue;
                }
            }
            listing &= bits & (grammar::CONJUNCTION | grammar::ADVERB) != 0;
            next += 1;
        }
        break;
    }
    anchor
}

fn title(compiled: &Compiled, scratch: &Scratch, out: &mut Vec<Candidate>) {
    let lead = (0..scratch.title.len())
        .find(|at| grammar_at(compiled, &scratch.title[*at..]) & (grammar::ADVERB | grammar::DETERMINER) == 0);
    let Some(at) = lead else { return };
    if let Some((verb, length)) = verb_at(compiled, &scratch.title[at..])
        && verb.form == Form::Base
    {
        let base = compiled.weights.title_lead;
        let mut found = candidate(Group::Title, verb.verb, Part::Title, &scratch.title, at..at + length, base);
        (found.object, found.target) = object_after(compiled, &scratch.title, at + length);
        out.push(found);
    }
}

/// Values of an action parameter; where it lists none, the verbs of its description.
fn values(compiled: &Compiled, scratch: &Scratch, tool: &ToolDefinition, out: &mut Vec<Candidate>) {
    for parameter in &scratch.parameters {
        let Some(declared) = tool.parameters.get(usize::from(parameter.index)) else { continue };
        let mut found = Vec::new();
        let in_schema = !declared.values.is_empty();
        let ranges = if in_schema { &parameter.values } else { &parameter.told };
        for (at, range) in ranges.iter().enumerate() {
            let tokens = &scratch.other[..range.end];
            let verb = (range.start..range.end).find_map(|at| {
                let (verb, length) = verb_at(compiled, &tokens[at..])?;
                let info = verb_of(compiled, verb.verb)?;
                (verb.form == Form::Base && (at == range.start || !info.noun)).then_some((at, verb.verb, length))
            });
            if let Some((start, verb, length)) = verb {
                let value = Part::Value(parameter.index, u16::try_from(at).unwrap_or(u16::MAX));
                let part = if in_schema { value } else { Part::Description };
                let base = if in_schema { compiled.weights.action_values } else { compiled.weights.action_text };
                let mut one = candidate(Group::Values, verb, part, tokens, start..start + length, base);
                (one.object, one.target) = object_after(compiled, tokens, start + length);
                one.listed = true;
                found.push(one);
            }
        }
        // Half of them are verbs, or one of them says plainly that something is removed.
        let removes = |one: &Candidate| verb_of(compiled, one.verb).is_some_and(|v| v.category == Category::Delete);
        let acts = found.len() >= 2 && found.len() * 2 >= ranges.len();
        if acts || found.iter().any(removes) && (in_schema || found.len() >= 2) {
            out.append(&mut found);
            continue;
        }
        if in_schema {
            continue;
        }
        found.clear();
        if parameter.is_command || is_asked_about(declared, tool, out, compiled) {
            continue;
        }
        let tokens = &scratch.other[..parameter.text.end];
        for at in parameter.text.clone() {
            // A value stands in a list, or opens a line that a colon follows; "Choose …" does neither.
            let next = tokens.get(at + 1).map_or(Gap::Stop, |next| next.gap);
            let listed = match tokens[at].gap {
                Gap::Comma | Gap::Slash | Gap::Mark | Gap::Colon => true,
                Gap::Stop => next == Gap::Colon,
                // "…, describe or delete": the last of them.
                Gap::Space => {
                    let before = at.checked_sub(1).map_or(0, |before| grammar_at(compiled, &tokens[before..]));
                    !found.is_empty() && before & grammar::CONJUNCTION != 0
                }
                Gap::Join => false,
            };
            if listed
                && let Some((verb, length)) = verb_at(compiled, &tokens[at..])
                && verb.form == Form::Base
            {
                let part = Part::ParameterText(parameter.index);
                let base = compiled.weights.action_text;
                found.push(candidate(Group::Values, verb.verb, part, tokens, at..at + length, base));
            }
        }
        if found.len() >= 2 {
            out.append(&mut found);
        }
    }
}

/// Whether a tool that by its name only looks takes an operation to ask about, in so many words: whether somebody may do it.
fn is_asked_about(declared: &Parameter, tool: &ToolDefinition, found: &[Candidate], compiled: &Compiled) -> bool {
    const ASKING: [&str; 4] = ["to check", "to test", "to verify", "to ask about"];
    let named = found.iter().filter(|one| one.group == Group::Name);
    let mut categories = named.filter_map(|one| verb_of(compiled, one.verb)).map(|verb| verb.category).peekable();
    let text = declared.description.as_deref().unwrap_or_default().trim_start().to_lowercase();
    let text = ["the ", "an ", "a "].iter().find_map(|article| text.strip_prefix(article)).unwrap_or(&text);
    let rest = text.strip_prefix(&declared.name.to_lowercase()).map(str::trim_start);
    let starts = rest.is_some_and(|rest| ASKING.iter().any(|asking| rest.starts_with(asking)));
    starts
        && tool.annotations.read_only != Some(false)
        && categories.peek().is_some()
        && categories.all(|category| category == Category::Read)
}

/// What the text lists as operations where the schema does not: "Dataset ops: list/get/delete", `action = "get" | "delete"`.
fn listed(compiled: &Compiled, scratch: &Scratch, tool: &ToolDefinition, out: &mut Vec<Candidate>) {
    let told = out.iter().any(|one| one.group == Group::Values);
    let open = tool.parameters.is_empty() || scratch.parameters.iter().any(|one| one.values.is_empty());
    if told || !open {
        return;
    }
    let Some(range) = scratch.sentences.get(scratch.first) else { return };
    let tokens = &scratch.text[..range.end];
    let mut found = Vec::new();
    for at in range.start + 1..range.end {
        let parted = matches!(tokens[at].gap, Gap::Slash | Gap::Mark | Gap::Colon)
            || tokens.get(at + 1).is_some_and(|next| next.gap == Gap::Slash);
        if parted
            && let Some((verb, length)) = verb_at(compiled, &tokens[at..])
            && verb.form == Form::Base
        {
            let base = compiled.weights.action_text;
            found.push(candidate(Group::Values, verb.verb, Part::Description, tokens, at..at + length, base));
        }
    }
    if found.len() >= LISTED_MIN {
        out.append(&mut found);
    }
}

/// Gives every candidate its meaning: the best reading that fits its object, else what its verb means alone.
pub(super) fn resolve(compiled: &Compiled, scratch: &mut Scratch, tool: &ToolDefinition, candidates: &mut [Candidate]) {
    let fallback = candidates
        .iter()
        .find(|candidate| candidate.group == Group::Description)
        .map(|candidate| (candidate.verb, candidate.object.clone(), candidate.target.clone()));
    for candidate in candidates.iter_mut() {
        let Some(verb) = verb_of(compiled, candidate.verb) else { continue };
        let (name, title, text, other) = (
            std::mem::take(&mut scratch.name),
            std::mem::take(&mut scratch.title),
            std::mem::take(&mut scratch.text),
            std::mem::take(&mut scratch.other),
        );
        let tokens = match candidate.part {
            Part::Name => &name,
            Part::Title => &title,
            Part::Description => &text,
            _ => &other,
        };
        let tokens = if candidate.listed { &other } else { tokens };
        let slice = |tokens: &'_ [Token], range: &Range<usize>| tokens.get(range.clone()).unwrap_or_default().to_vec();
        let (mut object, mut target) = (slice(tokens, &candidate.object), slice(tokens, &candidate.target));
        let mut told = Vec::new();
        if object.is_empty()
            && candidate.part == Part::Name
            && let Some((_, from_object, from_target)) = &fallback
        {
            (object, target) = (slice(&text, from_object), slice(&text, from_target));
        } else if candidate.part == Part::Name
            && let Some((verb, from_object, from_target)) = &fallback
            && *verb == candidate.verb
        {
            // The name is short for what the text says with the same verb.
            told = slice(&text, from_object);
            if target.is_empty() {
                target = slice(&text, from_target);
            }
        } else if object.is_empty() && candidate.group == Group::Values {
            object = name.clone();
        }
        scratch.focus(compiled, candidate.verb, [&object, &told], &target, candidate.part);
        (scratch.name, scratch.title, scratch.text, scratch.other) = (name, title, text, other);
        let reading = verb.readings.iter().find(|index| {
            let rule = compiled.rules.get(**index as usize);
            rule.is_some_and(|rule| scratch.holds(rule, tool).is_some())
        });
        let (rule, category, strength) =
            match reading.and_then(|index| Some((*index, compiled.rules.get(*index as usize)?))) {
                Some((index, rule)) => (index, rule.category, rule.weight),
                None => (verb.rule, Some(verb.category), verb.strength),
            };
        candidate.rule = rule;
        candidate.category = category;
        candidate.points = candidate.base * strength / 100;
        // It counts only if the tool turns out to have the category of this act.
        scratch.categories = category.map_or(0, category_bit);
        for (at, index) in compiled.lowering.iter().enumerate() {
            let rule = compiled.rules.get(*index as usize);
            let holds = rule.is_some_and(|rule| scratch.holds(rule, tool).is_some());
            candidate.lowered |= u32::from(holds) << at;
        }
        scratch.categories = 0;
        if matches!(candidate.group, Group::Name | Group::Description) {
            scratch.keep_focus();
        }
    }
    scratch.drop_focus(compiled);
}
