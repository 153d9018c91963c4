//! What the policy asks of a store of counters and approvals. [`MemoryStore`](crate::MemoryStore) is one.

use super::document::Scope;
use super::json::write_string;
use super::window::{Window, utc};
use crate::clock::Timestamp;
use crate::model::ToolName;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Largest count, amount and maximum: what an SQLite integer holds.
pub const COUNT_MAX: u64 = i64::MAX as u64;
/// Questions of one grant that may wait at the same time; a client that asks without end stops no other grant's.
pub const GRANT_PENDING_MAX: u64 = 50;
/// Questions of all grants that may wait at the same time, so that they cannot fill the disk.
pub const PENDING_MAX: u64 = 10_000;
/// Longest text of a call that is kept for the person who decides, in bytes. A longer call is refused: what was not shown
/// whole must not be approved.
pub const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// Furthest that the clock may be from the latest time that a store has seen, either way, in milliseconds: a year of not
/// being used, and the longest window of a limit. A clock that is further off is wrong, and would fill every counter until
/// that time comes.
pub const CLOCK_JUMP_MS_MAX: u64 = 366 * 86_400_000;

/// The time that a store goes by: the later of now and the latest that it has seen, 0 for none. A clock that steps back
/// reopens no window.
///
/// # Errors
/// The two are further apart than any calendar explains ([`CLOCK_JUMP_MS_MAX`]).
pub fn advance(latest: Timestamp, now: Timestamp) -> Result<Timestamp, StoreError> {
    if latest.millis() > 0 && now.millis().abs_diff(latest.millis()) > CLOCK_JUMP_MS_MAX {
        return Err(StoreError::jumped(latest, now));
    }
    Ok(latest.max(now))
}

impl StoreError {
    /// The clock says `now`, which is too far from the latest time seen.
    pub fn jumped(latest: Timestamp, now: Timestamp) -> Self {
        let (now, latest) = (utc(now), utc(latest));
        Self::Unavailable(format!("the clock says {now} after it has said {latest}, a jump that no calendar explains"))
    }
}

/// Why a store could not answer. All deny the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is locked for too long, or the disk is full.
    #[error("the state store cannot be used: {0}")]
    Unavailable(String),
    /// What it holds cannot be read or does not add up.
    #[error("the state store is damaged: {0}")]
    Damaged(String),
    /// Too many questions wait for people: [`GRANT_PENDING_MAX`] of this grant, or [`PENDING_MAX`] of all.
    #[error("{0} questions wait for an answer already")]
    TooManyQuestions(u64),
    /// More is asked at once than any grant can have.
    #[error("{0} tasks are named at once, more than a grant can have")]
    TooManyTasks(usize),
}

/// What a counter is identified by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// The server; empty for scope `global`.
    pub server: Arc<str>,
    /// Who shares it.
    pub scope: Scope,
    /// Which grant or session; empty for scopes `server` and `global`.
    pub value: Arc<str>,
    /// The name in the policy.
    pub name: Arc<str>,
    /// When it starts anew.
    pub window: Window,
}

impl CounterKey {
    /// The key as one text that no other key has: a JSON array of its parts.
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(64);
        let window = self.window.to_string();
        for (index, part) in [&*self.server, self.scope.as_str(), &*self.value, &*self.name, &window].iter().enumerate()
        {
            out.push(if index == 0 { '[' } else { ',' });
            write_string(part, &mut out);
        }
        out.push(']');
        out
    }

    /// Reads [`Self::text`].
    pub fn parse(text: &str) -> Option<Self> {
        let [server, scope, value, name, window]: [String; 5] = serde_json::from_str(text).ok()?;
        let scope = Scope::ALL.iter().copied().find(|known| known.as_str() == scope)?;
        let window = Window::parse(&window)?;
        Some(Self { server: server.into(), scope, value: value.into(), name: name.into(), window })
    }
}

/// What one call wants to add to one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The counter.
    pub counter: CounterKey,
    /// How much, 0 to [`COUNT_MAX`].
    pub amount: u64,
    /// The most that the counter may reach, 0 to [`COUNT_MAX`].
    pub max: u64,
}

/// What became of the charges of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// All were added; one receipt for each, in order.
    Held(Vec<Receipt>),
    /// None was added.
    Refused {
        /// Index of the first charge that did not fit.
        charge: usize,
        /// What the counter stands at.
        used: u64,
        /// When its window ends, exclusive.
        resets: Timestamp,
        /// The time that the store decided by, which never steps back.
        now: Timestamp,
    },
}

/// What was added to one counter, and in which window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The counter.
    pub counter: CounterKey,
    /// Start of the window that it was added in.
    pub window_start: Timestamp,
    /// How much.
    pub amount: u64,
}

/// What a call that cost nothing gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Taken off each counter, where its window is still the one of the receipt; never below zero.
    pub receipts: Vec<Receipt>,
}

/// Where a counter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The count in the window of now.
    pub used: u64,
    /// When that window ends, exclusive.
    pub resets: Timestamp,
}

/// A counter as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCounter {
    /// The counter.
    pub counter: CounterKey,
    /// Start of its window.
    pub starts: Timestamp,
    /// The count in that window.
    pub used: u64,
}

