//! policy.json: parse, check, judge, explain, generate. Pure: no clock, file, socket or log.

mod beside;
mod cases;
mod check;
mod compiled;
mod condition;
mod decimal;
mod denial;
mod diff;
mod document;
mod doors;
mod explain;
mod flows;
mod gate;
mod generate;
mod host_in;
mod in_words;
mod inclusion;
mod json;
mod judge;
mod memory;
mod parse;
mod path;
mod path_within;
mod pattern;
mod question;
#[cfg(feature = "jsonschema")]
mod schema;
#[cfg(not(feature = "jsonschema"))]
#[path = "schema_left_out.rs"]
mod schema;
#[cfg(feature = "jsonschema")]
mod schema_names;
mod store;
mod trace;
mod uri;
mod window;
mod word;

pub use beside::Beside;
pub use cases::{
    CASES_BYTES_MAX, Case, CaseResult, EarlierCall, Expectation, REPEAT_MAX, generate_cases, parse_cases, print_cases,
    run_case, unexercised,
};
pub use check::{Against, Lint, Places, Subject, check, check_portable, open_finding, open_offer_finding};
pub use compiled::{Policy, Summary, Visibility};
pub use condition::STRING_BYTES_MAX;
pub use decimal::{DIGITS_MAX, EXPONENT_MAX};
pub use denial::{Denial, DenialCode};
pub use diff::{Change, Direction, diff};
pub use document::{
    Access, Action, AllTools, ApprovalRules, ClientRules, Condition, Document, Entry, Limit, Mode, OfferLists, Offers,
    Operator, RateLimit, Refund, Scope, ToolRules, UnknownMethods, UnknownWord, Unlisted, Validate, Version,
    schema_text,
};
pub use doors::{Door, Opening};
pub use explain::{StepOutcome, Trace, TraceCondition, TraceCounter, TraceStep, explain, explain_door};
pub use flows::{
    BadPledge, COURSE_KEPT_MS, Course, CourseAt, CourseKey, CourseStore, Mark, News, PLEDGE_BYTES_MAX,
    PLEDGE_TOOLS_MAX, Pledge, RESULT_BYTES_MAX, SeenWords, WITHIN_SECONDS_MAX,
};
pub use gate::{Decision, Ending, Noted, Permit, Request, Reservation, binding, gate, gate_batch, gate_each};
pub use generate::{
    Flows, Form, Judge, Left, Merge, Narrowed, OfferReview, OfferRuling, OfferSubject, Profile, Recommendation, Review,
    Ruling, Selection, Wishes, add_offers, generate, left, merge,
};
pub use inclusion::{INCLUSION_BYTES_MAX, matches_no_more};
pub use json::JsonText;
pub use judge::{ApprovalNeed, Bill, Caller, Facts, Judgement, OtherSession, ToolChange, judge};
pub use memory::MemoryStore;
pub use parse::{POLICY_BYTES_MAX, POLICY_DEPTH_MAX, POLICY_ENTRIES_MAX, POLICY_TOOLS_MAX, bad_unknown_method, parse};
pub use path::PATH_STEPS_MAX;
pub use pattern::COMPILED_BYTES_MAX;
pub use question::PendingApproval;
pub use schema::ArgumentSchema;
pub use store::{
    Answer, Answered, Approval, ApprovalRequest, ApprovalState, ApprovalStore, Binding, CLOCK_JUMP_MS_MAX, COUNT_MAX,
    Charge, CounterKey, GRANT_PENDING_MAX, LimitStore, PENDING_MAX, Receipt, Reserve, SHOWN_BYTES_MAX, Settlement,
    StoreError, StoredCounter, Usage, advance,
};
pub use window::{SPAN_SECONDS_MAX, WINDOW_WORDS, Window, parse_end, parse_utc, utc};
pub use word::{Flow, FlowAction, Word, Words};

use mcpol_base::{clock, code, mcp, model, problem, text, tokens};

#[cfg(test)]
mod tests;
