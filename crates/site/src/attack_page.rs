//! The pages about the known ways to be hurt.

use crate::attack::{Attack, Incident};
use crate::layout::{Head, block, page};
use crate::survey::{Survey, Victims};
use crate::tool_page::elsewhere;
use crate::words;
use maud::{Markup, html};
use mcpol_classify::findings;

/// The list of all attacks.
pub(crate) fn attacks_page(victims: &[Victims<'_>]) -> String {
    let body = html! {
        h1 { "How agents with MCP tools are attacked" }
        p.lead { "Each page says how an attack works, what is known to have happened, what meets it, and which tools of this catalogue give it what it needs." }
        ul.attacks {
            @for (at, attack) in Attack::all().iter().enumerate() {
                @let count = victims.get(at).map_or(0, |(count, _)| *count);
                li {
                    a href={ "attacks/" (attack.id) ".html" } { (attack.title) }
                    ": " (attack.summary)
                    @if count > 0 { " " span.rule { (words::count(count, "tool")) " here give it what it needs" } }
                }
            }
        }
    };
    let head = Head {
        title: "Attacks on agents with MCP tools",
        about: "How agents with MCP tools are attacked: the ways that are documented, with sources, and what meets them.",
        up: "",
        data: None,
        scripts: &[],
        above: &[],
    };
    page(&head, &body)
}

/// The page of one attack, with how many tools give it what it needs, and some of them.
pub(crate) fn attack_page(survey: &Survey, attack: &Attack, (count, some): &Victims<'_>) -> String {
    let count = *count;
    let data = format!("{}.json", attack.id);
    let body = html! {
        h1 { (attack.title) }
        p.lead { (attack.summary) }
        section {
            h2 { "How it works" }
            ol { @for step in &attack.steps { li { (step) } } }
        }
        section {
            h2 { "What happened" }
            ul { @for incident in &attack.incident { (what_happened(incident)) } }
        }
        section {
            h2 { "What meets it" }
            ul { @for sentence in &attack.meets { li { (sentence) } } }
            @if !attack.findings.is_empty() {
                p { "Findings that show it: "
                    @for (at, kind) in attack.findings.iter().filter_map(|id| findings::find(id)).enumerate() {
                        @if at > 0 { ", " }
                        a href={ "../method.html#" (kind.id) } { (kind.id) } " (" (kind.title) ")"
                    }
                    "."
                }
            }
            @if let (Some(command), Some(shows)) = (&attack.command, &attack.shows) {
                h3 { "On the sample server" }
                (block("The command", command))
                p { (shows) }
            }
        }
        section {
            h2 { "Tools of this catalogue that give it what it needs" }
            @if attack.access.is_empty() { p { "It needs no tool of a certain kind: any server and any tool will do." } }
            @else if some.is_empty() { p { "None of those recorded here." } }
            @else {
                p {
                    (words::count(count, "tool")) ". Having such access is no fault of a tool: it is what makes it useful, and what a rule should bound."
                    @if some.len() < count { " Some of the riskiest, at most three of one server:" }
                }
                ul.tools { @for tool in some { (elsewhere(survey, tool, "../servers/")) } }
            }
        }
    };
    let head = Head {
        title: &attack.title,
        about: &attack.summary,
        up: "../",
        data: Some(&data),
        scripts: &[],
        above: &[("Attacks", "../attacks.html".to_owned())],
    };
    page(&head, &body)
}

fn what_happened(incident: &Incident) -> Markup {
    html! {
        li {
            time datetime=(incident.date) { (incident.date) }
            ": " (incident.what) " Source: "
            a href=(incident.source) rel="noreferrer" { (incident.publisher) }
            "."
        }
    }
}
