//! From what was read to a verdict: points a category, then flags, then the blast radius, with the evidence for each.

use super::compile::{Compiled, Rule, category_bit, flag_bit};
use super::format::WireStep;
use super::load::RuleKind;
use super::reason;
use super::scan::{Hit, Part, Scratch, cut};
use super::verbs::{self, Candidate, Group};
use super::{Assessment, Class, Options};
use crate::model::{
    BlastRadius, Category, Confidence, Evidence, EvidenceSource, Flag, RiskLevel, ToolDefinition, Verdict,
};
use std::collections::BTreeSet;

/// Most pieces of evidence that a verdict keeps, strongest first.
pub const EVIDENCE_MAX: usize = 12;
/// Longest quote in bytes.
pub const QUOTE_BYTES_MAX: usize = 160;

/// Something that spoke: kept as indexes until it is known whether it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoke {
    pub rule: u32,
    pub says: Says,
    pub weight: u32,
    pub hit: Option<Hit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Category(Category),
    Flags,
    Radius,
}

/// Buffers and results of one tool.
#[derive(Debug, Default)]
pub(super) struct Bench {
    pub scratch: Scratch,
    candidates: Vec<Candidate>,
    pub spoke: Vec<Spoke>,
}

impl Bench {
    /// Rules that spoke about the last tool, readings without a category included.
    pub fn fired(&self) -> impl Iterator<Item = u32> + '_ {
        self.spoke.iter().map(|one| one.rule).chain(self.candidates.iter().map(|candidate| candidate.rule))
    }
}

/// The radius with what moved it, for the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Radius {
    pub value: BlastRadius,
    /// Rule that set the floor, the ceiling or took the step, where it had an effect.
    pub up: Option<u32>,
    pub down: Option<u32>,
    pub floor: Option<u32>,
    pub ceiling: Option<u32>,
}

pub(super) fn judge(
    compiled: &Compiled,
    bench: &mut Bench,
    tool: &ToolDefinition,
    prefix: usize,
    domains: u16,
    options: &Options,
) -> Assessment {
    let Bench { scratch, candidates, spoke } = bench;
    spoke.clear();
    scratch.domains = domains;
    scratch.read(compiled, tool, prefix);
    verbs::collect(compiled, scratch, tool, candidates);
    verbs::resolve(compiled, scratch, tool, candidates);
    let mut scores = [0_u32; 4];
    count_verbs(candidates, spoke, &mut scores);
    for index in &compiled.evidence {
        if let Some((rule, hit)) = speaks(compiled, scratch, tool, *index)
            && let Some(category) = rule.category
        {
            scores[category as usize] = scores[category as usize].saturating_add(rule.weight);
            spoke.push(Spoke { rule: *index, says: Says::Category(category), weight: rule.weight, hit });
        }
    }
    // The worse of equals: doubt means no.
    let best = Category::ALL.iter().copied().max_by_key(|category| (scores[*category as usize], *category));
    let known = scores.iter().any(|points| *points > 0);
    let mut category = best.filter(|_| known).unwrap_or(Category::Execute);
    scratch.categories = category_bit(category);
    for index in &compiled.raises {
        if let Some((rule, hit)) = speaks(compiled, scratch, tool, *index)
            && let Some(to) = rule.category.filter(|to| *to > category)
        {
            category = to;
            let weight = scores.iter().max().copied().unwrap_or(0).max(rule.weight);
            scores[to as usize] = weight;
            spoke.push(Spoke { rule: *index, says: Says::Category(to), weight, hit });
        }
    }
    if !known {
        scratch.add_flag(Flag::Unclassified);
    }
    let plain_mark = spoke.len();
    let radius = flags_and_radius(compiled, scratch, tool, category, candidates, spoke);
    let plain = Class { category, blast_radius: radius.value };
    let (category, radius) = if options.ignore_annotations {
        (category, radius)
    } else {
        claims(compiled, scratch, tool, category, known, radius, options, candidates, spoke, plain_mark)
    };
    let verdict = verdict(compiled, scratch, tool, category, radius, &scores, known, spoke);
    Assessment { verdict, without_annotations: plain, scores }
}

/// Each group of verbs counts once, with the worst category among its verbs.
fn count_verbs(candidates: &[Candidate], spoke: &mut Vec<Spoke>, scores: &mut [u32; 4]) {
    for group in [Group::Name, Group::Description, Group::Title, Group::Values] {
        let of_group = candidates.iter().filter(|candidate| candidate.group == group && candidate.points > 0);
        let worst = of_group
            .filter_map(|c| Some((c.category?, c.points, c)))
            .max_by_key(|(category, points, candidate)| (*category, *points, std::cmp::Reverse(candidate.span.start)));
        if let Some((category, points, candidate)) = worst {
            scores[category as usize] = scores[category as usize].saturating_add(points);
            let hit = Hit { part: candidate.part, start: candidate.span.start, end: candidate.span.end };
            spoke.push(Spoke { rule: candidate.rule, says: Says::Category(category), weight: points, hit: Some(hit) });
        }
    }
}

