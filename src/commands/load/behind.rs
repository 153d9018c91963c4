//! Looks through an entry that starts the gateway at the server behind it.

use crate::cli::{EnforceArgs, wrapped_command};
use crate::clients::Configured;
use crate::mcp::target::{HttpTarget, Secret, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Puts the server behind the gateway in the place of the gateway, where the entry starts one. An entry that is not
/// understood stays as it is.
pub(in crate::commands) fn behind(server: &mut Configured) {
    let Target::Stdio(target) = &mut server.target else { return };
    let Some(args) = wrapped_command(&target.argv) else { return };
    server.wrapped = true;
    server.held_by = args.policy.as_ref().map(|policy| policy.to_string_lossy().into_owned());
    if let Some(url) = &args.upstream {
        let Ok(url) = url::Url::parse(url) else { return };
        let (name, env) = (target.server.clone(), std::mem::take(&mut target.env));
        let headers = headers(&args, &env, &mut server.missing);
        server.target =
            Target::Http(HttpTarget { server: name, url, headers, token: None, forward_headers: Vec::new() });
        return;
    }
    let before = target.argv.len() - args.command.len();
    target.hidden = target.hidden.iter().filter_map(|at| at.checked_sub(before)).collect();
    target.argv = args.command;
}

fn headers(
    args: &EnforceArgs,
    env: &BTreeMap<String, Secret>,
    missing: &mut BTreeSet<String>,
) -> BTreeMap<String, Secret> {
    let mut variable = |name: &str| {
        let value = env.get(name).cloned().or_else(|| std::env::var(name).ok().map(Secret::new));
        if value.is_none() {
            missing.insert(name.to_owned());
        }
        value
    };
    let mut headers = BTreeMap::new();
    for (name, value) in args.header.iter().filter_map(|header| header.split_once(':')) {
        headers.insert(name.trim().to_owned(), Secret::new(value.trim()));
    }
    for (name, from) in &args.header_env {
        headers.extend(variable(from).map(|value| (name.clone(), value)));
    }
    if let Some(token) = args.bearer_env.as_deref().and_then(variable) {
        headers.insert("Authorization".to_owned(), Secret::new(format!("Bearer {}", token.reveal().trim())));
    }
    headers
}