/// Counters that are reserved before a call and settled after it.
///
/// A store keeps one window a counter, and its start never decreases: a clock that steps back stays in the later window.
pub trait LimitStore: Send + Sync {
    /// Reserves the charges of many calls in one transaction, in order; each call all or none, and a call that is refused
    /// spends nothing. A charge fits iff used + amount ≤ max.
    ///
    /// # Errors
    /// The store cannot be used; then nothing was added.
    fn reserve(&self, now: Timestamp, batch: &[Vec<Charge>]) -> Result<Vec<Reserve>, StoreError>;

    /// Gives back what calls did not use.
    ///
    /// # Errors
    /// The store cannot be used; the counters then stay as they are, which errs on the strict side.
    fn settle(&self, now: Timestamp, batch: &[Settlement]) -> Result<(), StoreError>;

    /// Where the counters of these charges stand, without adding anything.
    ///
    /// # Errors
    /// The store cannot be used.
    fn usage(&self, now: Timestamp, charges: &[Charge]) -> Result<Vec<Usage>, StoreError>;

    /// All counters that are stored, in no order, and the latest time that the store has seen. Goes by no clock.
    ///
    /// # Errors
    /// The store cannot be used.
    fn stored(&self) -> Result<(Timestamp, Vec<StoredCounter>), StoreError>;

    /// Sets counters to nothing.
    ///
    /// # Errors
    /// The store cannot be used.
    fn reset(&self, counters: &[CounterKey]) -> Result<(), StoreError>;

    /// Takes `now` for the latest time seen, whatever was seen before. Counters in later windows stay as they are.
    ///
    /// # Errors
    /// The store cannot be used.
    fn reset_clock(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Work that calls need not wait for. Called now and then, never on the way of a call.
    fn tidy(&self) {}
}

/// What an approval is good for: this very call and no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// Grant of the caller; empty if unknown.
    pub grant: String,
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: ToolName,
    /// SHA-256 of the tool's definition as the caller was shown it, 64 hexadecimal digits; empty if no list is known.
    pub definition: String,
    /// SHA-256 of the canonical JSON of the call's `params` without progress token and trace context, 64 hexadecimal
    /// digits.
    pub arguments: String,
    /// The policy's hash.
    pub policy: String,
}

impl Binding {
    /// One text for all parts: 64 hexadecimal digits.
    pub fn key(&self) -> String {
        let mut text = String::new();
        for part in [&self.grant, &self.server, self.tool.as_str(), &self.definition, &self.arguments, &self.policy] {
            write_string(part, &mut text);
        }
        sha256_hex(text.as_bytes())
    }
}

/// SHA-256 as 64 lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A question to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// What an answer is good for.
    pub binding: Binding,
    /// The rule that asks.
    pub rule: String,
    /// What the person is asked.
    pub message: String,
    /// Seconds until the question lapses; an approval lapses as long after the answer.
    pub ttl_s: u64,
    /// What the person is to read: the arguments as JSON, and, if the call's `params` hold anything else, on a second line
    /// that as JSON. At most [`SHOWN_BYTES_MAX`]; none once the question is over. From the client: escape before showing.
    pub arguments: Option<String>,
}

/// A question and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Names it on the command line; not a secret, and worth nothing without the answer.
    pub id: String,
    /// Where it stands at the time of asking.
    pub state: ApprovalState,
    /// The question.
    pub request: ApprovalRequest,
    /// When it was asked.
    pub created: Timestamp,
    /// When it lapses, exclusive.
    pub expires: Timestamp,
}

/// Where a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApprovalState {
    /// Nobody has answered.
    Pending,
    /// Good for one call.
    Approved,
    /// A person said no.
    Denied,
    /// The one call was made.
    Used,
    /// The client took the call back before a person had answered.
    Withdrawn,
    /// Too late.
    Expired,
}

/// A person's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, once.
    Approve,
    /// No.
    Deny,
    /// No person's answer: the client has taken the call back, and the question with it.
    Withdraw,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It counts.
    Done(Approval),
    /// The question had been answered, used or had lapsed before; nothing changed.
    TooLate(Approval),
    /// There is no such question.
    Unknown,
}

/// Questions to people, and their answers.
pub trait ApprovalStore: Send + Sync {
    /// Asks; fails with [`StoreError::TooManyQuestions`] where too many wait. While a question with the same binding is pending, approved or denied and has not lapsed, that one is
    /// returned instead.
    ///
    /// # Errors
    /// The store cannot be used.
    fn request(&self, now: Timestamp, request: &ApprovalRequest) -> Result<Approval, StoreError>;

    /// The newest question with this binding key that is pending, approved or denied and has not lapsed.
    ///
    /// # Errors
    /// The store cannot be used.
    fn find(&self, now: Timestamp, key: &str) -> Result<Option<Approval>, StoreError>;

    /// Uses up an approval: true for exactly one caller.
    ///
    /// # Errors
    /// The store cannot be used; then it counts as not used up.
    fn take(&self, now: Timestamp, key: &str) -> Result<bool, StoreError>;

    /// A question by its id, whatever its state.
    ///
    /// # Errors
    /// The store cannot be used.
    fn get(&self, now: Timestamp, id: &str) -> Result<Option<Approval>, StoreError>;

    /// All questions that the store still keeps, oldest first.
    ///
    /// # Errors
    /// The store cannot be used.
    fn list(&self, now: Timestamp) -> Result<Vec<Approval>, StoreError>;

    /// Answers a pending question.
    ///
    /// # Errors
    /// The store cannot be used.
    fn decide(&self, now: Timestamp, id: &str, answer: Answer) -> Result<Answered, StoreError>;
}
