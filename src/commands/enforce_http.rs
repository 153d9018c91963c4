//! `mcpol enforce --listen`: the gateway over HTTP, for one server named by flags.

use super::enforce_parts::{AROUND, DRAIN, backend, hints, on_change, open_audit, serve, settings};
use super::{Failure, output};
use crate::cli::EnforceArgs;
use crate::exit::Exit;
use crate::gateway::audit::{Destination, new_session_id};
use crate::gateway::config::{AuditPlace, Config};
use crate::gateway::http::queue::Pace;
use crate::gateway::identity::{SubjectRule, TokenRule};
use crate::gateway::jwt::{Jwks, Jwt};
use crate::gateway::plan::{Cors, Listener, LockPlan, Plan, Served, TlsFiles};
use crate::gateway::reload::Enforcement;
use crate::gateway::said::Said;
use crate::gateway::start::Start;
use crate::model::ServerName;
use crate::state::StatePlace;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(super) fn run(
    args: &EnforceArgs,
    address: SocketAddr,
    enforcement: Enforcement,
    place: &StatePlace,
    audit: &Destination,
    server: ServerName,
    lines: Vec<Said<'static>>,
) -> Result<Exit, Failure> {
    let asked = if args.grants { TokenRule::Always } else { TokenRule::WhereGranted };
    let token_rule = asked.at(address, args.jwks.is_some()).ok_or_else(|| {
        Failure::usage(format!("{address} can be reached by others, and no token is asked of them"))
            .with_help("make tokens with `mcpol grant create` and add --grants, or name an issuer with --jwks, or listen on 127.0.0.1")
    })?;
    let config = Config {
        file: PathBuf::new(),
        plan: plan(args, address, enforcement, server)?,
        admin: None,
        state: Some(place.clone()),
        audit: AuditPlace::Default,
        token_rule,
        grants: Vec::new(),
        jwt: jwt(args),
        policies: BTreeMap::new(),
        locks: BTreeMap::new(),
    };
    serve(Start {
        config,
        admin: args.admin,
        file: None,
        local: args.grant.clone(),
        stores: crate::state::open(place),
        pace: Pace::of(place, audit),
        audit: open_audit(audit, new_session_id().map_err(output::internal)?)?,
        lines,
        around: AROUND,
    })
}

/// The issuer that the flags name.
fn jwt(args: &EnforceArgs) -> Option<Jwt> {
    // The command line wants all three or none.
    let (keys, issuer, audience) = (args.jwks.as_ref()?, args.jwt_issuer.clone()?, args.jwt_audience.clone()?);
    let jwks = match url::Url::parse(keys) {
        Ok(url) if url.has_host() => Jwks::Url(url),
        Ok(_) | Err(_) => Jwks::File(keys.into()),
    };
    Some(Jwt { jwks, issuer, audience, grant_claim: args.jwt_grant_claim.clone(), subjects: SubjectRule::Any })
}

fn plan(
    args: &EnforceArgs,
    address: SocketAddr,
    enforcement: Enforcement,
    server: ServerName,
) -> Result<Plan, Failure> {
    let backend = backend(args, &server)?;
    let tls = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(cert, key)| TlsFiles { cert, key });
    let listener = Listener {
        address,
        tls,
        hosts: args.host.iter().cloned().collect(),
        origins: args.origin.iter().cloned().collect(),
        cors: if args.cors { Cors::On } else { Cors::Off },
    };
    let locked = args.locked.clone().map(|path| LockPlan { path, on_change: on_change(args) });
    let served = Served {
        backend,
        policy: Some(args.policy().to_owned()),
        enforcement,
        locked,
        roots: Vec::new(),
        hints: hints(args),
    };
    Ok(Plan {
        listener,
        servers: [(server, served)].into(),
        settings: settings(args),
        drain: DRAIN,
        reloading: args.reloading(),
    })
}
