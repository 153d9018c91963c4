//! Questions and answers about a tool, at the end of its page.

use crate::model::{Confidence, Flag};
use crate::rule;
use crate::server::Tool;
use crate::survey::first_sentence;
use crate::text::excerpt;
use crate::words;
use maud::{Markup, html};

/// Longest name that is shown in a rule to copy, in bytes.
const HIDE_BYTES_MAX: usize = 120;

/// The questions that people ask of any tool. `name` is as it is shown, `server_slug` the name of the server's page.
pub(crate) fn questions(tool: &Tool<'_, '_>, name: &str, server_slug: &str) -> Markup {
    let verdict = tool.verdict;
    let description = tool.definition.description.as_deref().map(first_sentence).filter(|text| !text.is_empty());
    let review = tool.server.reviews.get(tool.definition.name.as_str());
    let sure = match verdict.confidence {
        Confidence::High => "",
        Confidence::Medium => " The rules are fairly sure of it.",
        Confidence::Low => " The rules are not sure of it.",
    };
    let json_name = serde_json::to_string(tool.definition.name.as_str()).unwrap_or_default();
    let json_name = crate::text::visible_json(&json_name).into_owned();
    let can_be_named = rule::document(tool).is_some();
    html! {
        section {
            h2 { "Questions and answers" }
            h3 { "What does " code { (name) } " do?" }
            p {
                @match description {
                    Some(text) => { "Its server says: " q { (excerpt(text, 240)) } @if !text.ends_with(['.', '!', '?']) { "." } " " },
                    None => "Its server does not say. ",
                }
                "By its definition it " (words::does(verdict.category)) "."
                @if verdict.flags.contains(&Flag::Unclassified) { " That is the cautious reading: nothing says what it does." }
            }
            h3 { "What risk level does it have?" }
            p { (capital(verdict.risk.as_str())) ". " (words::risk(verdict.category, verdict.blast_radius, verdict.risk)) (sure) }
            @if can_be_named {
                h3 { "How do I enforce a policy on it?" }
                p {
                    "Save the " a href="#rule" { "rule above" } " as policy.json and start the server through the gateway, "
                    code { "mcpol enforce --policy policy.json" } ", or let " code { "mcpol wrap" } " write that into the file of your client. "
                    @if let Some(review) = review { (rule::sentence(review)) }
                }
                h3 { "Can I rate-limit it?" }
                p { "Yes: give it " code { "\"rate_limit\": \"10/minute\"" } " below " code { "tools" } " in policy.json. What is beyond the limit is refused, and the agent is told when it may try again." }
                h3 { "How do I block it completely?" }
                p {
                    "Put its name into "
                    @if json_name.len() <= HIDE_BYTES_MAX { code { "\"hide\": [" (json_name) "]" } } @else { code { "hide" } ", whole" }
                    ". It then vanishes from the list that the agent sees, and calls of it are answered as if there were no such tool."
                }
            } @else {
                h3 { "How do I enforce a policy on it?" }
                p { "No rule can name it. Any policy whose default is " code { "deny" } " refuses it, and takes it out of the list that the agent sees." }
            }
            h3 { "Which server provides it?" }
            p {
                a href={ "../" (server_slug) ".html" } { (excerpt(tool.server.name(), 60)) }
                @if let Some(version) = tool.server.version() { ", recorded at version " (excerpt(version, 40)) }
                ", with " (words::count(tool.server.verdicts.len(), "tool")) " and the grade " (tool.server.grade.letter.as_str()) "."
            }
        }
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
