//! Live servers: asked at the same time, each on its own; one that fails never spoils the rest.

use super::super::{Failure, output};
use super::Item;
use crate::exit::Exit;
use crate::mcp::target::Target;
use crate::mcp::{ConnectError, EnumerateOptions, Progress, enumerate};
use crate::model::{Finding, Listing};
use crate::report::Failed;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::Duration;
use tokio::task::JoinSet;

/// Between two pictures of a progress line.
const TICK: Duration = Duration::from_millis(100);

/// A server to ask.
pub(in crate::commands) struct Job {
    /// Where it is.
    pub target: Target,
    /// What was found in its configuration, beside what its answer will show.
    pub findings: Vec<Finding>,
}

type LiveAnswer = (Job, Result<Listing, ConnectError>);

/// Asks the servers, at most `at_once` at a time, and hands over each answer as soon as it is there.
///
/// # Errors
/// Ctrl-C, after every child process is ended; or whatever `on` returned.
pub(super) fn each(
    jobs: Vec<Job>,
    at_once: usize,
    options: &EnumerateOptions,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // The event loop is made only here: a scan of files never pays for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(output::internal)?;
    runtime.block_on(async {
        let mut running = JoinSet::new();
        let outcome = ask_all(jobs, at_once.max(1), options, &mut running, on).await;
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
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let bars = Bars::new();
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
        match answer {
            None => return Ok(()),
            Some(Ok((job, Ok(listing)))) => on(Item::Listing(Box::new(listing), job.findings))?,
            Some(Ok((job, Err(error)))) => {
                let server = job.target.server().clone();
                on(Item::Failed(Failed { server, error: error.render() }))?;
            }
            Some(Err(defect)) => return Err(output::internal(defect)),
        }
    }
}

async fn ask(job: Job, options: EnumerateOptions, line: ProgressBar) -> LiveAnswer {
    line.set_prefix(job.target.server().to_string());
    let show = |progress: Progress| line.set_message(progress.to_string());
    let answer = enumerate(&job.target, &options, &show).await;
    line.finish_and_clear();
    (job, answer)
}

/// One line a server while it is asked, on a terminal only.
struct Bars {
    all: MultiProgress,
}

impl Bars {
    fn new() -> Self {
        let shown = std::io::stderr().is_terminal();
        let to = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { all: MultiProgress::with_draw_target(to) }
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
