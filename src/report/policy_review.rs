//! What a generated policy says about each tool, resource and prompt and why: on the screen, where what is alike stands
//! together and the riskiest comes first, and in Markdown because JSON has no comments.

use super::markdown::cell;
use super::words::{count, rounded, wrap};
use crate::model::{Category, ExtraKind, RiskLevel};
use crate::policy::{Left, Merge, OfferReview, OfferRuling, Recommendation, Review, Ruling, Unlisted};
use crate::text::{escape, excerpt};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Names of harmless things that are shown of one group; the others are only counted.
const HARMLESS_SHOWN_MAX: usize = 12;
/// Longest name on the screen, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Most lines of one group.
const GROUP_LINES_MAX: usize = 200;

/// A generated policy of one server, as far as people are told about it.
#[derive(Clone, Copy)]
pub struct PolicyReview<'p> {
    /// What the server is called here.
    pub server: &'p str,
    /// What was recommended and why.
    pub new: &'p Recommendation,
    /// What became of the owner's policy, if there was one.
    pub merge: Option<&'p Merge>,
    /// What a client still sees of the tools.
    pub left: Left,
    /// What the server says that it offers, and does not list.
    pub unlisted: &'p [ExtraKind],
}

/// What the tools of one group on the screen have in common. Ordered: what is riskiest first.
type Alike = (Reverse<RiskLevel>, Reverse<Ruling>, String, Category, String);

/// For the screen: what is alike stands together, with lines that sum it up.
pub fn policy_review(review: &PolicyReview<'_>, columns: usize) -> String {
    let mut groups: BTreeMap<Alike, BTreeSet<&str>> = BTreeMap::new();
    for line in &review.new.review {
        let alike = (Reverse(line.risk), Reverse(line.ruling), review.rule(line), line.category, review.why(line));
        groups.entry(alike).or_default().insert(&line.tool);
    }
    let mut out = String::new();
    for ((Reverse(risk), Reverse(ruling), rule, category, why), names) in &groups {
        let head = format!("{rule}: {} ({category}, {risk} risk): {why}", count(names.len(), "tool"));
        group(&mut out, &head, names.iter().copied(), *ruling == Ruling::Allow, columns);
    }
    let mut offers: BTreeMap<(ExtraKind, bool, String, String), BTreeSet<String>> = BTreeMap::new();
    for line in &review.new.offers {
        let harmless = matches!(line.ruling, OfferRuling::Allow(_));
        let alike = (line.name.kind, harmless, offer_rule(line).to_owned(), review.offer_why(line));
        offers.entry(alike).or_default().insert(offer_name(line));
    }
    for ((kind, harmless, rule, why), names) in &offers {
        let head = format!("{rule}: {}: {why}", count(names.len(), kind.as_str()));
        group(&mut out, &head, names.iter().map(String::as_str), *harmless, columns);
    }
    out.push('\n');
    let sum = [format!("{}: {}", escape(review.server), review.summary()), left_in_words(review.left)];
    for text in sum.into_iter().chain(review.notes()) {
        for line in wrap(&text, columns, GROUP_LINES_MAX) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// A sentence about things that are alike, and their names.
fn group<'n>(
    out: &mut String,
    head: &str,
    names: impl ExactSizeIterator<Item = &'n str>,
    harmless: bool,
    columns: usize,
) {
    let shown = if harmless { HARMLESS_SHOWN_MAX } else { usize::MAX };
    let more = names.len().saturating_sub(shown);
    let mut list: Vec<String> = names.take(shown).map(|name| excerpt(name, NAME_CHARS_MAX)).collect();
    if more > 0 {
        list.push(format!("and {more} more"));
    }
    for (indent, text) in [(0, escape(head).into_owned()), (4, list.join(", "))] {
        for line in wrap(&text, columns.saturating_sub(indent), GROUP_LINES_MAX) {
            let _ = writeln!(out, "{:indent$}{line}", "");
        }
    }
}

/// A Markdown page with a line each.
pub fn policy_notes(review: &PolicyReview<'_>) -> String {
    let (summary, left) = (review.summary(), left_in_words(review.left));
    let mut out = format!("# Policy for {}\n\n{summary}; {left}.\n", cell(review.server));
    for note in review.notes() {
        let _ = writeln!(out, "\n- {}", cell(&note));
    }
    out.push_str("\n| Tool | Class | Risk | Blast radius | Rule | Why |\n|---|---|---|---|---|---|\n");
    for line in &review.new.review {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&line.tool),
            line.category,
            line.risk,
            line.blast_radius,
            review.rule(line),
            cell(&review.why(line))
        );
    }
    if !review.new.offers.is_empty() {
        out.push_str("\n| Beside tools | Name | Rule | Why |\n|---|---|---|---|\n");
    }
    for line in &review.new.offers {
        let why = cell(&review.offer_why(line));
        let _ = writeln!(out, "| {} | {} | {} | {why} |", line.name.kind, cell(&offer_name(line)), offer_rule(line));
    }
    out
}

