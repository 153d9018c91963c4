//! Where clients' calls are decided on, whichever way they came: gate, log, settlement. One decider serves a whole
//! process. Calls that are brought together share a transaction of the store and a write of the log. The log is written
//! before anything is forwarded; a call that cannot be logged is refused, and what it had reserved is given back.

use super::audit::{Audit, Decided, Ended, Matter, Route, Whose};
use super::exchange::{Asker, CallOutcome, DoorRefusal, Note, UnknownMethods};
use super::grant_tasks::GrantTasks;
use super::meter::{Meter, Outcome};
use super::pledges::Pledges;
use crate::clock::{self, Timestamp};
use crate::gateway::said::Said;
use crate::mcp::envelope::ToolCall;
use crate::policy::{
    Answer, Answered, ApprovalRequest, ApprovalState, ApprovalStore, ArgumentSchema, Caller, CourseStore, Decision,
    Denial, DenialCode, Ending, Facts, LimitStore, MemoryStore, PendingApproval, Permit, Pledge, Policy, Request,
    Reservation, Settlement, StoreError, ToolChange, gate_each,
};
use crate::state::{MemoryTasks, TaskStore};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is wrong with answers of servers is told to the operator so many times, then whenever the number doubles.
const WRONG_TOLD: u64 = 20;

/// A client's call and all that is needed to decide on it.
#[derive(Debug)]
pub struct Case<'c> {
    /// The policy of the caller; without one the call is denied.
    pub policy: Option<&'c Policy>,
    /// The server, grant and session that the call is counted on.
    pub caller: &'c Caller,
    /// The way that the call takes.
    pub way: Route,
    /// The call.
    pub call: &'c ToolCall,
    /// The schema that the arguments are held to; needed only for tools that [`Policy::wants_schema`] names.
    pub schema: Option<&'c ArgumentSchema>,
    /// How the tool differs from the lock or the list, if the call is to be refused for it.
    pub change: Option<ToolChange>,
    /// What the list that the caller was shown last says of the tool, as a hash: approvals are bound to it.
    pub definition: Option<[u8; 32]>,
    /// Id of the approval that this call has waited for already.
    pub asked: Option<&'c str>,
}

/// What was decided about a call.
#[derive(Debug)]
pub struct Ruling {
    /// The decision's number; see [`Audit::decision_id`].
    pub number: u64,
    /// What was decided.
    pub verdict: Verdict,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Verdict {
    /// The call may be forwarded, once.
    Allow(Permit),
    /// The call must not be forwarded.
    Deny(Denial),
    /// A person is asked, in an approval with this id: the driver waits for the answer, and brings the call again with
    /// the id.
    Wait(Box<PendingApproval>, String),
}

/// Shows a line to the operator.
pub type Notice = Box<dyn Fn(&Said<'_>) + Send + Sync>;

/// Decides on calls; shared by all sessions of a process.
pub struct Decider {
    limits: Arc<dyn LimitStore>,
    approvals: Arc<dyn ApprovalStore>,
    courses: Arc<dyn CourseStore>,
    pledges: Pledges,
    tasks: GrantTasks,
    audit: Audit,
    settlements: Mutex<Vec<Settlement>>,
    /// Ends of calls that are not in the log yet.
    finished: Mutex<Vec<Ended>>,
    /// How many calls wait for each approval, by the approval's id.
    asked: Mutex<HashMap<Box<str>, usize>>,
    decisions: AtomicU64,
    store_told: AtomicBool,
    /// Answers of servers that something was wrong with.
    wrong: AtomicU64,
    notice: Notice,
    meter: Option<Arc<Meter>>,
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decider").field("decisions", &self.decisions).finish_non_exhaustive()
    }
}

impl Decider {
    /// A decider that counts nothing, and forgets with this process whose tasks are and what
    /// sessions have called. `notice` gets the lines that the operator is to see.
    pub fn new(limits: Arc<dyn LimitStore>, approvals: Arc<dyn ApprovalStore>, audit: Audit, notice: Notice) -> Self {
        Self {
            limits,
            approvals,
            courses: Arc::new(MemoryStore::new()),
            pledges: Pledges::default(),
            tasks: GrantTasks::new(Arc::new(MemoryTasks::new())),
            audit,
            settlements: Mutex::default(),
            finished: Mutex::default(),
            asked: Mutex::default(),
            decisions: AtomicU64::new(0),
            store_told: AtomicBool::new(false),
            wrong: AtomicU64::new(0),
            notice,
            meter: None,
        }
    }

