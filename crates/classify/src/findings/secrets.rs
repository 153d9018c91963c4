//! Secrets that stand inside a longer value: keys in the path of an address, members of JSON, parts of connection strings.

use super::source::{is_placeholder, literal_secret, names_a_secret_value};
use serde_json::Value;

/// Shortest run of letters and digits that can be a key, in bytes.
const KEY_BYTES_MIN: usize = 16;
/// Fewest changes between letters and digits in such a run: words with a number behind them have one.
const CHANGES_MIN: usize = 4;
/// The same for a run that is longer than words with numbers are: its length in bytes, and how many of them are digits.
const LONG_BYTES_MIN: usize = 32;
const LONG_DIGITS_MIN: usize = 6;
/// Longest text that is looked into, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A value without the secrets inside it, and the names of those.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked {
    /// The value, with `mask` in the place of each secret.
    pub text: String,
    /// What each belongs to: a member, a part, `path`.
    pub names: Vec<String>,
}

/// Looks into a value that may hold secrets among other things: an address, JSON, or parts such as `Server=db;Password=x`.
/// `None` where there is none, or the value is none of these.
pub fn inside(text: &str, mask: &str) -> Option<Masked> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut names = Vec::new();
    let trimmed = text.trim_start();
    let masked = if trimmed.starts_with(['{', '[']) {
        let mut value = serde_json::from_str(text).ok()?;
        members("", &mut value, mask, &mut names);
        value.to_string()
    } else if text.contains("://") {
        let mut url = url::Url::parse(text).ok()?;
        names.extend(mask_path(&mut url, mask).then(|| "path".to_owned()));
        url.into()
    } else {
        parts(text, mask, &mut names)?
    };
    (!names.is_empty()).then_some(Masked { text: masked, names })
}

fn members(name: &str, value: &mut Value, mask: &str, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter_mut().for_each(|(name, value)| members(name, value, mask, names)),
        Value::Array(items) => items.iter_mut().for_each(|value| members(name, value, mask, names)),
        Value::String(text) if literal_secret(name, text) => {
            names.push(if name.is_empty() { "a text".to_owned() } else { name.to_owned() });
            mask.clone_into(text);
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// `Server=db;Password=x` and its like; `None` where there are no such parts.
fn parts(text: &str, mask: &str, names: &mut Vec<String>) -> Option<String> {
    if !text.contains(';') || !text.contains('=') {
        return None;
    }
    let part = |part: &str| match part.split_once('=') {
        Some((name, value))
            if names_a_secret_value(name) && !value.trim().is_empty() && !is_placeholder(value.trim()) =>
        {
            names.push(name.trim().to_owned());
            format!("{name}={mask}")
        }
        Some(_) | None => part.to_owned(),
    };
    Some(text.split(';').map(part).collect::<Vec<_>>().join(";"))
}

/// Puts `mask` in the place of every segment of a path that is a key; whether there was one.
pub fn mask_path(url: &mut url::Url, mask: &str) -> bool {
    let Some(segments) = url.path_segments() else { return false };
    let segments: Vec<&str> = segments.collect();
    if !segments.iter().any(|segment| is_key(segment)) {
        return false;
    }
    let path: Vec<&str> = segments.iter().map(|segment| if is_key(segment) { mask } else { segment }).collect();
    let path = path.join("/");
    url.set_path(&path);
    true
}

/// Whether a segment of a path is a key: it has the looks of a known kind of token, or holds a run of letters and digits
/// that nobody reads.
pub fn is_key(segment: &str) -> bool {
    if literal_secret("", segment) {
        return true;
    }
    let hexadecimal = |run: &str| run.len() >= 2 * KEY_BYTES_MIN && run.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A UUID opens what it names wherever it stands in an address.
    let groups: Vec<usize> = segment.split('-').map(str::len).collect();
    if groups == [8, 4, 4, 4, 12] && segment.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) {
        return true;
    }
    segment.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        let digits: Vec<bool> = run.bytes().map(|byte| byte.is_ascii_digit()).collect();
        let changes = digits.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let long = run.len() >= LONG_BYTES_MIN
            && changes > 1
            && digits.iter().filter(|digit| **digit).count() >= LONG_DIGITS_MIN;
        run.len() >= KEY_BYTES_MIN && (changes >= CHANGES_MIN || hexadecimal(run) || long)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_paths_are_told_from_names() {
        for key in [
            "sk-ak-SUPERSECRETabcdef0123456789",
            "fc-3f9a8c7b6d5e4f3a3f9a8c7b",
            "0123456789abcdef0123456789abcdef",
            "2f6c1f0e-9b1d-4c1e-8f57-7d8f6b0c9a11",
            "a1B2c3D4e5F6g7H8",
            "fc-ABCDEFGHIJKLMNabcdef0123456789abcdef01",
        ] {
            assert!(is_key(key), "{key}");
        }
        for name in [
            "mcp",
            "v1",
            "sse",
            "my-company-production-2024",
            "modelcontextprotocol",
            "server-everything",
            "company2024productionserver01",
            "streamable-http-endpoint",
            "oauth2callbackhandler",
        ] {
            assert!(!is_key(name), "{name}");
        }
    }

    #[test]
    fn what_is_inside_is_masked_and_named() {
        for (text, expected, names) in [
            (r#"{"apiKey":"3f9a8c7b6d5e4f3a","port":80}"#, r#"{"apiKey":"…","port":80}"#, "apiKey"),
            (r#"{"a":[{"token":"3f9a8c7b6d5e4f3a"}]}"#, r#"{"a":[{"token":"…"}]}"#, "token"),
            ("Server=db;User Id=me;Password=pw;", "Server=db;User Id=me;Password=…;", "Password"),
            ("AccountName=x;AccountKey=YWJjZA==", "AccountName=x;AccountKey=…", "AccountKey"),
            ("https://h.example/s/3f9a8c7b6d5e4f3a3f9a/mcp", "https://h.example/s/-/mcp", "path"),
        ] {
            let mask = if text.starts_with("https") { "-" } else { "…" };
            let got = inside(text, mask).map(|got| (got.text, got.names.join(",")));
            assert_eq!(got, Some((expected.to_owned(), names.to_owned())), "{text}");
        }
        for text in [
            r#"{"apiKey":"${KEY}"}"#,
            r#"{"port":80}"#,
            "{not json",
            "a;b",
            "Password=${PASSWORD};Server=db",
            "https://h.example/mcp",
            "echo x; y=1",
        ] {
            assert_eq!(inside(text, "…"), None, "{text}");
        }
    }
}
