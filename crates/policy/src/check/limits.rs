//! Limits that can never be the one that refuses.

use super::lints::{Lints, tool_pointer};
use crate::code::Code;
use crate::compiled::Policy;
use crate::document::{Limit, Scope};
use crate::model::Severity;
use crate::window::Window;
use std::borrow::Cow;

/// A limit on calls, and where it stands.
struct Placed<'d> {
    pointer: String,
    limit: Cow<'d, Limit>,
    window: Window,
}

pub(super) fn check(policy: &Policy, lints: &mut Lints<'_>) {
    let document = policy.document();
    let for_all = placed("/all_tools", &document.all_tools.limits);
    report(&for_all, &[], lints);
    for (name, rules) in &document.tools {
        let at = tool_pointer(name);
        let mut own = placed(&at, &rules.limits);
        let short = rules.rate_limit.as_ref().map(|rate| Cow::Owned(rate.written_out(name)));
        own.extend(short.and_then(|limit| one(format!("{at}/rate_limit"), limit)));
        report(&own, &for_all, lints);
    }
}

fn placed<'d>(at: &str, limits: &'d [Limit]) -> Vec<Placed<'d>> {
    let limits = limits.iter().enumerate();
    limits.filter_map(|(index, limit)| one(format!("{at}/limits/{index}"), Cow::Borrowed(limit))).collect()
}

fn one(pointer: String, limit: Cow<'_, Limit>) -> Option<Placed<'_>> {
    Some(Placed { pointer, window: Window::parse(&limit.window)?, limit })
}

fn report(own: &[Placed<'_>], for_all: &[Placed<'_>], lints: &mut Lints<'_>) {
    for (index, limit) in own.iter().enumerate() {
        let others = own.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, other)| other).chain(for_all);
        for other in others {
            // Of two that are the same, the first one stays.
            let twin = same_bound(limit, other);
            let earlier = other.pointer < limit.pointer || other.pointer.starts_with("/all_tools");
            if (twin && earlier) || (!twin && covers(other, limit)) {
                let message = format!(
                    "this limit never bites: {} a {} ({}) is reached first",
                    other.limit.max, other.window, other.pointer
                );
                lints.add(Code::P014, Severity::Warning, &limit.pointer, message, None);
                break;
            }
        }
        if limit.limit.max == 0 {
            let message = "a maximum of 0 refuses every call".to_owned();
            let help = Some("`deny_if` with no conditions says so more clearly".to_owned());
            lints.add(Code::P018, Severity::Note, &limit.pointer, message, help);
        }
    }
}

fn same_bound(a: &Placed<'_>, b: &Placed<'_>) -> bool {
    a.limit.max == b.limit.max
        && a.window == b.window
        && a.limit.scope == b.limit.scope
        && a.limit.increment_from == b.limit.increment_from
}

/// Whether `limit` can never be reached while `other` holds.
fn covers(other: &Placed<'_>, limit: &Placed<'_>) -> bool {
    // A counter that fewer share fills more slowly: the other one must be shared by at least as many.
    let width = |scope: Scope| match scope {
        Scope::Session => 0,
        Scope::Grant => 1,
        Scope::Server => 2,
        Scope::Global => 3,
    };
    let same_unit = other.limit.increment_from == limit.limit.increment_from && other.limit.scale == limit.limit.scale;
    let shared = other.limit.scope == limit.limit.scope
        || (width(other.limit.scope) > width(limit.limit.scope) && limit.limit.scope == Scope::Grant);
    // A shared counter is also filled by other tools, so only one of the same name says something about this one.
    let own = limit.limit.counter == other.limit.counter || !is_shared_by_name(limit);
    if !same_unit || !shared || !own {
        return false;
    }
    let most = u128::from(other.limit.max) * u128::from(windows_within(other.window, limit.window));
    most <= u128::from(limit.limit.max)
}

/// Whether other tools may fill the counter too: one that is named after the tool is its own.
fn is_shared_by_name(placed: &Placed<'_>) -> bool {
    let tool = placed.pointer.split('/').nth(2).unwrap_or_default();
    !placed.limit.counter.starts_with(&tool.to_lowercase()) && !placed.limit.counter.starts_with(tool)
}

/// How many windows of `inner` one window of `outer` can touch.
fn windows_within(inner: Window, outer: Window) -> u64 {
    let seconds = |window: Window| -> u64 {
        match window {
            Window::Minute => 60,
            Window::Hour => 3600,
            Window::Day => 86_400,
            Window::Week => 7 * 86_400,
            Window::Month => 31 * 86_400,
            Window::Span(seconds) => u64::from(seconds.get()),
        }
    };
    let (a, b) = (seconds(inner), seconds(outer));
    let calendar = |window: Window| !matches!(window, Window::Span(_) | Window::Week | Window::Month);
    // Minutes, hours and days fit into each other and into weeks and months; anything else may touch one more.
    let aligned = inner == outer || (calendar(inner) && b % a == 0 && !matches!(outer, Window::Span(_)));
    b.div_ceil(a) + u64::from(!aligned)
}
