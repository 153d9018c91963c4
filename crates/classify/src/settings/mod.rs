//! `mcpol.toml`: what the people of a project know better than the rules, with their reasons.

mod date;
mod parse;

pub use date::Date;
pub use parse::{ENTRIES_MAX, GATEWAY_SECTIONS, LIST_SECTIONS, SETTINGS_BYTES_MAX};

use super::{Options, findings};
use crate::model::{
    BlastRadius, Category, Classified, Confidence, Evidence, EvidenceSource, Flag, RiskLevel, SetFinding, Verdict,
};
use crate::problem::{Place, Problem};
use crate::text::{escape, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// More than the rules together can give, so that an override stands first among the evidence.
const OVERRIDE_WEIGHT: u32 = 1000;

/// A checked settings file. The default is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The file, as the user named it.
    pub file: String,
    /// Verdicts that a person has corrected.
    pub overrides: Vec<Override>,
    /// Rules and findings that are switched off, by id.
    pub disabled: BTreeMap<String, Disable>,
}

/// One `[[override]]`: what is said replaces what the rules found; the rest stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The server, as scans call it.
    pub server: String,
    /// The tool, exactly as declared.
    pub tool: String,
    /// The category.
    pub category: Option<Category>,
    /// The blast radius.
    pub blast_radius: Option<BlastRadius>,
    /// The risk; without it, it follows from category and radius.
    pub risk: Option<RiskLevel>,
    /// All flags; they replace those of the rules.
    pub flags: Option<BTreeSet<Flag>>,
    /// Why.
    pub reason: String,
    /// The last day on which it applies.
    pub expires: Option<Date>,
    /// Where it stands in the file.
    pub place: Place,
}

/// One `[[disable]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disable {
    /// Why.
    pub reason: String,
    /// Where it stands in the file.
    pub place: Place,
}

/// Which overrides met their servers and tools so far; for the warnings at the end of a scan.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    servers: BTreeMap<String, BTreeSet<String>>,
    met: BTreeSet<usize>,
}

impl Settings {
    /// The overrides that apply on this day, as one text: equal texts make equal classes.
    pub fn in_force(&self, today: Date) -> String {
        let live = self.overrides.iter().filter(|entry| !entry.has_expired(today)).map(|entry| {
            let Override { server, tool, category, blast_radius, risk, flags, .. } = entry;
            format!("{server:?} {tool:?} {category:?} {blast_radius:?} {risk:?} {flags:?}")
        });
        live.collect::<Vec<_>>().join("\n")
    }

