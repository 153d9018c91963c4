//! Whether one regular expression matches nothing that another does not. Told by their shapes, part by part: a `true` is
//! sure, a `false` may be doubt.

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Repetition};
use std::cell::Cell;

/// Longest expression that is taken apart, in bytes; of longer ones nothing is known. The parts of the two are compared
/// with each other, so the work grows with the product.
pub const INCLUSION_BYTES_MAX: usize = 1024;

/// Comparisons of two parts after which nothing is known: parts within parts are compared several times on each level.
const COMPARISONS_MAX: u32 = 100_000;

/// Whether every text in which `narrow` matches somewhere is one in which `wide` does.
///
/// Expressions that this crate cannot read (look-around) count as doubt.
pub fn matches_no_more(narrow: &str, wide: &str) -> bool {
    let read = |text: &str| {
        Some(text).filter(|text| text.len() <= INCLUSION_BYTES_MAX).and_then(|text| regex_syntax::parse(text).ok())
    };
    narrow == wide
        || read(narrow)
            .zip(read(wide))
            .is_some_and(|(narrow, wide)| is_within(&narrow, &wide, &Cell::new(COMPARISONS_MAX)))
}

/// `left` is how many comparisons there may still be.
fn is_within(narrow: &Hir, wide: &Hir, left: &Cell<u32>) -> bool {
    let Some(rest) = left.get().checked_sub(1) else { return false };
    left.set(rest);
    if narrow == wide {
        return true;
    }
    match (narrow.kind(), wide.kind()) {
        (HirKind::Capture(narrow), _) => is_within(&narrow.sub, wide, left),
        (_, HirKind::Capture(wide)) => is_within(narrow, &wide.sub, left),
        (HirKind::Alternation(branches), _) => branches.iter().all(|branch| is_within(branch, wide, left)),
        (_, HirKind::Alternation(branches)) => branches.iter().any(|branch| is_within(narrow, branch, left)),
        _ if parts(narrow).len() != 1 || parts(wide).len() != 1 => in_order(&parts(narrow), &parts(wide), left),
        (HirKind::Repetition(narrow), HirKind::Repetition(wide)) => {
            narrow.min >= wide.min
                && wide.max.is_none_or(|most| narrow.max.is_some_and(|max| max <= most))
                && is_within(&narrow.sub, &wide.sub, left)
        }
        (_, HirKind::Repetition(Repetition { min: 0 | 1, max, sub, .. })) if *max != Some(0) => {
            is_within(narrow, sub, left)
        }
        (_, HirKind::Class(Class::Unicode(wide))) => characters(narrow).is_some_and(|mut rest| {
            rest.difference(wide);
            rest.ranges().is_empty()
        }),
        (
            HirKind::Empty
            | HirKind::Literal(_)
            | HirKind::Class(_)
            | HirKind::Look(_)
            | HirKind::Repetition(_)
            | HirKind::Concat(_),
            _,
        ) => false,
    }
}

/// Part by part, or so that one part that may be repeated without end takes all parts of its kind; what only looks at the
/// place (`^`, `$`, `\b`) refuses more where it stands in the narrow one alone.
fn in_order(narrow: &[Hir], wide: &[Hir], left: &Cell<u32>) -> bool {
    let taken = |narrow: &[Hir], wide: &Hir| taken(narrow, wide, left);
    each_in_order(narrow, wide, |_, _| None, left) || each_in_order(narrow, wide, taken, left)
}

fn each_in_order(
    narrow: &[Hir],
    wide: &[Hir],
    taken: impl Fn(&[Hir], &Hir) -> Option<usize>,
    left: &Cell<u32>,
) -> bool {
    let (mut narrow, mut wide) = (narrow, wide);
    while let Some((part, rest)) = narrow.split_first() {
        if is_look(part) && wide.first().is_none_or(|other| other != part) {
            narrow = rest;
            continue;
        }
        let Some((other, others)) = wide.split_first() else { return false };
        let count = taken(narrow, other).or_else(|| is_within(part, other, left).then_some(1));
        let Some(count) = count else { return false };
        (narrow, wide) = (&narrow[count..], others);
    }
    wide.is_empty()
}

