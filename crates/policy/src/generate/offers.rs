//! Resources and prompts of a recommended policy: what the server offers as lists of what may be taken.

use super::{NAME_BYTES_MAX, Recommendation};
use crate::document::{OfferLists, Offers};
use crate::model::{Extra, ExtraKind, ExtraName, Finding, Severity};
use crate::parse::{POLICY_TOOLS_MAX, TEXT_BYTES_MAX};
use crate::uri;
use std::collections::{BTreeMap, BTreeSet};

/// Something that a server offers beside tools, with the findings about its text.
pub type OfferSubject<'e> = (&'e Extra, &'e [Finding]);

/// What something beside tools gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferRuling {
    /// In `allow`, by this entry.
    Allow(String),
    /// In `hide`: without that an entry of `allow`, or the default, would let it pass.
    Hide,
    /// In no list: the default decides.
    LeaveOut,
    /// The owner's rules speak of it, and stay.
    Kept,
}

/// One line of the review: a prompt, a resource or a template, what it got and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferReview {
    /// What it is.
    pub name: ExtraName,
    /// What it got.
    pub ruling: OfferRuling,
    /// The worst finding about its text, from a warning on.
    pub finding: Option<(String, Severity)>,
    /// One short sentence.
    pub why: String,
}

/// Adds to a recommendation what the server offers beside tools: in the order of kinds and names. What is offered twice
/// gets what the worse of the two does.
pub fn add_offers<'e>(to: &mut Recommendation, offers: impl IntoIterator<Item = OfferSubject<'e>>) {
    let mut worst: BTreeMap<ExtraName, Option<&Finding>> = BTreeMap::new();
    for (extra, findings) in offers {
        let name = ExtraName { kind: extra.kind, key: extra.key.clone() };
        let finding =
            findings.iter().filter(|finding| finding.severity > Severity::Note).max_by_key(|found| found.severity);
        let known = worst.entry(name).or_default();
        if known.map(|known| known.severity) < finding.map(|finding| finding.severity) {
            *known = finding;
        }
    }
    let mut review: Vec<OfferReview> = worst.into_iter().map(|(name, finding)| first_look(name, finding)).collect();
    let poisoned: BTreeSet<String> = review
        .iter()
        .filter(|line| line.name.kind == ExtraKind::Template && line.finding.is_some())
        .map(|line| uri::of_template(&line.name.key))
        .collect();
    for line in &mut review {
        // The list of templates is held to beginnings alone, so this one would show the other.
        if let (ExtraKind::Template, OfferRuling::Allow(entry)) = (line.name.kind, &line.ruling)
            && poisoned.iter().any(|begin| begin.starts_with(entry.trim_end_matches('*')))
        {
            line.ruling = OfferRuling::LeaveOut;
            "a template with a finding begins so too".clone_into(&mut line.why);
        }
    }
    let resources = lists(&mut review, &[ExtraKind::Resource, ExtraKind::Template]);
    let prompts = lists(&mut review, &[ExtraKind::Prompt]);
    to.document.resources = resources;
    to.document.prompts = prompts;
    to.offers = review;
}

/// What something gets by itself.
fn first_look(name: ExtraName, finding: Option<&Finding>) -> OfferReview {
    let finding = finding.map(|finding| (finding.id.clone(), finding.severity));
    let (ruling, why) = match (&finding, entry(&name)) {
        (Some((id, severity)), _) => {
            let severity = match severity {
                Severity::Error => "error",
                Severity::Warning | Severity::Note => "warning",
            };
            (OfferRuling::LeaveOut, format!("its text has a finding: {id} ({severity})"))
        }
        (None, Ok(entry)) => {
            let why = match name.kind {
                ExtraKind::Template => "all that begins like what the template makes",
                ExtraKind::Prompt | ExtraKind::Resource => "the server lists it",
            };
            (OfferRuling::Allow(entry), why.to_owned())
        }
        (None, Err(why)) => (OfferRuling::LeaveOut, why.to_owned()),
    };
    OfferReview { name, ruling, finding, why }
}

/// The entry that allows exactly this, or for a template all that begins like what it makes.
fn entry(name: &ExtraName) -> Result<String, &'static str> {
    let key = name.key.as_str();
    let bound = match name.kind {
        ExtraKind::Prompt => NAME_BYTES_MAX,
        ExtraKind::Resource | ExtraKind::Template => TEXT_BYTES_MAX,
    };
    let is_odd = |c: char| crate::text::is_hidden(c) || c.is_control();
    if key.is_empty() || key.len() > bound || key.chars().any(is_odd) {
        return Err("its name is too odd to be written down");
    }
    match name.kind {
        ExtraKind::Template => {
            let begin = uri::of_template(key);
            if begin.is_empty() {
                Err("nothing that stands at its beginning says where it leads")
            } else if uri::is_wide(&begin) {
                Err("leads to any host or file: allow by hand what may be read, such as `file:///srv/docs/*`")
            } else {
                Ok(format!("{begin}*"))
            }
        }
        ExtraKind::Resource if key.contains(['*', '{', '}']) => Err("its URI would be read as a pattern"),
        ExtraKind::Prompt if key.contains('*') => Err("its name would be read as a pattern"),
        ExtraKind::Resource | ExtraKind::Prompt => Ok(key.to_owned()),
    }
}

