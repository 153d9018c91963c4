//! Rules against labels: anyone's labelled tools, scored. Pure.

use crate::hints::{Hint, advise};
use crate::model::{BlastRadius, Category, Classified, Flag};
use crate::problem::{Place, Problem};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Longest line of a file of labels, in bytes.
pub const LABEL_BYTES_MAX: usize = 64 * 1024;

/// Servers are parted by their names into this many folds: what is written from one is measured on the others.
pub const FOLDS: u32 = 3;

/// The fold that a server belongs to: its name alone decides (FNV-1a, 32 bits), so that it is the same everywhere.
pub fn fold(server: &str) -> u32 {
    let hash = server.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % FOLDS
}

/// What a person says about one tool: one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// Server that the tool belongs to, as the listing calls it.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// The category.
    pub category: Category,
    /// Other categories that a careful person could defend.
    #[serde(default)]
    pub also: Vec<Category>,
    /// Accepted blast radii; empty accepts any.
    #[serde(default)]
    pub blast: Vec<BlastRadius>,
    /// Flags that hold.
    #[serde(default)]
    pub flags: BTreeSet<Flag>,
    /// The labeller's note.
    #[serde(default)]
    pub why: String,
}

/// How well one class or flag is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Score {
    /// Said and true.
    pub hits: usize,
    /// Said and not true.
    pub false_alarms: usize,
    /// True and not said.
    pub overlooked: usize,
    /// Of what was said, how much is true; 1 where nothing was said.
    pub precision: f64,
    /// Of what is true, how much was said; 1 where nothing is.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

/// How well one hint of `mcpol annotate` agrees with the labels that decide it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct HintScore {
    /// Said as the label has it.
    pub right: usize,
    /// Said otherwise.
    pub wrong: usize,
    /// Not said, though the label decides it.
    pub silent: usize,
}

impl Label {
    /// What the label makes of a hint; nothing where it does not decide, as of `idempotentHint` never.
    pub fn decides(&self, hint: Hint) -> Option<bool> {
        let any = |flags: &[Flag]| flags.iter().any(|flag| self.flags.contains(flag));
        let all = |wanted: fn(Category) -> bool| wanted(self.category) && self.also.iter().copied().all(wanted);
        let reads = all(|category| category == Category::Read);
        let acts = all(|category| category != Category::Read);
        match hint {
            Hint::ReadOnly if reads || acts => Some(reads),
            Hint::Destructive if reads => Some(false),
            Hint::Destructive if !acts => None,
            Hint::Destructive if any(&[Flag::Destructive, Flag::Irreversible, Flag::CodeExecution]) => Some(true),
            Hint::Destructive if all(|category| category == Category::Delete) => {
                Some(!any(&[Flag::Reversible, Flag::Ephemeral]))
            }
            Hint::Destructive if all(|category| category != Category::Delete) => Some(false),
            Hint::OpenWorld => Some(any(&[Flag::Egress, Flag::OpenWorld, Flag::UntrustedContent])),
            Hint::ReadOnly | Hint::Destructive | Hint::Idempotent => None,
        }
    }
}

/// A label and a verdict that differ.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Miss {
    /// Server.
    pub server: String,
    /// Tool.
    pub tool: String,
    /// The label's category and accepted radii.
    pub label: String,
    /// The verdict's category and radius.
    pub verdict: String,
    /// The verdict's reason.
    pub reason: String,
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Labels that a tool was found for.
    pub labels: usize,
    /// Labels without a tool: server and tool.
    pub missing: Vec<(String, String)>,
    /// Verdicts with exactly the label's category.
    pub exact: usize,
    /// Those, and the ones that the label admits.
    pub admitted: usize,
    /// Labels that admit no other category, and how many verdicts on them are exact.
    pub alone: usize,
    /// See `alone`.
    pub alone_exact: usize,
    /// Verdicts whose radius the label accepts.
    pub radius_right: usize,
    /// Label (row) by verdict (column), both in the order of [`Category::ALL`].
    pub confusion: [[usize; 4]; 4],
    /// Per category.
    #[schemars(with = "BTreeMap<String, Score>")]
    pub categories: BTreeMap<Category, Score>,
    /// Per flag.
    #[schemars(with = "BTreeMap<String, Score>")]
    pub flags: BTreeMap<Flag, Score>,
    /// Per hint that labels decide: what `mcpol annotate` would say. It rests on verdicts without annotations.
    #[schemars(with = "BTreeMap<String, HintScore>")]
    pub hints: BTreeMap<Hint, HintScore>,
    /// Hints that the label contradicts.
    pub hint_misses: Vec<Miss>,
    /// Labelled Delete or Execute, judged Read, and the label does not admit Read: must be empty.
    pub read_but_worse: Vec<Miss>,
    /// Labelled Delete, or critical and nothing less, and the recommended policy lets it pass: must be empty.
    pub passed: Vec<Miss>,
    /// Category not exact.
    pub category_misses: Vec<Miss>,
    /// Radius not accepted.
    pub radius_misses: Vec<Miss>,
}

