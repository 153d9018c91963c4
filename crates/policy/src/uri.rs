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
    // Some servers cut a segment at the semicolon before they resolve it, and some file systems the spaces around it.
    let is_step = |part: &str| matches!(part.split(';').next().map(str::trim), Some("." | ".."));
    // To a server that cuts off the scheme and opens the rest, query and fragment are parts of a path.
    let whole = crate::text::loose(&normal);
    let climbs = plain.split('/').any(is_step) || whole.split(['/', '\\']).any(|part| part == "..");
    // What is no UTF-8 (U+FFFD) some readers leave out, and some take for the characters that it would be the long way.
    let hides = plain.contains(|c: char| c.is_control() || matches!(c, '\\' | '\u{fffd}'));
    let hides = hides || slashes(&plain) != slashes(path);
    (!climbs && !hides && steps_alike(text, &normal)).then_some(normal)
}

/// Whether a file system follows the steps of a path as the WHATWG does: to that an empty part is one that a step takes
/// back, and one that is encoded twice is no step.
fn steps_alike(written: &str, normal: &str) -> bool {
    let [written, normal] = [written, normal].map(|uri| crate::text::loose(place(uri)));
    let path = path_of(&written);
    !path.split(['/', '\\']).any(|part| part == "..")
        || resolved(path).is_some_and(|found| Some(found) == resolved(path_of(&normal)))
}

/// The path of a URI without query and fragment.
fn path_of(place: &str) -> &str {
    let rest = place.split_once(':').map_or(place, |(_, rest)| rest);
    match rest.strip_prefix("//") {
        Some(rest) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => rest,
    }
}

/// The parts of a path once its steps are taken; `None` if they lead out of it.
fn resolved(path: &str) -> Option<Vec<&str>> {
    let mut at = Vec::new();
    for part in path.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            at.pop()?;
        } else {
            at.push(part);
        }
    }
    Some(at)
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
pub(crate) fn loose(normal: &str) -> [String; 4] {
    let place = place(normal);
    [
        crate::text::loose(normal),
        crate::text::loose(place),
        careless(normal, LastPart::Whole),
        careless(place, LastPart::Whole),
    ]
}

/// What [`loose`] without a slash at its end is compared with: a URI that is hidden.
pub(crate) fn loose_exact(entry: &str) -> Vec<String> {
    let forms = hidden_forms(entry, LastPart::Whole);
    forms.into_iter().map(|form| form.trim_end_matches('/').to_owned()).collect()
}

/// What [`loose`] is compared with: the beginning of URIs that are hidden.
pub(crate) fn loose_beginning(entry: &str) -> Vec<String> {
    hidden_forms(entry, LastPart::Begun)
}

fn hidden_forms(entry: &str, last: LastPart) -> Vec<String> {
    let normal = normal(entry).unwrap_or_else(|| entry.to_owned());
    vec![crate::text::loose(&normal), careless(&normal, last)]
}

/// Whether the last part of a path is all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastPart {
    Whole,
    Begun,
}

/// A URI as the most careless of servers finds what it names: no user before a host, and of a path no empty part, no dots
/// or spaces at the end of a part, and nothing of one from a semicolon on.
fn careless(uri: &str, last: LastPart) -> String {
    let loose = crate::text::loose(uri);
    let (scheme, rest) = loose.split_once(':').unwrap_or(("", &loose));
    let rest = match rest.strip_prefix("//").map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len()))) {
        Some((host, path)) => format!("{}{path}", host.rsplit('@').next().unwrap_or_default()),
        None => rest.to_owned(),
    };
    let mut parts = rest.split('/').peekable();
    let (mut out, mut ends_in_slash) = (format!("{scheme}:"), false);
    while let Some(part) = parts.next() {
        let is_begun = last == LastPart::Begun && parts.peek().is_none();
        let part = match part.split_once(';') {
            Some((before, _)) if !is_begun => before,
            Some(_) | None => part,
        };
        let part = if is_begun { part } else { part.trim_end_matches(['.', ' ']) };
        ends_in_slash = part.is_empty();
        if !part.is_empty() {
            out.push('/');
            out.push_str(part);
        }
    }
    if ends_in_slash {
        out.push('/');
    }
    out
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
            ("note://n?x=a/b..", Some("note://n?x=a/b..")),
            ("note://n?x=../..", None),
            ("file:///data//a", Some("file:///data//a")),
            ("file:///data//../a", None),
            ("file:///data//a/../b", Some("file:///data//b")),
            ("file:///data/%252e%252e/%2e%2e/a", None),
            ("file:///data/..%5c/%2e%2e/a", None),
            ("https://e.example/a/../b?c/d", Some("https://e.example/b?c/d")),
            ("file:///data////%2e%2e/../../etc/passwd", None),
            ("file:///data/%E2%80%A5/etc", None),
            ("file:///data/.%E2%80%8B./etc", None),
            ("file:///data/a#/../../etc", None),
            ("file:///data/a?/%2e%2e/%2e%2e/etc", None),
            ("file:///data/a?\\..\\..\\etc", None),
            ("https://e.example/a?u=https%3A%2F%2Fx", Some("https://e.example/a?u=https%3A%2F%2Fx")),
            ("config", Some("config")),
            ("https://Example.COM", Some("https://example.com/")),
            ("file:///data/%2fetc", None),
            ("file:///data/%c0%ae%c0%ae/etc", None),
            ("file:///data/..%c0%afetc", None),
            ("file:///data/%ff../etc", None),
            ("file:///data/..%20/etc", None),
            ("file:///data/%20../etc", None),
            ("file:///data/..%c2%a0/etc", None),
            ("file:///data/..%e3%80%80/etc", None),
            ("file:///data/%09..;x/etc", None),
            ("file:///data/a%20b..%20c/d", Some("file:///data/a%20b..%20c/d")),
            ("file:///data/%C3%A4", Some("file:///data/%C3%A4")),
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