/// The lists for some kinds; nothing where nothing may be taken.
fn lists(review: &mut [OfferReview], kinds: &[ExtraKind]) -> Option<Offers> {
    let mut allow = BTreeSet::new();
    for line in review.iter_mut().filter(|line| kinds.contains(&line.name.kind)) {
        let OfferRuling::Allow(entry) = &line.ruling else { continue };
        if allow.len() < POLICY_TOOLS_MAX || allow.contains(entry) {
            allow.insert(entry.clone());
        } else {
            line.ruling = OfferRuling::LeaveOut;
            line.why = format!("a list has at most {POLICY_TOOLS_MAX} entries");
        }
    }
    if allow.is_empty() {
        return None;
    }
    let mut hide = BTreeSet::new();
    let begins: Vec<&str> = allow.iter().filter_map(|entry| entry.strip_suffix('*')).collect();
    for line in review.iter_mut().filter(|line| kinds.contains(&line.name.kind)) {
        let is_begun = || {
            let normal = uri::normal(&line.name.key).unwrap_or_default();
            begins.iter().any(|begin| normal.starts_with(begin))
        };
        if line.name.kind == ExtraKind::Resource && line.finding.is_some() && is_begun() {
            line.ruling = OfferRuling::Hide;
            hide.insert(line.name.key.clone());
        }
    }
    Some(Offers::Some(OfferLists {
        allow: Some(allow.into_iter().collect()),
        hide: hide.into_iter().filter(|key| can_be_hidden(key)).collect(),
    }))
}

/// Whether a name may stand in `hide` as it is.
pub(super) fn can_be_hidden(key: &str) -> bool {
    !key.is_empty() && key.len() <= TEXT_BYTES_MAX && !key.contains(['*', '{', '}'])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::super::testing::{compact, standard, tool, verdict};
    use super::*;
    use crate::model::{BlastRadius, Category};
    use serde_json::json;
    use serde_json::value::RawValue;

    fn made(offers: &[(ExtraKind, &str, Option<Severity>)]) -> Recommendation {
        let read = verdict(Category::Read, BlastRadius::Low, &[]);
        let mut made = standard([(&tool("t"), &read)]);
        let found = |severity: &Option<Severity>| {
            let finding = |severity| Finding {
                id: "instructs-model".to_owned(),
                severity,
                message: String::new(),
                tool: String::new(),
            };
            severity.map(finding).into_iter().collect::<Vec<_>>()
        };
        let extras: Vec<(Extra, Vec<Finding>)> = offers
            .iter()
            .map(|(kind, key, severity)| {
                let raw = RawValue::from_string(json!({kind.key(): key}).to_string()).unwrap();
                (Extra::parse(*kind, &raw).unwrap(), found(severity))
            })
            .collect();
        add_offers(&mut made, extras.iter().map(|(extra, findings)| (extra, findings.as_slice())));
        made
    }

    #[track_caller]
    fn check(offers: &[(ExtraKind, &str, Option<Severity>)], expected: &str) {
        let text = compact(&made(offers).document);
        assert_eq!(text, format!(r#"{{"version":"1","default":"deny","tools":{{"t":{{}}}}{expected}}}"#));
        assert!(crate::parse(&text, "p").is_ok(), "{text}");
    }

    use ExtraKind::{Prompt, Resource, Template};

    #[test]
    fn what_a_server_offers_may_be_taken() {
        check(&[], "");
        check(
            &[(Prompt, "review", None), (Resource, "note://b", None), (Resource, "note://a", Some(Severity::Note))],
            r#","resources":{"allow":["note://a","note://b"]},"prompts":{"allow":["review"]}"#,
        );
        check(&[(Template, "note://n/{id}", None)], r#","resources":{"allow":["note://n/*"]}"#);
        check(&[(Template, "note://{id}", None)], r#","resources":{"allow":["note://*"]}"#);
    }

    #[test]
    fn a_template_that_leads_anywhere_is_left_to_its_owner() {
        for template in [
            "{+uri}",
            "file:///{path}",
            "file:///{+path}",
            "file://{host}/a",
            "file:///C:/{path}",
            "file:{path}",
            "https://{host}/a",
            "https://example.{tld}/a",
            "docs/{name}",
            "file:///docs/../{path}",
        ] {
            check(&[(Template, template, None)], "");
            assert_eq!(made(&[(Template, template, None)]).offers[0].ruling, OfferRuling::LeaveOut, "{template}");
        }
        for (template, entry) in [
            ("file:///srv/docs/{path}", "file:///srv/docs/*"),
            ("https://example.com/{path}", "https://example.com/*"),
            ("https://example.com/a{?q}", "https://example.com/a?*"),
        ] {
            check(&[(Template, template, None)], &format!(r#","resources":{{"allow":["{entry}"]}}"#));
        }
    }

    #[test]
    fn what_has_a_finding_passes_by_no_entry() {
        let error = Some(Severity::Error);
        check(&[(Prompt, "review", error), (Resource, "note://a", Some(Severity::Warning))], "");
        check(&[(Prompt, "twice", None), (Prompt, "twice", error)], "");
        check(
            &[(Resource, "note://n/bad", error), (Template, "note://n/{id}", None)],
            r#","resources":{"allow":["note://n/*"],"hide":["note://n/bad"]}"#,
        );
        check(&[(Template, "note://n/{id}", error), (Template, "note://{all}", None)], "");
    }

    #[test]
    fn names_that_would_be_patterns_are_left_out() {
        check(&[(Prompt, "a*", None), (Resource, "note://*", None), (Resource, "note://\u{202e}", None)], "");
        assert_eq!(made(&[(Prompt, "a*", None)]).offers[0].why, "its name would be read as a pattern");
    }
}
