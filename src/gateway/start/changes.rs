//! Compares two versions of a configuration: what changes, and what cannot change while the gateway runs. Pure.

use crate::gateway::config::Config;
use crate::gateway::identity::TokenRule;
use crate::gateway::loosened::Loosened;
use crate::gateway::plan::Cors;
use crate::text::escape;
use std::collections::BTreeSet;

/// Names of the servers that a configuration's grants are good for; a server can come several times.
pub(super) fn granted(config: &Config) -> impl Iterator<Item = String> {
    config.grants.iter().flat_map(|grant| grant.servers.iter().cloned())
}

/// Servers that both versions have and that lost their last grant: they go on asking for tokens. None where every
/// server asks for tokens anyway.
pub(super) fn left_without_grant(old: &Config, new: &Config) -> BTreeSet<String> {
    let asks_everywhere =
        new.token_rule == TokenRule::Always || old.token_rule == TokenRule::Always || old.jwt.is_some();
    if asks_everywhere {
        return BTreeSet::new();
    }
    let still: BTreeSet<String> = granted(new).collect();
    let is_left = |server: &String| {
        !still.contains(server) && new.plan.servers.keys().any(|name| name.as_str() == server.as_str())
    };
    granted(old).filter(is_left).collect()
}

/// What became of the servers, in a few words for the operator.
pub(super) fn changes(old: &Config, new: &Config) -> String {
    let (old, new) = (&old.plan.servers, &new.plan.servers);
    let names = |from: &dyn Fn(&&crate::model::ServerName) -> bool, of: &std::collections::BTreeMap<_, _>| {
        of.keys()
            .filter(from)
            .map(|name| escape(crate::model::ServerName::as_str(name)).into_owned())
            .collect::<Vec<_>>()
    };
    let added = names(&|name| !old.contains_key(*name), new);
    let gone = names(&|name| !new.contains_key(*name), old);
    let moved =
        names(&|name| matches!((old.get(*name), new.get(*name)), (Some(a), Some(b)) if a.backend != b.backend), new);
    let held = names(
        &|name| matches!((old.get(*name), new.get(*name)), (Some(a), Some(b)) if a.backend == b.backend && a.locked != b.locked),
        new,
    );
    let mut parts = vec![format!("{} servers", new.len())];
    for (what, names) in [("new", added), ("gone", gone), ("another address or command", moved), ("another lock", held)]
    {
        if !names.is_empty() {
            parts.push(format!("{what}: {}", names.join(", ")));
        }
    }
    parts.join("; ")
}

/// Who may call now that could not before, in words: by grants, names of this gateway, and web pages.
pub(super) fn looser_access(old: &Config, new: &Config) -> Vec<String> {
    let mut looser = Vec::new();
    for grant in &new.grants {
        let name = escape(grant.name.as_str());
        let Some(before) = old.grants.iter().find(|before| before.name == grant.name) else {
            looser.push(format!("grant {name}: is new"));
            continue;
        };
        let more: Vec<_> = grant.servers.difference(&before.servers).map(|server| escape(server)).collect();
        if !more.is_empty() {
            looser.push(format!("grant {name}: is good for {}", more.join(", ")));
        }
        if grant.known_by != before.known_by {
            looser.push(format!("grant {name}: is another caller's"));
        }
        let is_longer = before.expires.is_some_and(|until| grant.expires.is_none_or(|expires| expires > until));
        if is_longer {
            looser.push(format!("grant {name}: is good for longer"));
        }
        if grant.policy != before.policy {
            let policy = |config: &Config, path: &Option<String>| {
                config.policies.get(std::path::Path::new(path.as_ref()?)).map(std::sync::Arc::clone)
            };
            match (policy(old, &before.policy), policy(new, &grant.policy)) {
                (Some(a), Some(b)) => {
                    let mut own = Loosened::default();
                    own.of_server(&format!("grant {name}"), Loosened::between(&a, &b));
                    looser.extend(own.into_things());
                }
                // Its server's policies hold in its place, or held.
                (_, _) => looser.push(format!("grant {name}: is held to another policy")),
            }
        }
    }
    let (before, now) = (&old.plan.listener, &new.plan.listener);
    for (what, more) in
        [("host", now.hosts.difference(&before.hosts)), ("origin", now.origins.difference(&before.origins))]
    {
        looser.extend(more.map(|name| format!("{what} {}: is let in", escape(name))));
    }
    if (before.cors, now.cors) == (Cors::Off, Cors::On) {
        looser.push("web pages may read answers".to_owned());
    }
    looser
}

/// Settings that differ in the new version and take effect only when the gateway is started again.
pub(super) fn only_at_start(old: &Config, new: &Config) -> Vec<&'static str> {
    let (listener, newer) = (&old.plan.listener, &new.plan.listener);
    let mut later = Vec::new();
    for (name, differs) in [
        ("gateway.listen", listener.address != newer.address),
        ("gateway.tls", listener.tls != newer.tls),
        ("gateway.admin", old.admin != new.admin),
        ("gateway.state", old.state != new.state),
        ("gateway.audit", old.audit != new.audit),
        ("gateway.require_grants", old.token_rule != new.token_rule),
        ("gateway.call_timeout", old.plan.settings.call_timeout != new.plan.settings.call_timeout),
        ("gateway.approval_wait", old.plan.settings.approval_wait != new.plan.settings.approval_wait),
        ("gateway.unknown_methods", old.plan.settings.unknown_methods != new.plan.settings.unknown_methods),
        ("gateway.drain", old.plan.drain != new.plan.drain),
        ("jwt", old.jwt != new.jwt),
    ] {
        if differs {
            later.push(name);
        }
    }
    later
}