    /// Reads a settings file. `rules` are the ids of the rules that it may switch off; those of findings are known.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(file: &str, text: &str, rules: &BTreeSet<String>) -> Result<Self, Vec<Problem>> {
        parse::parse(file, text, rules)
    }

    /// A rule file that switches the disabled rules off, as the last layer; empty if there are none.
    pub fn rule_layer(&self) -> String {
        let rules = self.disabled.keys().filter(|id| findings::find(id).is_none());
        // Ids were found among those of rules, which hold nothing that TOML would need escaped.
        rules.map(|id| format!("[[disable]]\nid = \"{id}\"\nreason = \"{}\"\n", "mcpol.toml")).collect()
    }

    /// Applies overrides and switched-off findings to one server.
    pub fn apply(&self, today: Date, classified: &mut Classified, options: &Options, applied: &mut Applied) {
        let server = classified.listing.server.as_str().to_owned();
        let mut changed = false;
        for (index, entry) in self.overrides.iter().enumerate() {
            if entry.server != server {
                continue;
            }
            for (tool, verdict) in classified.listing.tools.iter().zip(&mut classified.verdicts) {
                if tool.name.as_str() == entry.tool {
                    applied.met.insert(index);
                    if !entry.has_expired(today) {
                        entry.change(verdict, &self.file);
                        changed = true;
                    }
                }
            }
        }
        if self.overrides.iter().any(|entry| entry.server == server) {
            let tools = classified.listing.tools.iter().map(|tool| tool.name.as_str().to_owned()).collect();
            applied.servers.insert(server, tools);
        } else {
            applied.servers.insert(server, BTreeSet::new());
        }
        if changed {
            // What contradicts an annotation may be another class now.
            findings::attach(classified, options);
        }
        findings::without(classified, &self.disabled_ids());
    }

    /// Takes switched-off findings out of those about the whole set.
    pub fn filter(&self, found: &mut Vec<SetFinding>) {
        found.retain(|finding| !self.disabled.contains_key(&finding.id));
    }

    /// What the settings say that did not happen: one sentence each, escaped, in the order of the file.
    pub fn warnings(&self, today: Date, applied: &Applied) -> Vec<String> {
        let mut warnings = Vec::new();
        for (index, entry) in self.overrides.iter().enumerate() {
            let at = format!("{}:{}", escape(&self.file), entry.place.line);
            let (server, tool) = (escape(&entry.server), escape(&entry.tool));
            if let Some(expires) = entry.expires.filter(|_| entry.has_expired(today)) {
                warnings.push(format!(
                    "{at}: the override of `{tool}` of `{server}` expired on {expires} and does not apply"
                ));
            } else if !applied.met.contains(&index) {
                warnings.push(match applied.servers.get(&entry.server) {
                    Some(tools) => {
                        let hint = nearest(&entry.tool, tools.iter().map(String::as_str));
                        format!("{at}: `{server}` has no tool `{tool}`{}", did_you_mean(hint))
                    }
                    None => {
                        let hint = nearest(&entry.server, applied.servers.keys().map(String::as_str));
                        format!("{at}: no server `{server}` was looked at{}", did_you_mean(hint))
                    }
                });
            }
        }
        warnings
    }

    fn disabled_ids(&self) -> BTreeSet<String> {
        self.disabled.keys().cloned().collect()
    }
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|name| format!("; did you mean `{}`?", escape(name))).unwrap_or_default()
}

