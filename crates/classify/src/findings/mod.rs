//! What a person should look at beside the classes: contradictions, hidden text, traps, and dangerous company.
//!
//! Few and precise: a finding that cries wolf teaches people to skip them all. Every id is documented in [`KINDS`] and
//! in `docs/findings.md`. Everything here is linear in the size of the definitions and looks only at what a cheap
//! first pass lets through, because it runs on every tool of every scan.

mod annotations;
mod asks;
mod characters;
mod cues;
mod dispatch;
mod instructions;
mod kinds;
mod mentions;
mod same_name;
pub mod secrets;
pub mod source;
mod trifecta;

pub use characters::{Hidden, hidden};
pub use instructions::{TextCue, cues};
pub use kinds::{KINDS, Kind, find};

use super::Options;
use crate::model::{Classified, Extra, ExtraKind, Finding, Greeting, SetFinding, ToolDefinition, Verdict, texts};
use crate::text::excerpt;
use std::collections::BTreeSet;

/// Longest name of a prompt, resource or template inside a message, in characters.
const NAME_CHARS_MAX: usize = 80;

/// Fills the findings of every tool and of the server. The verdicts must be final; earlier findings are replaced.
pub fn attach(classified: &mut Classified, options: &Options) {
    for (tool, verdict) in classified.listing.tools.iter().zip(&mut classified.verdicts) {
        verdict.findings = of_tool(tool, verdict, options);
    }
    classified.findings = of_server(classified, options);
}

/// Findings about one tool, worst first.
pub fn of_tool(tool: &ToolDefinition, verdict: &Verdict, options: &Options) -> Vec<Finding> {
    let mut found = Vec::new();
    if !options.ignore_annotations {
        found.extend(annotations::contradiction(tool, verdict));
    }
    found.extend(annotations::claim(tool, verdict, options));
    let hides = characters::may_hide(tool.raw.get());
    found.extend(characters::of_tool(tool, hides));
    found.extend(instructions::of_tool(tool, hides));
    found.extend(dispatch::of_tool(tool));
    worst_first(&mut found);
    found
}

/// Findings about a server as a whole: what it says of itself, its prompts, resources and templates, its annotations
/// taken together, and where it comes from.
pub fn of_server(classified: &Classified, options: &Options) -> Vec<Finding> {
    let listing = &classified.listing;
    let mut found = source::of_source(&listing.source);
    if !options.ignore_annotations {
        found.extend(annotations::of_server(&listing.tools, &classified.verdicts));
    }
    if let Some(text) = &listing.instructions {
        found.extend(characters::of_instructions(text));
        found.extend(instructions::of_instructions(text));
    }
    if let Some(info) = &listing.server_info {
        for (what, text) in [
            ("the server's title", info.title.as_deref()),
            ("the server's name", Some(info.name.as_str())),
            ("the server's version", Some(info.version.as_str())),
        ] {
            found.extend(text.into_iter().flat_map(|text| of_text(what, text)));
        }
    }
    for said in listing.greeting.iter().flat_map(Greeting::said) {
        found.extend(of_text(&format!("the server's `{}`", excerpt(&said.to_string(), NAME_CHARS_MAX)), &said.text()));
    }
    if let Some(Ok(capabilities)) = listing.capabilities.as_ref().map(|raw| serde_json::from_str(raw.get())) {
        found.extend(of_text("the server's capabilities", &texts(&capabilities)));
    }
    for extra in listing.extras.listed() {
        found.extend(of_extra(extra));
    }
    found.extend(of_list(&listing.tools));
    worst_first(&mut found);
    found
}

/// Findings about single tools of a server that show only beside its others.
pub fn of_list(tools: &[ToolDefinition]) -> Vec<Finding> {
    same_name::declared_twice(tools)
}

/// Findings about the texts of a prompt, resource or template: what a tool's texts are looked at for, a prompt's
/// arguments included.
pub fn of_extra(extra: &Extra) -> Vec<Finding> {
    let what = format!("{} `{}`", extra.kind, excerpt(&extra.key, NAME_CHARS_MAX));
    let key = match extra.kind {
        ExtraKind::Prompt => extra.key.as_str(),
        // Letters of several scripts may well stand in one address.
        ExtraKind::Resource | ExtraKind::Template => "",
    };
    let hides = characters::may_hide(extra.raw.get());
    let mut found = characters::of_definition(key, extra.raw.get(), hides);
    found.extend(instructions::of_definition(key, extra.raw.get(), hides));
    about(&what, found)
}

/// Findings about a text that the server says of itself.
fn of_text(what: &str, text: &str) -> Vec<Finding> {
    let found = characters::of_instructions(text).into_iter().chain(instructions::of_instructions(text));
    about(what, found.collect())
}

/// Says in the message what findings are about that are about no tool.
fn about(what: &str, mut found: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut found {
        finding.tool.clear();
        finding.message = format!("{what}: {}", finding.message);
    }
    worst_first(&mut found);
    found
}

/// Findings that show only when several tools or servers are looked at together, worst first.
pub fn of_set(set: &[Classified]) -> Vec<SetFinding> {
    let mut found: Vec<_> = trifecta::of_set(set).into_iter().collect();
    found.extend(same_name::of_set(set));
    found.extend(mentions::of_set(set));
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    found
}

/// Takes away the findings whose ids the user has switched off.
pub fn without(classified: &mut Classified, disabled: &BTreeSet<String>) {
    if disabled.is_empty() {
        return;
    }
    for verdict in &mut classified.verdicts {
        verdict.findings.retain(|finding| !disabled.contains(&finding.id));
    }
    classified.findings.retain(|finding| !disabled.contains(&finding.id));
}

fn worst_first(found: &mut [Finding]) {
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
}

#[cfg(test)]
pub(crate) mod testing {
    //! Tools and servers for the tests beside the detectors.

    use crate::model::{
        BlastRadius, Category, Classified, Confidence, Flag, Listing, RiskLevel, ServerName, ServerSource,
        ToolDefinition, Verdict,
    };
    use serde_json::Value;
    use serde_json::value::RawValue;

    pub(crate) fn tool(value: &Value) -> ToolDefinition {
        let raw = RawValue::from_string(value.to_string()).unwrap_or_default();
        ToolDefinition::parse(&raw).unwrap_or_else(|problem| ToolDefinition {
            name: crate::model::ToolName::new(problem.to_string()),
            title: None,
            description: None,
            annotations: crate::model::Annotations::default(),
            parameters: Vec::new(),
            extensions: std::collections::BTreeMap::new(),
            raw,
        })
    }

    pub(crate) fn verdict(category: Category, radius: BlastRadius, flags: &[Flag]) -> Verdict {
        Verdict {
            category,
            risk: RiskLevel::of(category, radius),
            blast_radius: radius,
            flags: flags.iter().copied().collect(),
            confidence: Confidence::High,
            reason: String::new(),
            evidence: Vec::new(),
            findings: Vec::new(),
        }
    }

    pub(crate) fn server(name: &str, tools: Vec<(ToolDefinition, Verdict)>) -> Classified {
        let (tools, verdicts) = tools.into_iter().unzip();
        Classified {
            listing: Listing {
                server: ServerName::new(name),
                source: ServerSource::Sample,
                protocol_version: None,
                server_info: None,
                greeting: None,
                capabilities: None,
                client_capabilities: None,
                instructions: None,
                tools,
                unreadable: 0,
                extras: crate::model::Extras::not_recorded(),
                notes: Vec::new(),
            },
            verdicts,
            findings: Vec::new(),
        }
    }
}
