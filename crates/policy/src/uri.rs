//! The URIs of resources as rules compare them: normalised as the WHATWG says, and nothing left in them that a server
//! could read as a way out.

use crate::text::percent_decoded;
use url::{ParseError, Url};

/// A URI in its normal form; `None` where readers could take it to different places: white space, control characters and
/// backslashes, a slash or dot that is encoded or of another width, a `..` that is left. A text without scheme stays as
/// it is.
pub(crate) fn normal(text: &str) -> Option<String> {
    let is_doubtful =
        |c: char| c.is_control() || c.is_whitespace() || c == '\\' || (!c.is_ascii() && stands_for_syntax(c));
    if text.contains(is_doubtful) {
        return None;
    }
    let normal = match Url::parse(text) {
        Ok(url) => url.to_string(),
        Err(ParseError::RelativeUrlWithoutBase) => text.to_owned(),
        Err(_) => return None,
    };
    let path = place(&normal);
    let path = path.split_once(':').map_or(path, |(_, path)| path);
    let plain = percent_decoded(path);
    let slashes = |text: &str| text.matches('/').count();
    // Some servers cut a segment at the semicolon before they resolve it.
    let is_step = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
    let climbs = plain.split('/').any(is_step);
    let hides = plain.contains(|c: char| c.is_control() || c == '\\') || slashes(&plain) != slashes(path);
    (!climbs && !hides).then_some(normal)
}

/// Whether a character stands for one that has a meaning in a URI.
fn stands_for_syntax(c: char) -> bool {
    let mut stands = false;
    crate::text::decompose(c, |part| stands |= ".:/\\~%?#@".contains(part));
    stands
}

/// A URI without query and fragment.
fn place(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or_default()
}

/// The forms in which a hidden URI may not come: as loose readers take it, with and without query and fragment.
pub(crate) fn loose(normal: &str) -> [String; 2] {
    [crate::text::loose(normal), crate::text::loose(place(normal))]
}

/// Reads the beginning of URIs, without the star.
///
/// # Errors
/// It has no normal form, or another one; the text says which.
pub(crate) fn prefix(text: &str) -> Result<String, String> {
    let is_scheme = |text: &str| {
        let rest = text.strip_suffix("//").unwrap_or(text).strip_suffix(':');
        rest.is_some_and(|name| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
        })
    };
    if text.is_empty() || is_scheme(text) {
        return Ok(text.to_owned());
    }
    match normal(text) {
        Some(same) if same == text && text.contains(':') => Ok(same),
        Some(other) if text.contains(':') => Err(format!("read as a URL this is `{other}*`: write that")),
        Some(_) => Err("the beginning of a URI has its scheme: `file:///docs/*`".to_owned()),
        None => Err("write it without dots, backslashes and percent-encoding that change where it leads".to_owned()),
    }
}

/// What every URI begins with that a template (RFC 6570) makes, in its normal form; empty where that cannot be told.
pub(crate) fn of_template(template: &str) -> String {
    let Some((literal, expression)) = template.split_once('{') else {
        return normal(template).unwrap_or_default();
    };
    let operator = expression.chars().next().filter(|c| "/.;?#".contains(*c));
    let begin: String = literal.chars().chain(operator).collect();
    prefix(&begin).unwrap_or_default()
}

/// Whether a beginning leaves it open which host of the network, or which of this machine's files is meant. What other
/// schemes lead to is the server's own.
pub(crate) fn is_wide(prefix: &str) -> bool {
    /// The special schemes of the WHATWG: readers agree where these lead.
    const COMMON: [&str; 6] = ["file", "ftp", "http", "https", "ws", "wss"];
    let Some((scheme, rest)) = prefix.split_once(':') else { return true };
    if !COMMON.contains(&scheme) {
        return false;
    }
    let Some((host, path)) = rest.strip_prefix("//").and_then(|rest| rest.split_once('/')) else { return true };
    if scheme != "file" {
        return host.is_empty();
    }
    let folder = path.split('/').next().unwrap_or_default();
    // A drive is everything on it.
    let drive = folder.len() == 2 && folder.ends_with([':', '|']) && path.trim_end_matches('/') == folder;
    folder.is_empty() || drive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_has_no_normal_form() {
        for (text, expected) in [
            ("file:///data/a", Some("file:///data/a")),
            ("FILE:///data/./b/../a", Some("file:///data/a")),
            ("file:///data/%2e%2e/etc", Some("file:///etc")),
            ("note://n?x=../..", Some("note://n?x=../..")),
            ("config", Some("config")),
            ("https://Example.COM", Some("https://example.com/")),
            ("file:///data/%2fetc", None),
            ("file:///data/%252e%252e/etc", None),
            ("file:///data/..%2fetc", None),
            ("file:///data/..;x/etc", None),
            ("file:///data\\..\\etc", None),
            ("file:///data/%5c..", None),
            ("file:///data/%00", None),
            ("file:///data/\u{2025}/etc", None),
            ("file:///data／etc", None),
            (" file:///data/a", None),
            ("file:///da\nta", None),
            ("note:a/../../b", None),
            ("note:..", None),
            ("../etc", None),
            ("https://[x", None),
        ] {
            assert_eq!(normal(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_beginning_is_written_as_it_is_compared() {
        for (text, is_good) in [
            ("", true),
            ("file:", true),
            ("file://", true),
            ("file:///docs/", true),
            ("note://n", true),
            ("https://example.com/", true),
            ("https://example.com", false),
            ("file:///docs/../", false),
            ("FILE:///docs/", false),
            ("docs/", false),
            ("file:///docs/%2e", false),
        ] {
            assert_eq!(prefix(text).is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn a_template_makes_what_begins_with_its_text() {
        for (template, expected) in [
            ("file:///docs/{name}", "file:///docs/"),
            ("file:///docs{/name}", "file:///docs/"),
            ("file:///{+path}", "file:///"),
            ("{+uri}", ""),
            ("https://{host}/x", "https://"),
            ("file:///docs/a", "file:///docs/a"),
            ("file:///docs/../{x}", ""),
        ] {
            assert_eq!(of_template(template), expected, "{template}");
        }
    }
}
