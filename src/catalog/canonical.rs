//! One spelling for a JSON text: members sorted by key, two spaces of indentation, strings and numbers to the letter.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The text of `raw` with sorted members, pretty-printed with two spaces and without a final line break. Tokens are
/// copied, not re-read, so that a number too big or too precise for a float survives. Of members with one name the
/// last is kept, as most readers do.
///
/// # Errors
/// `raw` nests deeper than serde_json reads.
pub fn canonical(raw: &RawValue) -> serde_json::Result<String> {
    let mut out = String::with_capacity(raw.get().len() * 5 / 4);
    write(raw, 0, &mut out)?;
    Ok(out)
}

fn write(raw: &RawValue, depth: usize, out: &mut String) -> serde_json::Result<()> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            block(out, depth, ('{', '}'), members, |(key, value), out| {
                out.push_str(&serde_json::to_string(&key)?);
                out.push_str(": ");
                write(value, depth + 1, out)
            })
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            block(out, depth, ('[', ']'), items, |value, out| write(value, depth + 1, out))
        }
        _ => {
            out.push_str(text);
            Ok(())
        }
    }
}

fn block<T>(
    out: &mut String,
    depth: usize,
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(T, &mut String) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    out.push(open);
    let mut empty = true;
    for item in items {
        out.push_str(if empty { "\n" } else { ",\n" });
        indent(out, depth + 1);
        each(item, out)?;
        empty = false;
    }
    if !empty {
        out.push('\n');
        indent(out, depth);
    }
    out.push(close);
    Ok(())
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) -> serde_json::Result<()> {
        let raw: Box<RawValue> = serde_json::from_str(text)?;
        assert_eq!(canonical(&raw)?, expected);
        Ok(())
    }

    #[test]
    fn members_are_sorted_and_tokens_survive() -> serde_json::Result<()> {
        check("{\"b\":[],\"a\":{}}", "{\n  \"a\": {},\n  \"b\": []\n}")?;
        check(
            "[12345678901234567890123,1e2, 1.0 ,\"\\u0041\"]",
            "[\n  12345678901234567890123,\n  1e2,\n  1.0,\n  \"\\u0041\"\n]",
        )?;
        check("{\"a\":1,\"a\":2}", "{\n  \"a\": 2\n}")
    }
}
