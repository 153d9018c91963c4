//! What classes, flags and findings mean, in the words of the pages.

use crate::model::{BlastRadius, Category, Confidence, Evidence, EvidenceSource, Flag, RiskLevel, Severity};

/// What a tool of this category does, after `it `.
pub(crate) const fn does(category: Category) -> &'static str {
    match category {
        Category::Read => "gets, lists, searches or computes, and changes nothing",
        Category::Write => "creates or changes stored data, settings or messages",
        Category::Execute => "runs or steers something, or commits an act whose effect is decided elsewhere",
        Category::Delete => "removes something, or loses state, so that an ordinary edit cannot bring it back",
    }
}

/// What agents call tools of this category for.
pub(crate) const fn used_for(category: Category) -> &'static str {
    match category {
        Category::Read => {
            "Agents call tools that read to gather what they need before they answer or act, often several in a row."
        }
        Category::Write => "Agents call tools that write to put down what they were asked to record, change or send.",
        Category::Execute => {
            "Agents call tools that execute to make something happen at once: to start, stop or steer what runs, or to \
             commit an act."
        }
        Category::Delete => {
            "Agents call tools that delete to tidy up, to undo or to replace, often as one step of a longer task."
        }
    }
}

/// A heading for a server's tools of this category.
pub(crate) const fn group(category: Category) -> &'static str {
    match category {
        Category::Read => "Tools that read",
        Category::Write => "Tools that write",
        Category::Execute => "Tools that execute",
        Category::Delete => "Tools that delete",
    }
}

/// Why tools of this category need a rule, for a server's page.
pub(crate) const fn group_needs(category: Category) -> &'static str {
    match category {
        Category::Read => {
            "They change nothing. What needs a rule is what they return: secrets, private data, and texts from strangers \
             that may hold orders for the agent."
        }
        Category::Write => {
            "What they change can, as a rule, be changed back as long as one knows that it was changed. A limit keeps a loop from \
             changing a thousand records before a person looks."
        }
        Category::Execute => {
            "Their effect is, as a rule, not in a record that could be put back. Few \
             calls a minute, or a person who is asked, is what they deserve."
        }
        Category::Delete => {
            "What they remove does not, as a rule, come back by an ordinary edit. Agents seldom need them, so the recommended policy takes them out of the list that \
             an agent sees, or holds them to arguments that remove nothing."
        }
    }
}

/// What one wrong call costs, after `one wrong call `.
pub(crate) const fn costs(radius: BlastRadius) -> &'static str {
    match radius {
        BlastRadius::Low => "costs next to nothing, or is undone at once",
        BlastRadius::Medium => "touches one record, one private read or one operation",
        BlastRadius::High => {
            "can reach secrets, permissions, free-form queries or a destination that the caller chooses"
        }
        BlastRadius::Critical => "can cost everything at once: a shell, money, or many targets with no way back",
    }
}

/// How sure the rules are.
pub(crate) const fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "High: strong evidence that agrees.",
        Confidence::Medium => "Medium: one good piece of evidence.",
        Confidence::Low => {
            "Low: hardly any evidence, or evidence that disagrees. Read the definition before you rely on it."
        }
    }
}

/// The word for a confidence.
pub(crate) const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

/// The word for a severity.
pub(crate) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What a flag says of a tool: a whole sentence.
pub(crate) const fn flag(flag: Flag) -> &'static str {
    match flag {
        Flag::Bulk => "One call can reach many targets.",
        Flag::CodeExecution => "It takes code, a script or a command from its caller.",
        Flag::Credential => "It returns, stores, replaces or takes a secret.",
        Flag::Destructive => "What was there before can be lost.",
        Flag::Egress => "Content leaves for a destination that the caller chooses.",
        Flag::Ephemeral => "It touches only what does not last: a cache, a filter, a tab, a session.",
        Flag::Filesystem => "It reads or writes files where the server runs.",
        Flag::Financial => "It moves or commits money.",
        Flag::Irreversible => "Its own text says that it cannot, or may not, be undone.",
        Flag::Metered => "Each call may cost money.",
        Flag::OpenWorld => "It reaches places outside of one closed system.",
        Flag::Physical => "It moves something in the physical world.",
        Flag::PrivateData => "It returns or holds data that is plainly private.",
        Flag::Privilege => "It changes who may do what.",
        Flag::Reversible => "The act can be undone by its nature.",
        Flag::Unclassified => "Nothing in the definition says what it does, and unknown is not harmless.",
        Flag::UntrustedContent => {
            "It returns text that third parties may have written: what they wrote speaks to the agent."
        }
    }
}

