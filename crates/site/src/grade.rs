//! A server's grade: how honestly and how openly it says what its tools do. Never how much they can do.

use crate::model::{Annotations, Category, Classified, ExtraKind, Finding, Flag, Offered, Severity, Verdict};
use serde::Serialize;
use std::collections::BTreeSet;

/// What a server without a fault has.
const POINTS_MAX: u32 = 100;
/// The least points of A, B, C and D; what is below is F.
pub(crate) const LEAST: [(Letter, u32); 4] = [(Letter::A, 90), (Letter::B, 75), (Letter::C, 60), (Letter::D, 40)];

/// From A, which has nothing to hide, to F.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Letter {
    /// Honest, described and pinned.
    A,
    /// Small gaps.
    B,
    /// Gaps that a careful reader stumbles over.
    C,
    /// Much is left unsaid, or something is said wrong.
    D,
    /// Says what is not so, speaks to the model behind people's backs, or says next to nothing.
    F,
}

impl Letter {
    /// Every grade, best first.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::F];

    /// The letter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::F => "F",
        }
    }

    fn of(points: u32) -> Self {
        LEAST.iter().find(|(_, least)| points >= *least).map_or(Self::F, |(letter, _)| *letter)
    }
}

/// One reason for fewer points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deduction {
    /// Points that it costs.
    pub points: u32,
    /// What is wrong: a sentence of ours.
    pub because: String,
    /// What the server's authors can do about it.
    pub remedy: &'static str,
}

/// A grade and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grade {
    /// The grade.
    pub letter: Letter,
    /// Points of 100.
    pub points: u32,
    /// What cost points, the most expensive first.
    pub deductions: Vec<Deduction>,
}

/// The published rule, line by line: what costs points, and how many.
pub(crate) const RULE: [(&str, &str); 11] = [
    ("It lists no tool", "61: the grade is F"),
    (
        "A text gives the model orders behind the user's back, hides characters or imitates another name (error)",
        "61: the grade is F",
    ),
    ("An annotation contradicts what the tool does (error)", "15 for the first tool, 5 for each other, at most 40"),
    (
        "A tool is declared read-only that changes something (warning)",
        "8 for the first tool, 4 for each other, at most 40",
    ),
    ("A name is declared twice with different definitions", "10"),
    ("All tools carry the same annotations although they differ", "15"),
    ("Tools without annotations", "up to 15, by their share"),
    ("Tools without a description", "up to 25, by their share"),
    ("Tools whose definitions do not say what they do (unclassified)", "up to 25, by their share"),
    ("Parameters without a description", "up to 10, by their share"),
    (
        "The recorded command pins no version, an address is not encrypted, a kind of thing is declared and not listed",
        "10, 25 and 5",
    ),
];

/// Findings about texts after which nothing else counts.
const GRAVE: [&str; 3] = ["hidden-characters", "instructs-model", "lookalike-name"];

