//! Arguments of `mcpol grant`.

use super::{PlainFormat, StateArgs};
use crate::clock::Timestamp;
use crate::policy::parse_end;
use crate::state::{GRANT_SERVERS_MAX, GrantName};
use std::path::PathBuf;
use std::time::Duration;

/// Say who may call which servers through the HTTP gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol grant create alice --server github --expires 30d > alice.token
  mcpol grant create ci --server github --server files --policy ci.policy.json
  mcpol grant list
  mcpol grant revoke alice")]
pub struct GrantArgs {
    /// The state.
    #[command(flatten)]
    pub place: StateArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: GrantCommand,
}

/// What can be done about grants.
#[derive(Debug, clap::Subcommand)]
pub enum GrantCommand {
    /// Make a grant and print its token, once; only a hash of it is kept.
    Create(GrantCreateArgs),
    /// Show every grant, never a token.
    List {
        /// The form.
        #[arg(long, value_enum, value_name = "FORM", default_value_t = PlainFormat::Table)]
        format: PlainFormat,
    },
    /// Take a grant back; the next request with its token is refused.
    Revoke {
        /// Its name.
        #[arg(value_parser = name)]
        name: GrantName,
    },
}

/// A new grant.
#[derive(Debug, clap::Args)]
pub struct GrantCreateArgs {
    /// Its name, in which calls are counted and logged.
    #[arg(value_parser = name)]
    pub name: GrantName,
    /// A server that it is good for, by the gateway's name for it; may be given more than once.
    #[arg(long, value_name = "NAME", required = true, value_parser = server)]
    pub server: Vec<String>,
    /// A policy of its own, instead of the server's.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Until when it is good: a span such as `30d` or `12h`, the last day in UTC such as `2030-12-31`, or the moment that
    /// ends it, `2030-12-31T12:00Z` [default: for ever].
    #[arg(long, value_name = "SPAN|DATE", value_parser = expiry)]
    pub expires: Option<Expiry>,
}

/// The end of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// So long after it is made.
    After(Duration),
    /// At this time, exclusive.
    At(Timestamp),
}

/// Longest name of a server, in bytes.
const SERVER_BYTES_MAX: usize = 256;
/// Longest span that can be asked for, in days: ten years.
const SPAN_DAYS_MAX: u64 = 3660;

fn name(text: &str) -> Result<GrantName, String> {
    GrantName::parse(text).map_err(|error| error.to_string())
}

fn server(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > SERVER_BYTES_MAX || text.chars().any(crate::text::is_hidden) {
        return Err(format!("must be 1 to {SERVER_BYTES_MAX} bytes without hidden characters"));
    }
    Ok(text.to_owned())
}

fn expiry(text: &str) -> Result<Expiry, String> {
    let hint = || "write a span such as `30d`, `12h` or `90m`, or the last day in UTC, `2030-12-31`".to_owned();
    if let Some(time) = parse_end(text) {
        return Ok(Expiry::At(time));
    }
    let unit = text.chars().next_back().ok_or_else(hint)?;
    let seconds: u64 = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(hint()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(hint());
    }
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    match seconds {
        Some(seconds @ 1..) if seconds <= SPAN_DAYS_MAX * 86_400 => Ok(Expiry::After(Duration::from_secs(seconds))),
        Some(_) | None => Err(format!("must be more than 0 and at most {SPAN_DAYS_MAX} days")),
    }
}

/// More servers than one grant may have.
pub(crate) fn servers_fit(count: usize) -> bool {
    count <= GRANT_SERVERS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_span_or_a_date() {
        let after = |seconds| Ok(Expiry::After(Duration::from_secs(seconds)));
        assert_eq!(expiry("30d"), after(30 * 86_400));
        assert_eq!(expiry("90m"), after(5400));
        assert_eq!(expiry("12h"), after(12 * 3600));
        assert_eq!(expiry("2w"), after(14 * 86_400));
        assert_eq!(expiry("3660d"), after(3660 * 86_400));
        // As in `mcpol.toml`, a day is the last good one.
        assert_eq!(expiry("2029-12-31"), Ok(Expiry::At(Timestamp::from_millis(1_893_456_000_000))));
        assert_eq!(expiry("2030-01-01T00:00Z"), expiry("2029-12-31"));
        for bad in
            ["", "30", "d", "-1d", "1.5d", "0d", "3661d", "99999999999999999999d", "2030-02-30", "30 d", "ä", "1y"]
        {
            assert!(expiry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_servers_are_bounded() {
        assert!(server("github").is_ok() && server(&"s".repeat(SERVER_BYTES_MAX)).is_ok());
        assert!(
            server("").is_err() && server(&"s".repeat(SERVER_BYTES_MAX + 1)).is_err() && server("a\u{1b}").is_err()
        );
        assert!(servers_fit(GRANT_SERVERS_MAX) && !servers_fit(GRANT_SERVERS_MAX + 1));
    }
}