    /// This decider, with tasks as this store knows them.
    #[must_use]
    pub fn with_tasks(self, store: Arc<dyn TaskStore>) -> Self {
        Self { tasks: GrantTasks::new(store), ..self }
    }

    /// This decider, with sessions as this store remembers them.
    #[must_use]
    pub fn with_courses(self, courses: Arc<dyn CourseStore>) -> Self {
        Self { courses, ..self }
    }

    /// What is remembered of sessions.
    pub(super) fn courses(&self) -> &dyn CourseStore {
        &*self.courses
    }

    /// What sessions have pledged, as far as is known here.
    pub(super) fn pledges(&self) -> &Pledges {
        &self.pledges
    }

    /// Whose the tasks of servers are.
    pub fn tasks(&self) -> GrantTasks {
        self.tasks.clone()
    }

    /// This decider, with every ruling counted in `meter`.
    #[must_use]
    pub fn with_meter(self, meter: Arc<Meter>) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// The meter that rulings are counted in, if there is one.
    pub fn meter(&self) -> Option<&Meter> {
        self.meter.as_deref()
    }

    /// The audit log.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Whether a person has answered an approval, or it can no longer be answered. False while the store cannot tell.
    /// Blocks as long as the store does.
    pub fn is_answered(&self, now: Timestamp, approval: &str) -> bool {
        match self.approvals.get(now, approval) {
            Ok(Some(approval)) => approval.state != ApprovalState::Pending,
            Ok(None) => true,
            // The store may come back before the call's wait is over.
            Err(_) => false,
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Box<str>, usize>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more call that waits for this approval.
    pub(super) fn waits(&self, approval: &str) {
        *self.asked().entry(approval.into()).or_default() += 1;
    }

    /// How many calls wait for this approval.
    pub(super) fn waiting_for(&self, approval: &str) -> usize {
        self.asked().get(approval).copied().unwrap_or(0)
    }

    /// Counts one call less that waits for this approval; whether none is left.
    pub(super) fn waits_no_more(&self, approval: &str) -> bool {
        let mut asked = self.asked();
        let Some(count) = asked.get_mut(approval) else { return true };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            asked.remove(approval);
        }
        is_last
    }

    /// Withdraws an approval whose call the client has withdrawn. If the store cannot be told, the approval lapses when
    /// its time is over.
    pub(super) fn withdraw(&self, now: Timestamp, whose: &Whose, approval: &str) {
        if let Ok(Answered::Done(_)) = self.approvals.decide(now, approval, Answer::Withdraw) {
            self.audit.event(now, "approval_withdrawn", whose, |line| line.text("approval", approval));
        }
    }

    /// Shows a line to the operator.
    pub fn notice(&self, said: &Said<'_>) {
        (self.notice)(said);
    }

    /// Decides on calls that arrived together, and logs the decisions; one ruling for each call, in order. Blocks for
    /// as long as the stores and the log do.
    pub fn rule(&self, now: Timestamp, cases: &[Case<'_>]) -> Vec<Ruling> {
        self.log_ended(now);
        self.settle(now);
        let pledges = if self.pledges.are_any() { self.pledges_of(cases) } else { Vec::new() };
        let refused = |place: usize, case: &Case<'_>| {
            let untold = || pledges.get(place).and_then(|pledge| pledge.as_ref().err().cloned());
            volunteered(case).or_else(untold)
        };
        let requests = cases.iter().enumerate().map(|(place, case)| {
            let pledge = pledges.get(place).and_then(|pledge| pledge.as_ref().ok()?.as_deref());
            let facts = Facts {
                schema: case.schema,
                change: case.change,
                definition: case.definition,
                pledge,
                course: None,
                beside: None,
            };
            let policy = case.policy.filter(|_| refused(place, case).is_none());
            (policy, Request { caller: case.caller, call: case.call.clone(), facts })
        });
        let decisions = gate_each(&*self.limits, &*self.approvals, &*self.courses, now, requests);
        let first = self.decisions.fetch_add(decisions.len() as u64, Ordering::Relaxed);
        let verdicts = decisions.into_iter().zip(cases).enumerate().map(|(place, (decision, case))| {
            let decision = refused(place, case).map_or(decision, Decision::Deny);
            self.verdict(decision, case.asked, now)
        });
        let verdicts: Vec<Verdict> = verdicts.collect();
        let log = cases.iter().zip(&verdicts).zip(first..).map(|((case, verdict), number)| Decided {
            number,
            caller: case.caller,
            way: case.way,
            decision: verdict.word(),
            matter: Matter::Tool(case.call.name().as_str()),
            rule: verdict.rule(),
            code: verdict.denial().map(|denial| denial.code.as_str()),
            policy: case.policy.map_or("", Policy::hash),
            arguments: case.call.arguments(),
            approval: verdict.approval().or(case.asked),
        });
        let logged = self.audit.decide(now, log);
        if let Err(error) = &logged {
            self.tell_once(&format!("cannot write the audit log, so no call passes: {error}"));
        }
        let rulings = verdicts.into_iter().zip(first..).zip(cases).map(|((verdict, number), case)| {
            let verdict = match (verdict, &logged) {
                (Verdict::Allow(permit), Err(_)) => {
                    self.unsent(permit);
                    Verdict::Deny(not_logged())
                }
                (Verdict::Wait(_, approval), Err(_)) => {
                    // A question whose line cannot be written must not be answered, unless an equal call waits for it.
                    if self.waiting_for(&approval) == 0 {
                        self.withdraw(now, &Whose::caller(case.caller, case.way), &approval);
                    }
                    Verdict::Deny(not_logged())
                }
                (verdict, _) => verdict,
            };
            if let Verdict::Deny(denial) = &verdict
                && denial.code == DenialCode::StateUnavailable
            {
                let detail = denial.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
                self.tell_once(&format!("{}{detail}", denial.message));
            }
            self.count(now, case, &verdict);
            Ruling { number, verdict }
        });
        rulings.collect()
    }

    /// What the sessions of these calls have pledged, or why a call is refused of which that cannot be told.
    fn pledges_of(&self, cases: &[Case<'_>]) -> Vec<Result<Option<Arc<Pledge>>, Denial>> {
        let of = |case: &Case<'_>| match self.pledges.of(case.caller) {
            (pledge, false) => Ok(pledge),
            (_, true) => self.learn_pledge(case.caller.course_key()).map_err(|error| Denial {
                code: DenialCode::StateUnavailable,
                rule: "(pledge)".to_owned(),
                message: "what this session has pledged cannot be told at the moment".to_owned(),
                retry_after_s: None,
                detail: Some(error.to_string()),
            }),
        };
        cases.iter().map(of).collect()
    }

    /// The number of the next decision.
    pub(super) fn next_decision(&self) -> u64 {
        self.decisions.fetch_add(1, Ordering::Relaxed)
    }

    fn verdict(&self, decision: Decision, asked: Option<&str>, now: Timestamp) -> Verdict {
        match (decision, asked) {
            (Decision::Allow(permit), _) => Verdict::Allow(permit),
            (Decision::Deny(denial), _) => Verdict::Deny(denial),
            // A new approval also for a call that has waited already: the old one may have lapsed, or was about another
            // policy, and the client must be told of one that can still be answered.
            (Decision::Ask(question), _) => {
                let request = ApprovalRequest {
                    binding: question.binding.clone(),
                    rule: question.rule.clone(),
                    message: question.message.clone(),
                    ttl_s: question.ttl_s,
                    arguments: Some(question.shown.clone()),
                };
                match self.approvals.request(now, &request) {
                    Ok(approval) if asked.is_some() => Verdict::Deny(Denial::unanswered(&question, &approval.id)),
                    Ok(approval) => Verdict::Wait(question, approval.id),
                    Err(StoreError::TooManyQuestions(count)) => Verdict::Deny(Denial {
                        code: DenialCode::ApprovalRequired,
                        rule: question.rule,
                        message: format!(
                            "a person must decide about this call, and {count} such questions wait already: ask again when they are answered"
                        ),
                        retry_after_s: None,
                        detail: None,
                    }),
                    Err(error) => Verdict::Deny(Denial {
                        code: DenialCode::StateUnavailable,
                        rule: question.rule,
                        message: "a person must decide about this call, and none can be asked at the moment".to_owned(),
                        retry_after_s: None,
                        detail: Some(error.to_string()),
                    }),
                }
            }
        }
    }

    fn count(&self, now: Timestamp, case: &Case<'_>, verdict: &Verdict) {
        let Some(meter) = &self.meter else { return };
        let server = meter.server(&case.caller.server);
        server.decided(now, case.policy, case.call.name().as_str(), verdict.outcome(), verdict.rule());
        match verdict {
            Verdict::Allow(permit) => {
                if let Some(policy) = case.policy {
                    server.charged(now, policy, permit.reservation());
                }
            }
            Verdict::Deny(denial) if denial.code == DenialCode::StateUnavailable => meter.store_error(),
            Verdict::Deny(_) | Verdict::Wait(..) => {}
        }
    }

    /// Takes the units of a call that has ended; those that it gives back wait for the next transaction.
    pub fn ended(&self, reservation: Reservation, ending: Ending) {
        if let Some(settlement) = reservation.end(ending) {
            self.settlements.lock().unwrap_or_else(PoisonError::into_inner).push(settlement);
        }
    }

    /// Gives back what a permitted call holds that is not forwarded.
    pub fn unsent(&self, permit: Permit) {
        self.ended(permit.into_parts().1, Ending::NotSent);
    }

    /// Gives back what a permitted call holds that the client has withdrawn before it was forwarded, and logs its end.
    pub fn withdrawn(&self, whose: Whose, number: u64, permit: Permit) {
        self.unsent(permit);
        self.note_ended(Ended { whose, number, outcome: CallOutcome::Cancelled, micros: 0, bytes: 0 });
    }

    /// Gives the units back to the store that ended calls did not use.
    pub fn settle(&self, now: Timestamp) {
        let batch = std::mem::take(&mut *self.settlements.lock().unwrap_or_else(PoisonError::into_inner));
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.limits.settle(now, &batch) {
            if let Some(meter) = &self.meter {
                meter.store_error();
            }
            // The counters stay too high: that refuses calls too early, and never too late.
            self.audit
                .repeated(now, "settle_failed", &Whose::gateway(), |line| line.text("reason", &error.to_string()));
        }
    }

    /// Keeps the end of a call for [`Self::log_ended`], so that the answer need not wait for the log.
    pub fn note_ended(&self, ended: Ended) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(ended);
    }

