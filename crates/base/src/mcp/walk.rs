//! Walking over JSON text that was scanned before: members of an object, elements of an array, as pieces of the text.

use std::ops::Range;

/// The members of an object: the name as a JSON string literal, and where the value stands in `text`. Empty for any
/// other value.
pub fn members(text: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut walk = Walk::new(text, b'{');
    std::iter::from_fn(move || {
        let name = walk.next()?;
        walk.skip(|byte| byte == b':' || byte.is_ascii_whitespace());
        let value = walk.value();
        Some((text.get(name)?, value))
    })
}

/// The elements of an array: where each stands in `text`. Empty for any other value.
pub fn elements(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut walk = Walk::new(text, b'[');
    std::iter::from_fn(move || walk.next())
}

/// The text of one member's value, by its decoded name; the first if there are several.
pub fn member<'t>(text: &'t str, name: &str) -> Option<(&'t str, Range<usize>)> {
    let span = members(text).find(|(literal, _)| super::json::string_value(literal).as_deref() == Some(name))?.1;
    Some((text.get(span.clone())?, span))
}

struct Walk<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str, open: u8) -> Self {
        let bytes = text.as_bytes();
        let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
        let at = if bytes.get(start) == Some(&open) { start + 1 } else { bytes.len() };
        Self { bytes, at }
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        while self.bytes.get(self.at).is_some_and(|byte| which(*byte)) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<Range<usize>> {
        self.skip(|byte| byte == b',' || byte.is_ascii_whitespace());
        match self.bytes.get(self.at) {
            None | Some(b'}' | b']') => {
                self.at = self.bytes.len();
                None
            }
            Some(_) => Some(self.value()),
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(found) = self.bytes.get(self.at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            self.at += found + 1;
            if self.bytes[self.at - 1] == b'"' {
                return;
            }
            self.at += 1;
        }
        self.at = self.bytes.len();
    }

    fn value(&mut self) -> Range<usize> {
        let start = self.at;
        match self.bytes.get(start) {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => {
                let mut depth = 0_usize;
                loop {
                    match self.bytes.get(self.at) {
                        Some(b'"') => {
                            self.string();
                            continue;
                        }
                        Some(b'{' | b'[') => depth += 1,
                        Some(b'}' | b']') => depth -= 1,
                        Some(_) => {}
                        None => break,
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => self.skip(|byte| !matches!(byte, b',' | b']' | b'}') && !byte.is_ascii_whitespace()),
        }
        start..self.at.min(self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_pieces_of_the_text() {
        let text = r#" {"a" : [1, {"b":"]}\""}] , "c\u0064":"x","e":-1.5e3,"f":{}} "#;
        let found: Vec<_> = members(text).map(|(name, span)| (name, &text[span])).collect();
        let list = r#"[1, {"b":"]}\""}]"#;
        assert_eq!(found, [("\"a\"", list), ("\"c\\u0064\"", "\"x\""), ("\"e\"", "-1.5e3"), ("\"f\"", "{}")]);
        assert_eq!(elements(list).map(|span| &list[span]).collect::<Vec<_>>(), ["1", r#"{"b":"]}\""}"#]);
        assert_eq!(member(text, "cd").map(|(value, _)| value), Some("\"x\""));
        assert_eq!(members("[1]").count() + elements("{}").count() + elements("[]").count() + members("5").count(), 0);
    }

    #[test]
    fn text_that_ends_early_ends_the_walk() {
        for text in ["{\"a", "{\"a\"", "{\"a\":", "{\"a\":[", "[\"\\", "[[", "{\"a\":1,"] {
            assert!(members(text).count() + elements(text).count() <= 1, "{text}");
        }
    }
}
