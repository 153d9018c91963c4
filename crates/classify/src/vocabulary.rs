//! Every word the rules know, interned: what it is in grammar, which conditions it fulfils where.

use super::words::{Span, hash_of, is_run_char, split_text};
use crate::model::Category;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use rustc_hash::FxHashMap;
use std::sync::OnceLock;

/// A word of the vocabulary; `UNKNOWN` is every other word.
pub(super) type WordId = u32;
pub(super) const UNKNOWN: WordId = 0;
/// A condition on words in some place.
pub(super) type AtomId = u16;
/// Places a word can stand in, as bits.
pub(super) type Places = u32;
/// How many words room is made for at first.
const WORDS_EXPECTED: usize = 8_192;
/// Longest known word in bytes; longer ones cannot be in the vocabulary.
const WORD_BYTES_MAX: usize = 48;

pub(super) mod place {
    use super::Places;
    pub const NAME: Places = 1;
    pub const TITLE: Places = 2;
    pub const FIRST: Places = 4;
    pub const TEXT: Places = 8;
    pub const DENIED: Places = 16;
    pub const OBJECT: Places = 32;
    pub const HEAD: Places = 64;
    pub const TARGET: Places = 128;
    pub const PARAM: Places = 256;
    pub const PARAM_WHOLE: Places = 512;
    pub const PARAM_FREE: Places = 1024;
    pub const PARAM_TEXT: Places = 2048;
    pub const VALUE: Places = 4096;
    /// The server's prefix, cut off the name.
    pub const PREFIX: Places = 8192;
    /// The last word or words of a parameter's name, at any depth.
    pub const PARAM_HEAD: Places = 1 << 14;
}

/// Grammar of a word, as bits; each is a class `grammar.…` of the rule files.
pub(super) mod grammar {
    pub const NAMES: [(&str, u16); 15] = [
        ("grammar.preamble", PREAMBLE),
        ("grammar.determiner", DETERMINER),
        ("grammar.preposition", PREPOSITION),
        ("grammar.conjunction", CONJUNCTION),
        ("grammar.negation", NEGATION),
        ("grammar.aside", ASIDE),
        ("grammar.adverb", ADVERB),
        ("grammar.action-parameter", ACTION_PARAMETER),
        ("grammar.subject", SUBJECT),
        ("grammar.command-parameter", COMMAND_PARAMETER),
        ("grammar.preface", PREFACE),
        ("grammar.container", CONTAINER),
        ("grammar.of", OF),
        ("grammar.manner-parameter", MANNER_PARAMETER),
        ("grammar.means", MEANS),
    ];
    pub const PREAMBLE: u16 = 1;
    pub const DETERMINER: u16 = 2;
    pub const PREPOSITION: u16 = 4;
    pub const CONJUNCTION: u16 = 8;
    pub const NEGATION: u16 = 16;
    pub const ASIDE: u16 = 32;
    pub const ADVERB: u16 = 64;
    pub const ACTION_PARAMETER: u16 = 128;
    pub const SUBJECT: u16 = 256;
    pub const COMMAND_PARAMETER: u16 = 512;
    pub const PREFACE: u16 = 1024;
    pub const CONTAINER: u16 = 2048;
    pub const OF: u16 = 4096;
    pub const MANNER_PARAMETER: u16 = 8192;
    pub const MEANS: u16 = 16384;
}

/// How a verb is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `delete`
    Base,
    /// `deletes`, which is a plural as well
    Third,
    /// `deleting`
    Gerund,
}

/// A spelling of a verb.
#[derive(Clone, Copy, Debug)]
pub(super) struct VerbUse {
    pub verb: u16,
    pub form: Form,
}

/// A verb of the lexicons.
#[derive(Clone, Debug)]
pub(super) struct Verb {
    /// Index of its lexicon among the rules.
    pub rule: u32,
    pub category: Category,
    pub strength: u32,
    pub noun: bool,
    pub vague: bool,
    /// Readings to try, best first, as indexes of rules.
    pub readings: Vec<u32>,
    /// Conditions of the form `verb = […]` that it fulfils.
    pub atoms: Vec<AtomId>,
}

