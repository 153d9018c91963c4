//! Words in a row looked up: the verb or the grammar that they begin with, phrases included.

use super::compile::Compiled;
use super::scan::Token;
use super::vocabulary::{Form, UNKNOWN, VerbUse, WordId, grammar};
use super::words::Gap;
use crate::model::Category;

/// The verb that the words begin with, and how many words it takes; phrasal verbs come first.
pub(super) fn verb_at(compiled: &Compiled, tokens: &[Token]) -> Option<(VerbUse, usize)> {
    let (first, rest) = tokens.split_first()?;
    if first.word == UNKNOWN {
        return None;
    }
    let info = compiled.vocabulary.info(first.word);
    for phrase in &info.phrases {
        let Some(phrase) = compiled.vocabulary.phrases.get(*phrase as usize) else { continue };
        if let Some(verb) = phrase.info.verb
            && starts_with(rest, &phrase.rest)
        {
            return Some((verb, phrase.rest.len() + 1));
        }
    }
    Some((info.verb?, 1))
}

/// Grammar of the word or phrase that the tokens begin with.
pub(super) fn grammar_at(compiled: &Compiled, tokens: &[Token]) -> u16 {
    let Some((first, rest)) = tokens.split_first() else { return 0 };
    if first.word == UNKNOWN {
        return 0;
    }
    let info = compiled.vocabulary.info(first.word);
    if info.reach == info.grammar {
        return info.grammar;
    }
    let phrases = info.phrases.iter().filter_map(|at| compiled.vocabulary.phrases.get(*at as usize));
    let phrases = phrases.filter(|phrase| phrase.info.grammar != 0 && starts_with(rest, &phrase.rest));
    phrases.fold(info.grammar, |bits, phrase| bits | phrase.info.grammar)
}

pub(super) fn position(compiled: &Compiled, tokens: &[Token], bit: u16) -> Option<usize> {
    (0..tokens.len()).find(|at| {
        compiled.vocabulary.info(tokens[*at].word).reach & bit != 0 && grammar_at(compiled, &tokens[*at..]) & bit != 0
    })
}

pub(super) fn starts_with(tokens: &[Token], words: &[WordId]) -> bool {
    tokens.len() >= words.len()
        && tokens.iter().zip(words).all(|(token, word)| token.word == *word && token.gap != Gap::Stop)
}

/// Whether a sentence is a tag, or speaks to the model about when to call the tool. What says that something is removed,
/// or tells an act in the third person, never is.
pub(super) fn is_preface(compiled: &Compiled, sentence: &[Token], lead: usize) -> bool {
    let Some(first) = sentence.first() else { return true };
    if (first.start as usize) < lead {
        return true;
    }
    let acts = (0..sentence.len()).any(|at| {
        verb_at(compiled, &sentence[at..]).is_some_and(|(found, _)| {
            let verb = compiled.vocabulary.verbs.get(usize::from(found.verb));
            verb.is_some_and(|verb| verb.category == Category::Delete || found.form == Form::Third && !verb.noun)
        })
    });
    !acts && grammar_at(compiled, sentence) & grammar::PREFACE != 0
}
