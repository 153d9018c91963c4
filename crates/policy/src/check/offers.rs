//! Resources and prompts: entries that contradict each other, allow everything or match nothing, and what has findings.

use super::Against;
use super::findings::open_offer_finding;
use super::lints::Lints;
use crate::code::Code;
use crate::compiled::Policy;
use crate::denial::DenialCode;
use crate::document::{OfferLists, Offers, Unlisted};
use crate::doors::{Door, Opening};
use crate::model::{ExtraKind, Severity};
use crate::text::{folded, nearest};
use crate::uri;
use std::collections::BTreeSet;

/// Resources or prompts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Resources,
    Prompts,
}

impl Sort {
    const ALL: [Self; 2] = [Self::Resources, Self::Prompts];

    const fn pointer(self) -> &'static str {
        match self {
            Self::Resources => "/resources",
            Self::Prompts => "/prompts",
        }
    }

    const fn kinds(self) -> &'static [ExtraKind] {
        match self {
            Self::Resources => &[ExtraKind::Resource, ExtraKind::Template],
            Self::Prompts => &[ExtraKind::Prompt],
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Resources => "resource",
            Self::Prompts => "prompt",
        }
    }

    fn written(self, policy: &Policy) -> Option<&Offers> {
        match self {
            Self::Resources => policy.document().resources.as_ref(),
            Self::Prompts => policy.document().prompts.as_ref(),
        }
    }

    fn lists(self, policy: &Policy) -> Option<&OfferLists> {
        match self.written(policy) {
            Some(Offers::Some(lists)) => Some(lists),
            Some(Offers::All(_)) | None => None,
        }
    }

    /// What the policy says about an entry as it is written: of a beginning, about all that begins so.
    fn opening(self, policy: &Policy, entry: &str) -> Opening {
        match (self, entry.strip_suffix('*')) {
            (Self::Resources, Some(begin)) => policy.opening(Door::Template(&format!("{begin}{{x}}"))),
            (Self::Resources, None) => policy.opening(Door::Resource(entry)),
            (Self::Prompts, begin) => policy.opening(Door::Prompt(begin.unwrap_or(entry))),
        }
    }
}

/// What is wrong with the lists by themselves.
pub(super) fn alone(policy: &Policy, lints: &mut Lints<'_>) {
    for sort in Sort::ALL {
        let Some(lists) = sort.lists(policy) else { continue };
        for (list, entries) in [("allow", lists.allow.as_deref().unwrap_or_default()), ("hide", &lists.hide)] {
            let mut seen = BTreeSet::new();
            for (index, entry) in entries.iter().enumerate() {
                let pointer = format!("{}/{list}/{index}", sort.pointer());
                if !seen.insert(entry) {
                    lints.add(Code::P018, Severity::Note, &pointer, format!("`{entry}` stands here twice"), None);
                }
                if list == "hide" {
                    continue;
                }
                if is_closed_by_hide(&sort.opening(policy, entry)) {
                    let message = format!("`{entry}` is hidden, so this entry is never read");
                    let help = "remove it from one of the two".to_owned();
                    lints.add(Code::P018, Severity::Warning, &pointer, message, Some(help));
                }
                wide(sort, &pointer, entry, lints);
            }
        }
    }
}

fn is_closed_by_hide(opening: &Opening) -> bool {
    matches!(opening, Opening::Closed(denial) if denial.code == DenialCode::Hidden)
}

fn wide(sort: Sort, pointer: &str, entry: &str, lints: &mut Lints<'_>) {
    let Some(begin) = entry.strip_suffix('*') else { return };
    let (message, help) = match sort {
        _ if begin.is_empty() => {
            let message = format!("`{entry}` allows every {}", sort.word());
            (message, "if that is meant, `\"allow\"` instead of the lists says so".to_owned())
        }
        Sort::Resources if uri::is_wide(begin) => {
            let message = format!("`{entry}` allows whatever host or file the caller names");
            (message, "name the host or the folder: `file:///srv/docs/*`".to_owned())
        }
        Sort::Resources | Sort::Prompts => return,
    };
    lints.add(Code::P027, Severity::Warning, pointer, message, Some(help));
}

/// What is wrong with the lists against what the server offers.
pub(super) fn against(policy: &Policy, against: &Against<'_>, lints: &mut Lints<'_>) {
    for sort in Sort::ALL {
        if sort.kinds().iter().all(|kind| against.listed.contains(kind)) {
            nowhere(sort, policy, against, lints);
        }
    }
    for (extra, findings) in against.offers {
        let Some((severity, worst)) = open_offer_finding(policy, extra, findings) else { continue };
        let sort = if extra.kind == ExtraKind::Prompt { Sort::Prompts } else { Sort::Resources };
        let entries = sort.lists(policy).and_then(|lists| lists.allow.as_deref()).unwrap_or_default();
        let at = entries.iter().position(|entry| *entry == extra.key);
        let pointer = match (at, sort.written(policy)) {
            (Some(at), _) => format!("{}/allow/{at}", sort.pointer()),
            (None, Some(_)) => sort.pointer().to_owned(),
            (None, None) => "/default".to_owned(),
        };
        let message = format!("{} `{}` is allowed and has the finding `{}`", extra.kind, extra.key, worst.id);
        let help = "read its text as a model would; `hide` takes it away".to_owned();
        lints.add(Code::P025, severity, &pointer, message, Some(help));
    }
}

/// Entries that nothing matches.
fn nowhere(sort: Sort, policy: &Policy, against: &Against<'_>, lints: &mut Lints<'_>) {
    let Some(lists) = sort.lists(policy) else { return };
    let keys: Vec<(ExtraKind, String)> = against
        .offers
        .iter()
        .filter(|(extra, _)| sort.kinds().contains(&extra.kind))
        .map(|(extra, _)| match extra.kind {
            ExtraKind::Template => (extra.kind, uri::of_template(&extra.key)),
            ExtraKind::Prompt | ExtraKind::Resource => (extra.kind, extra.key.clone()),
        })
        .collect();
    let is_matched = |entry: &str| {
        let (begin, is_exact) = entry.strip_suffix('*').map_or((entry, true), |begin| (begin, false));
        let normal = uri::normal(begin);
        keys.iter().any(|(kind, key)| match kind {
            // What a template makes is only known by its beginning.
            ExtraKind::Template if is_exact => normal.as_ref().is_some_and(|normal| normal.starts_with(key)),
            ExtraKind::Template => key.starts_with(begin) || begin.starts_with(key),
            ExtraKind::Prompt | ExtraKind::Resource if is_exact => folded(key) == folded(entry),
            ExtraKind::Prompt => key.starts_with(begin),
            ExtraKind::Resource => uri::normal(key).is_some_and(|key| key.starts_with(begin)),
        })
    };
    let is_open = lists.allow.is_none() && policy.document().default == Unlisted::Allow;
    // A typing error here leaves what was meant in reach of everyone.
    let of_hidden = if is_open { Severity::Error } else { Severity::Note };
    for (list, entries, severity) in
        [("allow", lists.allow.as_deref().unwrap_or_default(), Severity::Warning), ("hide", &lists.hide, of_hidden)]
    {
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !is_matched(entry)) {
            let what = sort.word();
            let message = match entry.strip_suffix('*') {
                Some(begin) => format!("no {what} of the server begins with `{begin}`"),
                None => format!("the server has no {what} `{entry}`"),
            };
            let near = nearest(entry, keys.iter().map(|(_, key)| key.as_str()));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            lints.add(Code::P026, severity, &format!("{}/{list}/{index}", sort.pointer()), message, help);
        }
    }
}
