//! Live servers: asked at the same time, each on its own; one that fails never spoils the rest.

use super::super::{Failure, output};
use super::kept::KeptOne;
use super::{Configuration, Item};
use crate::exit::Exit;
use crate::mcp::target::Target;
use crate::mcp::{ConnectError, EnumerateOptions, Progress, enumerate};
use crate::model::Listing;
use crate::report::Failed;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::{BTreeSet, VecDeque};
use std::io::IsTerminal as _;
use std::time::Duration;
use tokio::task::JoinSet;

/// Between two pictures of a progress line.
const TICK: Duration = Duration::from_millis(100);

/// A server to ask.
pub(in crate::commands) struct Job {
    /// Where it is.
    pub target: Target,
    /// What its configuration says, beside what its answer will show.
    pub configuration: Configuration,
    /// What it answered a short while ago: then it is not asked.
    pub kept: Option<KeptOne>,
}

impl Job {
    /// A server to ask of whose configuration there is nothing to say.
    pub fn new(target: Target) -> Self {
        Self { target, configuration: Configuration::default(), kept: None }
    }
}

type LiveAnswer = (Job, Result<Listing, ConnectError>);

/// Takes what became of a server, and of one that answered where it is.
type HandOver<'h> = dyn FnMut(Item, Option<&Target>) -> Result<(), Failure> + 'h;

/// Asks the servers, at most `at_once` at a time, and hands over each answer as soon as it is there; `keep` sees the good
/// ones first.
///
/// # Errors
/// Ctrl-C, after every child process is ended; or whatever `on` returned.
pub(super) fn each(
    jobs: Vec<Job>,
    at_once: usize,
    options: &EnumerateOptions,
    keep: &dyn Fn(&Target, &Listing),
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // The event loop is made only here: a scan of files never pays for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(output::internal)?;
    runtime.block_on(async {
        let mut running = JoinSet::new();
        let mut hand_over = |item: Item, target: Option<&Target>| {
            if let (Item::Listing(listing, _), Some(target)) = (&item, target) {
                keep(target, listing);
            }
            on(item)
        };
        let outcome = ask_all(jobs, at_once.max(1), options, &mut running, &mut hand_over).await;
        // Dropping a request ends its child process with everything that it started.
        running.shutdown().await;
        outcome
    })
}

async fn ask_all(
    jobs: Vec<Job>,
    at_once: usize,
    options: &EnumerateOptions,
    running: &mut JoinSet<LiveAnswer>,
    on: &mut HandOver<'_>,
) -> Result<(), Failure> {
    let bars = Bars::new(jobs.len());
    let mut waiting: VecDeque<Job> = jobs.into();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        while running.len() < at_once
            && let Some(job) = waiting.pop_front()
        {
            running.spawn(ask(job, options.clone(), bars.line()));
        }
        let answer = tokio::select! {
            answer = running.join_next() => answer,
            _ = &mut interrupted => return Err(Failure::usage("interrupted").with_exit(Exit::Interrupted)),
        };
        bars.one_more();
        match answer {
            None => {
                bars.end();
                return Ok(());
            }
            Some(Ok((job, Ok(listing)))) => on(Item::Listing(Box::new(listing), job.configuration), Some(&job.target))?,
            Some(Ok((job, Err(error)))) => {
                let server = job.target.server().clone();
                let wanted = wanted_variables(&job.target, &error.details(), &|name| std::env::var_os(name).is_some());
                on(Item::Failed(Failed { server, error: error.render() + &wanted }), None)?;
            }
            Some(Err(defect)) => return Err(output::internal(defect)),
        }
    }
}

/// Most variables that a hint names.
const VARIABLES_MAX: usize = 3;

/// A line of help for a command that died with words about variables which our environment has and it was not given; empty
/// where there are none. `has` tells whether our environment has one.
fn wanted_variables(target: &Target, details: &[String], has: &dyn Fn(&str) -> bool) -> String {
    let Target::Stdio(target) = target else { return String::new() };
    let is_name = |word: &&str| {
        word.len() > 3
            && word.contains('_')
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let words = details.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let wanted: BTreeSet<&str> =
        words.filter(is_name).filter(|name| !target.env.contains_key(*name) && has(name)).collect();
    if wanted.is_empty() {
        return String::new();
    }
    let options: Vec<_> = wanted.iter().take(VARIABLES_MAX).map(|name| format!("`--env {name}`")).collect();
    format!(
        "\n  help: your environment has what it asks for: pass it with {}, or in `env` of its entry",
        options.join(" ")
    )
}

async fn ask(job: Job, options: EnumerateOptions, line: ProgressBar) -> LiveAnswer {
    line.set_prefix(job.target.server().to_string());
    let show = |progress: Progress| line.set_message(progress.to_string());
    let answer = enumerate(&job.target, &options, &show).await;
    line.finish_and_clear();
    (job, answer)
}

/// One line a server while it is asked, and one that counts them, on a terminal only.
struct Bars {
    all: MultiProgress,
    count: ProgressBar,
}

impl Bars {
    fn new(servers: usize) -> Self {
        let shown = std::io::stderr().is_terminal() && !output::is_quiet();
        let to = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(to);
        let count = if servers > 1 {
            let count = all.add(ProgressBar::new(servers.try_into().unwrap_or(u64::MAX)));
            if let Ok(style) = ProgressStyle::with_template("{pos} of {len} servers asked, {elapsed}") {
                count.set_style(style);
            }
            // The elapsed time goes on where no server answers.
            if !count.is_hidden() {
                count.enable_steady_tick(TICK);
            }
            count
        } else {
            ProgressBar::hidden()
        };
        Self { all, count }
    }

    /// One more server has answered, or failed.
    fn one_more(&self) {
        self.count.inc(1);
    }

    fn end(&self) {
        self.count.finish_and_clear();
    }

    fn line(&self) -> ProgressBar {
        let line = self.all.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {wide_msg} {elapsed}") {
            line.set_style(style);
        }
        if !line.is_hidden() {
            line.enable_steady_tick(TICK);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::target::{Secret, StdioTarget};
    use crate::model::ServerName;

    #[test]
    fn a_variable_that_is_here_and_was_not_passed_is_named() {
        let mut target = StdioTarget::new(ServerName::new("s"), vec!["s".to_owned()]);
        target.env.insert("GIVEN_KEY".to_owned(), Secret::new("x"));
        let target = Target::Stdio(target);
        let hint = |line: &str| {
            wanted_variables(&target, &[line.to_owned()], &|name| matches!(name, "GIVEN_KEY" | "API_KEY" | "PATH"))
        };
        assert!(hint("stderr: Error: API_KEY is required").contains("`--env API_KEY`"));
        for line in ["stderr: GIVEN_KEY is wrong", "stderr: OTHER_KEY is required", "stderr: PATH", "stderr: api_key"] {
            assert_eq!(hint(line), "", "{line}");
        }
    }
}
