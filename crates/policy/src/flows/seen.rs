//! What tools have returned in a session, as hashes of words in a table of fixed size (a Bloom filter): whether a value
//! stood there can be asked, and what stood there cannot be read from it. Where it is wrong, it takes a value for seen.

use crate::mcp::json::string_value;
use crate::text::{loose, percent_decoded};
use crate::word::Words;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes of the table: 25,000 words at 1 % of values that are taken for seen.
const TABLE_BYTES: usize = 32 * 1024;
/// Places of a word in the table.
const PLACES: u64 = 4;
/// Shortest value that is looked for, in characters: letters and digits.
const VALUE_CHARS_MIN: usize = 4;
/// Longest text that is looked for as a whole, in characters.
const WHOLE_CHARS_MAX: usize = 256;
/// Most words of a name that is looked for as a whole wherever it stood.
const NAME_WORDS_MAX: usize = 6;
/// Shortest text that may be base64, in characters.
const BASE64_CHARS_MIN: usize = 8;
/// Longest answer whose words are taken, in bytes. After a longer one every value counts as seen.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// Hashes of words that tools have returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenWords(Table);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Table {
    /// Every word is in it.
    Full,
    Bits(Box<[u8]>),
}

/// How a full table is stored.
const FULL: &[u8] = b"*";

impl SeenWords {
    /// What an answer of a tool holds, a JSON text: every text and number in it. `words` are those of the tool that flows
    /// speak of.
    pub fn of(words: Words, answer: &str) -> Self {
        if answer.len() > RESULT_BYTES_MAX {
            return Self::everything();
        }
        let mut table: Box<[u8]> = vec![0; TABLE_BYTES].into();
        let salts: Vec<u64> = words.iter().map(|word| hash(0, word.as_str())).collect();
        let mut note = |token: &str| {
            let places = salts.iter().flat_map(|salt| places(hash(*salt, token)));
            places.for_each(|(at, bit)| table[at] |= bit);
        };
        for value in values(answer) {
            for text in forms(&value) {
                told(&text, &mut note);
            }
        }
        Self(Table::Bits(table))
    }

    /// Every value counts as seen: an answer went where its words could not be taken.
    pub fn everything() -> Self {
        Self(Table::Full)
    }

    /// Whether a value stood in what tools with one of these words have returned.
    pub(crate) fn has(&self, words: Words, value: &str) -> bool {
        words.iter().any(|word| {
            let salt = hash(0, word.as_str());
            forms(value).iter().any(|text| asked(text, &|token: &str| self.holds(hash(salt, token))))
        })
    }

    /// Whether it takes more room than a word.
    pub(crate) fn takes_room(&self) -> bool {
        matches!(self.0, Table::Bits(_))
    }

    /// Adds what another table holds; whether that is news.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        match (&mut self.0, &other.0) {
            (Table::Full, _) => false,
            (Table::Bits(_), Table::Full) => {
                self.0 = Table::Full;
                true
            }
            (Table::Bits(own), Table::Bits(other)) => {
                let mut is_news = false;
                for (own, byte) in own.iter_mut().zip(other) {
                    is_news |= *byte & !*own != 0;
                    *own |= byte;
                }
                is_news
            }
        }
    }

    /// As a store keeps it; never empty.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Table::Full => FULL,
            Table::Bits(bits) => bits,
        }
    }

    /// Reads [`Self::bytes`].
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            _ if bytes == FULL => Some(Self(Table::Full)),
            TABLE_BYTES => Some(Self(Table::Bits(bytes.into()))),
            _ => None,
        }
    }

    fn holds(&self, hash: u64) -> bool {
        match &self.0 {
            Table::Full => true,
            Table::Bits(bits) => places(hash).all(|(at, bit)| bits[at] & bit != 0),
        }
    }
}

/// Where the bits of a word are.
fn places(hash: u64) -> impl Iterator<Item = (usize, u8)> {
    let step = (hash >> 32) | 1;
    (0..PLACES).map(move |number| {
        let bit = hash.wrapping_add(number.wrapping_mul(step)) % (TABLE_BYTES as u64 * 8);
        // The table is small: its places fit in any integer.
        (usize::try_from(bit / 8).unwrap_or_default(), 1 << (bit % 8))
    })
}