    /// Logs how calls ended. Called when their answers are on their way, and before further decisions.
    pub fn log_ended(&self, now: Timestamp) {
        let finished = std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        if !finished.is_empty() {
            self.audit.ended(now, finished);
        }
    }

    /// A server has answered.
    pub fn reached(&self, server: &Arc<str>) {
        let (Some(meter), now) = (self.meter(), clock::now()) else { return };
        if let Some(news) = meter.server(server).health().up(now) {
            self.audit.repeated(now, "upstream_up", &Whose::server(server), |line| line);
            if news.is_loud {
                self.notice(&Said::info("the server answers again").of(&**server));
            }
        }
    }

    /// A server could not be reached, or has ended by itself. Where its end was told already, `told`, nothing more is
    /// said of it.
    pub fn unreached(&self, server: &Arc<str>, why: &str, told: bool) {
        let (Some(meter), now) = (self.meter(), clock::now()) else { return };
        if let Some(news) = meter.server(server).health().down(now, why) {
            self.audit.repeated(now, "upstream_down", &Whose::server(server), |line| line.text("reason", why));
            if news.is_loud && !told {
                self.notice(&Said::error(format!("the server cannot be reached: {why}")).of(&**server));
            }
        }
    }

    /// Says what is wrong with what a server answered, in one sentence: in the log, and to the operator as often as there.
    pub fn wrong(&self, whose: &Whose, sentence: &str) {
        self.dropped(whose, "server", sentence);
        let times = self.wrong.fetch_add(1, Ordering::Relaxed) + 1;
        if times <= WRONG_TOLD || times.is_power_of_two() {
            self.notice(&Said::warning(sentence).of(whose.server_name()));
        }
    }