/// Grades a server. `verdicts` are in the order of its tools, with all findings of each.
pub(crate) fn grade(classified: &Classified, verdicts: &[Verdict]) -> Grade {
    let listing = &classified.listing;
    let mut found = Vec::new();
    let mut cost = |points: u32, because: String, remedy: &'static str| {
        if points > 0 {
            found.push(Deduction { points, because, remedy });
        }
    };
    let of_tools = || verdicts.iter().flat_map(|verdict| &verdict.findings);
    let all = || of_tools().chain(&classified.findings);
    let is = |finding: &Finding, id: &str, severity: Severity| finding.id == id && finding.severity == severity;
    let grave: BTreeSet<&str> = all()
        .filter(|it| it.severity == Severity::Error && GRAVE.contains(&it.id.as_str()))
        .map(|it| it.id.as_str())
        .collect();
    if !grave.is_empty() {
        let kinds = grave.into_iter().collect::<Vec<_>>().join(", ");
        cost(
            POINTS_MAX - LEAST[3].1 + 1,
            format!("A text of the server speaks to the model, hides or imitates ({kinds})."),
            "Take out of the texts whatever is not about the tool's own job.",
        );
    }
    let count = |id: &str, severity: Severity| {
        u32::try_from(all().filter(|finding| is(finding, id, severity)).count()).unwrap_or(u32::MAX)
    };
    let wrong = count("annotation-contradicts", Severity::Error);
    if wrong > 0 {
        let points = (15_u32.saturating_add(5_u32.saturating_mul(wrong - 1))).min(40);
        cost(
            points,
            sentence(
                wrong,
                "tool declares what its definition contradicts",
                "tools declare what their definitions contradict",
            ),
            "Correct the annotations (`mcpol annotate --apply --correct`).",
        );
    }
    let slight = count("annotation-contradicts", Severity::Warning);
    if slight > 0 {
        cost(
            8_u32.saturating_add(4_u32.saturating_mul(slight - 1)).min(40),
            sentence(
                slight,
                "tool claims to read only and changes something",
                "tools claim to read only and change something",
            ),
            "Correct the annotations (`mcpol annotate --apply --correct`).",
        );
    }
    if of_tools().any(|finding| finding.id == "declared-twice") {
        cost(
            10,
            "A tool's name is declared twice with different definitions.".to_owned(),
            "Give each tool a name of its own.",
        );
    }
    if all().any(|finding| finding.id == "annotations-uniform") {
        cost(
            15,
            "Every tool carries the same annotations although the tools differ.".to_owned(),
            "Fill the annotations in tool by tool (`mcpol annotate`).",
        );
    }
    let tools = listing.tools.len();
    if tools == 0 {
        cost(
            POINTS_MAX - LEAST[3].1 + 1,
            "It lists no tool, so there is nothing to judge.".to_owned(),
            "List the tools to clients that are not logged in as well.",
        );
    }
    let bare = listing.tools.iter().filter(|tool| says_nothing(&tool.annotations)).count();
    cost(
        share(15, bare, tools),
        of_all(bare, tools, "tools carry no annotation that says whether they read, write or destroy"),
        "Declare readOnlyHint, and destructiveHint where something changes.",
    );
    let mute = listing
        .tools
        .iter()
        .filter(|tool| tool.description.as_deref().is_none_or(|text| text.trim().is_empty()))
        .count();
    cost(
        share(25, mute, tools),
        of_all(mute, tools, "tools have no description"),
        "Describe what each tool does, in a sentence that begins with a verb.",
    );
    let unknown = verdicts.iter().filter(|verdict| verdict.flags.contains(&Flag::Unclassified)).count();
    cost(
        share(25, unknown, tools),
        of_all(unknown, tools, "tools do not say what they do"),
        "Describe what each tool does, in a sentence that begins with a verb.",
    );
    let parameters = || listing.tools.iter().flat_map(|tool| &tool.parameters);
    let undescribed =
        parameters().filter(|it| it.description.as_deref().is_none_or(|text| text.trim().is_empty())).count();
    cost(
        share(10, undescribed, parameters().count()),
        of_all(undescribed, parameters().count(), "parameters have no description"),
        "Describe the parameters.",
    );
    if all().any(|finding| finding.id == "unpinned-package") {
        cost(
            10,
            "The command runs whatever version is newest that day.".to_owned(),
            "Name one version of the package in what you tell people to run.",
        );
    }
    if all().any(|it| it.id == "plain-http") {
        cost(25, "The server is reached over unencrypted HTTP.".to_owned(), "Serve it over https.");
    }
    let refused: Vec<_> =
        ExtraKind::ALL.into_iter().filter(|kind| matches!(listing.extras.of(*kind), Offered::Refused)).collect();
    if let Some(kind) = refused.first() {
        cost(
            5,
            format!("The server declares that it has {kind}s and does not list them."),
            "Answer the request that lists them.",
        );
    }
    found.sort_by(|a, b| b.points.cmp(&a.points).then_with(|| a.because.cmp(&b.because)));
    let points = POINTS_MAX.saturating_sub(found.iter().map(|it| it.points).sum());
    Grade { letter: Letter::of(points), points, deductions: found }
}

/// Whether an annotation says nothing of what the tool does.
fn says_nothing(annotations: &Annotations) -> bool {
    annotations.read_only.is_none() && annotations.destructive.is_none()
}

/// A share of the points, rounded up.
fn share(points: u32, part: usize, whole: usize) -> u32 {
    let part = part.saturating_mul(points as usize);
    if whole == 0 { 0 } else { u32::try_from(part.div_ceil(whole)).unwrap_or(points).min(points) }
}

fn of_all(part: usize, whole: usize, what: &str) -> String {
    if part == whole { format!("All of the {whole} {what}.") } else { format!("{part} of the {whole} {what}.") }
}

fn sentence(number: u32, one: &str, several: &str) -> String {
    if number == 1 { format!("1 {one}.") } else { format!("{number} {several}.") }
}

/// Whether a category changes or destroys data, for the sentence at the top of a server's page.
pub(crate) const fn changes(category: Category) -> bool {
    match category {
        Category::Read => false,
        Category::Write | Category::Execute | Category::Delete => true,
    }
}