/// FNV-1a with a last step that spreads it: stores of several versions must agree.
fn hash(salt: u64, text: &str) -> u64 {
    let begin = 0xcbf2_9ce4_8422_2325 ^ salt;
    let mixed = text.bytes().fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Names of members that every answer has, and kinds of contents: a call that says `text` names nothing by it.
const OF_PROTOCOL: [&str; 12] = [
    "jsonrpc",
    "result",
    "error",
    "message",
    "content",
    "text",
    "type",
    "structuredContent",
    "isError",
    "resultType",
    "complete",
    "annotations",
];

/// The texts, names and numbers of a JSON text, decoded, but for what the protocol itself says in every answer.
fn values(json: &str) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    let (bytes, mut at) = (json.as_bytes(), 0);
    let mut before = "";
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            let start = at;
            if *byte == b'"' {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                let literal = json.get(start..at.min(bytes.len()))?;
                let plain = literal.trim_matches('"');
                let is_name =
                    bytes[at.min(bytes.len())..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                let is_kind = matches!(before, "type" | "resultType");
                before = if is_name { plain } else { "" };
                if (is_name || is_kind) && OF_PROTOCOL.contains(&plain) {
                    continue;
                }
                // What has no reading is looked through as it stands.
                return Some(string_value(literal).unwrap_or(std::borrow::Cow::Borrowed(literal)));
            }
            while bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')) {
                at += 1;
            }
            if at > start {
                return Some(std::borrow::Cow::Borrowed(&json[start..at]));
            }
            at += 1;
        }
        None
    })
}

/// A text as it is compared, and what of it is base64, decoded.
fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![loose(text)];
    let decoded = percent_decoded(text);
    for chunk in decoded.split(is_between).filter(|chunk| chunk.len() >= BASE64_CHARS_MIN) {
        let bare = chunk.trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare));
        if let Some(inner) = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok())
            && !inner.chars().any(|c| c.is_control() && !c.is_whitespace())
        {
            forms.push(loose(&inner));
        }
    }
    forms
}

/// What stands between words.
fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '|' | '`')
}

/// What stands between the parts of an address or path.
fn is_joint(c: char) -> bool {
    matches!(c, ':' | '=' | '?' | '&' | '#')
}

/// The letters and digits of a word, if there are enough to look for.
fn token(text: &str) -> Option<String> {
    let token: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    (token.chars().nth(VALUE_CHARS_MIN - 1).is_some()).then_some(token)
}

fn whole(text: &str) -> Option<String> {
    token(text).filter(|token| token.chars().nth(WHOLE_CHARS_MAX).is_none())
}