    /// Logs that a message from one side, `client` or `server`, is not passed on. Floods of such lines are thinned out.
    pub fn dropped(&self, whose: &Whose, from: &str, what: &str) {
        self.audit.repeated(clock::now(), "dropped", whose, |line| line.text("from", from).text("what", what));
    }

    /// Logs the notes about a server's answer, or shows them to the operator.
    ///
    /// # Errors
    /// What the server's answer asks of the client would pass, and that cannot be logged.
    pub fn note(&self, now: Timestamp, whose: &Whose, notes: Vec<Note>) -> Result<(), DoorRefusal> {
        let mut logged = Ok(());
        for note in notes {
            match note {
                Note::Dropped(what) => self.dropped(whose, "server", &what),
                Note::Instructions(outcome, is_news) => {
                    self.audit.repeated(now, "instructions_changed", whose, |line| line.text("outcome", outcome));
                    if is_news {
                        let what = "the server's instructions to the model are not as they were locked";
                        self.notice(&Said::warning(format!("{what}; {outcome}")).of(whose.server_name()));
                    }
                }
                Note::Greeting(outcome, is_news) => {
                    self.audit.repeated(now, "greeting_changed", whose, |line| line.text("outcome", outcome));
                    if is_news {
                        let what = "what the server says of itself is not as it was locked";
                        self.notice(&Said::warning(format!("{what}; {outcome}")).of(whose.server_name()));
                    }
                }
                Note::Ruled(method, policy, ruling) => {
                    let (server, grant) = (whose.server.clone().unwrap_or_default(), whose.grant.clone());
                    let caller = Caller { server, grant, session: None, course: None, pledge: None };
                    // What is refused has been replaced already.
                    let would_pass = ruling.passes();
                    let ruled = self.ruled(now, (&caller, whose.way), &method, &policy, *ruling);
                    logged = if would_pass { logged.and(ruled) } else { logged };
                }
                Note::Hinted(tool, hints) => {
                    let tool = Some(&*tool).filter(|tool| !tool.is_empty());
                    self.audit
                        .event(now, "hints_filled", whose, |line| line.text_if("tool", tool).text("hints", &hints));
                }
                Note::Notice(text) => self.notice(&Said::warning(text).of(whose.server_name())),
            }
        }
        logged
    }

