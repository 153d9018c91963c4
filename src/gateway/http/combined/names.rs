//! Names of tools and prompts where all servers share one endpoint: `SERVER__NAME`, legal for every client
//! (`[A-Za-z0-9_-]{1,64}`).
//!
//! A server's name has no `__`, so the first one splits. A name that is too long, has other characters, or begins with
//! `_`, becomes `SERVER___HASH_END`: what follows the first `__` begins with `_` for these names and for no others, so a
//! shortened name never equals a real one.

use sha2::{Digest as _, Sha256};

/// Longest name that every client takes, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Hexadecimal digits of the hash.
const HASH_DIGITS: usize = 16;

/// The name at the common endpoint.
pub fn joined(server: &str, name: &str) -> String {
    let plain = !name.is_empty() && !name.starts_with('_') && name.bytes().all(is_legal);
    let whole = format!("{server}__{name}");
    if plain && whole.len() <= NAME_CHARS_MAX {
        return whole;
    }
    let hash: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let begin = format!("{server}___{}", &hash[..HASH_DIGITS]);
    // The end of a name tells more than its beginning, which tools of one server share.
    let legal: String = name.chars().map(|c| if c.is_ascii() && is_legal(c as u8) { c } else { '-' }).collect();
    let room = NAME_CHARS_MAX.saturating_sub(begin.len() + 1);
    let end = &legal[legal.len().saturating_sub(room)..];
    if end.is_empty() { begin } else { format!("{begin}_{end}") }
}

/// The server's name and the rest.
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once("__")
}

/// Whether the rest of a name stands for another one.
pub fn is_shortened(rest: &str) -> bool {
    rest.starts_with('_')
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn every_name_is_legal_and_splits_back(server in "[a-z]([a-z0-9-]{0,30}[a-z0-9])?", name in any::<String>()) {
            let joined = joined(&server, &name);
            prop_assert!(joined.len() <= NAME_CHARS_MAX && joined.bytes().all(is_legal), "{joined}");
            let (found, rest) = split(&joined).unwrap_or_default();
            prop_assert_eq!(found, &server);
            prop_assert!(is_shortened(rest) || rest == name);
        }

        #[test]
        fn a_name_that_looks_shortened_is_no_others(name in "[a-z ]{1,80}") {
            let shortened = joined("s", &format!("{name} "));
            let (_, rest) = split(&shortened).unwrap_or_default();
            // A tool that is really called so.
            prop_assert!(joined("s", rest) != shortened);
        }
    }

    #[test]
    fn names_are_kept_where_they_fit() {
        let long = "x".repeat(63);
        for (server, name, expected) in [
            ("github", "create_issue", "github__create_issue"),
            ("a", &*"x".repeat(61), &*format!("a__{}", "x".repeat(61))),
            ("a", "b__c", "a__b__c"),
        ] {
            assert_eq!(joined(server, name), expected);
        }
        for (server, name) in [("a", &*long), ("a", "dots.and spaces"), ("a", "_private"), ("a", ""), ("a", "删除")] {
            assert!(split(&joined(server, name)).is_some_and(|(_, rest)| is_shortened(rest)), "{name}");
        }
        assert_ne!(joined("a", &format!("{long}y")), joined("a", &format!("{long}z")));
    }
}
