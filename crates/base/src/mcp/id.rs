//! The id of a request: what tells answers apart.

use super::json::string_value;

/// Most bytes of an id in its JSON form: ids of calls in flight are kept.
pub const ID_BYTES_MAX: usize = 1024;
/// Largest integer that every reader holds exactly as a number (RFC 8259, section 6).
const ID_INTEGER_MAX: u64 = (1 << 53) - 1;

/// A request id (JSON-RPC 2.0, section 4): a string, or an integer that every reader holds exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An integer within ±(2⁵³ − 1).
    Integer(i64),
    /// A string, decoded.
    Text(Box<str>),
}

impl Id {
    /// Reads an id from its JSON text; `None` for null, fractions, exponents, `-0`, other types and ids over a bound.
    pub fn parse(json: &str) -> Option<Self> {
        if json.len() > ID_BYTES_MAX {
            return None;
        }
        if json.starts_with('"') {
            return Some(Self::Text(string_value(json)?.into()));
        }
        let number: i64 = json.parse().ok()?;
        // `+1`, `-0` and `01` are spelled so that two readers could print them differently.
        let digits = json.strip_prefix('-').unwrap_or(json);
        let plain = digits.starts_with(|c: char| matches!(c, '1'..='9')) || json == "0";
        (plain && number.unsigned_abs() <= ID_INTEGER_MAX).then_some(Self::Integer(number))
    }

    /// The number that an id of digits would be if it were no text; `None` for any other id.
    pub fn of_text(&self) -> Option<Self> {
        match self {
            Self::Text(text) => Self::parse(text).filter(|id| matches!(id, Self::Integer(_))),
            Self::Integer(_) => None,
        }
    }

    /// Appends the id as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        // Writing to a vector cannot fail.
        match self {
            Self::Integer(number) => drop(write!(out, "{number}")),
            Self::Text(text) => drop(serde_json::to_writer(out, text)),
        }
    }
}
