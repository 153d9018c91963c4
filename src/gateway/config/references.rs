//! `${NAME}` in values stands for an environment variable, whose value is never shown.

/// A value of the file with its references replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    /// The text to use.
    pub text: String,
    /// Whether any part came from a variable; then the text must not be shown.
    pub from_variable: bool,
}

/// Why a reference cannot be replaced. It holds names of variables, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadReference {
    /// The variable of this name is not set.
    Missing(String),
    /// The variable of this name is set, but empty.
    Empty(String),
    /// This text begins with `${` and does not end, or what is between the braces is no name of a variable.
    Malformed(String),
}

/// Replaces every `${NAME}`; `$${` stands for the two characters `${`, and every other `$` for itself. All bad
/// references are returned at once.
pub(super) fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, Vec<BadReference>> {
    let (mut out, mut bad) = (Expanded { text: String::new(), from_variable: false }, Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.text.push_str(&rest[..at]);
            out.text.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.text.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let Some(end) = inner.find('}') else {
            bad.push(BadReference::Malformed(rest[at..].to_owned()));
            break;
        };
        let name = &inner[..end];
        if !is_variable(name) {
            bad.push(BadReference::Malformed(rest[at..=at + 2 + end].to_owned()));
        } else {
            match environment(name) {
                Some(value) if value.is_empty() => bad.push(BadReference::Empty(name.to_owned())),
                Some(value) => {
                    out.text.push_str(&value);
                    out.from_variable = true;
                }
                None => bad.push(BadReference::Missing(name.to_owned())),
            }
        }
        rest = &inner[end + 1..];
        if rest.is_empty() {
            break;
        }
    }
    out.text.push_str(if bad.is_empty() { rest } else { "" });
    if bad.is_empty() { Ok(out) } else { Err(bad) }
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_told_from_text() {
        let environment = |name: &str| match name {
            "KEY" => Some("v".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${KEY}".to_owned()),
            _ => None,
        };
        let expanded = |text: &str, from_variable| Ok(Expanded { text: text.to_owned(), from_variable });
        for (text, expected) in [
            ("plain $KEY $ {KEY} $", expanded("plain $KEY $ {KEY} $", false)),
            ("Bearer ${KEY}", expanded("Bearer v", true)),
            ("${KEY}${KEY}", expanded("vv", true)),
            ("${NESTED}", expanded("${KEY}", true)),
            ("$${KEY} ${KEY}", expanded("${KEY} v", true)),
            ("${KEY", Err(vec![BadReference::Malformed("${KEY".to_owned())])),
            ("${KEY:-d}", Err(vec![BadReference::Malformed("${KEY:-d}".to_owned())])),
            ("${}", Err(vec![BadReference::Malformed("${}".to_owned())])),
            (
                "${A} ${EMPTY} ${KEY}",
                Err(vec![BadReference::Missing("A".to_owned()), BadReference::Empty("EMPTY".to_owned())]),
            ),
        ] {
            assert_eq!(expand(text, &environment), expected, "{text}");
        }
    }
}
