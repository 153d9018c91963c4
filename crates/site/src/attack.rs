//! The known ways to be hurt, as data: one TOML file each below `attacks/`.

use crate::model::{Category, EvidenceSource, Flag, Verdict};
use serde::Deserialize;
use std::sync::LazyLock;

macro_rules! files {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../attacks/", $name, ".toml")))),+] };
}

/// Every file, by the name that the page has, in the order in which they are listed.
const FILES: &[(&str, &str)] = files![
    "tool-poisoning",
    "rug-pull",
    "tool-shadowing",
    "indirect-injection",
    "toxic-flow",
    "runaway-loop",
    "name-squatting",
    "broad-credentials",
    "argument-smuggling",
    "self-approval",
    "sandbox-widening",
    "secret-in-configuration",
    "unasked-deletion",
    "command-injection",
    "local-exposure",
];

static ATTACKS: LazyLock<Vec<Attack>> = LazyLock::new(|| {
    // A test holds that every file is valid.
    FILES.iter().filter_map(|(id, text)| Some(Attack { id, ..toml::from_str(text).ok()? })).collect()
});

/// One known way to be hurt.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attack {
    /// The name of its page.
    #[serde(skip)]
    pub id: &'static str,
    pub title: String,
    /// What it is, in one or two sentences.
    pub summary: String,
    /// How it works, step by step.
    pub steps: Vec<String>,
    /// Ids of the findings that show it.
    #[serde(default)]
    pub findings: Vec<String>,
    /// What of mcpol meets it, a sentence each.
    pub meets: Vec<String>,
    /// A command line that shows it, or what meets it, on the sample server; none where nothing of it can be seen there.
    pub command: Option<String>,
    /// What that command shows.
    pub shows: Option<String>,
    /// Which tools give what it needs.
    #[serde(default)]
    pub access: Vec<Access>,
    /// What happened.
    pub incident: Vec<Incident>,
}

/// A kind of access that an attack needs: a tool has it if each list that is not empty names something of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// What it does for the attack, after `because it `.
    pub why: String,
    #[serde(default)]
    pub categories: Vec<Category>,
    #[serde(default)]
    pub flags: Vec<Flag>,
    #[serde(default)]
    pub findings: Vec<String>,
}

/// Something that happened, or was shown to work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Incident {
    /// The day, the month or the year, as `2025-04-01`.
    pub date: String,
    /// What, in our words.
    pub what: String,
    /// Who published it.
    pub publisher: String,
    /// Where.
    pub source: String,
}

/// Whether nothing but the server's own annotations gave a tool this flag.
pub(crate) fn is_claimed(verdict: &Verdict, flag: Flag) -> bool {
    let says = format!("flag {flag}");
    let mut said = verdict.evidence.iter().filter(|evidence| evidence.says == says).peekable();
    said.peek().is_some() && said.all(|evidence| matches!(evidence.source, EvidenceSource::Annotation(_)))
}

impl Attack {
    /// Every attack, in the order in which they are listed.
    pub fn all() -> &'static [Self] {
        &ATTACKS
    }

    /// What of a tool gives this attack what it needs; the first that fits.
    pub fn access(&self, verdict: &Verdict) -> Option<&str> {
        let fits = |access: &&Access| {
            let finding = |id: &String| verdict.findings.iter().any(|finding| finding.id == *id);
            (access.categories.is_empty() || access.categories.contains(&verdict.category))
                && (access.flags.is_empty()
                    || access.flags.iter().any(|flag| verdict.flags.contains(flag) && !is_claimed(verdict, *flag)))
                && (access.findings.is_empty() || access.findings.iter().any(finding))
        };
        self.access.iter().find(fits).map(|access| access.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]
    use super::*;
    use mcpol_classify::findings;

    #[test]
    fn every_attack_is_whole_and_names_what_exists() {
        for (id, text) in FILES {
            let attack: Attack = toml::from_str(text).unwrap_or_else(|error| panic!("{id}: {error}"));
            assert!(attack.steps.len() >= 3, "{id}: steps");
            assert!(!attack.incident.is_empty() && !attack.meets.is_empty(), "{id}: incidents, or what meets it");
            for finding in attack.findings.iter().chain(attack.access.iter().flat_map(|it| &it.findings)) {
                assert!(findings::find(finding).is_some(), "{id}: {finding}");
            }
            for access in &attack.access {
                let empty = access.categories.is_empty() && access.flags.is_empty() && access.findings.is_empty();
                assert!(!empty, "{id}: an access that every tool gives");
                assert!(!access.why.ends_with('.'), "{id}: goes on in a sentence");
            }
            for incident in &attack.incident {
                assert!(incident.source.starts_with("https://"), "{id}: {}", incident.source);
                let form = matches!(incident.date.len(), 4 | 7 | 10);
                assert!(form && incident.date.starts_with("202"), "{id}: {}", incident.date);
                assert!(incident.what.ends_with('.'), "{id}: {}", incident.what);
            }
            assert_eq!(attack.command.is_some(), attack.shows.is_some(), "{id}: a command, and what it shows");
            assert!(attack.command.iter().all(|command| command.starts_with("mcpol ")), "{id}: {:?}", attack.command);
        }
        assert_eq!(Attack::all().len(), FILES.len());
        assert_eq!(Attack::all().first().unwrap().id, "tool-poisoning");
    }
}
