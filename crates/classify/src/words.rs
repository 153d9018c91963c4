//! Names and sentences as words with positions: one pass, no allocation a word.

/// What stands between a word and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// White space, or nothing (camel case).
    Space,
    /// `_` or `-` inside an identifier.
    Join,
    /// A comma.
    Comma,
    /// A slash between words.
    Slash,
    /// A bracket, a quote or another mark.
    Mark,
    /// A colon, a dash, a closing bracket: something new begins.
    Colon,
    /// A full stop or its like: a new sentence.
    Stop,
}

/// Longest tag before the first sentence of a text, in bytes.
const TAG_BYTES_MAX: usize = 60;

/// One word: where it stands in its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
    pub gap: Gap,
    /// Whether the word is a run of Chinese, Japanese or Korean characters, not yet cut into words.
    pub run: bool,
    /// [`hash_of`] the word where it is made of ASCII letters and digits alone, and 0 otherwise.
    pub hash: u64,
}

/// FNV-1a, 64 bits, whatever the case.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

const fn hash_on(hash: u64, byte: u8) -> u64 {
    (hash ^ byte.to_ascii_lowercase() as u64).wrapping_mul(0x0100_0000_01b3)
}

/// What a word of ASCII letters and digits is looked up by, in any case; never 0.
pub(super) fn hash_of(word: &[u8]) -> u64 {
    word.iter().fold(HASH_START, |hash, byte| hash_on(hash, *byte)).max(1)
}

/// Chinese characters, kana and Hangul: scripts without spaces, or with endings glued to the verb.
pub(super) fn is_run_char(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{318f}'
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Hiragana, katakana or Hangul: the verb stands last.
pub(super) fn is_verb_last(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}'))
}

/// The words of an identifier: `snake_case`, `camelCase`, `kebab-case`, `dotted.case`, `HTTPServer` → HTTP, Server.
/// Digits stay with the letters before them.
pub(super) fn split_name(name: &str, out: &mut Vec<Span>) {
    if name.is_ascii() {
        return split_ascii_name(name, out);
    }
    let mut start: Option<usize> = None;
    let mut gap = Gap::Space;
    let mut before: Option<char> = None;
    let mut chars = name.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !(c.is_alphanumeric() || is_run_char(c)) {
            push(out, &mut start, at, &mut gap, before);
            gap = Gap::Join;
            before = None;
            continue;
        }
        let boundary = before.is_some_and(|p| {
            let next_lower = chars.peek().is_some_and(|(_, n)| n.is_lowercase());
            (c.is_uppercase() && (p.is_lowercase() || p.is_ascii_digit()))
                || (c.is_uppercase() && p.is_uppercase() && next_lower && !plural_acronym(name, at, start))
                || is_run_char(c) != is_run_char(p)
        });
        if boundary {
            push(out, &mut start, at, &mut gap, before);
        }
        if start.is_none() {
            start = Some(at);
        }
        before = Some(c);
    }
    push(out, &mut start, name.len(), &mut gap, before);
}

/// [`split_name`] of a name without letters beyond ASCII, as nearly all are.
fn split_ascii_name(name: &str, out: &mut Vec<Span>) {
    let bytes = name.as_bytes();
    let mut start = None;
    let mut gap = Gap::Space;
    let mut push = |start: &mut Option<usize>, end: usize, gap: &mut Gap| {
        if let Some(from) = start.take() {
            let hash = hash_of(&bytes[from..end]);
            out.push(Span { start: offset(from), end: offset(end), gap: *gap, run: false, hash });
            *gap = Gap::Space;
        }
    };
    for (at, byte) in bytes.iter().enumerate() {
        if !byte.is_ascii_alphanumeric() {
            push(&mut start, at, &mut gap);
            gap = Gap::Join;
            continue;
        }
        if start.is_some() && byte.is_ascii_uppercase() {
            let before = bytes[at - 1];
            let next_lower = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            if !before.is_ascii_uppercase() || next_lower && !plural_acronym(name, at, start) {
                push(&mut start, at, &mut gap);
            }
        }
        start = start.or(Some(at));
    }
    push(&mut start, bytes.len(), &mut gap);
}