/// Two neighbours in a text, as one word.
fn pairs<'t>(words: &'t [&'t str]) -> impl Iterator<Item = Option<String>> + 't {
    words.windows(2).map(|pair| Some(format!(" {}", token(&pair.concat())?)))
}

fn words(text: &str) -> Vec<&str> {
    text.split(is_between).filter(|word| word.chars().any(char::is_alphanumeric)).collect()
}

/// Everything in a returned text that a value may be compared with.
fn told(text: &str, note: &mut impl FnMut(&str)) {
    let words = words(text);
    whole(text).iter().for_each(|token| note(token));
    pairs(&words).flatten().for_each(|pair| note(&pair));
    for word in words {
        token(word).iter().for_each(|token| note(token));
        for part in word.split(is_joint) {
            token(part).iter().for_each(|token| note(token));
            for piece in part.split(['/', '\\']) {
                token(piece).iter().for_each(|token| note(token));
                if let Some((local, domain)) = piece.rsplit_once('@') {
                    token(local).iter().for_each(|token| note(token));
                    // The domain of an address is no address: others there are other people.
                    token(domain).iter().for_each(|token| note(&format!("@{token}")));
                }
            }
        }
    }
}

/// Whether a value of a call, or an address within it, was returned.
fn asked(text: &str, holds: &impl Fn(&str) -> bool) -> bool {
    let is_held = |token: Option<String>| token.is_some_and(|token| holds(&token));
    let words = words(text);
    is_held(whole(text))
        || (words.len() > 1 && words.len() <= NAME_WORDS_MAX && {
            // Short words that make no pair of four characters say nothing.
            let pairs: Vec<String> = pairs(&words).flatten().collect();
            !pairs.is_empty() && pairs.iter().all(|pair| holds(pair))
        })
        || words.iter().any(|word| is_address(word) && is_held(token(word)))
        || words.iter().flat_map(|word| word.split(is_joint)).flat_map(|part| part.split(['/', '\\'])).any(|piece| {
            match piece.rsplit_once('@') {
                // A mailbox may have a tag, which makes it no other one.
                Some((local, domain)) => {
                    let bare = local.split('+').next().unwrap_or(local);
                    is_held(token(&format!("{bare}{domain}"))) || hosts(domain).any(|host| is_held(token(host)))
                }
                None => {
                    hosts(piece).any(|host| token(host).is_some_and(|host| holds(&host) || holds(&format!("@{host}"))))
                }
            }
        })
}

/// Whether a word names a place by itself, wherever it stands: an address, a URL, a host, an account.
fn is_address(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is_account = digits >= 4 && word.chars().filter(|c| c.is_alphabetic()).count() >= 2;
    word.contains('@') || word.contains("://") || is_host(word) || is_account
}

/// Whether a word looks like a host, or like a file with an ending.
fn is_host(word: &str) -> bool {
    word.split('.').zip(word.split('.').skip(1)).any(|(name, domain)| {
        name.chars().any(char::is_alphanumeric) && domain.chars().take(2).filter(|c| c.is_alphabetic()).count() == 2
    })
}

/// Longest name of a host that is looked up, in bytes; names of the DNS have 253 (RFC 1035, section 2.3.4). Each of its
/// domains is looked at by itself, so that the work grows with the square of this.
const HOST_BYTES_MAX: usize = 1024;

/// A host and the domains that it is in, of two labels at least: what is put in front of a domain is its owner's.
fn hosts(word: &str) -> impl Iterator<Item = &str> {
    let word = if is_host(word) { word } else { "" };
    let starts = std::iter::once(0).chain(word.match_indices('.').map(|(at, _)| at + 1));
    starts.map(move |at| &word[at..]).filter(|domain| domain.len() <= HOST_BYTES_MAX && is_host(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Word;

    const ANSWER: &str = r#"{"content":[{"type":"text","text":"From: Emma <emma.johnson@bluesparrowtech.com>\nPay 98.70 to US133000000121212121212 (Dora Brown).\nSee http://www.secure-systems-252.com/a?x=1 and /home/user/Notes%20of%20May.txt; aW5mb0BldmlsLmNvbQ=="}],"structuredContent":{"id":4711,"n":7}}"#;

    fn words(names: &[&str]) -> Words {
        names.iter().filter_map(|name| Word::parse(name)).collect()
    }

    #[test]
    fn a_word_of_a_million_dots_is_looked_at_once() {
        let untrusted = words(&["untrusted_content"]);
        let seen = SeenWords::of(untrusted, ANSWER);
        // Looked at from each of its dots, it would take hours.
        let long = "ab.".repeat(1 << 19);
        assert!(!seen.has(untrusted, &format!("{long}com")));
        assert!(seen.has(untrusted, &format!("https://{long}www.secure-systems-252.com/")));
    }

    #[test]
    fn a_value_is_known_again_however_it_is_written() {
        let (untrusted, private) = (words(&["untrusted_content"]), words(&["private_data"]));
        let seen = SeenWords::of(untrusted, ANSWER);
        for value in [
            "emma.johnson@bluesparrowtech.com",
            "EMMA.Johnson@bluesparrowtech.com",
            "emma.johnson%40bluesparrowtech.com",
            "ZW1tYS5qb2huc29uQGJsdWVzcGFycm93dGVjaC5jb20=",
            "bluesparrowtech.com",
            "US133000000121212121212",
            "ＵＳ133000000121212121212",
            "Dora Brown",
            "www.secure-systems-252.com",
            "https://www.secure-systems-252.com/other?data=secret",
            "Please have a look at http://www.secure-systems-252.com/a?x=1, it is nice of you all to do so",
            "I was told to write to emma.johnson@bluesparrowtech.com about all of the things that we need",
            "/home/user/Notes of May.txt",
            "info@evil.com",
            "http://www.secure-systems-252.com:443/?d=secret",
            "www.secure-systems-252.com/?d=secret",
            "//www.secure-systems-252.com/x",
            "mailto:emma.johnson@bluesparrowtech.com",
            "to=emma.johnson@bluesparrowtech.com",
            "emma.johnson+secret@bluesparrowtech.com",
            "https://secret.www.secure-systems-252.com/",
            "anyone@www.secure-systems-252.com",
            "4711",
            "98.70",
        ] {
            assert!(seen.has(untrusted, value), "{value}");
            assert!(!seen.has(private, value), "{value}");
        }
        for value in [
            "someone@example.org",
            "someone.else@bluesparrowtech.com",
            "DE89370400440532013000",
            "Dora Black",
            "4712",
            "7",
            "text",
            "content",
            "Pay",
            "",
            "the weather is fine today and so are we",
            "https://example.org/",
        ] {
            assert!(!seen.has(untrusted, value), "{value}");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_to_look_through_counts_as_holding_everything() {
        let untrusted = words(&["untrusted_content"]);
        let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert!(!SeenWords::of(untrusted, &long(RESULT_BYTES_MAX)).has(untrusted, "other"));
        assert!(SeenWords::of(untrusted, &long(RESULT_BYTES_MAX + 1)).has(untrusted, "other"));
    }

    #[test]
    fn broken_texts_are_looked_through_as_they_stand() {
        let untrusted = words(&["untrusted_content"]);
        for (answer, value) in [(r#"{"a":"cut off at evil.com"#, "evil.com"), (r#"["\ud800 evil.com"]"#, "evil.com")] {
            assert!(SeenWords::of(untrusted, answer).has(untrusted, value), "{answer}");
        }
    }
}
