//! Grants: who may call which servers, under which policy, until when. Of its token only the hash is kept.

mod memory;
mod sqlite;
#[cfg(test)]
pub(crate) mod contract;

pub use memory::MemoryGrants;
pub(super) use sqlite::{GrantReader, TABLES};

use crate::clock::Timestamp;
use crate::policy::StoreError;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;

/// Longest name of a grant, in bytes.
pub const GRANT_NAME_BYTES_MAX: usize = 64;
/// Most servers of one grant.
pub const GRANT_SERVERS_MAX: usize = 256;
/// Most grants of one store, revoked ones included.
pub const GRANTS_MAX: usize = 10_000;

/// Begins every token that we make, so that people and secret scanners know one when they see it.
pub const TOKEN_PREFIX: &str = "mcpol_";
/// Random bytes of a token: 256 bits, which nobody guesses.
const TOKEN_RANDOM_BYTES: usize = 32;

/// The name of a grant: letters, digits, `.`, `_` and `-`, beginning with a letter or digit. It has no `:`, so no name
/// that an issuer of tokens chooses (those are written `jwt:…`) is ever equal to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantName(String);

/// A text that is no name of a grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {GRANT_NAME_BYTES_MAX} letters, digits, `.`, `_` or `-` (ASCII), and begin with a letter or digit"
)]
pub struct BadGrantName;

impl GrantName {
    /// The name, if it is one.
    ///
    /// # Errors
    /// It is empty, too long, or holds another character.
    pub fn parse(text: &str) -> Result<Self, BadGrantName> {
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if begins && text.len() <= GRANT_NAME_BYTES_MAX && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadGrantName)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GrantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a token. A token holds 256 random bits, so one round is enough: there is nothing to guess, and a salt or a
/// slow hash, which protect what people choose, would only make every request dearer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[at * 2..at * 2 + 2];
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to tell two apart in a test's message.
        write!(f, "{}…", &self.hex()[..8])
    }
}

/// A token that was just made: shown once, never kept. Its `Debug` prints three dots, and there is no `Display`.
pub struct Token(String);

impl Token {
    /// A new token from the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut random = [0_u8; TOKEN_RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        let mut text = String::from(TOKEN_PREFIX);
        // Base64url (RFC 4648, section 5) without padding; the last digit carries the bits that are left.
        for chunk in random.chunks(3) {
            let mut block = [0_u8; 4];
            block[1..=chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes(block);
            for digit in 0..=chunk.len() {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
            }
        }
        Ok(Self(text))
    }

    /// The token, for the one place that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Who may call what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its name: in whose name calls are counted and logged.
    pub name: GrantName,
    /// The servers that it is good for, by the names that the gateway has for them; 1 to [`GRANT_SERVERS_MAX`].
    pub servers: BTreeSet<String>,
    /// A policy file of its own; without one the server's policy holds. An absolute path.
    pub policy: Option<String>,
    /// What is kept of its token.
    pub token: TokenHash,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no good; never, if nothing is said.
    pub expires: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
}

/// Whether a grant is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantState {
    /// It is.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody took it back.
    Revoked,
}

impl Grant {
    /// Where it stands at a time.
    pub fn state(&self, now: Timestamp) -> GrantState {
        match (self.revoked, self.expires) {
            (Some(_), _) => GrantState::Revoked,
            (None, Some(expires)) if expires <= now => GrantState::Expired,
            (None, _) => GrantState::Active,
        }
    }
}

/// What became of a grant that was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantCreated {
    /// It is kept. One of the same name that was revoked or had expired is replaced, and its token stays worthless.
    Done,
    /// There is one of this name that is good; nothing changed.
    Exists(Grant),
}

/// What became of a grant that was to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantRevoked {
    /// It is no good any more.
    Done(Grant),
    /// It was revoked before; nothing changed.
    Already(Grant),
    /// There is none of this name.
    Unknown,
}

/// Grants, by name and by the hash of their token.
///
/// Tokens are looked up by their hash. Whoever measures how long that takes learns about hashes of texts that he sent
/// himself, and cannot steer those towards a kept one without inverting SHA-256; so no comparison here needs to take the
/// same time for all inputs.
pub trait GrantStore: Send + Sync {
    /// Keeps a new grant.
    ///
    /// # Errors
    /// The store cannot be used, or holds [`GRANTS_MAX`] already; then nothing was kept.
    fn create(&self, now: Timestamp, grant: &Grant) -> Result<GrantCreated, StoreError>;

    /// All grants, in the order of their names.
    ///
    /// # Errors
    /// The store cannot be used.
    fn list(&self) -> Result<Vec<Grant>, StoreError>;

    /// Takes a grant back. The next request that presents its token finds it revoked, in every process.
    ///
    /// # Errors
    /// The store cannot be used; the grant may still be good.
    fn revoke(&self, now: Timestamp, name: &GrantName) -> Result<GrantRevoked, StoreError>;

    /// The grant of a token, whatever its state.
    ///
    /// # Errors
    /// The store cannot be used.
    fn find(&self, token: &TokenHash) -> Result<Option<Grant>, StoreError>;

    /// Whether any grant was ever made for this server, revoked and expired ones included.
    ///
    /// # Errors
    /// The store cannot be used.
    fn any_for(&self, server: &str) -> Result<bool, StoreError>;
}

/// A store that holds [`GRANTS_MAX`] grants.
pub(super) fn full() -> StoreError {
    StoreError::Unavailable(format!("it holds {GRANTS_MAX} grants, which is the most"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;

    #[test]
    fn names_of_grants_are_plain() {
        for good in ["a", "alice", "ci.prod-2_x", "9", &"n".repeat(GRANT_NAME_BYTES_MAX)] {
            assert!(GrantName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "_", "jwt:alice", "a b", "a/b", "ä", "a\n", &"n".repeat(GRANT_NAME_BYTES_MAX + 1)]
        {
            assert!(GrantName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_carries_256_random_bits_and_its_prefix() {
        let (one, two) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one.reveal(), two.reveal());
        let digits = one.reveal().strip_prefix(TOKEN_PREFIX).unwrap();
        // 43 digits of 6 bits are the fewest that hold 256.
        assert_eq!(digits.len(), 43);
        assert!(digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{digits}");
        assert_eq!(format!("{one:?}"), "…");
        // Every digit takes many values, the last included: no bits are lost.
        for at in [0, 20, 42] {
            let seen: BTreeSet<u8> =
                (0..200).map(|_| Token::generate().unwrap().reveal().as_bytes()[TOKEN_PREFIX.len() + at]).collect();
            assert!(seen.len() >= 10, "digit {at} takes {} values", seen.len());
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = TokenHash::of(b"mcpol_x");
        assert_eq!(TokenHash::parse(&hash.hex()), Some(hash));
        assert_eq!(TokenHash::parse(&hash.hex().to_uppercase()), Some(hash));
        for bad in ["", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"+0".repeat(32), &"ä".repeat(32)] {
            assert_eq!(TokenHash::parse(bad), None, "{bad}");
        }
    }
}
