//! What every store of sessions must do, whatever it is made of.

#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use crate::clock::Timestamp;
use crate::policy::{CourseKey, CourseStore, News, Pledge, SeenWords, Word, Words};

pub(in crate::state) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn words() -> Words {
    [Word::parse("untrusted_content").unwrap()].into_iter().collect()
}

/// A call of this tool, which returns what strangers wrote.
pub(in crate::state) fn called(tool: &str) -> News<'_> {
    News::Called { words: words(), server: "s", tool }
}

/// Every promise, each on a store of its own; the guard of a store lives as long as it is used.
pub(in crate::state) fn all<G, S: CourseStore>(mut store: impl FnMut() -> (G, S)) {
    for promise in [a_course_grows_and_is_its_sessions, many_that_add_at_once_lose_nothing, a_grants_last_call_counts] {
        let (_guard, store) = store();
        promise(&store);
    }
}

fn tools(store: &dyn CourseStore, key: &CourseKey) -> Vec<String> {
    store.course(at(0), key).unwrap().marks().map(|(_, mark)| mark.tool.clone()).collect()
}

fn a_course_grows_and_is_its_sessions(store: &dyn CourseStore) {
    let odd = ["", "s", "s\0", "*?[a]\\", "{x}\r\n", "\u{e4}\u{202e}"];
    let keys: Vec<CourseKey> = odd
        .iter()
        .flat_map(|one| odd.iter().map(move |other| CourseKey::of(Some(one), other)))
        .chain(odd.iter().map(|grant| CourseKey::of(None, grant)))
        .collect();
    for (number, key) in keys.iter().enumerate() {
        assert!(store.course(at(0), key).unwrap().is_empty(), "{number}");
        let tool = format!("t{number}");
        assert_eq!(store.grow(at(0), key, &called(&tool)).unwrap().marks().count(), 1);
        // In a session the first one is named.
        store.grow(at(1), key, &called("later")).unwrap();
        assert_eq!(tools(store, key), [tool], "{number}");
    }
    let key = &keys[0];
    let pledge = |tools: &[&str]| Pledge::of_tools(tools.iter().map(|tool| ("s".to_owned(), (*tool).to_owned())));
    store.grow(at(2), key, &News::Pledged(&pledge(&["a", "b"]))).unwrap();
    let kept = store.grow(at(2), key, &News::Pledged(&pledge(&["b", "c"]))).unwrap();
    assert_eq!(kept.pledge(), Some(&pledge(&["b"])));
    let answer = SeenWords::of(words(), "\"evil.example\"");
    let kept = store.grow(at(3), key, &News::Returned(&answer)).unwrap();
    assert_eq!(*store.course(at(3), key).unwrap(), *kept);
    // All of it is still there, and adding it again changes nothing.
    assert_eq!((kept.marks().count(), kept.pledge()), (1, Some(&pledge(&["b"]))));
    assert_eq!(store.grow(at(4), key, &News::Returned(&answer)).unwrap(), kept);
    assert!(store.course(at(4), &keys[1]).unwrap().pledge().is_none());
}

fn many_that_add_at_once_lose_nothing(store: &dyn CourseStore) {
    let key = CourseKey::of(Some("s"), "g");
    let all: Vec<Word> = Word::all().collect();
    std::thread::scope(|scope| {
        for word in &all {
            let key = &key;
            scope.spawn(move || {
                let words = [*word].into_iter().collect();
                store.grow(at(0), key, &News::Called { words, server: "s", tool: word.as_str() }).unwrap();
            });
        }
    });
    assert_eq!(tools(store, &key), all.iter().map(|word| word.as_str()).collect::<Vec<_>>());
}

fn a_grants_last_call_counts(store: &dyn CourseStore) {
    let (grant, session) = (CourseKey::of(None, "g"), CourseKey::of(Some("s"), "g"));
    for (millis, tool) in [(0, "first"), (60_000, "second")] {
        for key in [&grant, &session] {
            store.grow(at(millis), key, &called(tool)).unwrap();
        }
    }
    let last = |key: &CourseKey| store.course(at(60_000), key).unwrap().marks().map(|(_, mark)| mark.last).next();
    assert_eq!(last(&grant), Some(at(60_000).millis()));
    assert_eq!(last(&session), Some(at(0).millis()));
}

/// What one store adds another knows that is made later of the same place.
pub(in crate::state) fn is_known_elsewhere<S: CourseStore>(store: impl Fn() -> S) {
    let key = CourseKey::of(Some("s"), "g");
    let (one, two) = (store(), store());
    one.grow(at(0), &key, &called("fetch")).unwrap();
    assert_eq!(tools(&two, &key), ["fetch"]);
    drop((one, two));
    assert_eq!(tools(&store(), &key), ["fetch"]);
}
