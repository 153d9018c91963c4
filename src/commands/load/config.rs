//! Servers of MCP clients' configuration files. Scanning a stdio server runs it, so commands that nobody typed here are
//! shown and confirmed first.

use super::super::{Failure, output};
use super::ask;
pub(in crate::commands) use super::behind::behind as look_behind;
use super::kept::KeptOne;
use super::live::Job;
use super::{Configuration, Item};
use crate::classify::findings::secrets;
use crate::classify::findings::source::{literal_secret, secret_arguments, secret_in_config};
use crate::cli::TargetArgs;
use crate::clients::{self, Client, ConfigFile, ConfigValue, Configured, Found, Inputs, Places, ValueKind, Written};
use crate::exit::Exit;
use crate::mcp::target::Target;
use crate::report::{Failed, FoundIn};
use crate::text::{escape, nearest};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

/// The configuration files of the MCP clients on this machine; none is opened.
pub(in crate::commands) fn found_here() -> Vec<Found> {
    Places::of_this_machine().map(|places| clients::discover(&places)).unwrap_or_default()
}

/// Chooses among servers that were found: the positions of those that are wanted.
pub(in crate::commands) type Pick<'p> = &'p dyn Fn(&[Chosen]) -> Result<BTreeSet<usize>, Failure>;

/// Takes every server.
fn all(found: &[Chosen]) -> Result<BTreeSet<usize>, Failure> {
    Ok((0..found.len()).collect())
}

/// A server that was asked for, and where else it is configured the same.
pub(in crate::commands) struct Chosen {
    /// The entry that is looked at.
    pub server: Configured,
    /// The clients that have the same in files of their own.
    pub also: Vec<Configured>,
}

/// The servers of the configuration files that the arguments name, after the user has agreed to run their commands, but
/// for those of which `kept` has an answer and that are not run. Files and entries that are not valid are handed to `on`; the others go on.
///
/// # Errors
/// A server is named that no file has, the commands were not confirmed, or whatever `on` returned.
pub(super) fn servers(
    args: &TargetArgs,
    kept: &dyn Fn(&Target) -> Option<KeptOne>,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<Vec<Job>, Failure> {
    if args.config.is_empty() && !args.discover {
        if args.server.is_empty() {
            return Ok(Vec::new());
        }
        return Err(Failure::usage("--server chooses from a configuration, and none is named")
            .with_help("add `--config FILE` or `--discover`"));
    }
    let chosen = chosen(args, None, &all, on)?;
    let find = |chosen: &Chosen| chosen.server.missing.is_empty().then(|| kept(&chosen.server.target)).flatten();
    let found: Vec<_> = chosen.iter().map(find).collect();
    confirm(args, chosen.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(chosen, _)| chosen))?;
    let mut jobs = jobs(&chosen, on)?;
    let startable = chosen.iter().zip(found).filter(|(chosen, _)| chosen.server.missing.is_empty());
    jobs.iter_mut().zip(startable).for_each(|(job, (_, found))| job.kept = found);
    Ok(jobs)
}

/// The servers of the configuration files that the arguments name; of those that are found, only of one client where one
/// is given; of all these, those that `pick` takes. What a client would ask its user for is asked here, on a terminal.
///
/// # Errors
/// A server is named that no file has, or whatever `on` returned.
pub(in crate::commands) fn chosen(
    args: &TargetArgs,
    only: Option<Client>,
    pick: Pick<'_>,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<Vec<Chosen>, Failure> {
    let mut inputs: Inputs = args.input.iter().cloned().collect();
    let mut files = read(args, only, &inputs, on)?;
    let found = choose(args, &files)?;
    // Nobody is asked for what a server needs that is not wanted.
    let wanted = pick(&found)?;
    let chosen: Vec<_> =
        found.into_iter().enumerate().filter(|(at, _)| wanted.contains(at)).map(|(_, it)| it).collect();
    let places: BTreeSet<_> = chosen.iter().flat_map(Chosen::places).collect();
    let missing = chosen.iter().flat_map(|it| it.server.missing.iter().map(move |name| (name, it.server.client)));
    let wanted: BTreeMap<String, Client> =
        missing.filter_map(|(name, client)| Some((name.strip_prefix("input:")?.to_owned(), client))).collect();
    if !wanted.is_empty() && on_a_terminal() {
        for (id, client) in wanted {
            let question = format!("`{}`, which {client} would ask for (not shown): ", escape(&id));
            inputs.insert(id, ask::secret(&question)?);
        }
        files = read(args, only, &inputs, &mut |_| Ok(()))?;
    }
    for problem in files.iter().flat_map(|file| &file.problems) {
        on(Item::Problem(problem.clone()))?;
    }
    let notes: String =
        files.iter().flat_map(|file| &file.notes).map(|note| format!("note: {}\n", escape(&note.message))).collect();
    output::note(&notes);
    if files.is_empty() && args.discover {
        output::note(&format!("note: {}\n", looked_at()));
    }
    let mut chosen = choose(args, &files)?;
    chosen.retain(|it| it.places().any(|place| places.contains(&place)));
    for chosen in chosen.iter().filter(|chosen| !chosen.also.is_empty()) {
        let name = escape(chosen.server.name.as_str());
        output::note(&format!("note: `{name}` is the same in {}: looked at once\n", chosen.clients()));
    }
    Ok(chosen)
}

