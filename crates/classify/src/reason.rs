//! The verdict in one or two sentences, as a person would write them.

use super::compile::Compiled;
use super::judge::{Radius, Says, Spoke, quote};
use super::scan::{Part, Scratch};
use crate::model::{Category, EvidenceSource, ToolDefinition};
use std::fmt::Write as _;

/// Most of a quote that a reason repeats, in characters.
const REASON_QUOTE_CHARS_MAX: usize = 90;

pub(super) fn reason(
    compiled: &Compiled,
    scratch: &Scratch,
    tool: &ToolDefinition,
    category: Category,
    radius: &Radius,
    spoke: &[Spoke],
) -> String {
    let why = |index: u32| compiled.rules.get(index as usize).map_or("", |rule| &*rule.why);
    let mut out = String::with_capacity(256);
    let for_it = spoke.iter().filter(|one| one.says == Says::Category(category));
    // The description says more than the name: quote it where it agrees.
    let told = for_it.clone().find(|one| one.hit.is_some_and(|hit| hit.part == Part::Description) && one.weight > 0);
    let decided = for_it.clone().next();
    match decided {
        None => {
            let _ = write!(out, "{category}: nothing in the definition says what it does, and unknown is not harmless");
        }
        Some(decided) => {
            let shown = match (told, decided.hit.map(|hit| hit.part)) {
                (Some(told), Some(Part::Name | Part::Title)) => told,
                _ => decided,
            };
            let (source, text) = quote(scratch, tool, shown.hit);
            let text = crate::text::excerpt(text.trim(), REASON_QUOTE_CHARS_MAX);
            let _ = match source {
                EvidenceSource::Name => write!(out, "{category}: the name says “{text}”"),
                EvidenceSource::Title => write!(out, "{category}: the title says “{text}”"),
                EvidenceSource::Description => write!(out, "{category}: it says “{text}”"),
                EvidenceSource::Parameter(path) => {
                    write!(out, "{category}: the parameter `{}` has “{text}”", crate::text::escape(&path))
                }
                EvidenceSource::Annotation(key) => write!(out, "{category}: the server itself declares {key} {text}"),
                EvidenceSource::Extension(key) => {
                    write!(out, "{category}: the definition declares {} {text}", crate::text::escape(&key))
                }
                EvidenceSource::Schema | EvidenceSource::Override => write!(out, "{category}"),
            };
            let _ = write!(out, ", and {}", why(shown.rule));
        }
    }
    let _ = write!(out, ". Blast radius {}", radius.value);
    let moved = [
        (radius.up, "one step up, because"),
        (radius.down, "one step down, because"),
        (radius.ceiling, "no more, because"),
        (radius.floor, "no less, because"),
    ];
    let mut any = false;
    for (index, words) in moved {
        if let Some(index) = index {
            let _ = write!(out, "{} {words} {}", if any { "," } else { ":" }, why(index));
            any = true;
        }
    }
    if !any {
        let _ = write!(out, ", where {category} starts");
    }
    out.push('.');
    out
}
