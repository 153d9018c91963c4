//! From arguments to listings and verdicts: what several commands start with.

pub(super) mod ask;
mod behind;
mod classifier;
pub(super) mod config;
mod files;
mod kept;
pub(super) mod layers;
mod live;
mod targets;

pub(super) use classifier::Classifier;
pub(super) use config::on_a_terminal;
pub(super) use targets::{HandedHeaders, http_target, name_of_command, name_of_url, server_name};

use super::{Failure, output};
use crate::catalog;
use crate::cli::{ClientCapability, KeptScans, TargetArgs};
use crate::exit::Exit;
use crate::mcp::target::{StdioTarget, Target};
use crate::mcp::{EnumerateOptions, Home, Wanted};
use crate::model::{Extras, Finding, Listing, ServerName, ServerSource};
use crate::problem::Problem;
use crate::report::{Failed, FoundIn};
use kept::{KeptListings, KeptOne};
use serde_json::json;
use std::cell::LazyCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What could be listed, and what could not.
pub(super) struct Loaded {
    /// In the order of server names.
    pub listings: Vec<Listing>,
    /// Server and the error with its next step, already fit to be shown.
    pub failed: Vec<Failed>,
}

impl Loaded {
    /// Fails where no server could be listed.
    ///
    /// # Errors
    /// There is no listing.
    pub fn some(&self) -> Result<(), Failure> {
        if !self.listings.is_empty() {
            return Ok(());
        }
        let exit = if self.failed.is_empty() { Exit::Nothing } else { Exit::Unreachable };
        Err(Failure::usage("no server to look at").with_exit(exit))
    }
}

/// What the configuration of a server says of it, beside what the server answers; nothing where none led to it.
#[derive(Default)]
pub(super) struct Configuration {
    /// What was found there.
    pub findings: Vec<Finding>,
    /// The clients that have the server, and in which files.
    pub found_in: Vec<FoundIn>,
}

/// One thing that the arguments led to.
pub(super) enum Item {
    /// What a server offers, and what its configuration says.
    Listing(Box<Listing>, Configuration),
    /// A server that could not be listed; the others go on.
    Failed(Failed),
    /// A file, or a part of one, that holds no tool list; the others go on.
    Problem(Problem),
}

/// Reads the files and connects to the servers that the arguments name, and hands over each as soon as it is there.
/// Files come first, in the order of their paths.
///
/// # Errors
/// The arguments name nothing, or contradict each other; or whatever `on` returned.
pub(super) fn each(args: &TargetArgs, on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure> {
    if !names_anything(args) {
        return Err(Failure::usage("no server named").with_help(
            "give a URL, a command after `--`, `--config FILE`, `--discover`, or saved lists with `--tools FILE`",
        ));
    }
    let kept = find_kept(args);
    let mut jobs = targets::typed(args)?;
    jobs.iter_mut().for_each(|job| job.kept = kept(&job.target));
    jobs.extend(config::servers(args, &kept, on)?);
    let mut lists = args.tools.clone();
    lists.extend(recorded(args)?);
    files::each(&lists, &mut |item| match item {
        Item::Listing(mut listing, configuration) if args.no_extras => {
            listing.extras = Extras::not_recorded();
            on(Item::Listing(listing, configuration))
        }
        other => on(other),
    })?;
    if jobs.is_empty() {
        return Ok(());
    }
    ask_all(jobs, args, on)
}

/// The files of the records that the arguments name by their servers.
fn recorded(args: &TargetArgs) -> Result<Vec<PathBuf>, Failure> {
    let file = |name: &String| {
        let path = args.catalog_dir.join(catalog::record_file(name));
        if path.is_file() {
            return Ok(path);
        }
        let known = catalog::tool_list_files(&args.catalog_dir).unwrap_or_default();
        let known: Vec<String> =
            known.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
        let failure = Failure::usage(format!("no record of a server `{name}` in `{}`", args.catalog_dir.display()));
        Err(match crate::text::nearest(name, known.iter().map(String::as_str)) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure.with_help("`--catalog-dir DIR` names another directory of records"),
        })
    };
    args.catalog.iter().map(file).collect()
}