/// How many parts a repetition without end takes, as far as they are of its kind and often enough.
fn taken(narrow: &[Hir], wide: &Hir, left: &Cell<u32>) -> Option<usize> {
    let HirKind::Repetition(Repetition { min, max: None, sub, .. }) = wide.kind() else { return None };
    let times = |part: &Hir| match part.kind() {
        HirKind::Repetition(repetition) if is_within(&repetition.sub, sub, left) => Some(repetition.min),
        _ => is_within(part, sub, left).then_some(1),
    };
    let each: Vec<u32> = narrow.iter().map_while(times).collect();
    (!each.is_empty() && each.iter().copied().fold(0, u32::saturating_add) >= *min).then_some(each.len())
}

/// The parts that follow each other, literals taken apart into their characters.
fn parts(hir: &Hir) -> Vec<Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(self::parts).collect(),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => text.chars().map(|c| Hir::literal(c.to_string().into_bytes())).collect(),
            Err(_) => vec![hir.clone()],
        },
        HirKind::Empty => Vec::new(),
        HirKind::Capture(capture) => self::parts(&capture.sub),
        HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => vec![hir.clone()],
    }
}

fn is_look(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Look(_))
}

/// The characters of which one is matched; `None` where it is not one character.
fn characters(hir: &Hir) -> Option<ClassUnicode> {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class.clone()),
        HirKind::Literal(literal) => {
            let mut characters = std::str::from_utf8(&literal.0).ok()?.chars();
            let (first, rest) = (characters.next()?, characters.next());
            let range = regex_syntax::hir::ClassUnicodeRange::new(first, first);
            rest.is_none().then(|| ClassUnicode::new([range]))
        }
        HirKind::Empty
        | HirKind::Class(Class::Bytes(_))
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Capture(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_matches_less_is_told() {
        let check = |narrow, wide, expected| assert_eq!(matches_no_more(narrow, wide), expected, "{narrow} in {wide}");
        check("^[a-z][a-z_]*$", "^[a-z][a-z0-9_]*$", true);
        check("^[a-z][a-z0-9_]*$", "^[a-z][a-z_]*$", false);
        check("^a$", "a", true);
        check("a", "^a$", false);
        check("^[a-z]{1,8}$", "^[a-z]*$", true);
        check("^[a-z]{1,9}$", "^[a-z]{1,8}$", false);
        check("^abc$", "^[a-c]+$", true);
        check("^abd$", "^[a-c]+$", false);
        check("^abc$", "^[a-c]bc$", true);
        check("^(read|list)$", "^(list|read|delete)$", true);
        check("^(read|delete)$", "^(list|read)$", false);
        check("^[a-z]$", "^[a-z]?$", true);
        check("^[0-9]+$", r"^\d+$", true);
        check("x(?!y)", "x(?!z)", false);
        check("^[a-z]+(?:[-._a-z]*)$", "^[-._a-z]+$", true);
        check("^[a-z]+-?$", "^[a-z]+$", false);
        check("^[a-z]*[0-9]*$", "^[a-z0-9]+$", false);
        check("^[a-z]+x1?$", "^[a-z]+x[0-9]*$", true);
    }

    #[test]
    fn of_long_expressions_nothing_is_known() {
        let long = "a".repeat(INCLUSION_BYTES_MAX);
        assert!(matches_no_more(&long, "a+"));
        assert!(!matches_no_more(&format!("{long}a"), "a+"));
        assert!(!matches_no_more("a+", &format!("{long}a")));
    }

    #[test]
    fn expressions_within_expressions_end_in_doubt() {
        let nested = |last: &str| (0..120).fold(last.to_owned(), |inner, _| format!("(?:a(?:{inner})?c)?"));
        // Compared to the end, these would be compared for years.
        assert!(!matches_no_more(&nested("b"), &nested("d")));
    }

    proptest! {
        #[test]
        fn what_is_said_to_match_no_more_never_does(
            narrow in r"\^?([ab]|\[ab\]|[ab]\*|[ab]\?|\(a\|b\)|\(ab\|a\)){1,4}\$?",
            wide in r"\^?([ab]|\[ab\]|[ab]\*|[ab]\?|\(a\|b\)|\(ab\|a\)){1,4}\$?",
            text in "[abc]{0,6}",
        ) {
            let is_match = |pattern: &str| regex::Regex::new(pattern).unwrap().is_match(&text);
            prop_assert!(!matches_no_more(&narrow, &wide) || !is_match(&narrow) || is_match(&wide), "{text}");
        }
    }
}