/// What is known of a word, or of the words that a phrase begins with.
#[derive(Clone, Debug, Default)]
pub(super) struct WordInfo {
    pub verb: Option<VerbUse>,
    pub grammar: u16,
    /// `grammar`, and that of every phrase that begins with this word: filled in by `seal`.
    pub reach: u16,
    /// Subjects that it speaks of (`domain.…`), as bits in the order of their ids.
    pub domains: u16,
    /// By places once `seal` was called.
    pub atoms: Vec<(Places, AtomId)>,
    /// The places that any of `atoms`, or of those of a phrase that begins with this word, is about: filled in by `seal`.
    pub places: Places,
    /// Indexes of phrases that begin with this word, longest first.
    pub phrases: Vec<u32>,
}

/// Where a word or a phrase stands in the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Slot {
    /// Index of `infos`.
    Word(WordId),
    /// Index of `phrases`.
    Phrase(u32),
}

/// Several words in a row.
#[derive(Clone, Debug)]
pub(super) struct Phrase {
    /// The words after the first.
    pub rest: Box<[WordId]>,
    pub info: WordInfo,
}

/// A word of ASCII letters and digits.
#[derive(Clone, Debug)]
struct PlainWord {
    hash: u64,
    spelling: Box<str>,
    id: WordId,
}

/// The words, with look-up by spelling.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    ids: FxHashMap<Box<str>, WordId>,
    pub infos: Vec<WordInfo>,
    pub phrases: Vec<Phrase>,
    pub verbs: Vec<Verb>,
    verb_ids: FxHashMap<Box<str>, u16>,
    /// Words of ASCII letters and digits by their hashes, in a table with a power of two places, at least half of which
    /// are free; filled in by `seal`.
    plain: Vec<Option<PlainWord>>,
    run_words: Vec<(Box<str>, WordId)>,
    runs: OnceLock<Option<AhoCorasick>>,
}

impl Vocabulary {
    pub fn new() -> Self {
        // About what the rules inside the binary need.
        let mut infos = Vec::with_capacity(WORDS_EXPECTED);
        infos.push(WordInfo::default());
        let ids = FxHashMap::with_capacity_and_hasher(WORDS_EXPECTED, rustc_hash::FxBuildHasher);
        Self { infos, ids, ..Self::default() }
    }

    pub fn info(&self, word: WordId) -> &WordInfo {
        // Ids come from this table alone; an id out of range would be the unknown word.
        self.infos.get(word as usize).unwrap_or(&self.infos[0])
    }

    /// The id of a word of a text in any case, by the hash that came with it.
    pub fn find_span(&self, word: &str, hash: u64, scratch: &mut String) -> WordId {
        let Some(mask) = self.plain.len().checked_sub(1).filter(|_| hash != 0) else {
            return self.find(word, scratch);
        };
        let mut at = hash as usize & mask;
        while let Some(known) = &self.plain[at] {
            if known.hash == hash && known.spelling.eq_ignore_ascii_case(word) {
                return known.id;
            }
            at = (at + 1) & mask;
        }
        UNKNOWN
    }

    /// The id of a spelling in any case; a possessive `'s` is dropped.
    pub fn find(&self, spelling: &str, scratch: &mut String) -> WordId {
        let spelling = spelling.strip_suffix("'s").unwrap_or(spelling);
        if spelling.len() > WORD_BYTES_MAX {
            return UNKNOWN;
        }
        let plain = spelling.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if plain {
            return self.ids.get(spelling).copied().unwrap_or(UNKNOWN);
        }
        scratch.clear();
        if spelling.is_ascii() {
            scratch.push_str(spelling);
            scratch.make_ascii_lowercase();
        } else {
            scratch.extend(spelling.chars().flat_map(char::to_lowercase));
        }
        self.ids.get(scratch.as_str()).copied().unwrap_or(UNKNOWN)
    }

    /// Cuts a run of an unspaced script into the words that the rules know; what they do not know is left out.
    pub fn cut_run(&self, run: &str, mut each: impl FnMut(usize, usize, WordId)) {
        let matcher = self.runs.get_or_init(|| {
            // Leftmost-longest, so that 一括削除 is not read as 削除 alone.
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(self.run_words.iter().map(|(text, _)| text.as_bytes()))
                .ok()
        });
        for found in matcher.iter().flat_map(|matcher| matcher.find_iter(run)) {
            if let Some((_, word)) = self.run_words.get(found.pattern().as_usize()) {
                each(found.start(), found.end(), *word);
            }
        }
    }