impl PolicyReview<'_> {
    fn is_kept(&self, line: &Review) -> bool {
        self.merge.is_some_and(|merge| merge.kept.contains(&line.tool))
    }

    fn default(&self) -> Unlisted {
        self.merge.map_or(Unlisted::Deny, |merge| merge.document.default)
    }

    fn rule(&self, line: &Review) -> String {
        if self.is_kept(line) {
            return "yours, kept".to_owned();
        }
        let mut text = match line.ruling {
            Ruling::Allow => "allow".to_owned(),
            Ruling::Limit(max) => format!("{max} a minute"),
            Ruling::Approve(max) => format!("approval, {max} a minute"),
            Ruling::Refuse => "refuse".to_owned(),
            Ruling::LeaveOut => "not listed".to_owned(),
            Ruling::Hide => "hide".to_owned(),
        };
        if let Some(narrowed) = &line.narrowed {
            let _ = write!(text, ", some values of {}", escape(&narrowed.path));
        }
        if line.validated {
            text.push_str(", schema");
        }
        text
    }

    /// The reason, and for a tool that is not listed what the default makes of it.
    fn why(&self, line: &Review) -> String {
        match (line.ruling, self.default()) {
            (Ruling::LeaveOut, default) if !self.is_kept(line) => format!("{}; {}", line.why, by_default(default)),
            _ => line.why.clone(),
        }
    }

    fn offer_why(&self, line: &OfferReview) -> String {
        match line.ruling {
            OfferRuling::LeaveOut => {
                // Beside an owner's list of what is allowed the default says nothing any more.
                let written = self.merge.map(|merge| &merge.document).unwrap_or(&self.new.document);
                let offers = if line.name.kind == ExtraKind::Prompt { &written.prompts } else { &written.resources };
                let is_listed = matches!(offers, Some(crate::policy::Offers::Some(lists)) if lists.allow.is_some());
                let default = if is_listed { Unlisted::Deny } else { self.default() };
                format!("{}; {}", line.why, by_default(default))
            }
            OfferRuling::Allow(_) | OfferRuling::Hide | OfferRuling::Kept => line.why.clone(),
        }
    }

    fn summary(&self) -> String {
        let of = |wanted: fn(Ruling) -> bool| self.new.review.iter().filter(|line| wanted(line.ruling)).count();
        let tools = [
            (of(|ruling| matches!(ruling, Ruling::Allow)), "allowed"),
            (of(|ruling| matches!(ruling, Ruling::Limit(_))), "limited"),
            (of(|ruling| matches!(ruling, Ruling::Approve(_))), "with approval"),
            (of(|ruling| matches!(ruling, Ruling::Refuse)), "refused"),
            (of(|ruling| matches!(ruling, Ruling::Hide)), "hidden"),
            (of(|ruling| matches!(ruling, Ruling::LeaveOut)), "not listed"),
        ];
        let mut out = in_parts(count(self.new.review.len(), "tool"), &tools);
        for kind in ExtraKind::ALL {
            let of_kind = self.new.offers.iter().filter(|line| line.name.kind == kind);
            let (mut allowed, mut hidden, mut out_of, mut kept) = (0, 0, 0, 0);
            for line in of_kind {
                match line.ruling {
                    OfferRuling::Allow(_) => allowed += 1,
                    OfferRuling::Hide => hidden += 1,
                    OfferRuling::LeaveOut => out_of += 1,
                    OfferRuling::Kept => kept += 1,
                }
            }
            let parts = [(allowed, "allowed"), (kept, "yours"), (hidden, "hidden"), (out_of, "left out")];
            let all = allowed + hidden + out_of + kept;
            if all > 0 {
                out = format!("{out}; {}", in_parts(count(all, kind.as_str()), &parts));
            }
        }
        out
    }

    /// What else there is to know: one line each.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(merge) = self.merge {
            notes.push(format!(
                "merged: {} added, {} kept as they were, {} no longer on the server",
                merge.added.len(),
                merge.kept.len(),
                merge.vanished.len()
            ));
            let gone = merge.vanished.iter();
            notes.extend(gone.map(|name| {
                format!("note: the server no longer has `{}`; its rules stay in the policy", escape(name))
            }));
        }
        notes.extend(self.unlisted.iter().map(|kind| {
            format!("note: the server has {kind}s and does not list them; {}", by_default(self.default()))
        }));
        notes
    }
}

fn by_default(default: Unlisted) -> &'static str {
    match default {
        Unlisted::Deny => "the default refuses it",
        Unlisted::Allow => "WARNING: your default allows it",
    }
}

fn offer_rule(line: &OfferReview) -> &'static str {
    match line.ruling {
        OfferRuling::Allow(_) => "allow",
        OfferRuling::Hide => "hide",
        OfferRuling::LeaveOut => "left out",
        OfferRuling::Kept => "yours, kept",
    }
}

/// The name, and for a template the entry that allows it.
fn offer_name(line: &OfferReview) -> String {
    match (line.name.kind, &line.ruling) {
        (ExtraKind::Template, OfferRuling::Allow(entry)) => format!("{} as {entry}", line.name.key),
        _ => line.name.key.clone(),
    }
}

fn in_parts(all: String, parts: &[(usize, &str)]) -> String {
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if parts.is_empty() { all } else { format!("{all}: {}", parts.join(", ")) }
}

/// `this policy leaves 31 of 118 tools, about 9,400 of 61,000 tokens`
fn left_in_words(left: Left) -> String {
    let Left { tools, of_tools, tokens, of_tokens } = left;
    let (noun, tokens, of_tokens) = (if of_tools == 1 { "tool" } else { "tools" }, rounded(tokens), rounded(of_tokens));
    format!("this policy leaves {tools} of {of_tools} {noun}, about {tokens} of {of_tokens} tokens")
}
