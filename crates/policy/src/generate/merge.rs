//! An owner's policy with what it does not name yet.

use super::offers::{OfferReview, OfferRuling, can_be_hidden};
use super::{Recommendation, Ruling};
use crate::compiled::Policy;
use crate::denial::DenialCode;
use crate::document::{Document, OfferLists, Offers, ToolRules, Unlisted};
use crate::doors::{Door, Opening};
use crate::model::ExtraKind;
use std::collections::BTreeSet;

/// What became of an owner's policy when new tools were added.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The owner's policy with the new tools.
    pub document: Document,
    /// Tools that the policy did not name and now does.
    pub added: BTreeSet<String>,
    /// Tools that the policy named before; their rules are the owner's.
    pub kept: BTreeSet<String>,
    /// Tools that the policy names and the server does not have; their rules stay.
    pub vanished: BTreeSet<String>,
}

/// Adds to an owner's policy what it does not name yet; nothing that the owner wrote is changed. Flows come to a policy
/// without any, and flags to tools without. `declared` are all tools
/// of the server. Where the owner's default allows, leaving a tool out would let it pass: it is hidden instead, and the
/// review says so. Of resources and prompts likewise.
pub fn merge(owner: &Policy, new: &mut Recommendation, declared: &BTreeSet<&str>) -> Merge {
    let old = owner.document();
    let mut document = old.clone();
    let hidden: BTreeSet<&str> = old.hide.iter().map(String::as_str).collect();
    let named = |name: &str| old.tools.contains_key(name) || hidden.contains(name);
    let mut merged =
        Merge { document: old.clone(), added: BTreeSet::new(), kept: BTreeSet::new(), vanished: BTreeSet::new() };
    for review in &mut new.review {
        let name = &review.tool;
        if named(name) {
            if let Some(rules) = document.tools.get_mut(name).filter(|rules| rules.flags.is_none()) {
                rules.flags.clone_from(&review.flags);
            }
            merged.kept.insert(name.clone());
            continue;
        }
        // A name with a star would be a pattern, which `hide` refuses.
        if review.ruling == Ruling::LeaveOut && old.default == Unlisted::Allow && !name.contains('*') {
            review.ruling = Ruling::Hide;
        }
        if let Some(rules) = new.document.tools.get(name) {
            document.tools.insert(name.clone(), apart(name, rules, old));
            merged.added.insert(name.clone());
        } else if review.ruling == Ruling::Hide {
            document.hide.push(name.clone());
            merged.added.insert(name.clone());
        }
    }
    let vanished = |name: &&str| *name != "*" && !declared.contains(name);
    let names = old.tools.keys().map(String::as_str).chain(hidden.iter().copied());
    merged.vanished = names.filter(vanished).map(str::to_owned).collect();
    document.resources = offers(owner, &mut new.offers, &[ExtraKind::Resource, ExtraKind::Template], &old.resources);
    document.prompts = offers(owner, &mut new.offers, &[ExtraKind::Prompt], &old.prompts);
    if document.flows.is_empty() {
        document.flows.clone_from(&new.document.flows);
    }
    merged.document = document;
    merged
}

/// The owner's word on some kinds, with what is new.
fn offers(owner: &Policy, review: &mut [OfferReview], kinds: &[ExtraKind], old: &Option<Offers>) -> Option<Offers> {
    let mut lists = match old {
        None => OfferLists::default(),
        Some(Offers::Some(lists)) => lists.clone(),
        Some(Offers::All(_)) => {
            let of_kinds = review.iter_mut().filter(|line| kinds.contains(&line.name.kind));
            of_kinds.for_each(|line| line.ruling = OfferRuling::Kept);
            return old.clone();
        }
    };
    // Without a list of what is allowed, an owner whose default allows has allowed it all.
    let is_open = lists.allow.is_none() && owner.document().default == Unlisted::Allow;
    for line in review.iter_mut().filter(|line| kinds.contains(&line.name.kind)) {
        let key = line.name.key.as_str();
        let opening = owner.opening(match line.name.kind {
            ExtraKind::Prompt => Door::Prompt(key),
            ExtraKind::Resource => Door::Resource(key),
            ExtraKind::Template => Door::Template(key),
        });
        let is_named = match &opening {
            Opening::Open(_) => !is_open,
            Opening::Closed(denial) => denial.code == DenialCode::Hidden,
            Opening::Unsaid => false,
        };
        if is_named {
            line.ruling = OfferRuling::Kept;
            continue;
        }
        match &line.ruling {
            OfferRuling::Allow(entry) if !is_open => {
                let allow = lists.allow.get_or_insert_default();
                // Several templates may begin alike.
                if !allow.contains(entry) {
                    allow.push(entry.clone());
                }
            }
            OfferRuling::Hide => lists.hide.push(line.name.key.clone()),
            OfferRuling::LeaveOut
                if is_open && line.name.kind != ExtraKind::Template && line.finding.is_some() && can_be_hidden(key) =>
            {
                lists.hide.push(line.name.key.clone());
                line.ruling = OfferRuling::Hide;
            }
            OfferRuling::Allow(_) | OfferRuling::LeaveOut | OfferRuling::Kept => {}
        }
    }
    if lists == OfferLists::default() { old.clone() } else { Some(Offers::Some(lists)) }
}