    /// To be called once all words are in.
    pub fn seal(&mut self) {
        let sort = |info: &mut WordInfo| {
            info.atoms.sort_unstable();
            info.places = info.atoms.iter().fold(0, |places, (of, _)| places | of);
        };
        self.phrases.iter_mut().for_each(|phrase| sort(&mut phrase.info));
        self.infos.iter_mut().for_each(sort);
        let phrases = &self.phrases;
        for info in &mut self.infos {
            let of_phrases = info.phrases.iter().filter_map(|at| phrases.get(*at as usize));
            info.places = of_phrases.fold(info.places, |places, phrase| places | phrase.info.places);
            let of_phrases = info.phrases.iter().filter_map(|at| phrases.get(*at as usize));
            info.reach = of_phrases.fold(info.grammar, |bits, phrase| bits | phrase.info.grammar);
        }
        let plain = |word: &str| word.len() <= WORD_BYTES_MAX && word.bytes().all(|b| b.is_ascii_alphanumeric());
        let words: Vec<_> = self.ids.iter().filter(|(word, _)| plain(word)).collect();
        let mask = (words.len() * 2).next_power_of_two() - 1;
        self.plain = vec![None; mask + 1];
        for (spelling, id) in words {
            let hash = hash_of(spelling.as_bytes());
            let mut at = hash as usize & mask;
            while self.plain[at].is_some() {
                at = (at + 1) & mask;
            }
            self.plain[at] = Some(PlainWord { hash, spelling: spelling.clone(), id: *id });
        }
    }

    fn intern(&mut self, spelling: &str) -> WordId {
        if let Some(id) = self.ids.get(spelling) {
            return *id;
        }
        let id = WordId::try_from(self.infos.len()).unwrap_or(UNKNOWN);
        self.infos.push(WordInfo::default());
        self.ids.insert(spelling.into(), id);
        if spelling.chars().any(is_run_char) {
            self.run_words.push((spelling.into(), id));
        }
        id
    }

    /// The entry of a word or phrase as it is written in a rule file, made when it is new.
    pub fn entry(&mut self, term: &str) -> Option<&mut WordInfo> {
        let slot = self.slot(term)?;
        self.at(slot)
    }

    /// What is known of a word or phrase.
    pub fn at(&mut self, slot: Slot) -> Option<&mut WordInfo> {
        match slot {
            Slot::Word(id) => self.infos.get_mut(id as usize),
            Slot::Phrase(at) => self.phrases.get_mut(at as usize).map(|phrase| &mut phrase.info),
        }
    }

    /// The place of a word or phrase as it is written in a rule file, made when it is new.
    pub fn slot(&mut self, term: &str) -> Option<Slot> {
        if !term.is_empty() && term.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Some(Slot::Word(self.intern(term)));
        }
        let term = term.to_lowercase();
        if term.chars().any(is_run_char) {
            return Some(Slot::Word(self.intern(term.trim())));
        }
        let mut spans: Vec<Span> = Vec::new();
        split_text(&term, usize::MAX, 64, &mut spans);
        let mut words = Vec::with_capacity(spans.len());
        for span in &spans {
            words.push(self.intern(&term[span.start as usize..span.end as usize]));
        }
        let (first, rest) = words.split_first()?;
        if rest.is_empty() {
            return Some(Slot::Word(*first));
        }
        let known = self.infos.get(*first as usize)?.phrases.iter().copied();
        let known = known.into_iter().find(|at| self.phrases.get(*at as usize).is_some_and(|p| *p.rest == *rest));
        let at = match known {
            Some(at) => at,
            None => {
                let at = u32::try_from(self.phrases.len()).unwrap_or(u32::MAX);
                self.phrases.push(Phrase { rest: rest.into(), info: WordInfo::default() });
                let phrases = &self.phrases;
                let starts = &mut self.infos.get_mut(*first as usize)?.phrases;
                starts.push(at);
                starts.sort_by_key(|at| std::cmp::Reverse(phrases.get(*at as usize).map(|phrase| phrase.rest.len())));
                at
            }
        };
        Some(Slot::Phrase(at))
    }

    /// Adds a verb in all its English spellings; `false` when it is already one.
    pub fn add_verb(&mut self, base: &str, verb: Verb) -> bool {
        let Ok(id) = u16::try_from(self.verbs.len()) else { return false };
        if self.verb_ids.insert(base.into(), id).is_some() {
            return false;
        }
        self.verbs.push(verb);
        let (head, tail) = base.split_once(' ').map_or((base, ""), |(head, tail)| (head, tail));
        let spellings = std::iter::once((head.to_owned(), Form::Base))
            .chain(std::iter::once((plural(head), Form::Third)))
            .chain(gerunds(head).into_iter().map(|gerund| (gerund, Form::Gerund)));
        for (spelling, form) in spellings {
            if form != Form::Base && !base.is_ascii() {
                continue;
            }
            let spelling = if tail.is_empty() { spelling } else { format!("{spelling} {tail}") };
            if let Some(info) = self.entry(&spelling) {
                // A base form wins over another verb's inflected one, whatever the order of the files.
                if info.verb.is_none_or(|known| known.form != Form::Base && form == Form::Base) {
                    info.verb = Some(VerbUse { verb: id, form });
                }
            }
        }
        true
    }

    /// The verb with this base form, as an index of `verbs`.
    pub fn verb_named(&self, base: &str) -> Option<u16> {
        self.verb_ids.get(base).copied()
    }
}

