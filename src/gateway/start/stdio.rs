//! Puts a gateway over stdio together, between this process's own streams and one server, and runs it to its end.

use super::{StartError, Surroundings};
use crate::clock;
use crate::gateway::audit::{Audit, Route};
use crate::gateway::decider::Decider;
use crate::gateway::event::Event;
use crate::gateway::exchange::{HintPlan, Shared};
use crate::gateway::grant_tasks::GrantTasks;
use crate::gateway::lock_watch::LockWatch;
use crate::gateway::locked::Guard;
use crate::gateway::mediate::{Mediator, Settings};
use crate::gateway::pipe_writer::standard_streams;
use crate::gateway::plan::Backend;
use crate::gateway::policies::Slot;
use crate::gateway::process::Launch;
use crate::gateway::reload::Reloading;
use crate::gateway::said::Said;
use crate::gateway::session::{End, Lifetime, Session};
use crate::gateway::watch::Watch;
use crate::policy::{Caller, Policy};
use crate::state::Stores;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// What a gateway over stdio is put together from.
#[derive(Debug)]
pub struct StdioStart {
    /// The policy that is in force.
    pub policy: Arc<Slot>,
    /// The lock that calls are held to, and the watch of its file.
    pub lock: Option<(LockWatch, Arc<Guard>)>,
    /// The server.
    pub backend: Backend,
    /// The hints of tools that the client is served where the server's are missing or wrong.
    pub hints: Option<HintPlan>,
    /// Who calls, and in which session.
    pub caller: Caller,
    /// How the session is run.
    pub settings: Settings,
    /// How long calls in flight may take to end when the gateway is asked to.
    pub drain: Duration,
    /// Whether new versions of policy and lock are taken up.
    pub reloading: Reloading,
    /// The stores of counters and approvals.
    pub stores: Stores,
    /// The audit log.
    pub audit: Audit,
    /// Lines that the operator is shown first.
    pub lines: Vec<Said<'static>>,
    /// What the gateway needs of the program that runs it.
    pub around: Surroundings,
}

/// Serves until the client or the server is gone, or the operating system asks the process to end.
///
/// # Errors
/// The gateway could not begin to serve.
pub fn serve_stdio(start: StdioStart) -> Result<End, StartError> {
    let StdioStart { policy, lock, backend, hints, caller, settings, drain, reloading, stores, audit, lines, around } =
        start;
    let (watch, guard) = lock.unzip();
    let tasks = GrantTasks::new(stores.tasks);
    let (route, shared) = match backend {
        Backend::Http(_) => (Route::StdioUrl, Shared::behind_url(tasks)),
        Backend::Stdio(_) => (Route::StdioCommand, Shared::of_command(tasks)),
    };
    shared.set_hints(hints.as_ref(), clock::now);
    let decider = Decider::new(stores.limits, stores.approvals, audit, Box::new(around.say));
    let decider = Arc::new(decider.with_courses(stores.courses));
    lines.iter().for_each(|line| (around.say)(line));
    let hash = policy.policy().as_deref().map(Policy::hash).unwrap_or_default().to_owned();
    let mediator = Mediator::new(Arc::clone(&policy), decider, (caller, route), settings).with_shared(Arc::new(shared));
    let mediator = Arc::new(match guard {
        Some(guard) => mediator.with_guard(guard),
        None => mediator,
    });
    mediator.audit().event(clock::now(), "start", &mediator.whose(), |line| {
        line.text("version", env!("CARGO_PKG_VERSION")).text("policy", &hash)
    });
    // A log that cannot be written is said before the first call, and the first call is denied.
    mediator.decider().tick(clock::now());
    let streams = standard_streams().map_err(StartError::Streams)?;
    // Before the first line is read: the client may ask the gateway to end as soon as it is answered.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(StartError::System)?;
    super::outlive_file_size_limit().map_err(StartError::System)?;
    let session = match backend {
        Backend::Http(target) => Session::connect(mediator, streams, &target, drain)?,
        Backend::Stdio(children) => {
            let server = children.target.server.clone();
            let stderr = Arc::new(move |line: &str| (around.say)(&Said::by_server(server.as_str(), line)));
            let launch = Launch { target: children.target, stderr };
            Session::start(mediator, streams, launch, Lifetime { restarts: children.restarts, drain })?
        }
    };
    listen_to_signals(signals, session.sender()).map_err(StartError::System)?;
    let watch = Some(Watch::new(policy, watch)).filter(|_| reloading == Reloading::WhileRunning);
    if let Some(watch) = &watch {
        watch.tell(&session.sender());
    }
    Ok(session.run(watch))
}

fn listen_to_signals(mut signals: Signals, sender: Sender<Event>) -> io::Result<()> {
    let work = move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(work).map(drop)
}
