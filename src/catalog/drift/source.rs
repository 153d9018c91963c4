//! Where a server comes from and what it says of itself: is it still the one that was reviewed?

use super::finding::{Anchor, Drift};
use super::words::{listed, name};
use crate::catalog::LockedServer;
use crate::code::Code;
use crate::model::{Package, ServerSource, Severity};
use std::collections::BTreeSet;

/// Differences of the source, and of revision, name and version as the server declares them.
pub(super) fn compare(was: &LockedServer, now: &LockedServer) -> Vec<Drift> {
    let mut found = Vec::new();
    let server = now.server.as_str();
    let mut add = |code, severity, what: String| {
        let mut drift = Drift::new(code, severity, server, None, format!("server {} {what}", name(server)));
        // Long commands and addresses are only quoted in part.
        drift.state = if code == Code::D050 { now.order().1 } else { String::new() };
        drift.anchor = if code == Code::D050 { Anchor::Source } else { Anchor::Server };
        found.push(drift);
    };
    for (severity, what) in sources(&was.source, &now.source) {
        add(Code::D050, severity, what);
    }
    if was.protocol_version != now.protocol_version && was.protocol_version.is_some() && now.protocol_version.is_some()
    {
        let what = step(was.protocol_version.as_deref(), now.protocol_version.as_deref());
        add(Code::D051, Severity::Note, format!("speaks another protocol revision: {what}"));
    }
    if let (Some(a), Some(b)) = (&was.server_info, &now.server_info)
        && a != b
    {
        let title = |info: &crate::model::ServerInfo| info.title.clone();
        let parts = [
            ("calls itself something else", Some(a.name.clone()), Some(b.name.clone())),
            ("has another title", title(a), title(b)),
            ("says another version of itself", Some(a.version.clone()), Some(b.version.clone())),
        ];
        for (what, was, now) in parts.into_iter().filter(|(_, was, now)| was != now) {
            add(Code::D051, Severity::Note, format!("{what}: {}", step(was.as_deref(), now.as_deref())));
        }
    }
    if let (Some(a), Some(b)) = (&was.client_capabilities, &now.client_capabilities)
        && a != b
    {
        let list =
            |set: &BTreeSet<String>| if set.is_empty() { "none".to_owned() } else { listed(set.iter().cloned(), ", ") };
        let (a, b) = (list(a), list(b));
        add(Code::D051, Severity::Note, format!("was asked with other client capabilities: {a} → {b}"));
    }
    found
}

fn step(was: Option<&str>, now: Option<&str>) -> String {
    let one = |text: Option<&str>| text.filter(|text| !text.is_empty()).map_or_else(|| "none".to_owned(), name);
    format!("{} → {}", one(was), one(now))
}