impl Override {
    fn has_expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|expires| expires < today)
    }

    fn change(&self, verdict: &mut Verdict, file: &str) {
        let before = format!("{}, {} risk, blast radius {}", verdict.category, verdict.risk, verdict.blast_radius);
        verdict.category = self.category.unwrap_or(verdict.category);
        verdict.blast_radius = self.blast_radius.unwrap_or(verdict.blast_radius);
        verdict.risk = self.risk.unwrap_or_else(|| RiskLevel::of(verdict.category, verdict.blast_radius));
        if let Some(flags) = &self.flags {
            verdict.flags.clone_from(flags);
        }
        verdict.confidence = Confidence::High;
        verdict.reason = format!(
            "Overridden in {}: {}. The rules said {before}.",
            escape(file),
            escape(self.reason.trim_end_matches('.'))
        );
        let evidence = Evidence {
            rule: "override".to_owned(),
            source: EvidenceSource::Override,
            quote: self.reason.clone(),
            says: self.says(),
            weight: OVERRIDE_WEIGHT,
        };
        verdict.evidence.insert(0, evidence);
    }

    fn says(&self) -> String {
        let mut says = Vec::new();
        says.extend(self.category.map(|category| category.to_string()));
        says.extend(self.blast_radius.map(|radius| format!("blast {radius}")));
        says.extend(self.risk.map(|risk| format!("risk {risk}")));
        if let Some(flags) = &self.flags {
            let words: Vec<_> = flags.iter().map(|flag| flag.as_str()).collect();
            says.push(if words.is_empty() { "no flags".to_owned() } else { format!("flags {}", words.join(", ")) });
        }
        says.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::testing::{server, tool, verdict};
    use super::*;
    use serde_json::json;

    const TODAY: &str = "2026-11-23";

    fn settings(text: &str) -> Settings {
        Settings::parse("mcpol.toml", text, &BTreeSet::from(["a.rule".to_owned()])).unwrap_or_default()
    }

    fn scanned() -> Classified {
        let list = tool(&json!({"name": "wipe_cache", "annotations": {"readOnlyHint": true}}));
        server("s", vec![(list, verdict(Category::Delete, BlastRadius::High, &[Flag::Destructive]))])
    }

    fn applied(text: &str) -> (Classified, Vec<String>) {
        let (settings, mut classified, mut seen) = (settings(text), scanned(), Applied::default());
        assert!(!settings.overrides.is_empty() || !settings.disabled.is_empty(), "the settings were read: {text}");
        let today = Date::parse(TODAY);
        let warnings = today.map(|today| {
            findings::attach(&mut classified, &Options::default());
            settings.apply(today, &mut classified, &Options::default(), &mut seen);
            settings.warnings(today, &seen)
        });
        (classified, warnings.unwrap_or_default())
    }

    const OVERRIDE: &str =
        "[[override]]\nserver = \"s\"\ntool = \"wipe_cache\"\ncategory = \"Read\"\nreason = \"only counts.\"\n";

    #[test]
    fn an_override_wins_and_shows_as_evidence() {
        let (classified, warnings) = applied(OVERRIDE);
        let verdict = &classified.verdicts[0];
        assert_eq!(
            (verdict.category, verdict.risk, verdict.blast_radius),
            (Category::Read, RiskLevel::High, BlastRadius::High)
        );
        assert_eq!(
            verdict.reason,
            "Overridden in mcpol.toml: only counts. The rules said Delete, critical risk, blast radius high."
        );
        let first = &verdict.evidence[0];
        assert_eq!(
            (first.source.clone(), first.says.as_str(), first.quote.as_str()),
            (EvidenceSource::Override, "Read", "only counts.")
        );
        assert_eq!(warnings, [""; 0]);
        // Declared read-only, and now believed: nothing contradicts any more.
        assert_eq!(verdict.findings, []);
    }

    #[test]
    fn risk_and_flags_can_be_set_alone() {
        let text = "[[override]]\nserver = \"s\"\ntool = \"wipe_cache\"\nrisk = \"low\"\nflags = []\nreason = \"r\"\n";
        let verdict = applied(text).0.verdicts.remove(0);
        assert_eq!((verdict.category, verdict.risk, verdict.flags.len()), (Category::Delete, RiskLevel::Low, 0));
        assert_eq!(verdict.evidence[0].says, "risk low, no flags");
    }

    #[test]
    fn an_override_applies_through_its_last_day() {
        let (classified, warnings) = applied(&format!("{OVERRIDE}expires = {TODAY}\n"));
        assert_eq!((classified.verdicts[0].category, warnings.len()), (Category::Read, 0));
        let (classified, warnings) = applied(&format!("{OVERRIDE}expires = 2026-11-22\n"));
        assert_eq!(classified.verdicts[0].category, Category::Delete);
        assert_eq!(
            warnings,
            ["mcpol.toml:1: the override of `wipe_cache` of `s` expired on 2026-11-22 and does not apply"]
        );
    }

    #[test]
    fn an_override_that_meets_nothing_is_said() {
        let (_, warnings) = applied(&OVERRIDE.replace("wipe_cache", "wipe_cash"));
        assert_eq!(warnings, ["mcpol.toml:1: `s` has no tool `wipe_cash`; did you mean `wipe_cache`?"]);
        let (_, warnings) = applied(&OVERRIDE.replace("\"s\"", "\"other\""));
        assert_eq!(warnings, ["mcpol.toml:1: no server `other` was looked at"]);
    }

    #[test]
    fn findings_and_rules_can_be_switched_off() {
        let (kept, _) = applied("[[disable]]\nid = \"a.rule\"\nreason = \"r\"\n");
        assert_eq!(kept.verdicts[0].findings[0].id, "annotation-contradicts");
        let text = "[[disable]]\nid = \"annotation-contradicts\"\nreason = \"r\"\n[[disable]]\nid = \"a.rule\"\nreason = \"r\"\n";
        assert_eq!(applied(text).0.verdicts[0].findings, []);
        assert_eq!(settings(text).rule_layer(), "[[disable]]\nid = \"a.rule\"\nreason = \"mcpol.toml\"\n");
    }
}