fn speaks<'c>(
    compiled: &'c Compiled,
    scratch: &Scratch,
    tool: &ToolDefinition,
    index: u32,
) -> Option<(&'c Rule, Option<Hit>)> {
    if !scratch.is_awake(index) {
        return None;
    }
    let rule = compiled.rules.get(index as usize)?;
    let condition = scratch.holds(rule, tool)?;
    Some((rule, scratch.hit(condition)))
}

/// Whether a rule says anything of the blast radius itself, not only by its flags.
fn moves(compiled: &Compiled, index: u32) -> bool {
    let rule = compiled.rules.get(index as usize);
    rule.is_some_and(|rule| rule.at_least.is_some() || rule.at_most.is_some() || rule.step.is_some())
}

/// Whether what lowers holds for all that the tool may do in this category: for every value of an enum of actions, else
/// for every verb of the name or of the sentence.
fn lowers(at: usize, category: Category, candidates: &[Candidate]) -> bool {
    let acts = |group: Group| candidates.iter().filter(move |one| one.group == group && one.category == Some(category));
    let lowered = |one: &Candidate| one.lowered & (1 << at) != 0;
    if acts(Group::Values).next().is_some() {
        return acts(Group::Values).all(lowered);
    }
    let groups = [Group::Name, Group::Description, Group::Title];
    groups.into_iter().any(|group| acts(group).next().is_some() && acts(group).all(lowered))
}

fn flags_and_radius(
    compiled: &Compiled,
    scratch: &mut Scratch,
    tool: &ToolDefinition,
    category: Category,
    candidates: &[Candidate],
    spoke: &mut Vec<Spoke>,
) -> Radius {
    scratch.categories = category_bit(category);
    // Flags first, all from the same state, so that the order of rules cannot matter.
    let mut flags = scratch.flags;
    let (mut floor, mut floor_rule) = (BlastRadius::Low, None);
    // Evidence that knows what it saw says so itself, unless the tool turned out to be less than that.
    for one in spoke.iter().filter(|one| matches!(one.says, Says::Category(says) if says <= category)) {
        let Some(rule) = compiled.rules.get(one.rule as usize) else { continue };
        flags = rule.flags.iter().fold(flags, |bits, flag| bits | flag_bit(*flag));
        if let Some(at_least) = rule.at_least.filter(|at_least| *at_least > floor) {
            (floor, floor_rule) = (at_least, Some(one.rule));
        }
    }
    for index in &compiled.traits {
        let spoken = match compiled.lowering.iter().position(|known| known == index) {
            Some(at) if lowers(at, category, candidates) => {
                let hit = speaks(compiled, scratch, tool, *index).and_then(|(_, hit)| hit);
                compiled.rules.get(*index as usize).map(|rule| (rule, hit))
            }
            Some(_) => None,
            None => speaks(compiled, scratch, tool, *index),
        };
        if let Some((rule, hit)) = spoken {
            flags = rule.flags.iter().fold(flags, |bits, flag| bits | flag_bit(*flag));
            spoke.push(Spoke { rule: *index, says: Says::Flags, weight: 0, hit });
        }
    }
    scratch.flags = flags;
    let start = match category {
        Category::Read => BlastRadius::Low,
        Category::Write | Category::Execute => BlastRadius::Medium,
        Category::Delete => BlastRadius::High,
    };
    let mut radius = Radius { value: start, up: None, down: None, floor: floor_rule, ceiling: None };
    let mut ceiling = BlastRadius::Critical;
    for index in compiled.radius.iter().chain(compiled.traits.iter().filter(|index| moves(compiled, **index))) {
        let Some((rule, hit)) = speaks(compiled, scratch, tool, *index) else { continue };
        if rule.kind == RuleKind::Radius {
            spoke.push(Spoke { rule: *index, says: Says::Radius, weight: 0, hit });
        }
        match rule.step {
            Some(WireStep::Up) => radius.up = radius.up.or(Some(*index)),
            Some(WireStep::Down) => radius.down = radius.down.or(Some(*index)),
            None => {}
        }
        if let Some(at_least) = rule.at_least.filter(|at_least| *at_least > floor) {
            (floor, radius.floor) = (at_least, Some(*index));
        }
        if let Some(at_most) = rule.at_most.filter(|at_most| *at_most < ceiling) {
            (ceiling, radius.ceiling) = (at_most, Some(*index));
        }
    }
    // What lowers is the nature of the act, a floor is what can leak or be lost whatever the act, and many targets make
    // either worse: in this order.
    if radius.down.is_some() && radius.up.is_none() {
        radius.value = radius.value.lowered();
    }
    if radius.value <= ceiling {
        radius.ceiling = None;
    }
    radius.value = radius.value.min(ceiling);
    if radius.value >= floor {
        radius.floor = None;
    }
    radius.value = radius.value.max(floor);
    if radius.up.is_some() && radius.down.is_none() {
        radius.value = radius.value.raised();
        // All of a cache is still a cache.
        if radius.floor.is_none() && radius.value > ceiling {
            (radius.value, radius.up) = (ceiling, None);
        }
    }
    radius
}