/// `listVMs`, `getURLs`: the small `s` belongs to the capitals.
fn plural_acronym(name: &str, at: usize, start: Option<usize>) -> bool {
    let rest = &name[at..];
    let mut chars = rest.chars();
    let (_, second, third) = (chars.next(), chars.next(), chars.next());
    second == Some('s') && third.is_none_or(|c| !c.is_lowercase()) && start.is_some()
}

fn push(out: &mut Vec<Span>, start: &mut Option<usize>, end: usize, gap: &mut Gap, last: Option<char>) {
    if let Some(from) = start.take() {
        let run = last.is_some_and(is_run_char);
        out.push(Span { start: offset(from), end: offset(end), gap: *gap, run, hash: 0 });
        *gap = Gap::Space;
    }
}

/// The words of running text, at most `bytes_max` of it and `words_max` words.
pub(super) fn split_text(text: &str, bytes_max: usize, words_max: usize, out: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let limit = bytes.len().min(bytes_max);
    let floor = out.len();
    let mut gap = Gap::Stop;
    let mut at = 0;
    while at < limit && out.len() - floor < words_max {
        let byte = bytes[at];
        if byte == b' ' {
            // The least of gaps.
            at += 1;
        } else if byte.is_ascii_alphanumeric() {
            let start = at;
            let mut hash = hash_on(HASH_START, byte);
            let mut plain = true;
            at += 1;
            while at < limit {
                let here = bytes[at];
                if here.is_ascii_alphanumeric() {
                    hash = hash_on(hash, here);
                    at += 1;
                } else if here == b'\'' && at + 1 < limit && bytes[at + 1].is_ascii_alphabetic() {
                    plain = false;
                    at += 1;
                } else {
                    break;
                }
            }
            // A word that goes on with an accent or another alphabet is read as a whole below.
            if at < limit && !bytes[at].is_ascii() {
                at = wide_word(text, start, limit, out, &mut gap);
                continue;
            }
            let hash = if plain { hash.max(1) } else { 0 };
            out.push(Span { start: offset(start), end: offset(at), gap, run: false, hash });
            gap = Gap::Space;
        } else if byte.is_ascii() {
            gap = gap.max(gap_of(bytes, at, limit));
            at += 1;
        } else {
            let c = text[at..].chars().next().unwrap_or(' ');
            if is_run_char(c) || c.is_alphanumeric() {
                at = wide_word(text, at, limit, out, &mut gap);
            } else {
                gap = gap.max(match c {
                    '。' | '！' | '？' | '；' => Gap::Stop,
                    '，' | '、' => Gap::Comma,
                    '：' | '—' | '–' | '•' | '→' => Gap::Colon,
                    c if c.is_whitespace() => Gap::Space,
                    _ => Gap::Mark,
                });
                at += c.len_utf8();
            }
        }
    }
}

/// A word with letters beyond ASCII, or a run of an unspaced script; returns where it ends.
fn wide_word(text: &str, start: usize, limit: usize, out: &mut Vec<Span>, gap: &mut Gap) -> usize {
    let mut end = start;
    let mut run = None;
    for (offset_in, c) in text[start..].char_indices() {
        let here = start + offset_in;
        if here >= limit || !(c.is_alphanumeric() || is_run_char(c) || c == '\u{301}') {
            break;
        }
        if run.is_some_and(|run| run != is_run_char(c)) {
            break;
        }
        run = Some(is_run_char(c));
        end = here + c.len_utf8();
    }
    out.push(Span { start: offset(start), end: offset(end), gap: *gap, run: run.unwrap_or(false), hash: 0 });
    *gap = Gap::Space;
    end
}

