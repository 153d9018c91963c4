//! The members of a policy that are not about tools: `resources`, `prompts`, `client`, `unknown_methods`.

use super::POLICY_TOOLS_MAX;
use super::checker::{At, Checker, Members};
use crate::document::{Access, ClientRules, OfferLists, Offers, UnknownMethods, UnknownWord};
use crate::json::{Json, Node};
use crate::mcp::protocol::{Feature, Method};
use crate::uri;

const ACCESS: [(&str, Access); 2] = [("allow", Access::Allow), ("deny", Access::Deny)];

/// What a policy says beside tools, as written.
#[derive(Default)]
pub(super) struct CheckedDoors {
    pub resources: Option<Offers>,
    pub prompts: Option<Offers>,
    pub client: ClientRules,
    pub unknown_methods: Option<UnknownMethods>,
}

/// How names of one kind may be written.
#[derive(Clone, Copy)]
enum Naming {
    Uri,
    Prompt,
}

pub(super) fn doors(checker: &mut Checker<'_>, members: &Members<'_, '_>, at: At<'_>) -> CheckedDoors {
    CheckedDoors {
        resources: members.get("resources").and_then(|node| offers(checker, node, at.name("resources"), Naming::Uri)),
        prompts: members.get("prompts").and_then(|node| offers(checker, node, at.name("prompts"), Naming::Prompt)),
        client: members.get("client").map(|node| client(checker, node, at.name("client"))).unwrap_or_default(),
        unknown_methods: members
            .get("unknown_methods")
            .and_then(|node| unknown_methods(checker, node, at.name("unknown_methods"))),
    }
}

fn offers(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>, naming: Naming) -> Option<Offers> {
    match &node.json {
        Json::String(_) => checker.word(node, &at, &ACCESS, "an access").map(Offers::All),
        Json::Object(_) => {
            let members = Members::of(checker, node, &at, &["allow", "hide"])?;
            let allow = members.get("allow").map(|node| names(checker, node, at.name("allow"), naming));
            let hide = members.get("hide").map(|node| names(checker, node, at.name("hide"), naming));
            Some(Offers::Some(OfferLists { allow, hide: hide.unwrap_or_default() }))
        }
        _ => {
            let help = "write `\"allow\"`, `\"deny\"` or `{\"allow\": […], \"hide\": […]}`".to_owned();
            checker.problem(node, &at, "this says nothing about what may be taken".to_owned(), Some(help));
            None
        }
    }
}

fn names(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>, naming: Naming) -> Vec<String> {
    let mut names = Vec::new();
    for (index, item) in checker.list(node, &at, POLICY_TOOLS_MAX).iter().enumerate() {
        let here = at.index(index);
        let wanted = match naming {
            Naming::Uri => "a URI",
            Naming::Prompt => "a prompt's name",
        };
        let Some(name) = checker.text(item, &here, wanted) else { continue };
        let begin = name.strip_suffix('*').unwrap_or(name);
        if begin.contains('*') {
            let help = "a `*` stands at the end, for all that begin so, or nowhere".to_owned();
            checker.problem(item, &here, format!("`{name}` has a `*` inside"), Some(help));
        } else if let Naming::Uri = naming {
            if name.contains(['{', '}']) {
                let literal = name.split('{').next().unwrap_or_default();
                let help = format!("what it makes is allowed by its beginning: `{literal}*`");
                checker.problem(item, &here, format!("`{name}` is a template, not a URI"), Some(help));
            } else if begin.len() < name.len()
                && let Err(help) = uri::prefix(begin)
            {
                checker.problem(item, &here, format!("`{name}` is not how URIs begin"), Some(help));
            }
        }
        names.push(name.to_owned());
    }
    names
}

fn client(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> ClientRules {
    let known = Feature::ALL.map(Feature::as_str);
    let Some(members) = Members::of(checker, node, &at, &known) else { return ClientRules::default() };
    let mut access = |feature: Feature| {
        let name = feature.as_str();
        members.get(name).and_then(|node| checker.word(node, &at.name(name), &ACCESS, "an access"))
    };
    ClientRules {
        sampling: access(Feature::Sampling),
        elicitation: access(Feature::Elicitation),
        roots: access(Feature::Roots),
    }
}

fn unknown_methods(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Option<UnknownMethods> {
    const WORDS: [(&str, UnknownWord); 2] = [("forward", UnknownWord::Forward), ("refuse", UnknownWord::Refuse)];
    match &node.json {
        Json::String(_) => checker.word(node, &at, &WORDS, "a word for unknown methods").map(UnknownMethods::All),
        Json::Array(_) => {
            let mut methods = Vec::new();
            for (index, item) in checker.list(node, &at, POLICY_TOOLS_MAX).iter().enumerate() {
                let here = at.index(index);
                let Some(method) = checker.text(item, &here, "a method") else { continue };
                if let Some((message, help)) = bad_unknown_method(method) {
                    checker.problem(item, &here, message, Some(help.to_owned()));
                }
                methods.push(method.to_owned());
            }
            Some(UnknownMethods::Some(methods))
        }
        _ => {
            let help = "write `\"forward\"`, `\"refuse\"` or a list of exact methods".to_owned();
            checker.problem(node, &at, "this says nothing about unknown methods".to_owned(), Some(help));
            None
        }
    }
}

/// What is wrong with a name in a list of unknown methods that pass, and the next step.
pub fn bad_unknown_method(method: &str) -> Option<(String, &'static str)> {
    const OWN: &str = "list methods of the server's own only, by their exact names";
    match Method::taken_for(method) {
        Some(known) if known.name == method => {
            Some((format!("`{method}` is known, and other rules decide about it"), OWN))
        }
        Some(known) => Some((format!("`{method}`: servers may take it for `{}`", known.name), OWN)),
        None if method.contains('*') => Some((
            format!("`{method}` is a pattern, not a method"),
            "methods are exact: list each, or let all pass with `\"forward\"`",
        )),
        None => None,
    }
}
