//! Which definitions are read closely: most have no request in them, and every scan asks of every tool.

use super::decoded::may_be_encoded;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Longer texts count as ones of this length, in bytes, so that padding hides no request.
const LENGTH_BYTES_MAX: usize = 4 << 10;
/// Most words of the table.
const WORDS_MAX: usize = 256;
/// Fewest bytes of letters of other alphabets with which a text is read.
const FOREIGN_BYTES_MIN: usize = 8;

/// As written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireGate {
    start: f32,
    length: f32,
    enough: f32,
    words: BTreeMap<String, f32>,
}

/// The words that let a text in.
#[derive(Debug)]
pub(super) struct Gate {
    start: f32,
    length: f32,
    enough: f32,
    finder: AhoCorasick,
    points: Vec<f32>,
}

/// The table inside the binary. A test holds that it is valid; were it not, every text would be read.
pub(super) static GATE: LazyLock<Option<Gate>> =
    LazyLock::new(|| Gate::parse(include_str!("../../../rules/asks/gate.toml")).ok());

impl Gate {
    /// From a table in TOML.
    ///
    /// # Errors
    /// A text that is no such table, or one with too many words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wire: WireGate = toml::from_str(text).map_err(|error| error.to_string())?;
        if wire.words.len() > WORDS_MAX {
            return Err(format!("more than {WORDS_MAX} words"));
        }
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
        let finder = builder.build(wire.words.keys()).map_err(|error| error.to_string())?;
        let points = wire.words.into_values().collect();
        Ok(Self { start: wire.start, length: wire.length, enough: wire.enough, finder, points })
    }

    /// Whether a definition, as JSON text, is to be read closely.
    pub(super) fn lets_in(&self, raw: &str) -> bool {
        let length = (raw.len().clamp(1, LENGTH_BYTES_MAX) as f32).ln();
        let mut points = self.start - self.length * length;
        let mut seen = [0_u64; WORDS_MAX / 64];
        for found in self.finder.find_overlapping_iter(raw) {
            let at = found.pattern().as_usize();
            let bit = 1 << (at % 64);
            if seen[at / 64] & bit == 0 {
                seen[at / 64] |= bit;
                points += self.points[at];
                if points >= self.enough {
                    return true;
                }
            }
        }
        let is_foreign = !raw.is_ascii()
            && raw.bytes().filter(|byte| (0xc3..0xe2).contains(byte) || (0xe3..0xee).contains(byte)).count() * 2
                >= FOREIGN_BYTES_MIN;
        is_foreign || may_be_encoded(raw)
    }
}
