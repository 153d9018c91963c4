//! Text and paths as SARIF 2.1.0 (OASIS) writes them.

use std::fmt::Write as _;

/// Text as a SARIF message: hidden characters are spelled out, and brackets are escaped, so that no word of a server
/// becomes a link (SARIF 2.1.0, section 3.11.6).
pub(super) fn message(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in crate::text::escape(text).chars() {
        if matches!(c, '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A path as a URI reference (RFC 3986): what is not plain is percent-encoded, and a relative one stays relative, so
/// that code scanning finds the file.
pub(super) fn uri(file: &str) -> String {
    let file = file.replace('\\', "/");
    let file = file.trim_start_matches("./");
    let mut out = String::with_capacity(file.len());
    if file.starts_with('/') {
        out.push_str("file://");
    }
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_server_becomes_a_link_and_nothing_is_hidden() {
        let text = "the tool `x\u{202e}` is odd, see [here](https://a.example)";
        assert_eq!(message(text), "the tool `x\\u{202e}` is odd, see \\[here\\](https://a.example)");
    }

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("./mcpol.lock"), "mcpol.lock");
        assert_eq!(uri("a b/ü.json"), "a%20b/%C3%BC.json");
        assert_eq!(uri("/srv/mcpol.lock"), "file:///srv/mcpol.lock");
        assert_eq!(uri(".\\policies\\a.json"), "policies/a.json");
    }
}