/// What one wrong call of a tool of this category costs, after `one wrong call `.
pub(crate) const fn costs_of(category: Category, radius: BlastRadius) -> &'static str {
    match (category, radius) {
        (Category::Read, BlastRadius::Low) => "gives away nothing that is plainly worth protecting",
        (Category::Read, BlastRadius::Medium) => {
            "gives away something private, or reaches a place that the caller chooses"
        }
        (Category::Read, BlastRadius::High) => "gives away secrets, or whatever a free-form query asks for",
        (Category::Delete, BlastRadius::Medium | BlastRadius::High) => {
            "removes something that does not simply come back"
        }
        (_, BlastRadius::Low) => costs(radius),
        (_, BlastRadius::Medium) => "touches one record or one operation",
        (_, BlastRadius::High) => "can do harm beyond one record, or harm that is hard to put right",
        (_, BlastRadius::Critical) => "can do harm that is large, or that cannot be put right",
    }
}

/// Why the risk is what it is: a whole sentence.
pub(crate) fn risk(category: Category, radius: BlastRadius, risk: RiskLevel) -> String {
    let nature = category.nature();
    if risk == nature {
        format!(
            "{category} tools have a {nature} risk by nature, and the blast radius, {radius}, is no worse than that."
        )
    } else if risk == RiskLevel::of(category, radius) {
        format!("{category} tools have a {nature} risk by nature; the {radius} blast radius makes it {risk}.")
    } else {
        format!("{category} tools have a {nature} risk by nature; here the risk was set to {risk}.")
    }
}

/// `1 tool`, `2 tools`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", thousands(number)) }
}

/// A number with commas between its thousands.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Where a piece of evidence stands, before its quote: `The name says`, or `the name says` where it does not begin.
pub(crate) fn stands(evidence: &Evidence, begins: bool) -> String {
    let named = |name: &str| crate::text::excerpt(name, 60);
    let (what, rest) = match &evidence.source {
        EvidenceSource::Name => ("he name says", String::new()),
        EvidenceSource::Title => ("he title says", String::new()),
        EvidenceSource::Description => ("he description says", String::new()),
        EvidenceSource::Parameter(path) => ("he parameter", format!(" {} has", named(path))),
        EvidenceSource::Schema => ("he input schema as a whole has", String::new()),
        EvidenceSource::Annotation(key) => ("he server itself declares", format!(" {}:", named(key))),
        EvidenceSource::Extension(key) => ("he definition's member", format!(" {} says", named(key))),
        EvidenceSource::Override => ("he user decided:", String::new()),
    };
    format!("{}{what}{rest}", if begins { 'T' } else { 't' })
}

/// What a piece of evidence speaks for, in words: `flag egress` becomes `egress`.
pub(crate) fn speaks_for(says: &str) -> String {
    match says.strip_prefix("flag ") {
        Some(flag) => format!("flag {}", flag.replace('_', " ")),
        None => says.replace("blast", "blast radius"),
    }
}

/// The category that a piece of evidence speaks for, if it is one.
pub(crate) fn category_of(says: &str) -> Option<Category> {
    Category::ALL.iter().copied().find(|category| category.as_str() == says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_risks_are_told_as_they_are() {
        assert_eq!(
            (thousands(0), thousands(999), thousands(1000), thousands(1_234_567)),
            ("0".into(), "999".into(), "1,000".into(), "1,234,567".into())
        );
        let told = risk(Category::Execute, BlastRadius::Low, RiskLevel::High);
        assert_eq!(told, "Execute tools have a high risk by nature, and the blast radius, low, is no worse than that.");
        let told = risk(Category::Read, BlastRadius::High, RiskLevel::High);
        assert_eq!(told, "Read tools have a low risk by nature; the high blast radius makes it high.");
    }
}