/// How the sources differ. A saved list stands for the server that it was taken from, so it is compared by package
/// only.
fn sources(was: &ServerSource, now: &ServerSource) -> Vec<(Severity, String)> {
    match (was, now) {
        (
            ServerSource::Command { argv: a, env: env_a, package: package_a },
            ServerSource::Command { argv: b, env: env_b, package: package_b },
        ) => {
            let mut found = packages(package_a.as_ref(), package_b.as_ref());
            // What names the package is told already; beside it nothing else may come in unseen.
            let rest = |argv: &[String], package: &Option<Package>| -> Vec<String> {
                let names = |argument: &String| package.as_ref().is_some_and(|package| is_name_of(argument, package));
                let kept = |&(at, argument): &(usize, &String)| at == 0 || found.is_empty() || !names(argument);
                argv.iter().enumerate().filter(kept).map(|(_, argument)| argument.clone()).collect()
            };
            let (a, b) = (rest(a, package_a), rest(b, package_b));
            if a != b {
                let program = |argv: &[String]| argv.first().cloned().unwrap_or_default();
                found.push(if program(&a) == program(&b) {
                    (Severity::Warning, format!("is started with other arguments: {}", arguments(&a, &b)))
                } else {
                    (
                        Severity::Error,
                        format!("is started by another program: {}", step(Some(&program(&a)), Some(&program(&b)))),
                    )
                });
            }
            found.extend(names("gets other environment variables", env_a, env_b));
            found
        }
        (ServerSource::Url { url: a, headers: headers_a }, ServerSource::Url { url: b, headers: headers_b }) => {
            let mut found = Vec::new();
            if a != b {
                let origin = |url: &str| url::Url::parse(url).map(|url| url.origin().ascii_serialization()).ok();
                let severity = if origin(a) == origin(b) { Severity::Warning } else { Severity::Error };
                found.push((severity, format!("is reached at another URL: {}", step(Some(a), Some(b)))));
            }
            found.extend(names("gets other headers", headers_a, headers_b));
            found
        }
        (ServerSource::Command { .. }, ServerSource::Url { url, .. }) => {
            vec![(Severity::Error, format!("was started here and is now reached at {}", name(url)))]
        }
        (ServerSource::Url { url, .. }, ServerSource::Command { .. }) => {
            vec![(Severity::Error, format!("was reached at {} and is now started here", name(url)))]
        }
        (ServerSource::File { .. } | ServerSource::Sample, _)
        | (_, ServerSource::File { .. } | ServerSource::Sample) => match (was.package(), now.package()) {
            (Some(a), Some(b)) => packages(Some(a), Some(b)),
            _ => Vec::new(),
        },
    }
}

fn packages(was: Option<&Package>, now: Option<&Package>) -> Vec<(Severity, String)> {
    match (was, now) {
        (Some(a), Some(b)) if (&a.registry, &a.name) != (&b.registry, &b.name) => {
            let full = |package: &Package| format!("{}:{}", package.registry, package.name);
            vec![(Severity::Error, format!("is another package: {}", step(Some(&full(a)), Some(&full(b)))))]
        }
        (Some(a), Some(b)) => match (&a.version, &b.version) {
            (x, y) if x == y => Vec::new(),
            (Some(x), None) => {
                vec![(Severity::Warning, format!("is no longer pinned to {}: whatever is newest runs", name(x)))]
            }
            (x, y) => {
                vec![(
                    Severity::Note,
                    format!("is another version of {}: {}", name(&a.name), step(x.as_deref(), y.as_deref())),
                )]
            }
        },
        (Some(a), None) => vec![(Severity::Error, format!("is no longer the package {}", name(&a.name)))],
        (None, Some(_)) | (None, None) => Vec::new(),
    }
}

/// Whether an argument names the package: alone, or with a version, extra or tag behind it.
fn is_name_of(argument: &str, package: &Package) -> bool {
    let mut ends = argument.match_indices(&package.name).map(|(at, name)| &argument[at + name.len()..]);
    ends.any(|rest| rest.is_empty() || rest.starts_with(['@', '=', '[', ':', '~', '<', '>']))
}

fn arguments(was: &[String], now: &[String]) -> String {
    let list = |argv: &[String], other: &[String]| {
        let own: Vec<_> =
            argv.iter().filter(|argument| !other.contains(argument)).map(|argument| name(argument)).collect();
        if own.is_empty() { "none".to_owned() } else { listed(own, " ") }
    };
    match (list(was, now), list(now, was)) {
        (a, b) if a == b => "in another order".to_owned(),
        (a, b) => format!("{a} → {b}"),
    }
}

fn names(what: &str, was: &BTreeSet<String>, now: &BTreeSet<String>) -> Option<(Severity, String)> {
    if was == now {
        return None;
    }
    let more = now.difference(was).map(|one| format!("+{}", name(one)));
    let fewer = was.difference(now).map(|one| format!("-{}", name(one)));
    Some((Severity::Warning, format!("{what}: {}", listed(more.chain(fewer), ", "))))
}