/// Where the text begins once what stands in brackets or before a bar is over: `[Beta]`, `Mail | `.
pub(super) fn lead_in(text: &str) -> usize {
    let mut rest = text.trim_start();
    loop {
        let closing = match rest.chars().next() {
            Some('[') => ']',
            Some('【') => '】',
            Some('(') => ')',
            _ => break,
        };
        match rest.char_indices().take_while(|(at, _)| *at <= TAG_BYTES_MAX).find(|(_, c)| *c == closing) {
            Some((at, _)) => rest = rest[at + closing.len_utf8()..].trim_start(),
            None => break,
        }
    }
    let beginning = &rest.as_bytes()[..rest.len().min(TAG_BYTES_MAX + 3)];
    match beginning.windows(3).position(|window| window == b" | ") {
        Some(at) if !rest[..at].contains(['.', '\n', '`']) => rest = &rest[at + 3..],
        _ => {}
    }
    // Nothing but tags: then they are the text.
    if rest.chars().any(char::is_alphanumeric) { text.len() - rest.len() } else { 0 }
}

/// What a docstring says of an argument: `Args:`, then a line `name: text` or `name (type): text` for each.
pub fn docstring<'t>(description: &'t str, name: &str) -> Option<&'t str> {
    let start = ["Args:", "Parameters:", "Arguments:"].iter().filter_map(|head| description.find(head)).min()?;
    description.get(start..)?.lines().skip(1).find_map(|line| {
        let rest = line.trim_start().trim_start_matches(['-', '*', '`', ' ']).strip_prefix(name)?;
        let rest = rest.trim_start_matches(['`', '*', ' ']);
        let rest = if rest.starts_with('(') { rest.split_once(')')?.1.trim_start() } else { rest };
        Some(rest.strip_prefix(':')?.trim())
    })
}

/// What a text lists as values, one a line: `- **delete**: …`, `- "clear": …`, `* DeleteCluster (…)`, as bytes of the text.
pub(super) fn listed_values(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let item = |line: &'_ str| -> Option<(usize, usize)> {
        let rest = line.trim_start().strip_prefix(['-', '*', '•'])?.strip_prefix(' ')?.trim_start();
        let value = rest.trim_start_matches(['*', '`', '"', '\'']);
        let is_value = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = value.find(|c: char| !is_value(c)).unwrap_or(value.len());
        let after = value[end..].trim_start_matches(['*', '`', '"', '\'']);
        let parted = after.is_empty()
            || after.starts_with([':', '='])
            || [" (", " -", " –", " —", " :"].iter().any(|mark| after.starts_with(mark));
        let quoted = value.len() < rest.len() && after.len() < value.len() - end;
        (end > 0 && (parted || quoted)).then(|| (line.len() - value.len(), end))
    };
    text.split_inclusive('\n')
        .scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line.trim_end()))
        })
        .filter_map(move |(start, line)| {
            let (from, length) = item(line)?;
            Some((start + from, line.get(from..from + length)?))
        })
}

fn gap_of(bytes: &[u8], at: usize, limit: usize) -> Gap {
    let next = |ahead: usize| bytes.get(at + ahead).copied().filter(|_| at + ahead < limit);
    match bytes[at] {
        b' ' | b'\t' | b'\r' => Gap::Space,
        b'_' => Gap::Join,
        // A hyphen inside a word joins (`read-only`), with space around it something new begins.
        b'-' if at > 0 && bytes[at - 1].is_ascii_alphanumeric() => Gap::Join,
        b',' => Gap::Comma,
        b'/' => Gap::Slash,
        b'.' if next(1).is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b')' | b'"' | b'*')) => Gap::Stop,
        b'.' => Gap::Join,
        b'!' | b'?' | b';' => Gap::Stop,
        // Text is often wrapped: a line that goes on in lower case is the same sentence.
        b'\n' => match bytes[at + 1..limit].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r')) {
            Some(b) if b.is_ascii_lowercase() => Gap::Space,
            Some(b) if !b.is_ascii() => Gap::Colon,
            _ => Gap::Stop,
        },
        b':' | b'-' | b')' | b']' | b'>' | b'|' => Gap::Colon,
        _ => Gap::Mark,
    }
}