/// Reads labels, one JSON object a line; empty lines are skipped.
///
/// # Errors
/// Every line that is not a label.
pub fn parse_labels(file: &str, text: &str) -> Result<Vec<Label>, Vec<Problem>> {
    let mut labels = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut problem = |column: usize, message: String| {
            let place = Some(Place { line: number + 1, column });
            problems.push(Problem { file: file.to_owned(), place, pointer: String::new(), message, help: None });
        };
        if line.trim().is_empty() {
            continue;
        }
        if line.len() > LABEL_BYTES_MAX {
            problem(1, format!("a label of more than {LABEL_BYTES_MAX} bytes"));
            continue;
        }
        match serde_json::from_str(line) {
            Ok(label) => labels.push(label),
            Err(error) => problem(error.column().max(1), error.to_string()),
        }
    }
    if problems.is_empty() { Ok(labels) } else { Err(problems) }
}

/// Compares labels with verdicts. A tool that a server lists twice is judged by its worst verdict. `passes` holds the
/// servers and tools that the recommended policy neither hides, holds for a person nor refuses.
pub fn evaluate(labels: &[Label], classified: &[Classified], passes: &BTreeSet<(String, String)>) -> Report {
    let mut found = BTreeMap::new();
    for one in classified {
        for (tool, verdict) in one.listing.tools.iter().zip(&one.verdicts) {
            let known = found.entry((one.listing.server.as_str(), tool.name.as_str())).or_insert((tool, verdict));
            if (verdict.category, verdict.blast_radius) > (known.1.category, known.1.blast_radius) {
                *known = (tool, verdict);
            }
        }
    }
    let mut report = Report::default();
    let mut flags: BTreeMap<Flag, (usize, usize, usize)> = BTreeMap::new();
    for label in labels {
        let Some((tool, verdict)) = found.get(&(label.server.as_str(), label.tool.as_str())) else {
            report.missing.push((label.server.clone(), label.tool.clone()));
            continue;
        };
        let miss = || Miss {
            server: label.server.clone(),
            tool: label.tool.clone(),
            label: words(label.category, &label.blast),
            verdict: words(verdict.category, &[verdict.blast_radius]),
            reason: verdict.reason.clone(),
        };
        report.labels += 1;
        report.confusion[label.category as usize][verdict.category as usize] += 1;
        let exact = label.category == verdict.category;
        let admitted = exact || label.also.contains(&verdict.category);
        report.exact += usize::from(exact);
        report.admitted += usize::from(admitted);
        report.alone += usize::from(label.also.is_empty());
        report.alone_exact += usize::from(label.also.is_empty() && exact);
        let grave = label.category == Category::Delete || label.blast == [BlastRadius::Critical];
        if grave && passes.contains(&(label.server.clone(), label.tool.clone())) {
            report.passed.push(miss());
        }
        if !exact {
            report.category_misses.push(miss());
        }
        if verdict.category == Category::Read && !admitted && label.category >= Category::Execute {
            report.read_but_worse.push(miss());
        }
        if label.blast.is_empty() || label.blast.contains(&verdict.blast_radius) {
            report.radius_right += 1;
        } else {
            report.radius_misses.push(miss());
        }
        for advice in advise(tool, verdict).hints {
            let Some(expected) = label.decides(advice.hint) else { continue };
            let score = report.hints.entry(advice.hint).or_default();
            match advice.deserved {
                None => score.silent += 1,
                Some(said) if said == expected => score.right += 1,
                Some(said) => {
                    score.wrong += 1;
                    report.hint_misses.push(Miss {
                        label: format!("{} {expected}", advice.hint.as_str()),
                        verdict: said.to_string(),
                        reason: advice.because,
                        ..miss()
                    });
                }
            }
        }
        for flag in Flag::ALL {
            let counts = flags.entry(*flag).or_default();
            match (verdict.flags.contains(flag), label.flags.contains(flag)) {
                (true, true) => counts.0 += 1,
                (true, false) => counts.1 += 1,
                (false, true) => counts.2 += 1,
                (false, false) => {}
            }
        }
    }
    for category in Category::ALL {
        let at = *category as usize;
        let hits = report.confusion[at][at];
        let said: usize = report.confusion.iter().map(|row| row[at]).sum();
        let is: usize = report.confusion[at].iter().sum();
        report.categories.insert(*category, score(hits, said - hits, is - hits));
    }
    report.flags =
        flags.into_iter().map(|(flag, (hits, alarms, missed))| (flag, score(hits, alarms, missed))).collect();
    report
}

fn words(category: Category, radii: &[BlastRadius]) -> String {
    let radii: Vec<&str> = radii.iter().map(|radius| radius.as_str()).collect();
    format!("{category} {}", radii.join(" or "))
}

