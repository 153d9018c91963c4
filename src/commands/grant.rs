//! `mcpol grant`: who may call which servers through the HTTP gateway.

use super::{Failure, output, policy_file, project, state};
use crate::cli::{Expiry, GrantArgs, GrantCommand, GrantCreateArgs, LOCAL_GRANT, PlainFormat, servers_fit};
use crate::clock::{self, Timestamp};
use crate::exit::Exit;
use crate::policy::{StoreError, utc};
use crate::report;
use crate::state::{GRANT_SERVERS_MAX, Grant, GrantCreated, GrantName, GrantRevoked, StatePlace, Token, open};
use crate::text::escape;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn run(args: GrantArgs) -> Result<Exit, Failure> {
    let place = state::shared_place(&args.place, "grants")?;
    match args.command {
        GrantCommand::Create(new) => {
            let project = match &args.place.state {
                Some(_) => None,
                None => project::find(args.place.config.as_deref())?,
            };
            project.iter().for_each(|project| new.server.iter().for_each(|server| project.warn_unknown(server)));
            create(&place, new)
        }
        GrantCommand::List { format } => list(&place, format),
        GrantCommand::Revoke { name } => revoke(&place, &name),
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::usage(error.to_string())
}

fn create(place: &StatePlace, args: GrantCreateArgs) -> Result<Exit, Failure> {
    let servers: BTreeSet<String> = args.server.into_iter().collect();
    if !servers_fit(servers.len()) {
        return Err(Failure::usage(format!("{} servers for one grant", servers.len()))
            .with_help(format!("at most {GRANT_SERVERS_MAX}; make several grants")));
    }
    if args.name.as_str() == LOCAL_GRANT {
        return Err(Failure::usage(format!("`{LOCAL_GRANT}` is what callers without a token are called"))
            .with_help("choose another name: calls of two that share one would be counted together"));
    }
    let now = clock::now();
    let token = Token::generate().map_err(output::internal)?;
    let grant = Grant {
        name: args.name,
        servers,
        policy: args.policy.as_deref().map(checked_policy).transpose()?,
        token: token.hash(),
        created: now,
        expires: args.expires.map(|expiry| end(expiry, now)).transpose()?,
        revoked: None,
    };
    match open(place).grants.create(now, &grant).map_err(failed)? {
        GrantCreated::Done => {}
        GrantCreated::Exists(known) => return Err(exists(&known)),
    }
    output::coloured(&format!("{}\n", token.reveal()))?;
    let servers: Vec<_> = grant.servers.iter().map(|server| escape(server)).collect();
    let ends = grant.expires.map_or_else(String::new, |end| format!(" until {}", utc(end)));
    output::people(&format!(
        "Grant {} is good for {}{ends}.\nThe token is shown this once; only its hash is kept, in {place}.\n",
        grant.name,
        servers.join(", "),
    ));
    Ok(Exit::Clean)
}

fn exists(known: &Grant) -> Failure {
    Failure::usage(format!("there is a grant `{}` already, made {}", known.name, utc(known.created)))
        .with_help(format!("choose another name, or take that one back first: `mcpol grant revoke {}`", known.name))
}

/// The policy's absolute path, because the gateway may run elsewhere; a policy that cannot be read would deny all.
fn checked_policy(path: &Path) -> Result<String, Failure> {
    policy_file::read(path)?;
    let absolute = std::path::absolute(path).map_err(output::internal)?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|_| Failure::usage(format!("the path of `{}` is not UTF-8", path.display())))
}

fn end(expiry: Expiry, now: Timestamp) -> Result<Timestamp, Failure> {
    match expiry {
        Expiry::After(span) => {
            let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            Ok(Timestamp::from_millis(now.millis().saturating_add(millis)))
        }
        Expiry::At(time) if time > now => Ok(time),
        Expiry::At(time) => Err(Failure::usage(format!("what ends at {} is over already", utc(time)))
            .with_help("name a later date, or a span such as `--expires 30d`")),
    }
}

fn list(place: &StatePlace, format: PlainFormat) -> Result<Exit, Failure> {
    let grants = if state::is_untouched(place) { Vec::new() } else { open(place).grants.list().map_err(failed)? };
    let now = clock::now();
    match format {
        PlainFormat::Json => output::document(&report::GrantDocument::new(&grants, now))?,
        PlainFormat::Table if grants.is_empty() => {
            output::people("There are no grants. `mcpol grant create NAME --server SERVER` makes one.\n");
        }
        PlainFormat::Table => output::coloured(&report::grants_table(&grants, now, output::terminal_width()))?,
    }
    Ok(Exit::Clean)
}

fn revoke(place: &StatePlace, name: &GrantName) -> Result<Exit, Failure> {
    let known = if state::is_untouched(place) {
        GrantRevoked::Unknown
    } else {
        open(place).grants.revoke(clock::now(), name).map_err(failed)?
    };
    match known {
        GrantRevoked::Done(grant) => {
            output::people(&format!("Grant {} is revoked; the next request with its token is refused.\n", grant.name));
            Ok(Exit::Clean)
        }
        GrantRevoked::Already(grant) => {
            let when = grant.revoked.map_or_else(String::new, |time| format!(" since {}", utc(time)));
            output::people(&format!("Grant {} is revoked already{when}.\n", grant.name));
            Ok(Exit::Clean)
        }
        GrantRevoked::Unknown => Err(Failure::usage(format!("there is no grant `{name}` in {place}"))
            .with_help("`mcpol grant list` shows those that there are; grants of mcpol.toml are taken back there")),
    }
}