/// Offsets fit: texts are cut far below 4 GiB, and a name beyond that says the same in its first part.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Vec<&str> {
        let mut out = Vec::new();
        split_name(name, &mut out);
        out.iter().map(|span| &name[span.start as usize..span.end as usize]).collect()
    }

    #[test]
    fn names_split_in_every_spelling() {
        for (name, want) in [
            ("get_user_list", vec!["get", "user", "list"]),
            ("getUserList", vec!["get", "User", "List"]),
            ("VPS_getDNSSnapshotListV1", vec!["VPS", "get", "DNS", "Snapshot", "List", "V1"]),
            ("AnalyzeAHORunPerformance", vec!["Analyze", "AHO", "Run", "Performance"]),
            ("listVMs", vec!["list", "VMs"]),
            ("n8n_get.node-info", vec!["n8n", "get", "node", "info"]),
            ("s3ListBuckets", vec!["s3", "List", "Buckets"]),
            ("删除task", vec!["删除", "task"]),
            ("___", vec![]),
        ] {
            assert_eq!(names(name), want);
        }
    }

    #[test]
    fn names_without_other_letters_split_as_all_do() {
        let mut out = Vec::new();
        for name in ["a1B", "XMLHttp", "getURLs", "VMs", "a.B-c__D", "1A2b", "listVMsNow", "HTTPServer2x", "_x", ""] {
            // A letter beyond ASCII at the end, parted from the rest, takes the other way.
            out.clear();
            split_name(&format!("{name} \u{e9}"), &mut out);
            out.pop();
            let wide: Vec<_> = out.iter().map(|span| (span.start, span.end, span.gap)).collect();
            out.clear();
            split_name(name, &mut out);
            assert_eq!(out.iter().map(|span| (span.start, span.end, span.gap)).collect::<Vec<_>>(), wide, "{name}");
        }
    }

    #[test]
    fn a_list_of_values_is_told_from_a_list_of_sentences() {
        let text = "Ops:\n- **add-steps**: Add\n  - \"clear\": Delete\n* DeleteCluster (write)\n- Delete what is old\n- list\n";
        let values: Vec<_> = listed_values(text).collect();
        assert_eq!(
            values.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            ["add-steps", "clear", "DeleteCluster", "list"]
        );
        assert!(values.iter().all(|(at, value)| text[*at..].starts_with(value)));
    }

    #[test]
    fn sentences_end_where_a_reader_stops() {
        let text = "Attaches\nworkspace files. Then v1.2 follows: read-only, or not";
        let mut out = Vec::new();
        split_text(text, 1000, 1000, &mut out);
        let gaps: Vec<_> = out.iter().map(|s| (&text[s.start as usize..s.end as usize], s.gap)).collect();
        assert_eq!(gaps[1], ("workspace", Gap::Space));
        assert_eq!(gaps[3], ("Then", Gap::Stop));
        assert_eq!(gaps[5], ("2", Gap::Join));
        assert_eq!(gaps[7], ("read", Gap::Colon));
        assert_eq!(gaps[8], ("only", Gap::Join));
        assert_eq!(gaps[9], ("or", Gap::Comma));
    }

    #[test]
    fn tags_stand_before_the_text_and_arguments_in_its_docstring() {
        for (text, rest) in [
            ("[Beta] Lists", "Lists"),
            ("【工具】(new) Lists", "Lists"),
            ("Mail | Lists mails", "Lists mails"),
            ("Lists mails. Or: a | b", "Lists mails. Or: a | b"),
            ("[Beta]", "[Beta]"),
        ] {
            assert_eq!(&text[lead_in(text)..], rest);
        }
        let text = "Does it.\n\nArgs:\n    one: first\n  - `two` (str): second: list, delete\n";
        assert_eq!(docstring(text, "one"), Some("first"));
        assert_eq!(docstring(text, "two"), Some("second: list, delete"));
        assert_eq!(docstring(text, "three"), None);
        assert_eq!(docstring("one: first", "one"), None);
    }

    #[test]
    fn text_is_cut_at_its_bounds() {
        let mut out = Vec::new();
        split_text(&"word ".repeat(100), 1000, 7, &mut out);
        assert_eq!(out.len(), 7);
        out.clear();
        split_text("é é é", 4, 100, &mut out);
        assert_eq!(out.len(), 2);
    }
}
