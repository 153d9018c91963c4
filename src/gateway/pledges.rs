//! What sessions have pledged: from then on they call nothing else. A pledge comes with a message, in its `_meta` or in a
//! header; it is kept with the course of the session, and here, so that no call has to ask the store for it.

use super::audit::{Route, Whose};
use super::decider::Decider;
use super::exchange::{DoorRefusal, Party};
use super::grant_tasks::waiting;
use super::reply;
use crate::clock::{self, Timestamp};
use crate::mcp::envelope::Message;
use crate::policy::{BadPledge, Caller, CourseKey, News, Pledge, StoreError};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The header by which a client over HTTP pledges.
pub const PLEDGE_HEADER: &str = "mcpol-pledge";
/// Sessions whose pledges are kept here; where there are more, the store is asked for those of the others.
const KNOWN_MAX: usize = 16_384;
/// Tools that the pledges which are kept here may name in all.
const NAMES_MAX: usize = 262_144;
/// Names of tools in a line of the log.
const NAMES_LOGGED_MAX: usize = 32;

/// The pledges of sessions that this process has heard of.
#[derive(Default)]
pub struct Pledges {
    /// Most gateways never hear of any, and then nothing is looked up.
    any: AtomicBool,
    known: Mutex<KnownPledges>,
}

#[derive(Default)]
struct KnownPledges {
    of: HashMap<CourseKey, Arc<Pledge>>,
    /// Tools that all of them name.
    names: usize,
    /// There were more than fit.
    is_partial: bool,
}

impl fmt::Debug for Pledges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pledges").field("any", &self.any).finish_non_exhaustive()
    }
}

/// Why a message that pledges is refused.
#[derive(Debug, thiserror::Error)]
pub enum NotPledged {
    /// It is no pledge.
    #[error(transparent)]
    Bad(#[from] BadPledge),
    /// It cannot be kept, so the session must not go on as if it were.
    #[error("a pledge cannot be kept at the moment")]
    Unkept(#[source] StoreError),
}

impl From<NotPledged> for DoorRefusal {
    fn from(refused: NotPledged) -> Self {
        let code = match &refused {
            NotPledged::Bad(_) => reply::INVALID_PARAMS,
            NotPledged::Unkept(_) => reply::INTERNAL_ERROR,
        };
        Self { code, message: refused.to_string() }
    }
}

impl Pledges {
    fn known(&self) -> MutexGuard<'_, KnownPledges> {
        // The table is valid between any two statements, so one that a panic left behind can be used.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any session has pledged, as far as is known here.
    pub fn are_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// What a caller's session has pledged, and whether only the store can tell.
    pub fn of(&self, caller: &Caller) -> (Option<Arc<Pledge>>, bool) {
        let known = self.known();
        let pledge = known.of.get(&caller.course_key()).cloned();
        let is_open = pledge.is_none() && known.is_partial;
        (pledge, is_open)
    }

    fn note(&self, key: CourseKey, pledge: Pledge) {
        let mut known = self.known();
        let known = &mut *known;
        if let Some(held) = known.of.get_mut(&key) {
            // What is noted late may be what was kept before: a pledge only narrows.
            let narrowed = Pledge::clone(held).narrowed(&pledge);
            known.names -= held.len() - narrowed.len();
            *held = Arc::new(narrowed);
        } else if known.of.len() < KNOWN_MAX && known.names + pledge.len() <= NAMES_MAX {
            known.names += pledge.len();
            known.of.insert(key, Arc::new(pledge));
        } else {
            known.is_partial = true;
        }
        self.any.store(true, Ordering::Relaxed);
    }
}

/// What a message pledges in its `_meta` and in these headers, if anything. `place` says which server and tool a name
/// stands for.
///
/// # Errors
/// One of them is no pledge.
pub fn pledged_by<'h>(
    message: Option<&Message>,
    headers: impl IntoIterator<Item = &'h str>,
    place: impl Fn(&str) -> Option<(String, String)>,
) -> Result<Option<Pledge>, BadPledge> {
    let mut headers = headers.into_iter().peekable();
    let by_header = headers.peek().is_some().then(|| Pledge::of_header(headers, &place)).transpose()?;
    let by_meta = message.and_then(Message::pledge).map(|text| Pledge::parse(text, &place)).transpose()?;
    Ok(match (by_header, by_meta) {
        (Some(one), Some(other)) => Some(one.narrowed(&other)),
        (one, other) => one.or(other),
    })
}

/// The place of a name where a client speaks to one server.
pub fn of_server(server: &str) -> impl Fn(&str) -> Option<(String, String)> + '_ {
    move |name| Some((server.to_owned(), name.to_owned()))
}

impl Decider {
    /// Takes a pledge: for the session from now on, or where there is none for this one request.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(super) fn pledge(
        &self,
        now: Timestamp,
        caller: &mut Caller,
        way: Route,
        pledge: Pledge,
    ) -> Result<(), NotPledged> {
        let key = caller.course_key();
        if key.lapses() {
            caller.pledge = Some(Arc::new(pledge));
            return Ok(());
        }
        if let (Some(known), _) = self.pledges().of(caller)
            && Pledge::clone(&known).narrowed(&pledge) == *known
        {
            // It is said with every request, and narrows nothing.
            return Ok(());
        }
        let kept = waiting(|| self.courses().grow(now, &key, &News::Pledged(&pledge))).map_err(NotPledged::Unkept)?;
        let held = kept.pledge().cloned().unwrap_or(pledge);
        let names: Vec<String> =
            held.tools().take(NAMES_LOGGED_MAX).map(|(server, tool)| format!("{server}/{tool}")).collect();
        let read: Vec<&str> = kept.marks().map(|(word, _)| word.as_str()).collect();
        self.audit().event(now, "pledged", &Whose::caller(caller, way), |line| {
            let line = line.text("tools", &names.join(" ")).number("count", held.len() as u64);
            if read.is_empty() { line } else { line.text("after", &read.join(" ")) }
        });
        self.pledges().note(key, held);
        Ok(())
    }

    /// Learns what a session has pledged that is new to this process: at another gateway, or before this one was started.
    ///
    /// # Errors
    /// The store cannot be used.
    pub(super) fn learn_pledge(&self, key: CourseKey) -> Result<Option<Arc<Pledge>>, StoreError> {
        let course = waiting(|| self.courses().course(clock::now(), &key))?;
        let pledge = course.pledge().cloned();
        if let Some(pledge) = &pledge {
            self.pledges().note(key, pledge.clone());
        }
        Ok(pledge.map(Arc::new))
    }

    /// Takes what a message over standard streams pledges; one over HTTP was looked at where it came in.
    ///
    /// # Errors
    /// It is no pledge, or cannot be kept.
    pub(super) fn pledged_over_stdio(
        &self,
        now: Timestamp,
        party: &Party,
        message: &Message,
    ) -> Result<(), DoorRefusal> {
        match party.way {
            Route::StdioUrl | Route::StdioCommand => {}
            Route::HttpUrl | Route::HttpCommand | Route::Combined => return Ok(()),
        }
        let pledge = pledged_by(Some(message), [], of_server(&party.caller.server)).map_err(NotPledged::Bad)?;
        let Some(pledge) = pledge else { return Ok(()) };
        Ok(self.pledge(now, &mut party.caller.clone(), party.way, pledge)?)
    }
}
