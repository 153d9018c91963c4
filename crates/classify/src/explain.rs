//! What decided a verdict, what came second, and what would change it.

use super::{Assessment, Class, Options, RuleSet, assess};
use crate::model::{Category, Evidence, Flag, Listing};

/// A verdict with the words for what would change it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The verdict and its points.
    pub assessment: Assessment,
    /// The strongest piece of evidence for the category; none where nothing is known.
    pub decided_by: Option<Evidence>,
    /// The category with the second most points, if it has any.
    pub runner_up: Option<(Category, u32)>,
    /// Sentences: what would change the verdict.
    pub changes: Vec<String>,
}

/// Explains the verdict of the tool at `index`; `None` where the listing has no such tool.
pub fn explain(rules: &RuleSet, listing: &Listing, index: usize, options: &Options) -> Option<Explanation> {
    let assessment = assess(rules, listing, options).into_iter().nth(index)?;
    let verdict = &assessment.verdict;
    let says = verdict.category.as_str();
    let decided_by = verdict.evidence.iter().find(|evidence| evidence.says == says && evidence.weight > 0).cloned();
    let others = Category::ALL.iter().filter(|category| **category != verdict.category);
    let runner_up = others
        .map(|category| (*category, assessment.scores[*category as usize]))
        .filter(|(_, points)| *points > 0)
        .max_by_key(|(category, points)| (*points, *category));
    let changes = changes(&assessment, decided_by.as_ref(), runner_up);
    Some(Explanation { assessment, decided_by, runner_up, changes })
}

fn changes(assessment: &Assessment, decided_by: Option<&Evidence>, runner_up: Option<(Category, u32)>) -> Vec<String> {
    let verdict = &assessment.verdict;
    let mut out = Vec::new();
    if verdict.flags.contains(&Flag::Unclassified) {
        out.push("A description that says what it does would give the rules something to judge.".to_owned());
    }
    let own = assessment.scores[verdict.category as usize];
    if let (Some(decided), Some((other, points))) = (decided_by, runner_up) {
        let without = own.saturating_sub(decided.weight);
        if points > without {
            out.push(format!(
                "Without `{}` ({} of its {own} points) it would be {other}, which has {points}.",
                decided.rule, decided.weight
            ));
        } else {
            out.push(format!("{other} comes second with {points} points against {own}."));
        }
    } else if let Some(decided) = decided_by {
        out.push(format!("Nothing speaks for another category; `{}` decides with {own} points.", decided.rule));
    }
    for evidence in verdict.evidence.iter().filter(|evidence| evidence.says.contains("blast")) {
        out.push(format!(
            "Without `{}` the blast radius would not have \u{201c}{}\u{201d}.",
            evidence.rule, evidence.says
        ));
    }
    let plain = assessment.without_annotations;
    if (plain != Class { category: verdict.category, blast_radius: verdict.blast_radius }) {
        out.push(format!("Without the server's annotations it would be {} {}.", plain.category, plain.blast_radius));
    }
    out
}
