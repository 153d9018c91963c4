//! One server behind the gateway: the way to it, its policy and lock, and what is known of its tools.

use super::command_table::CommandServer;
use super::strictness::Strictness;
use super::url_table::UrlServer;
use crate::clock::{self, Timestamp};
use crate::gateway::audit::{Route, Whose};
use crate::gateway::decider::Decider;
use crate::gateway::exchange::Shared;
use crate::gateway::identity::Identity;
use crate::gateway::lock_watch::LockWatch;
use crate::gateway::locked::{self, BadLock, Guard};
use crate::gateway::plan::{Backend, LockPlan, Served};
use crate::gateway::policies::Slot;
use crate::gateway::reload::BadPolicy;
use crate::mcp::ConnectError;
use crate::mcp::http::Held;
use crate::model::ServerName;
use crate::policy::Policy;
use http::response::Parts;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// Why a gateway cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// A policy is not good.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// A lock is not good, or has no such server.
    #[error(transparent)]
    Lock(#[from] BadLock),
    /// A server cannot be connected to like this.
    #[error(transparent)]
    Server(#[from] ConnectError),
}

/// One server.
#[derive(Debug)]
pub struct Server {
    pub(super) name: ServerName,
    pub(super) label: Arc<str>,
    /// As it stands in the plan.
    pub(super) plan: RwLock<Served>,
    pub(super) policy: RwLock<Option<Arc<Slot>>>,
    pub(super) decider: Arc<Decider>,
    pub(super) way: ServerWay,
    pub(super) lock: Option<ServerLock>,
    /// What all its viewers share.
    pub(super) shared: Arc<Shared>,
    /// How often its tools may have begun to appear otherwise, by a policy or by the lock.
    appearances: watch::Sender<u64>,
}

/// The lock that a server's tools are held to, and its file.
#[derive(Debug)]
pub(super) struct ServerLock {
    pub(super) guard: Arc<Guard>,
    pub(super) watch: Mutex<LockWatch>,
}

/// The way to a server.
#[derive(Debug)]
pub(super) enum ServerWay {
    Http(Box<UrlServer>),
    Stdio(Box<CommandServer>),
}

impl ServerLock {
    pub(super) fn new(locked: &LockPlan, server: &ServerName) -> Result<Self, BadLock> {
        // The watch first: what changes while the file is read is seen at the first look.
        let watch = Mutex::new(LockWatch::new(&locked.path, server.clone()));
        let guard = Arc::new(Guard::new(locked::read(&locked.path, server)?, locked.on_change));
        Ok(Self { guard, watch })
    }
}

impl Server {
    pub(super) fn new(
        name: ServerName,
        plan: Served,
        policy: Option<Arc<Slot>>,
        decider: &Arc<Decider>,
    ) -> Result<Self, SetUpError> {
        let lock = plan.locked.as_ref().map(|lock| ServerLock::new(lock, &name)).transpose()?;
        let way = match &plan.backend {
            Backend::Http(target) => ServerWay::Http(Box::new(UrlServer::new(target)?)),
            Backend::Stdio(children) => ServerWay::Stdio(Box::new(CommandServer::new(children.clone()))),
        };
        let shared = match &plan.backend {
            Backend::Http(_) => Shared::behind_url(decider.tasks()),
            Backend::Stdio(_) => Shared::of_command(decider.tasks()),
        };
        shared.set_roots(plan.roots.as_slice().into());
        shared.set_hints(plan.hints.as_ref(), clock::now);
        Ok(Self {
            label: name.as_str().into(),
            name,
            plan: RwLock::new(plan),
            policy: RwLock::new(policy),
            decider: Arc::clone(decider),
            way,
            lock,
            shared: Arc::new(shared),
            appearances: watch::Sender::new(0),
        })
    }

    /// The way to it, as the log names it.
    pub(super) fn route(&self) -> Route {
        match &self.way {
            ServerWay::Http(_) => Route::HttpUrl,
            ServerWay::Stdio(_) => Route::HttpCommand,
        }
    }

    /// Notes whether the server could be reached, by what became of a request to it.
    pub(super) fn heard(&self, sent: &Result<(Parts, Held), ConnectError>) {
        match sent {
            // What stands in front of it answers in its place.
            Ok((head, _)) if matches!(head.status.as_u16(), 502..=504) => {
                self.decider.unreached(&self.label, &format!("it answers with HTTP {}", head.status.as_u16()), false);
            }
            Ok(_) | Err(ConnectError::Redirected { .. } | ConnectError::Moved { .. }) => {
                self.decider.reached(&self.label)
            }
            Err(error) => self.decider.unreached(&self.label, &error.without_address(), false),
        }
    }

    /// Whose a line is about a caller of this server.
    pub(super) fn whose(&self, who: &Identity) -> Whose {
        let (server, grant) = (Some(Arc::clone(&self.label)), Some(Arc::clone(&who.grant)));
        Whose { server, grant, way: Some(self.route()) }
    }

    /// The way to it, if it is behind a URL.
    pub(super) fn relay(&self) -> Option<&UrlServer> {
        match &self.way {
            ServerWay::Http(relay) => Some(relay),
            ServerWay::Stdio(_) => None,
        }
    }

    /// Whether a plan leaves it where it is, held to the same lock: then its sessions go on.
    pub(super) fn serves(&self, served: &Served) -> bool {
        let plan = self.plan();
        plan.backend == served.backend && plan.locked == served.locked
    }

    /// What its tools are held to, if there is a lock.
    pub(super) fn guard(&self) -> Option<&Arc<Guard>> {
        self.lock.as_ref().map(|lock| &lock.guard)
    }

    /// Its tools may appear otherwise from now on: those who listen are told.
    pub(super) fn appears_otherwise(&self) {
        self.appearances.send_modify(|count| *count += 1);
        match &self.way {
            ServerWay::Http(_) => {}
            ServerWay::Stdio(bridge) => bridge.appears_otherwise(),
        }
    }

    /// Changes whenever its tools may appear otherwise.
    pub(super) fn appearances(&self) -> watch::Receiver<u64> {
        self.appearances.subscribe()
    }

    /// Looks whether the lock has changed. Answers whether any tool may appear otherwise now.
    pub(super) fn look_at_lock(&self, now: Timestamp) -> bool {
        self.lock.as_ref().is_some_and(|lock| {
            let mut watch = lock.watch.lock().unwrap_or_else(PoisonError::into_inner);
            watch.look(&lock.guard, &self.decider, now)
        })
    }

    /// What its calls are held to now.
    pub(super) fn strictness(&self) -> Strictness {
        let plan = self.plan();
        let confinement = match &plan.backend {
            Backend::Http(_) => None,
            Backend::Stdio(children) => Some(children.target.confinement.clone()),
        };
        Strictness { policy: self.policy(), locked: plan.locked.clone(), confinement }
    }

    /// It is served no more: its children end, each on a thread of its own.
    pub(super) fn retire(&self) {
        match &self.way {
            ServerWay::Http(_) => {}
            ServerWay::Stdio(bridge) => drop(bridge.begin_to_end()),
        }
    }

    pub(super) fn plan(&self) -> std::sync::RwLockReadGuard<'_, Served> {
        self.plan.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its own policy, as it is at the moment.
    pub(super) fn policy(&self) -> Option<Arc<Policy>> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.policy()
    }
}