/// The configuration files that the arguments name, as they are.
///
/// # Errors
/// Whatever `on` returned.
pub(in crate::commands) fn read_files(
    args: &TargetArgs,
    only: Option<Client>,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<Vec<ConfigFile>, Failure> {
    read(args, only, &Inputs::new(), on)
}

fn read(
    args: &TargetArgs,
    only: Option<Client>,
    inputs: &Inputs,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<Vec<ConfigFile>, Failure> {
    let named = args.config.iter().map(|path| clients::load(path, inputs).map(Some));
    let mut found = if args.discover { found_here() } else { Vec::new() };
    found.retain(|found| only.is_none_or(|client| client == found.client));
    let mut files = Vec::new();
    for file in named.chain(found.iter().map(|found| clients::load_found(found, inputs))) {
        match file {
            Ok(Some(mut file)) => {
                file.servers.iter_mut().for_each(look_behind);
                files.push(file);
            }
            Ok(None) => {}
            Err(problem) => on(Item::Problem(problem))?,
        }
    }
    Ok(files)
}

/// Where clients' files were looked for, in a sentence.
pub(in crate::commands) fn looked_at() -> String {
    let Some(places) = Places::of_this_machine() else { return "there is no home to look in".to_owned() };
    let looked = places.looked_at();
    let mut names: Vec<String> = looked.iter().map(|(client, _)| client.to_string()).collect();
    names.dedup();
    format!("looked in {} places; not here: {}", looked.len(), names.join(", "))
}

/// Whether there is a person to ask.
pub(in crate::commands) fn on_a_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Chosen {
    /// Where its entries stand.
    fn places(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        std::iter::once(&self.server).chain(&self.also).map(|it| (it.file.clone(), it.path.clone()))
    }

    /// The clients that have it, in words.
    pub fn clients(&self) -> String {
        let all: Vec<_> = std::iter::once(&self.server).chain(&self.also).map(|it| it.client.to_string()).collect();
        match all.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => all.concat(),
        }
    }
}

/// The servers that are asked for, each once: the same command in the files of two clients is one server.
pub(in crate::commands) fn choose(args: &TargetArgs, files: &[ConfigFile]) -> Result<Vec<Chosen>, Failure> {
    let all: Vec<&Configured> = files.iter().flat_map(|file| &file.servers).collect();
    let known: BTreeSet<_> = all.iter().map(|server| server.name.as_str()).collect();
    let unknown: Vec<_> = args.server.iter().filter(|name| !known.contains(name.as_str())).collect();
    if let Some(first) = unknown.first() {
        let names: Vec<_> = unknown.iter().map(|name| format!("`{name}`")).collect();
        let help = match nearest(first, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "the configuration has no servers".to_owned(),
            None => format!("it has {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        return Err(Failure::usage(format!("no server {} in the configuration", names.join(", "))).with_help(help));
    }
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    let mut chosen: Vec<Chosen> = Vec::new();
    let asked_for =
        |server: &&Configured| args.server.is_empty() || args.server.iter().any(|name| name == server.name.as_str());
    for server in all.into_iter().filter(asked_for) {
        match seen.entry((server.name.clone(), identity(&server.target))) {
            Entry::Occupied(known) => chosen[*known.get()].also.push(server.clone()),
            Entry::Vacant(new) => {
                new.insert(chosen.len());
                chosen.push(Chosen { server: server.clone(), also: Vec::new() });
            }
        }
    }
    Ok(chosen)
}

/// What makes two entries the same server; it is compared and never shown.
fn identity(target: &Target) -> Vec<String> {
    let pairs = |map: &BTreeMap<String, crate::mcp::target::Secret>| {
        map.iter().map(|(name, value)| format!("{name}={}", value.reveal())).collect::<Vec<_>>()
    };
    match target {
        Target::Stdio(it) => {
            // The same words in two folders are two servers where one of them is a file there.
            let folder = it.cwd.as_ref().filter(|folder| it.argv.iter().any(|word| is_file_in(folder, word)));
            let folder = folder.map(|folder| folder.display().to_string());
            [it.argv.clone(), pairs(&it.env), folder.into_iter().collect()].concat()
        }
        Target::Http(it) => [vec![it.url.to_string()], pairs(&it.headers)].concat(),
    }
}

fn is_file_in(folder: &Path, word: &str) -> bool {
    !word.is_empty() && Path::new(word).is_relative() && folder.join(word).exists()
}

/// Shows the commands and asks, unless `--yes` was given. Nothing is run unasked.
pub(in crate::commands) fn confirm<'c>(
    args: &TargetArgs,
    chosen: impl IntoIterator<Item = &'c Chosen>,
) -> Result<(), Failure> {
    let commands = chosen.into_iter().map(|chosen| &chosen.server);
    let commands: Vec<_> = commands.filter(|server| matches!(server.target, Target::Stdio(_))).collect();
    if commands.is_empty() || args.yes {
        return Ok(());
    }
    let mut text = String::from("Scanning these servers runs their commands:\n");
    for &server in &commands {
        if let Target::Stdio(target) = &server.target {
            let shown: Vec<_> = target.shown_argv().iter().map(|argument| word(argument)).collect();
            let _ = writeln!(text, "  {:<16} {}", server.name, shown.join(" "));
            let place = server.place.map_or(String::new(), |place| format!(":{}", place.line));
            let _ = write!(text, "  {:<16} from {}{place} ({})", "", escape(&server.file), server.client);
            if !target.env.is_empty() {
                let names: Vec<_> = target.env.keys().map(|name| escape(name)).collect();
                let _ = write!(text, ", with {}", names.join(", "));
            }
            text.push('\n');
        }
    }
    output::people(&text);
    if !on_a_terminal() {
        return Err(Failure::usage(
            "commands from a configuration are not run without consent, and there is no terminal to ask on",
        )
        .with_help("add `--yes` to run them, or `--server NAME` to choose"));
    }
    if ask::yes("Run them? [y/N] ") {
        return Ok(());
    }
    Err(Failure::usage("nothing was run").with_exit(Exit::Nothing))
}

/// An argument as a shell would show it: in quotes where it would be several words.
fn word(argument: &str) -> String {
    let shown = escape(argument);
    let plain = !shown.is_empty() && shown.chars().all(|c| c.is_alphanumeric() || "-_./:=@%+,…".contains(c));
    if plain { shown.into_owned() } else { format!("'{}'", shown.replace('\'', "'\\''")) }
}

pub(in crate::commands) fn jobs(
    chosen: &[Chosen],
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    for chosen in chosen {
        let server = &chosen.server;
        if server.missing.is_empty() {
            let found_in = std::iter::once(server).chain(&chosen.also).map(|it| {
                let project = it.project.as_deref().map_or_else(String::new, |project| format!(" for {project}"));
                FoundIn { client: it.client.to_string(), file: format!("{}{project}", it.file) }
            });
            let configuration =
                Configuration { findings: secrets(server).into_iter().collect(), found_in: found_in.collect() };
            jobs.push(Job { configuration, ..Job::new(server.target.clone()) });
            continue;
        }
        on(Item::Failed(Failed { server: server.name.clone(), error: missing(server) }))?;
    }
    Ok(jobs)
}

/// What a server cannot be started without, and how to give it.
fn missing(server: &Configured) -> String {
    let names: Vec<_> = server.missing.iter().map(|name| format!("`{}`", escape(name))).collect();
    let (asked, exported): (Vec<_>, Vec<_>) = server.missing.iter().partition(|name| name.starts_with("input:"));
    let mut help: Vec<String> =
        asked.iter().map(|name| format!("`--input {}=VALUE`", escape(name.trim_start_matches("input:")))).collect();
    if !help.is_empty() {
        help = vec![format!("give what {} asks for with {}", server.client, help.join(" "))];
    }
    if !exported.is_empty() {
        help.push("export what is missing and run again".to_owned());
    }
    format!(
        "the configuration refers to {}, which {} not set here\n  help: {}",
        names.join(", "),
        if names.len() == 1 { "is" } else { "are" },
        help.join("; ")
    )
}

/// Whether a value is a secret, or holds one.
pub(in crate::commands) fn is_secret(value: &ConfigValue) -> bool {
    let text = value.value.reveal();
    // Only keys of a path stand among the values under this name.
    let key = value.kind == ValueKind::Url && value.name == "path";
    key || literal_secret(&value.name, text) || secrets::inside(text, "").is_some()
}

/// A finding for secrets that are written out in the entry. What is asked and recorded has them no more, so this is the
/// one place that can tell.
fn secrets(server: &Configured) -> Option<crate::model::Finding> {
    let handed = server.values.iter().filter(|value| value.kind != ValueKind::Argument);
    let mut names: BTreeSet<String> = handed
        .filter(|value| value.written == Written::Literally && is_secret(value))
        .map(|value| value.name.clone())
        .collect();
    if let Target::Stdio(target) = &server.target {
        // Values of variables were put in by reference: they stand nowhere in the file.
        let by_reference = |(at, argument): (usize, &String)| {
            if target.hidden.contains(&at) { "…".to_owned() } else { argument.clone() }
        };
        let written: Vec<String> = target.argv.iter().enumerate().map(by_reference).collect();
        names.extend(secret_arguments(&written));
    }
    secret_in_config(&format!("the configuration of {}", server.client), &names)
}
