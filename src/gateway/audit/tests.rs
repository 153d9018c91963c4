//! Tests of the audit log as a whole: what is written, what is kept out, and that changes show.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]

use super::*;
use crate::gateway::exchange::CallOutcome;
use std::fs;

fn session() -> String {
    new_session_id().unwrap()
}

static CALLER: std::sync::LazyLock<Caller> = std::sync::LazyLock::new(|| Caller {
    server: "files".into(),
    grant: Some("local".into()),
    session: None,
    course: None,
    pledge: None,
});

fn decided<'a>(number: u64, arguments: Option<&'a str>) -> Decided<'a> {
    let (decision, tool, rule, policy) = ("allow", "read", "(allowed)", "abc");
    let way = Route::StdioCommand;
    Decided {
        number,
        caller: &CALLER,
        way,
        decision,
        matter: Matter::Tool(tool),
        rule,
        code: None,
        policy,
        arguments,
        approval: None,
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

/// A log of two sessions of five lines each.
fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for _ in 0..2 {
        let destination = Destination::File(path.clone());
        let audit = Audit::open(&destination, Some(&folder.path().join("audit.key")), session()).unwrap();
        audit.event(now(), "start", &Whose::gateway(), |line| line.text("version", "1"));
        audit.decide(now(), [decided(0, Some(r#"{"password":"hunter2"}"#)), decided(1, None)]).unwrap();
        audit.ended(
            now(),
            [Ended { whose: Whose::gateway(), number: 0, outcome: CallOutcome::Result, micros: 12, bytes: 30 }],
        );
        audit.event(now(), "stop", &Whose::gateway(), |line| line);
        audit.tick(now()).unwrap();
    }
    (folder, path)
}

#[test]
fn values_of_arguments_are_never_written() {
    let (_folder, path) = written();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2"));
    assert_eq!(text.matches(r#""keys":["password"]"#).count(), 2);
    let hashes: std::collections::BTreeSet<&str> =
        text.lines().filter_map(|line| line.split("\"arguments\":\"").nth(1)).map(|rest| &rest[..64]).collect();
    assert_eq!(hashes.len(), 1, "the same arguments have the same hash in every session");
}

#[cfg(unix)]
#[test]
fn the_log_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, path) = written();
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_untouched_log_verifies() {
    let (_folder, path) = written();
    let report = verify(&[path]).unwrap();
    assert_eq!((report.lines, report.sessions, report.unfinished), (10, 2, 0));
    assert_eq!(report.broken, []);
}

#[test]
fn every_change_of_one_line_shows() {
    let (_folder, path) = written();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        // The last line of a session has no later one that holds its hash.
        let last = at == 4 || at == 9;
        let mut changed = lines.clone();
        let edited = lines[at].replace("2023", "2022");
        changed[at] = &edited;
        let mut removed = lines.clone();
        removed.remove(at);
        for (what, lines) in [("changed", changed), ("removed", removed)] {
            fs::write(&path, lines.join("\n") + "\n").unwrap();
            let report = verify(std::slice::from_ref(&path)).unwrap();
            let first_gone = what == "removed" && at % 5 == 0;
            assert!(last || first_gone || !report.broken.is_empty(), "{what} {at}");
            assert!(!first_gone || report.beginnings_gone == 1);
            assert!(!(last && what == "removed") || report.unfinished == 1);
        }
    }
}

#[test]
fn statistics_add_up() {
    let (_folder, path) = written();
    let counts = stats(&[path]).unwrap();
    assert_eq!(counts.tools["read"], [4, 0, 0]);
    assert_eq!((counts.answered(), counts.latency(50), counts.latency(99)), (2, Some(12), Some(12)));
    assert_eq!(counts.outcomes["result"], 2);
    assert_eq!(Counts::default().latency(50), None);
}

#[test]
fn a_question_to_a_person_is_neither_allowed_nor_denied() {
    let (folder, path) = written();
    let text = fs::read_to_string(path).unwrap();
    let asked = folder.path().join("asked.jsonl");
    let question =
        text.lines().find(|line| line.contains("\"verdict\":\"allow\"")).unwrap().replace("\"allow\"", "\"ask\"");
    fs::write(&asked, question + "\n").unwrap();
    let counts = stats(&[asked]).unwrap();
    assert!(counts.tools.is_empty() && counts.denials.is_empty(), "{counts:?}");
}

#[test]
fn a_half_line_is_closed_in_its_own_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    fs::write(&path, "half a line").unwrap();
    let mut sink = Sink::file(path.clone(), u64::MAX).unwrap();
    // Another process rotates the log before anything is written here.
    fs::rename(&path, folder.path().join("audit.1.jsonl")).unwrap();
    fs::write(&path, "").unwrap();
    sink.follow();
    sink.write(b"whole\n").1.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "whole\n");
}

#[test]
fn a_flood_is_counted_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    for _ in 0..1024 {
        audit.repeated(now(), "dropped", &Whose::gateway(), |line| line.text("reason", "noise"));
    }
    audit.tick(now()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 20 + 6);
    assert!(text.lines().last().unwrap().contains("\"count\":1024"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_not_silence() {
    let audit = Audit::open(&Destination::File("/dev/full".into()), None, session()).unwrap();
    assert!(audit.decide(now(), [decided(0, None)]).is_err());
    assert!(audit.decide(now(), [decided(1, None)]).is_err());
}

#[test]
fn lines_that_were_lost_are_told_and_the_chain_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    audit.decide(now(), [decided(0, None)]).unwrap();
    // The file is swapped for `/dev/full`, which takes nothing, as a full disk would.
    let swap = |target: &Path| {
        let mut acts = audit.acts().unwrap();
        std::mem::replace(&mut acts.chain.sink, Sink::file(target.to_owned(), u64::MAX).unwrap())
    };
    #[cfg(target_os = "linux")]
    {
        let good = swap(Path::new("/dev/full"));
        assert!(audit.decide(now(), [decided(1, None), decided(2, None)]).is_err());
        // What tells of the two is lost itself, twice.
        assert!(audit.decide(now(), [decided(3, None)]).is_err());
        assert!(audit.decide(now(), [decided(4, None), decided(5, None)]).is_err());
        audit.acts().unwrap().chain.sink = good;
    }
    #[cfg(not(target_os = "linux"))]
    drop(swap(&path));
    audit.decide(now(), [decided(6, None)]).unwrap();
    audit.decide(now(), [decided(7, None)]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.contains("\"event\":\"gap\",\"lost\":5"), cfg!(target_os = "linux"), "{text}");
    assert_eq!(text.matches("\"gap\"").count(), usize::from(cfg!(target_os = "linux")), "told once: {text}");
    assert_eq!(verify(&[path]).unwrap().broken, []);
}

/// A refusal as a client provokes it, with names of arguments as long as it likes.
fn refusal<'a>(number: u64, tool: &'a str, arguments: &'a str) -> Decided<'a> {
    Decided {
        decision: "deny",
        matter: Matter::Tool(tool),
        rule: "/tools/t/deny_if/always",
        ..decided(number, Some(arguments))
    }
}

#[test]
fn refusals_never_rotate_what_acted_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    {
        // Small files, so that a few thousand lines are a flood.
        let chains = audit.chains.as_ref().unwrap();
        chains.acts.lock().unwrap().chain.sink = Sink::file(path.clone(), 64 * 1024).unwrap();
        chains.refusals.lock().unwrap().chain.sink = Sink::file(sink::refused(&path), 64 * 1024).unwrap();
    }
    audit.decide(now(), [decided(0, Some(r#"{"act":1}"#))]).unwrap();
    for number in 1..=2500 {
        // All different, so that they are not folded.
        let name = format!("{number:>04000}");
        audit.decide(now(), [refusal(number, &name, &format!(r#"{{"{name}":1}}"#))]).unwrap();
    }
    audit.stop(now(), &Whose::gateway(), "test");
    audit.tick(now()).unwrap();
    let acts = fs::read_to_string(&path).unwrap();
    assert!(acts.contains(r#""keys":["act"]"#) && acts.contains("\"stop\""), "{acts}");
    assert_eq!(families_of(&path).map(|family| family.len()), [1, ROTATED_FILES + 1]);
    let report = verify(&files_of(&path)).unwrap();
    assert_eq!(report.broken, []);
    assert_eq!((report.sessions, report.unfinished, report.beginnings_gone), (1, 0, 1));
    assert!(report.missing_lines > 0 && report.missing_lines + report.lines as u64 == 2503, "{report:?}");
    // The same without the oldest file: no rotation takes it out of the middle.
    fs::remove_file(families_of(&path)[1][0].clone()).unwrap();
    assert_ne!(verify(&files_of(&path)).unwrap().broken, []);
}

#[test]
fn outcomes_may_follow_the_end_of_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    audit.event(now(), "start", &Whose::gateway(), |line| line);
    audit.decide(now(), [decided(0, None), refusal(1, "t", r#"{"a":1}"#)]).unwrap();
    audit.stop(now(), &Whose::gateway(), "test");
    audit.event(now(), "outcome", &Whose::gateway(), |line| line);
    audit.tick(now()).unwrap();
    let report = verify(&files_of(&path)).unwrap();
    assert_eq!((report.broken, report.unfinished, report.sessions), (vec![], 0, 1));
}

#[test]
fn what_is_cut_off_one_file_of_a_session_shows_by_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    audit.event(now(), "start", &Whose::gateway(), |line| line);
    for number in 0..3 {
        audit.decide(now(), [decided(number, None)]).unwrap();
        audit.decide(now(), [refusal(number, &format!("t{number}"), r#"{"a":1}"#)]).unwrap();
    }
    audit.stop(now(), &Whose::gateway(), "test");
    audit.tick(now()).unwrap();
    let whole = verify(&files_of(&path)).unwrap();
    assert_eq!((whole.broken, whole.unfinished, whole.sessions), (vec![], 0, 1));
    for file in current_of(&path) {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for kept in 1..lines.len() {
            fs::write(&file, lines[..kept].join("\n") + "\n").unwrap();
            let report = verify(&files_of(&path)).unwrap();
            assert_eq!(report.broken.len(), 1, "{kept}: {report:?}");
            assert!(
                report.broken[0].what.contains("the end of session") && report.broken[0].line == kept,
                "{report:?}"
            );
        }
        fs::write(&file, &text).unwrap();
    }
    // All that was done, in a file that is empty or gone. A session without refusals has no second file.
    fs::write(&path, "").unwrap();
    assert!(verify(&files_of(&path)).unwrap().broken[0].what.contains("is missing, and no rotation took it"));
    fs::remove_file(&path).unwrap();
    let report = verify(&files_of(&path)).unwrap();
    assert!(report.broken.len() == 1 && report.unfinished == 0, "{report:?}");
}

#[test]
fn questions_never_rotate_what_acted_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    audit.acts().unwrap().chain.sink = Sink::file(path.clone(), 64 * 1024).unwrap();
    audit.decide(now(), [decided(0, Some(r#"{"act":1}"#))]).unwrap();
    for number in 1..=2500 {
        // Each is withdrawn and asked anew, with other arguments and so another approval.
        let (approval, arguments) = (format!("a{number}"), format!(r#"{{"{number:>0900}":1}}"#));
        let asked = Decided { decision: "ask", approval: Some(&approval), ..decided(number, Some(&arguments)) };
        audit.decide(now(), [asked]).unwrap();
    }
    audit.stop(now(), &Whose::gateway(), "test");
    audit.tick(now()).unwrap();
    let acts = fs::read_to_string(&path).unwrap();
    assert!(acts.contains(r#""keys":["act"]"#) && acts.contains("\"stop\""), "{acts}");
    // 32, 64 … 2,048 after the first twenty, what came after that, and the act and the end.
    assert_eq!(acts.lines().count() as u64, REPEATS_LOGGED + 7 + 1 + 2);
    assert!(acts.contains(r#""event":"folded","count":452"#), "{acts}");
    assert_eq!(verify(&files_of(&path)).unwrap().broken, []);
    assert_eq!(stats(&files_of(&path)).unwrap().folded, 0, "no refusal was folded");
}

#[test]
fn what_a_flood_of_permitted_calls_rotates_away_is_said() {
    for (sessions, is_beginning_gone) in [(1, true), (2, false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let flood = |lines: u64| {
            let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
            audit.acts().unwrap().chain.sink = Sink::file(path.clone(), 1).unwrap();
            // Each line fills a file, so that a session ends with one.
            (0..lines).for_each(|number| audit.decide(now(), [decided(number, None)]).unwrap());
        };
        assert!(!verify(&[]).unwrap().may_be_rotated_away);
        if sessions == 2 {
            flood(1);
        }
        flood(ROTATED_FILES as u64 + 1 - u64::from(sessions == 2));
        let report = verify(&files_of(&path)).unwrap();
        assert!(report.broken.is_empty() && report.may_be_rotated_away, "{report:?}");
        assert_eq!(report.beginnings_gone > 0, is_beginning_gone, "{report:?}");
    }
}

#[test]
fn equal_refusals_of_a_session_are_folded_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    for number in 0..1000 {
        audit.decide(now(), [refusal(number, "t", r#"{"a":1}"#)]).unwrap();
    }
    audit.decide(now(), [refusal(1000, "other", r#"{"a":1}"#)]).unwrap();
    audit.stop(now(), &Whose::gateway(), "test");
    audit.tick(now()).unwrap();
    let lines = fs::read_to_string(sink::refused(&path)).unwrap().lines().count() as u64;
    // 32, 64 … 512 after the first; what came after 512 is told at the end, and then the end itself.
    assert_eq!(lines, REPEATS_LOGGED + 5 + 1 + 1 + 1);
    let counts = stats(&files_of(&path)).unwrap();
    assert_eq!((counts.tools["t"], counts.tools["other"]), ([0, 512, 0], [0, 1, 0]));
    assert_eq!(counts.folded, 488);
    assert_eq!(verify(&files_of(&path)).unwrap().broken, []);
}

#[test]
fn no_line_is_longer_than_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Destination::File(path.clone()), None, session()).unwrap();
    let hidden = "\u{e0041}".repeat(1000);
    let members: Vec<String> = (0..100).map(|n| format!("\"{hidden}{n}\":1")).collect();
    let arguments = format!("{{{}}}", members.join(","));
    let text = hidden.as_str();
    let caller = Caller {
        server: text.into(),
        grant: Some(text.into()),
        session: Some(text.into()),
        course: None,
        pledge: None,
    };
    let decided = Decided {
        caller: &caller,
        matter: Matter::Message { method: text, name: Some(text) },
        rule: text,
        code: Some(text),
        policy: text,
        approval: Some(text),
        ..decided(0, Some(&arguments))
    };
    audit.decide(now(), [decided, Decided { decision: "deny", ..decided }]).unwrap();
    for file in files_of(&path) {
        let line = fs::read_to_string(file).unwrap();
        assert!((4000..=LINE_BYTES_MAX).contains(&line.len()), "{}", line.len());
    }
}