/// Reads saved lists and hands over each as soon as it is read, in the order of the files.
///
/// # Errors
/// Whatever `on` returned.
pub(super) fn saved(paths: &[PathBuf], on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure> {
    files::each(paths, on)
}

/// Asks the sample server inside this binary, as a real child process over stdio.
///
/// # Errors
/// As [`each`].
pub(super) fn sample(args: &TargetArgs, on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(output::internal)?;
    let argv = vec![program.to_string_lossy().into_owned(), "sample-server".to_owned()];
    let target = Target::Stdio(StdioTarget::new(ServerName::new(crate::sample::NAME), argv));
    live::each(vec![live::Job::new(target)], 1, &options(args), &|_, _| (), &mut |item| match item {
        Item::Listing(mut listing, configuration) => {
            // The path of this binary is nobody's business, and differs from machine to machine.
            listing.source = ServerSource::Sample;
            on(Item::Listing(listing, configuration))
        }
        other => on(other),
    })
}

/// Finds what a server answered a short while ago, where the command makes use of that.
fn find_kept(args: &TargetArgs) -> impl Fn(&Target) -> Option<KeptOne> {
    let kept = (args.kept == KeptScans::Used).then(KeptListings::open).flatten();
    let options = options(args);
    move |target| kept.as_ref()?.find(target, &options)
}

/// Hands over what servers answered a short while ago, which is said in a line; asks the others at the same time, as the
/// arguments say, and hands over each as soon as it is there.
///
/// # Errors
/// Ctrl-C, or whatever `on` returned.
pub(super) fn ask_all(
    jobs: Vec<live::Job>,
    args: &TargetArgs,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (all, mut asked, mut oldest) = (jobs.len(), Vec::new(), Duration::ZERO);
    let mut found = Vec::new();
    for mut job in jobs {
        match job.kept.take() {
            Some(kept) => {
                oldest = oldest.max(kept.age);
                found.push((kept.listing, job.configuration));
            }
            None => asked.push(job),
        }
    }
    let ago = kept::ago(oldest);
    match found.as_slice() {
        [] => {}
        [(one, _)] if all == 1 => {
            let name = crate::text::escape(one.server.as_str());
            output::note(&format!("note: `{name}` is from a scan {ago} ago; --fresh scans again\n"));
        }
        several => {
            let (count, are) = (several.len(), if several.len() == 1 { "is" } else { "are" });
            output::note(&format!("note: {count} of {all} servers {are} from a scan {ago} ago; --fresh scans again\n"));
        }
    }
    let mut hand_over = |(listing, configuration)| on(Item::Listing(Box::new(listing), configuration));
    found.into_iter().try_for_each(&mut hand_over)?;
    if asked.is_empty() {
        return Ok(());
    }
    let options = options(args);
    let kept = LazyCell::new(KeptListings::open_or_make);
    let keep = |target: &Target, listing: &Listing| {
        // What this program serves itself is asked in no time.
        if args.kept != KeptScans::Unused
            && !is_this_program(target)
            && let Some(kept) = &*kept
        {
            kept.keep(target, &options, listing);
        }
    };
    live::each(asked, args.jobs, &options, &keep, on)
}

/// Whether a server is a part of this very program.
fn is_this_program(target: &Target) -> bool {
    match target {
        Target::Stdio(target) => std::env::current_exe()
            .is_ok_and(|own| target.argv.first().is_some_and(|program| own == Path::new(program))),
        Target::Http(_) => false,
    }
}

/// How many servers the MCP clients of this machine have configured. Files that cannot be read have none.
pub(super) fn configured_here() -> usize {
    let files = config::found_here();
    let read = files
        .iter()
        .filter_map(|found| crate::clients::load_found(found, &crate::clients::Inputs::new()).ok().flatten());
    read.map(|file| file.servers.len()).sum()
}

fn options(args: &TargetArgs) -> EnumerateOptions {
    let mut options = EnumerateOptions::new(args.timeout);
    options.launcher = crate::mcp::supervise::launcher();
    options.capabilities = capabilities(&args.capability);
    options.wanted = if args.no_extras { Wanted::Tools } else { Wanted::Everything };
    options.home = if args.real_home { Home::Real } else { Home::Scratch };
    options
}

/// What is declared for each name, in full: servers look at different depths.
fn capabilities(declared: &[ClientCapability]) -> serde_json::Value {
    let one = |capability: &ClientCapability| match capability {
        ClientCapability::Roots => ("roots", json!({})),
        ClientCapability::Sampling => ("sampling", json!({})),
        ClientCapability::Elicitation => ("elicitation", json!({"form": {}, "url": {}})),
        ClientCapability::Tasks => {
            ("tasks", json!({"requests": {"sampling": {"createMessage": {}}, "elicitation": {"create": {}}}}))
        }
    };
    declared.iter().map(one).map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
}

/// Whether the arguments name a server or a file at all.
pub(super) fn names_anything(args: &TargetArgs) -> bool {
    args.name_a_place() || !args.server.is_empty()
}

/// Whether the arguments name saved lists and no server to ask.
pub(super) fn names_only_lists(args: &TargetArgs) -> bool {
    let others = TargetArgs { tools: Vec::new(), catalog: Vec::new(), ..args.clone() };
    (!args.tools.is_empty() || !args.catalog.is_empty()) && !names_anything(&others)
}

/// Connects to the servers or reads the files that the arguments name.
///
/// # Errors
/// The arguments name nothing, or a file is not valid: then with every problem of every file.
pub(super) fn listings(args: &TargetArgs) -> Result<Loaded, Failure> {
    gathered(|on| each(args, on))
}

/// As [`listings`], and of the sample server where the arguments name nothing.
///
/// # Errors
/// A file is not valid: then with every problem of every file.
pub(super) fn listings_or_sample(args: &TargetArgs) -> Result<Loaded, Failure> {
    if names_anything(args) { listings(args) } else { gathered(|on| sample(args, on)) }
}

fn gathered(
    from: impl FnOnce(&mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure>,
) -> Result<Loaded, Failure> {
    let (mut loaded, mut problems) = (Loaded { listings: Vec::new(), failed: Vec::new() }, Problems::default());
    from(&mut |item| {
        match item {
            Item::Listing(listing, _) => loaded.listings.push(*listing),
            Item::Failed(failed) => loaded.failed.push(failed),
            Item::Problem(problem) => problems.push(problem),
        }
        Ok(())
    })?;
    problems.check()?;
    loaded.listings.sort_by(|a, b| a.server.cmp(&b.server));
    loaded.failed.sort();
    Ok(loaded)
}

/// Most problems that are shown; what they are is clear by then.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// What is wrong with the input files: the first so many, and how many there are.
#[derive(Default)]
pub(super) struct Problems {
    first: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Adds one; beyond the bound only the number grows, so that a file of bad lines cannot fill the memory.
    pub fn push(&mut self, problem: Problem) {
        if self.first.len() < PROBLEMS_SHOWN_MAX {
            self.first.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The failure for files that are not valid, in whole or in part; `Ok` where nothing is wrong.
    ///
    /// # Errors
    /// There is a problem.
    pub fn check(mut self) -> Result<(), Failure> {
        self.first.sort();
        let what = match self.first.len() + self.more {
            0 => return Ok(()),
            1 => "there is a problem with an input file".to_owned(),
            several => format!("there are {several} problems with the input files"),
        };
        let failure = Failure::usage(what).with_exit(Exit::Usage).with_problems(self.first);
        Err(if self.more > 0 { failure.with_help(format!("{} more not shown", self.more)) } else { failure })
    }
}