/// The rules with counters of their own where the owner uses the same name for something else.
fn apart(name: &str, rules: &ToolRules, old: &Document) -> ToolRules {
    let limits = || old.all_tools.limits.iter().chain(old.tools.values().flat_map(|tool| &tool.limits));
    let rated =
        |name: &str| old.tools.iter().any(|(tool, rules)| rules.rate_limit.is_some() && format!("{tool}_rate") == name);
    let is_taken = |counter: &str| limits().any(|known| known.counter == counter) || rated(counter);
    let mut rules = rules.clone();
    // The short form has no room for another name.
    if let Some(limit) = rules.rate_limit.take_if(|rate| is_taken(&rate.written_out(name).counter)) {
        rules.limits.push(limit.written_out(name));
    }
    for limit in &mut rules.limits {
        while is_taken(&limit.counter) {
            limit.counter.push_str("_new");
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::super::testing::{compact, standard, tool, verdict};
    use super::super::{Form, Profile, Wishes, generate};
    use super::*;
    use crate::model::{BlastRadius, Category};

    #[test]
    fn a_merge_keeps_the_owner_and_adds_the_rest() {
        let owner = r#"{"version":"1","default":"allow","hide":["secret"],"tools":{"a":{"action":"deny"},"old":{},"other":{"limits":[{"counter":"c_rate","window":"day","max":1}]}}}"#;
        let owner = crate::parse(owner, "p").unwrap();
        let write = verdict(Category::Write, BlastRadius::Medium, &[]);
        let delete = verdict(Category::Delete, BlastRadius::High, &[]);
        let tools = [tool("a"), tool("c"), tool("d"), tool("secret")];
        let mut new = standard(tools.iter().zip([&write, &write, &delete, &write]));
        let merged = merge(&owner, &mut new, &["a", "c", "d", "secret", "other"].into());
        let text = compact(&merged.document);
        assert!(text.contains(r#""default":"allow","hide":["secret","d"]"#), "{text}");
        assert!(text.contains(r#""a":{"action":"deny"}"#), "{text}");
        // The owner counts something else under the name that the new tool would have used.
        assert!(text.contains(r#""counter":"c_rate_new","window":"minute","max":30"#), "{text}");
        assert!(crate::parse(&text, "p").is_ok());
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!([names(&merged.added), names(&merged.kept), names(&merged.vanished)], ["c d", "a secret", "old"]);
    }

    #[test]
    fn what_a_merge_leaves_out_passes_no_default_that_allows() {
        let write = verdict(Category::Write, BlastRadius::Medium, &[]);
        for (default, tool_name, expected) in [
            ("allow", "c", r#"{"version":"1","default":"allow","hide":["c"]}"#),
            ("allow", "c\u{202e}d", "{\"version\":\"1\",\"default\":\"allow\",\"hide\":[\"c\u{202e}d\"]}"),
            ("allow", "c*", r#"{"version":"1","default":"allow"}"#),
            ("deny", "c", r#"{"version":"1","default":"deny"}"#),
        ] {
            let owner = crate::parse(&format!(r#"{{"version":"1","default":"{default}"}}"#), "p").unwrap();
            let wishes = Wishes { profile: Profile::ReadOnly, ..Wishes::standard(Form::Portable) };
            let mut new = generate([(&tool(tool_name), &write)], &wishes);
            let merged = merge(&owner, &mut new, &[tool_name].into());
            assert_eq!(compact(&merged.document), expected);
            assert!(crate::parse(&compact(&merged.document), "p").is_ok(), "{expected}");
            assert_eq!(new.review[0].ruling == Ruling::Hide, expected.contains("hide"), "{expected}");
        }
    }

    #[test]
    fn a_merge_of_what_is_beside_tools_keeps_the_owner_too() {
        use crate::model::{Extra, Finding, Severity};
        let read = verdict(Category::Read, BlastRadius::Low, &[]);
        let finding = Finding {
            id: "instructs-model".to_owned(),
            severity: Severity::Error,
            message: String::new(),
            tool: String::new(),
        };
        for (owner, expected) in [
            (r#""default":"deny""#, r#","resources":{"allow":["n://a"]},"prompts":{"allow":["p"]}"#),
            (r#""default":"deny","resources":"deny","prompts":"allow""#, r#","resources":"deny","prompts":"allow""#),
            (
                r#""default":"deny","resources":{"allow":["o://1"],"hide":["n://a"]},"prompts":{"allow":["*"]}"#,
                r#","resources":{"allow":["o://1"],"hide":["n://a"]},"prompts":{"allow":["*"]}"#,
            ),
            (r#""default":"allow""#, r#","resources":{"hide":["n://bad"]},"prompts":{"hide":["bad"]}"#),
            (
                r#""default":"allow","prompts":{"allow":["o"]}"#,
                r#","resources":{"hide":["n://bad"]},"prompts":{"allow":["o","p"]}"#,
            ),
        ] {
            let policy = crate::parse(&format!(r#"{{"version":"1",{owner}}}"#), "p").unwrap();
            let mut new = standard([(&tool("t"), &read)]);
            let extras = [
                (ExtraKind::Resource, "n://a"),
                (ExtraKind::Resource, "n://bad"),
                (ExtraKind::Prompt, "p"),
                (ExtraKind::Prompt, "bad"),
            ]
            .map(|(kind, key)| {
                let raw = serde_json::json!({kind.key(): key}).to_string();
                Extra::parse(kind, &serde_json::value::RawValue::from_string(raw).unwrap()).unwrap()
            });
            let bad = std::slice::from_ref(&finding);
            let with = |extra: &'_ Extra| if extra.key.contains("bad") { bad } else { &[][..] };
            super::super::add_offers(&mut new, extras.iter().map(|extra| (extra, with(extra))));
            let merged = merge(&policy, &mut new, &["t"].into());
            let text = compact(&merged.document);
            assert!(text.ends_with(&format!("{expected}}}")), "{owner}: {text}");
            assert!(crate::parse(&text, "p").is_ok(), "{text}");
        }
    }
}
