//! Servers that an MCP registry names: looked up, confirmed as those of a file, and held against what they say.

use super::super::{Failure, output};
use super::config::{Chosen, confirm, jobs, on_a_terminal};
use super::live::{Job, Registered};
use super::{Item, ask, targets};
use crate::cli::TargetArgs;
use crate::clients::{self, Configured, Inputs};
use crate::exit::Exit;
use crate::mcp::target::{Secret, Target};
use crate::model::{Package, ServerName};
use crate::registry::{self, Answer, AskError, Described, EntryName, Registry};
use crate::text::{escape, excerpt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Seconds that a registry has for one answer; downloads of packages have `--timeout`.
const ANSWER_SECONDS_MAX: u64 = 30;
/// Variables that name npm's registry where it is not the usual one.
const NPM_REGISTRY: [&str; 2] = ["npm_config_registry", "NPM_CONFIG_REGISTRY"];

/// The servers that the arguments name in a registry, after the user has agreed to run their commands.
///
/// # Errors
/// The registry cannot be asked or has no such entry, the entry has nothing that can be started here, or the commands were
/// not confirmed.
pub(super) fn servers(args: &TargetArgs, on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<Vec<Job>, Failure> {
    if args.registry.is_empty() {
        return Ok(Vec::new());
    }
    if args.name.is_some() && args.registry.len() > 1 {
        return Err(Failure::usage("--name is for one server, and several are looked up"));
    }
    let from = Registry::at(&args.registry_url).map_err(|error| unusable(&error))?;
    let env = targets::environment(&args.env)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(output::internal)?;
    let (mut answers, mut chosen) = (Vec::new(), Vec::new());
    for name in &args.registry {
        let answer = runtime.block_on(look_up(&from, name))?;
        chosen.push(Chosen { server: server(args, name, &answer, &env)?, also: Vec::new() });
        answers.push(answer);
    }
    confirm(args, &chosen)?;
    let mut all = Vec::new();
    for (chosen, answer) in chosen.into_iter().zip(answers) {
        for mut job in jobs(&[chosen], on)? {
            let described = runtime.block_on(described(&from, &job.target, &answer));
            job.registered = Some(Registered { entry: answer.entry.clone(), described });
            all.push(job);
        }
    }
    Ok(all)
}

fn unusable(error: &AskError) -> Failure {
    let help = "give the address of a registry that speaks API v0.1, without that part of the path, over https";
    Failure::usage(error.to_string()).with_help(help)
}

/// Waits for an answer as long as one may take.
async fn in_time<T>(asked: impl Future<Output = Result<T, AskError>>) -> Result<T, String> {
    match tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {ANSWER_SECONDS_MAX} s")),
    }
}

async fn look_up(from: &Registry, name: &EntryName) -> Result<Answer, Failure> {
    let mut missing = false;
    let asked = async {
        let answer = from.entry(name).await;
        missing = matches!(answer, Err(AskError::NotThere));
        answer
    };
    let why = match in_time(asked).await {
        Ok(answer) => return Ok(answer),
        Err(why) => why,
    };
    let failure = Failure::usage(format!("cannot take `{name}` from the registry {}: {why}", from.shown()));
    if !missing {
        return Err(failure.with_exit(Exit::Unreachable));
    }
    let like = in_time(async { Ok(from.like(name).await) }).await.unwrap_or_default();
    let like: Vec<_> =
        like.iter().filter(|it| *it != name.name()).map(|it| format!("`{}`", excerpt(it, 200))).collect();
    Err(match (like.is_empty(), name.version()) {
        (false, _) => failure.with_help(format!("it has {}", like.join(", "))),
        (true, Some(_)) => failure.with_help("leave `@VERSION` out for the newest version that it has"),
        (true, None) => failure.with_help("name it as the registry does, namespace included"),
    })
}

/// The server of an entry: the one that `--server` names, else the first that can be started or reached from here.
fn server(
    args: &TargetArgs,
    name: &EntryName,
    answer: &Answer,
    env: &BTreeMap<String, Secret>,
) -> Result<Configured, Failure> {
    let place = format!("{}@{}", answer.entry.name, answer.entry.version);
    // A variable that is passed on is what the entry asks for under its name.
    let mut inputs: Inputs = env.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect();
    inputs.extend(args.input.iter().cloned());
    let mut server = pick(args, name, answer, &place, &inputs)?;
    let asked: BTreeSet<_> =
        server.missing.iter().filter_map(|it| it.strip_prefix("input:")).map(str::to_owned).collect();
    if !asked.is_empty() && on_a_terminal() {
        for id in asked {
            let value = ask::secret(&format!("`{}`, which `{}` asks for (not shown): ", escape(&id), escape(&place)))?;
            inputs.insert(id, value);
        }
        server = pick(args, name, answer, &place, &inputs)?;
    }
    let called = match &server.target {
        Target::Stdio(target) => targets::name_of_command(&target.argv),
        Target::Http(target) => targets::name_of_url(target.url.as_str())?,
    };
    let called = args.name.as_ref().map_or(called, ServerName::new);
    server.name = called.clone();
    match &mut server.target {
        Target::Stdio(target) => {
            target.server = called;
            target.env.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        Target::Http(target) => target.server = called,
    }
    Ok(server)
}

fn pick(
    args: &TargetArgs,
    name: &EntryName,
    answer: &Answer,
    place: &str,
    inputs: &Inputs,
) -> Result<Configured, Failure> {
    let read = clients::load_text(place, answer.server.get(), inputs);
    let wanted =
        |server: &&Configured| args.server.is_empty() || args.server.iter().any(|it| it == server.name.as_str());
    if let Some(server) = read.servers.iter().find(wanted) {
        return Ok(server.clone());
    }
    let names: Vec<_> = read.servers.iter().map(|server| format!("`{}`", escape(server.name.as_str()))).collect();
    if !names.is_empty() {
        let failure = Failure::usage(format!("`{name}` has no server of the name that --server gives"));
        return Err(failure.with_help(format!("it has {}", names.join(", "))));
    }
    let kinds: BTreeSet<_> = answer.packages.iter().map(|it| format!("`{}`", excerpt(&it.registry_type, 40))).collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
    let has =
        if kinds.is_empty() { "neither packages nor addresses".to_owned() } else { format!("packages of {kinds}") };
    Err(Failure::usage(format!("`{name}` has nothing that can be started here: {has}"))
        .with_problems(read.problems)
        .with_help("npm, PyPI and container packages that speak over stdio are started, and URLs are asked"))
}

/// What the package of a command says of itself; where that cannot be had, the scan goes on without it.
async fn described(from: &Registry, target: &Target, answer: &Answer) -> Option<Described> {
    let Target::Stdio(target) = target else { return None };
    let package = Package::of_command(&target.argv)?;
    let npm = NPM_REGISTRY.iter().find_map(|name| std::env::var(name).ok());
    let Some(place) = registry::place(&package, &answer.packages, from, npm.as_deref()) else {
        let name = excerpt(&package.name, 100);
        output::note(&format!("note: `{name}` was not compared with its entry: its registry is none that is asked\n"));
        return None;
    };
    match in_time(registry::describe(&package, &place)).await {
        Ok(described) => Some(described),
        Err(why) => {
            let name = excerpt(&package.name, 100);
            output::note(&format!("note: `{name}` was not compared with its entry: {}\n", escape(&why)));
            None
        }
    }
}