fn score(hits: usize, false_alarms: usize, overlooked: usize) -> Score {
    let share = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    let precision = share(hits, hits + false_alarms);
    let recall = share(hits, hits + overlooked);
    let f1 = share(2 * hits, 2 * hits + false_alarms + overlooked);
    Score { hits, false_alarms, overlooked, precision, recall, f1 }
}

impl Report {
    /// The figures without the single misses.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_summary(&mut out);
        out
    }

    fn write_summary(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        let percent = |part: usize| if self.labels == 0 { 0.0 } else { 100.0 * part as f64 / self.labels as f64 };
        writeln!(f, "{} labelled tools, {} without a tool", self.labels, self.missing.len())?;
        writeln!(f, "category exact     {:>6.1} %  ({} of {})", percent(self.exact), self.exact, self.labels)?;
        let alone = if self.alone == 0 { 0.0 } else { 100.0 * self.alone_exact as f64 / self.alone as f64 };
        writeln!(f, "  where one is right {:>4.1} %  ({} of {})", alone, self.alone_exact, self.alone)?;
        writeln!(f, "category admitted  {:>6.1} %", percent(self.admitted))?;
        writeln!(f, "blast radius       {:>6.1} %", percent(self.radius_right))?;
        writeln!(f, "Delete or Execute judged Read: {}", self.read_but_worse.len())?;
        writeln!(f, "Delete or critical that a recommended policy allows: {}", self.passed.len())?;
        if !self.hints.is_empty() {
            writeln!(f, "\n{:<18}{:>10}{:>8}{:>8}", "hints, where said", "right", "wrong", "silent")?;
        }
        for (hint, HintScore { right, wrong, silent }) in &self.hints {
            let share = if right + wrong == 0 { 100.0 } else { 100.0 * *right as f64 / (right + wrong) as f64 };
            writeln!(f, "{:<18}{share:>8.1} %{wrong:>8}{silent:>8}", hint.as_str())?;
        }
        writeln!(f, "\nlabel \\ verdict {}", Category::ALL.iter().map(|c| format!("{c:>8}")).collect::<String>())?;
        for category in Category::ALL {
            let row = self.confusion[*category as usize];
            writeln!(f, "{category:<15} {}", row.iter().map(|count| format!("{count:>8}")).collect::<String>())?;
        }
        writeln!(f, "\n{:<18}{:>10}{:>8}{:>6}{:>8}", "", "precision", "recall", "F1", "labels")?;
        let categories = self.categories.iter().map(|(category, score)| (category.as_str(), score));
        let flags = self.flags.iter().map(|(flag, score)| (flag.as_str(), score));
        for (name, score) in categories.chain(flags) {
            writeln!(
                f,
                "{name:<18}{:>10.2}{:>8.2}{:>6.2}{:>8}",
                score.precision,
                score.recall,
                score.f1,
                score.hits + score.overlooked
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_summary(f)?;
        for (title, misses) in [
            ("judged Read, labelled worse", &self.read_but_worse),
            ("allowed, labelled Delete or critical", &self.passed),
            ("category differs", &self.category_misses),
            ("blast radius differs", &self.radius_misses),
            ("hint differs", &self.hint_misses),
        ] {
            if !misses.is_empty() {
                writeln!(f, "\n{title}")?;
            }
            for miss in misses {
                let names = format!("{} {}", crate::text::escape(&miss.server), crate::text::escape(&miss.tool));
                writeln!(f, "  {names}: {}, judged {}", miss.label, miss.verdict)?;
                writeln!(f, "      {}", crate::text::escape(&miss.reason))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_decide_hints_where_every_category_that_they_admit_agrees() {
        use Category::{Delete, Execute, Read, Write};
        use Flag::{CodeExecution, Destructive, Egress, Reversible};
        for (category, also, flags, read_only, destructive, open_world) in [
            (Read, &[][..], &[][..], Some(true), Some(false), false),
            (Read, &[Write], &[], None, None, false),
            (Write, &[Execute], &[Egress], Some(false), Some(false), true),
            (Write, &[], &[Destructive], Some(false), Some(true), false),
            (Write, &[Delete], &[], Some(false), None, false),
            (Execute, &[], &[CodeExecution], Some(false), Some(true), false),
            (Delete, &[], &[], Some(false), Some(true), false),
            (Delete, &[], &[Reversible], Some(false), Some(false), false),
        ] {
            let label = Label {
                server: "s".to_owned(),
                tool: "t".to_owned(),
                category,
                also: also.to_vec(),
                blast: Vec::new(),
                flags: flags.iter().copied().collect(),
                why: String::new(),
            };
            let decided = Hint::ALL.map(|hint| label.decides(hint));
            assert_eq!(decided, [read_only, destructive, None, Some(open_world)], "{label:?}");
        }
    }
}