/// What the server's annotations add. They raise; only those of a trusted server lower.
#[expect(clippy::too_many_arguments, reason = "the state of one judgement, handed on once")]
fn claims(
    compiled: &Compiled,
    scratch: &mut Scratch,
    tool: &ToolDefinition,
    category: Category,
    known: bool,
    radius: Radius,
    options: &Options,
    candidates: &[Candidate],
    spoke: &mut Vec<Spoke>,
    plain_mark: usize,
) -> (Category, Radius) {
    if tool.annotations.read_only.is_none()
        && tool.annotations.destructive.is_none()
        && tool.annotations.open_world.is_none()
    {
        return (category, radius);
    }
    let flags_before = scratch.flags;
    scratch.annotations(compiled, &tool.annotations);
    let mut raised = category;
    let mut first = Vec::new();
    for index in &compiled.claims {
        if let Some((rule, hit)) = speaks(compiled, scratch, tool, *index)
            && let Some(to) = rule.category.filter(|to| *to > raised)
        {
            raised = to;
            first.push(Spoke { rule: *index, says: Says::Category(to), weight: rule.weight, hit });
        }
    }
    let trusted =
        options.trust_annotations && tool.annotations.read_only == Some(true) && (known || category != Category::Read);
    if trusted {
        raised = Category::Read;
    }
    // What evidence carries counts again; what traits and radius rules said is asked anew.
    let mut again: Vec<Spoke> = spoke[..plain_mark].to_vec();
    let after = flags_and_radius(compiled, scratch, tool, raised, candidates, &mut again);
    if raised == category && after.value == radius.value && scratch.flags == flags_before {
        return (category, radius);
    }
    *spoke = again;
    spoke.append(&mut first);
    // Flags and radius without the claims stand as a minimum, unless the server is trusted.
    if !trusted {
        scratch.flags |= flags_before;
        if radius.value > after.value {
            return (raised, radius);
        }
    }
    (raised, after)
}

#[expect(clippy::too_many_arguments, reason = "the parts of a verdict, put together once")]
fn verdict(
    compiled: &Compiled,
    scratch: &Scratch,
    tool: &ToolDefinition,
    category: Category,
    radius: Radius,
    scores: &[u32; 4],
    known: bool,
    spoke: &mut [Spoke],
) -> Verdict {
    // Strongest first; among equals what speaks for the category, then by rule, so that the order is stable.
    spoke.sort_by_key(|one| {
        let agrees = one.says == Says::Category(category);
        (std::cmp::Reverse(one.weight), !agrees, matches!(one.says, Says::Radius), one.rule)
    });
    let flags: BTreeSet<Flag> = Flag::ALL.iter().copied().filter(|flag| scratch.flags & flag_bit(*flag) != 0).collect();
    let evidence = spoke.iter().take(EVIDENCE_MAX).map(|one| evidence(compiled, scratch, tool, one)).collect();
    Verdict {
        category,
        risk: RiskLevel::of(category, radius.value),
        blast_radius: radius.value,
        flags,
        confidence: confidence(compiled, category, scores, known),
        reason: reason::reason(compiled, scratch, tool, category, &radius, spoke),
        evidence,
        findings: Vec::new(),
    }
}

fn confidence(compiled: &Compiled, category: Category, scores: &[u32; 4], known: bool) -> Confidence {
    let own = scores[category as usize];
    let other = Category::ALL.iter().filter(|c| **c != category).map(|c| scores[*c as usize]).max().unwrap_or(0);
    let weights = &compiled.weights;
    let clear = u64::from(other) * 100 <= u64::from(own) * u64::from(weights.confidence_lead_percent);
    if !known || !clear || own < weights.confidence_medium {
        Confidence::Low
    } else if own >= weights.confidence_high {
        Confidence::High
    } else {
        Confidence::Medium
    }
}