/// English plural, which is the third person of a verb as well.
pub(super) fn plural(word: &str) -> String {
    let bytes = word.as_bytes();
    let vowel = |at: usize| bytes.get(at).is_some_and(|b| b"aeiou".contains(b));
    match bytes {
        [.., b'y'] if bytes.len() > 1 && !vowel(bytes.len() - 2) => format!("{}ies", &word[..word.len() - 1]),
        [.., b's' | b'x' | b'z'] | [.., b'c' | b's', b'h'] => format!("{word}es"),
        [.., b'o'] if bytes.len() > 1 && !vowel(bytes.len() - 2) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

/// `-ing` forms; where doubling is a matter of stress both are taken, the wrong one is no word anyway.
fn gerunds(verb: &str) -> Vec<String> {
    let bytes = verb.as_bytes();
    let vowel = |b: u8| b"aeiou".contains(&b);
    match bytes {
        [.., b'i', b'e'] => vec![format!("{}ying", &verb[..verb.len() - 2])],
        [.., before, b'e'] if *before != b'e' => vec![format!("{}ing", &verb[..verb.len() - 1])],
        [.., a, b, c] if !vowel(*a) && vowel(*b) && !vowel(*c) && !b"wxy".contains(c) => {
            vec![format!("{verb}ing"), format!("{verb}{}ing", char::from(*c))]
        }
        _ => vec![format!("{verb}ing")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_known_in_their_spellings() {
        for (verb, third, gerund) in [
            ("delete", "deletes", "deleting"),
            ("run", "runs", "running"),
            ("copy", "copies", "copying"),
            ("push", "pushes", "pushing"),
            ("play", "plays", "playing"),
            ("submit", "submits", "submitting"),
            ("untie", "unties", "untying"),
        ] {
            assert_eq!(plural(verb), third);
            assert!(gerunds(verb).iter().any(|form| form == gerund), "{verb}");
        }
    }

    #[test]
    fn words_are_found_in_any_case_and_possessive() {
        let mut vocabulary = Vocabulary::new();
        assert!(vocabulary.entry("Owner").is_some() && vocabulary.entry("löschen").is_some());
        let mut scratch = String::new();
        let owner = vocabulary.find("owner", &mut scratch);
        assert_ne!(owner, UNKNOWN);
        assert_eq!(vocabulary.find("OWNER's", &mut scratch), owner);
        assert_ne!(vocabulary.find("LÖSCHEN", &mut scratch), UNKNOWN);
        assert_eq!(vocabulary.find("other", &mut scratch), UNKNOWN);
    }

    #[test]
    fn words_are_found_by_their_hashes_as_by_their_spelling() {
        let mut vocabulary = Vocabulary::new();
        for word in ["owner", "s3", "read only", "löschen"] {
            assert!(vocabulary.entry(word).is_some());
        }
        vocabulary.seal();
        let (mut spans, mut scratch) = (Vec::new(), String::new());
        let text = "The OWNER's owner, Read S3 s33 löschen";
        split_text(text, 100, 100, &mut spans);
        for span in spans {
            let word = &text[span.start as usize..span.end as usize];
            let found = vocabulary.find_span(word, span.hash, &mut scratch);
            assert_eq!(found, vocabulary.find(word, &mut scratch), "{word}");
        }
    }

    #[test]
    fn runs_are_cut_into_the_longest_known_words() {
        let mut vocabulary = Vocabulary::new();
        for word in ["删除", "批量删除", "任务"] {
            assert!(vocabulary.entry(word).is_some());
        }
        let mut found = Vec::new();
        let text = "批量删除指定任务";
        vocabulary.cut_run(text, |start, end, _| found.push(&text[start..end]));
        assert_eq!(found, ["批量删除", "任务"]);
    }
}