    /// Brings counters and log up to date. Called at every tick, and at the end.
    pub fn tick(&self, now: Timestamp) {
        self.log_ended(now);
        self.settle(now);
        self.limits.tidy();
        if let Err(error) = self.audit.tick(now) {
            self.notice(&Said::error(format!("cannot write the audit log: {error}")));
        }
    }

    pub(super) fn tell_once(&self, text: &str) {
        if !self.store_told.swap(true, Ordering::Relaxed) {
            self.notice(&Said::error(text));
        }
    }
}

/// The refusal of a call that brings what the server has not asked for, as far as a rule speaks of it.
fn volunteered(case: &Case<'_>) -> Option<Denial> {
    if !case.call.brings_responses() {
        return None;
    }
    let asker = Asker {
        policy: case.policy,
        caller: case.caller,
        way: case.way,
        unknown: &UnknownMethods::Refuse,
        is_shown_with_tool: &|_| false,
        tasks: None,
    };
    let ruling = asker.volunteered(case.call.params()?)?;
    if ruling.passes() { None } else { ruling.denial }
}

fn not_logged() -> Denial {
    Denial {
        code: DenialCode::StateUnavailable,
        rule: "(audit)".to_owned(),
        message: "the call cannot be logged at the moment".to_owned(),
        retry_after_s: None,
        detail: None,
    }
}

impl Verdict {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Allow(permit) if permit.would_deny().is_some() => Outcome::WouldDeny,
            Self::Allow(_) => Outcome::Allow,
            Self::Deny(_) => Outcome::Deny,
            Self::Wait(..) => Outcome::Ask,
        }
    }

    fn word(&self) -> &'static str {
        self.outcome().as_str()
    }

    fn rule(&self) -> &str {
        match self {
            Self::Allow(permit) => permit.would_deny().map_or(permit.rule(), |denial| &denial.rule),
            Self::Deny(denial) => &denial.rule,
            Self::Wait(question, _) => &question.rule,
        }
    }

    fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Allow(permit) => permit.would_deny(),
            Self::Deny(denial) => Some(denial),
            Self::Wait(..) => None,
        }
    }

    fn approval(&self) -> Option<&str> {
        match self {
            Self::Wait(_, approval) => Some(approval),
            Self::Allow(_) | Self::Deny(_) => None,
        }
    }
}