fn evidence(compiled: &Compiled, scratch: &Scratch, tool: &ToolDefinition, one: &Spoke) -> Evidence {
    let rule = compiled.rules.get(one.rule as usize);
    let (source, quote) = quote(scratch, tool, one.hit);
    let says = match (one.says, rule) {
        (Says::Category(category), _) => category.as_str().to_owned(),
        (Says::Flags, Some(rule)) => {
            let flags: Vec<&str> = rule.flags.iter().map(|flag| flag.as_str()).collect();
            match (flags.is_empty(), radius_words(rule)) {
                (true, words) => words,
                (false, words) if words.is_empty() => format!("flag {}", flags.join(", ")),
                (false, words) => format!("flag {}, {words}", flags.join(", ")),
            }
        }
        (Says::Radius, Some(rule)) => radius_words(rule),
        (_, None) => String::new(),
    };
    let rule = rule.map_or_else(String::new, |rule| rule.id.to_string());
    Evidence { rule, source, quote, says, weight: one.weight }
}

fn radius_words(rule: &Rule) -> String {
    let mut words = Vec::new();
    words.extend(rule.at_least.map(|radius| format!("blast at least {radius}")));
    words.extend(rule.at_most.map(|radius| format!("blast at most {radius}")));
    match rule.step {
        Some(WireStep::Up) => words.push("blast one step up".to_owned()),
        Some(WireStep::Down) => words.push("blast one step down".to_owned()),
        None => {}
    }
    words.join(", ")
}

/// Source and verbatim text of a hit; the whole name, the sentence around a word, the value.
pub(super) fn quote(scratch: &Scratch, tool: &ToolDefinition, hit: Option<Hit>) -> (EvidenceSource, String) {
    let parameter = |index: u16| tool.parameters.get(usize::from(index));
    let short = |text: &str| cut(text, QUOTE_BYTES_MAX).to_owned();
    let Some(hit) = hit else { return (EvidenceSource::Schema, String::new()) };
    match hit.part {
        Part::Name => (EvidenceSource::Name, short(tool.name.as_str())),
        Part::Title => (EvidenceSource::Title, short(tool.title.as_deref().unwrap_or_default())),
        Part::Description => {
            let text = tool.description.as_deref().unwrap_or_default();
            (EvidenceSource::Description, sentence(scratch, text, hit).to_owned())
        }
        Part::Parameter(index) => {
            let (path, name) = parameter(index).map_or(("", ""), |p| (p.path.as_str(), p.name.as_str()));
            (EvidenceSource::Parameter(path.to_owned()), short(name))
        }
        Part::ParameterText(index) => {
            let found = parameter(index);
            let text = found.and_then(|p| p.description.as_deref()).unwrap_or_default();
            (EvidenceSource::Parameter(found.map_or_else(String::new, |p| p.path.clone())), short(text))
        }
        Part::Value(index, at) => {
            let found = parameter(index);
            let value = found.and_then(|p| p.values.get(usize::from(at))).map_or("", String::as_str);
            (EvidenceSource::Parameter(found.map_or_else(String::new, |p| p.path.clone())), short(value))
        }
        Part::Extension => {
            let first = tool.extensions.iter().next();
            let (key, value) = first.map_or(("", ""), |(key, value)| (key.as_str(), value.as_str()));
            (EvidenceSource::Extension(key.to_owned()), short(value))
        }
        Part::Annotation(hint) => {
            let value = hint.declared(&tool.annotations).unwrap_or_default();
            (EvidenceSource::Annotation(hint.as_str().to_owned()), value.to_string())
        }
    }
}

/// The sentence around a hit, or the part of a long one that holds it.
fn sentence<'t>(scratch: &Scratch, text: &'t str, hit: Hit) -> &'t str {
    let tokens = &scratch.text;
    let at = tokens.partition_point(|token| token.end <= hit.start);
    let range = scratch.sentences.iter().find(|range| range.contains(&at)).cloned().unwrap_or(at..at);
    let (Some(first), Some(last)) = (tokens.get(range.start), range.end.checked_sub(1).and_then(|end| tokens.get(end)))
    else {
        return cut(text, QUOTE_BYTES_MAX);
    };
    let (mut start, end) = (first.start as usize, last.end as usize);
    if hit.end as usize - start.min(hit.end as usize) > QUOTE_BYTES_MAX {
        start = (hit.start as usize).saturating_sub(QUOTE_BYTES_MAX / 4);
        while !text.is_char_boundary(start) {
            start += 1;
        }
    }
    cut(text.get(start..end).unwrap_or_default(), QUOTE_BYTES_MAX)
}
