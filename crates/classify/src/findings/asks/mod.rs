//! Texts that ask the assistant for more than the tool's own job.
//!
//! Words do not generalise, roles do. Every sentence of a definition is read for what its parts do (`roles`): who is
//! addressed, which act is asked for, what is wanted, where it goes, when, on whose word, and what is kept from the user;
//! and for how it stands to the tool's own job. Roles that stand together count for or against a request (`weights`), as
//! learned from poisoned and honest definitions; the sentence with the most points decides, and is quoted.

mod decoded;
mod gate;
mod lexicon;
mod normal;
mod reading;
mod role_sets;
mod roles;
mod shape;
mod weights;

use crate::model::Severity;
use gate::GATE;
use lexicon::LEXICON;
use reading::Sentence;
use roles::Role;
use serde_json::Value;
use weights::POINTS;

/// Roles named in a message.
const ROLES_MAX: usize = 4;

/// A request that is not the tool's own job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub severity: Severity,
    /// What the sentence does, in a few words.
    pub what: String,
    /// The sentence that says so, without hidden characters.
    pub quote: String,
}

/// The worst request in a tool's definition, or in that of a prompt or resource.
pub(super) fn of_definition(name: &str, value: &Value) -> Option<Request> {
    worst(&reading::of_definition(LEXICON.as_ref()?, name, value))
}

/// The worst request in a server's instructions to the model.
pub(super) fn of_instructions(text: &str) -> Option<Request> {
    worst(&reading::of_instructions(LEXICON.as_ref()?, text))
}

fn worst(read: &[Sentence]) -> Option<Request> {
    let weights = POINTS.as_ref()?;
    let points = read.iter().map(|sentence| weights.points(sentence, read.len()));
    let (points, sentence) = points.zip(read).max_by(|a, b| a.0.total_cmp(&b.0))?;
    if points < weights.warning {
        return None;
    }
    let severity = match points {
        // Whoever explains attacks quotes them.
        _ if sentence.roles.has(Role::AboutThreats) => Severity::Note,
        points if points >= weights.error => Severity::Error,
        _ => Severity::Warning,
    };
    let decisive = weights.decisive(sentence, ROLES_MAX);
    let what: Vec<&str> = decisive.iter().filter_map(|role| role.in_words()).collect();
    Some(Request { severity, what: what.join(", "), quote: sentence.text.trim().to_owned() })
}

/// Whether a definition, as JSON text, can have a request in it.
pub(super) fn may_ask(raw: &str) -> bool {
    GATE.as_ref().is_none_or(|gate| gate.lets_in(raw))
}

/// Whether a definition is about attacks, as its name or its first sentence says.
pub(super) fn is_about_attacks(name: &str, description: &str) -> bool {
    LEXICON.as_ref().is_some_and(|lexicon| reading::is_about_attacks(lexicon, name, description))
}

#[cfg(test)]
mod tests;
