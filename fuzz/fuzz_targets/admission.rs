//! Whatever bytes a client sends: nothing is forwarded, or one line that is read back as the very message that was judged.
//!
//! Run with `cargo +nightly fuzz run admission`. The property test beside the parser holds the same promise on lines
//! made of pieces that parsers quarrel about.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpol::mcp::envelope::{Message, admit};
use serde_json::Value;

fuzz_target!(|line: &[u8]| {
    let Ok(message) = admit(line) else { return };
    let (forwarded, call) = match &message {
        Message::Call(_, call) => (call.line(), Some(call)),
        Message::Request(_, passage) | Message::Notification(passage) | Message::Reply(_, passage) => {
            (passage.line(), None)
        }
    };
    let text = std::str::from_utf8(forwarded).expect("what is forwarded is UTF-8");
    assert!(!text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']), "one line to every reader");
    assert!(admit(forwarded).is_ok(), "what is forwarded would be admitted again");
    // Numbers beyond every float are JSON, but serde_json cannot hold them.
    let Ok(read) = serde_json::from_str::<Value>(text) else { return };
    let is_call = read["method"] == "tools/call";
    assert_eq!(is_call, call.is_some(), "a tool call is a call to every reader");
    if let Some(call) = call {
        assert_eq!(read["params"]["name"], call.name().as_str());
        let judged = call.arguments().map(|text| serde_json::from_str::<Value>(text).expect("arguments are JSON"));
        assert_eq!(read["params"].get("arguments"), judged.as_ref());
    }
});
