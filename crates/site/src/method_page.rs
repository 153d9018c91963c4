//! The page about the method: classes, flags, findings, grades, and how often the rules are wrong.

use crate::grade::{LEAST, RULE};
use crate::layout::{Head, page, severity_badge, table};
use crate::model::{BlastRadius, Category, Flag};
use crate::words;
use maud::html;
use mcpol_classify::findings::KINDS;

/// What `mcpol rules eval` measured, as `docs/rules.md` says it; a test holds the two together.
pub(crate) const MEASURED: [[&str; 5]; 3] = [
    ["first set, 114 servers, all read (`--folds`)", "99.0 %", "93.7 %", "0 of 1,391", "3"],
    ["second set, 67 servers, all read (`--folds`)", "98.0 %", "91.1 %", "0 of 796", "2"],
    ["46 other servers", "96.0 %", "85.2 %", "3 of 447", "3"],
];

/// The page.
pub(crate) fn method_page() -> String {
    let body = html! {
        h1 { "How this catalogue judges" }
        p.lead { "Every verdict rests on the tool's own definition: name, title, description, input schema. Rules in published files decide, no language model does, and the same definition gives the same verdict everywhere." }
        section id="classes" {
            h2 { "Category: what a call does at worst" }
            (table("Categories", &["category", "a tool of it", "risk by nature"], &html! {
                @for category in Category::ALL { tr { th scope="row" { (category.as_str()) } td.wide { (words::does(*category)) } td { (category.nature().as_str()) } } }
            }))
            h2 { "Blast radius: what one wrong call costs" }
            (table("Blast radius", &["radius", "one wrong call"], &html! {
                @for radius in BlastRadius::ALL { tr { th scope="row" { (radius.as_str()) } td.wide { (words::costs(*radius)) } } }
            }))
            h2 { "Risk" }
            p { "The worse of what the category is by nature and the blast radius. Risk says how strict the default must be; radius says what to look at first. A tool that pauses a timer has a high risk, because it acts at once, and a low radius, because that is undone at once." }
            h2 { "Flags: what else is true" }
            (table("Flags", &["flag", "means"], &html! {
                @for flag in Flag::ALL { tr { th scope="row" { (flag.as_str().replace('_', " ")) } td.wide { (words::flag(*flag)) } } }
            }))
        }
        section id="errors" {
            h2 { "How often the rules are wrong" }
            p { "Measured against tools that people labelled one by one, annotations withheld, with " code { "mcpol rules eval" } ". The last row is the honest one: no rule was written from its servers." }
            (table("Measured", &["measured on", "category admitted", "radius", "runs or deletes, called Read", "passed the policy though Delete or critical"], &html! {
                @for [set, category, radius, harmless, passed] in MEASURED {
                    tr { th scope="row" { (set.replace('`', "")) } td { (category) } td { (radius) } td { (harmless) } td { (passed) } }
                }
            }))
            p { "So of a hundred tools from servers that the rules have not seen about four have the wrong category, and about fifteen the wrong radius. What a tool really does no definition can prove: a server may lie. That is why annotations lower nothing, and why a changed definition is a finding." }
        }
        section id="grade" {
            h2 { "The grade of a server" }
            p { "From A to F, for honesty and openness. Never for capability: a server that can delete is not worse for it; one that hides it is. Every server begins with 100 points." }
            (table("The rule", &["what costs points", "how many"], &html! {
                @for (what, points) in RULE { tr { td.wide { (what) } td { (points) } } }
            }))
            p { @for (letter, least) in LEAST { (letter.as_str()) " from " (least) ", " } "F below." }
        }
        section id="findings" {
            h2 { "Findings" }
            dl.kinds {
                @for kind in KINDS {
                    dt id=(kind.id) { code { (kind.id) } " " (severity_badge(kind.severity)) " " (kind.title) }
                    dd { (kind.meaning) " " em { (kind.advice) } }
                }
            }
        }
    };
    let head = Head {
        title: "How this catalogue judges",
        about: "Classes, flags, findings and grades: what they mean, by which rules they are given, and how often those are wrong.",
        up: "",
        data: None,
        scripts: &[],
        above: &[],
    };
    page(&head, &body)
}
