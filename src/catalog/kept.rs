//! A listing as it was received, to be read again a while later: unlike a record it keeps the order of the tools, what
//! was odd on the way, and when it came, and holds no verdict.

use super::record::{recorded, unlisted};
use crate::clock::Timestamp;
use crate::model::{ExtraKind, Greeting, Listing, Note, ServerInfo, ServerName, ServerSource};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeSet;

/// A kept listing as a file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptListing {
    /// Milliseconds since 1970.
    at: u64,
    unreadable: usize,
    notes: Vec<Note>,
    list: Box<RawValue>,
}

/// The listing as a saved list, which [`super::read`] reads.
#[derive(Serialize)]
struct KeptList<'a> {
    server: &'a ServerName,
    source: &'a ServerSource,
    protocol_version: Option<&'a str>,
    server_info: Option<&'a ServerInfo>,
    greeting: Option<&'a Greeting>,
    capabilities: Option<&'a RawValue>,
    client_capabilities: Option<&'a BTreeSet<String>>,
    instructions: Option<&'a str>,
    tools: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompts: Option<Vec<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_templates: Option<Vec<&'a RawValue>>,
    unlisted: BTreeSet<ExtraKind>,
}

/// The text of a listing that came at a moment; one line.
///
/// # Errors
/// A definition that cannot be spelled out.
pub fn kept_text(listing: &Listing, at: Timestamp) -> serde_json::Result<String> {
    let list = KeptList {
        server: &listing.server,
        source: &listing.source,
        protocol_version: listing.protocol_version.as_deref(),
        server_info: listing.server_info.as_ref(),
        greeting: listing.greeting.as_ref(),
        capabilities: listing.capabilities.as_deref(),
        client_capabilities: listing.client_capabilities.as_ref(),
        instructions: listing.instructions.as_deref(),
        tools: listing.tools.iter().map(|tool| &*tool.raw).collect(),
        prompts: recorded(&listing.extras, ExtraKind::Prompt),
        resources: recorded(&listing.extras, ExtraKind::Resource),
        resource_templates: recorded(&listing.extras, ExtraKind::Template),
        unlisted: unlisted(&listing.extras),
    };
    let (unreadable, notes) = (listing.unreadable, listing.notes.clone());
    serde_json::to_string(&KeptListing { at: at.millis(), unreadable, notes, list: to_raw_value(&list)? })
}

/// A listing and when it came; `None` for a text that is none, whole and with everything that it had.
pub fn read_kept(text: &str) -> Option<(Listing, Timestamp)> {
    let kept: KeptListing = serde_json::from_str(text).ok()?;
    let mut found = Vec::new();
    super::read(kept.list.get().as_bytes(), "", &mut |it| found.push(it)).ok()?;
    let listing = found.pop().filter(|_| found.is_empty())?.ok()?;
    // An entry that cannot be read back was none that was kept.
    if listing.unreadable > 0 {
        return None;
    }
    Some((Listing { unreadable: kept.unreadable, notes: kept.notes, ..listing }, Timestamp::from_millis(kept.at)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_back_as_it_was() {
        let text = r#"{"server":"s","source":{"kind":"command","argv":["npx","a"],"env":["KEY"]},"protocol_version":"2025-11-25",
            "server_info":{"name":"S","version":"1"},"greeting":{"server_info":{"description":"A server."}},"capabilities":{"tools":{}},
            "client_capabilities":["roots"],"instructions":"Be kind.",
            "tools":[{"name":"b","x":1.0},{"name":"a"},{"name":"a"},7],"prompts":[{"name":"p"}],"unlisted":["resource"]}"#;
        let mut found = Vec::new();
        crate::catalog::read(text.as_bytes(), "s.json", &mut |it| found.push(it.unwrap())).unwrap();
        let before = found.remove(0);
        assert_eq!((before.unreadable, before.notes.len()), (1, 2), "one entry is no tool, one name comes twice");
        let kept = kept_text(&before, Timestamp::from_millis(5)).unwrap();
        let (after, at) = read_kept(&kept).unwrap();
        assert_eq!((at, format!("{after:?}")), (Timestamp::from_millis(5), format!("{before:?}")));
    }

    #[test]
    fn what_is_no_kept_listing_is_none() {
        let list = r#"{"server":"s","tools":[{"name":"a"}]}"#;
        let kept = |list: &str| format!(r#"{{"at":1,"unreadable":0,"notes":[],"list":{list}}}"#);
        assert!(read_kept(&kept(list)).is_some());
        for text in ["", "{}", list, &kept("{}"), &kept(r#"{"server":"s","tools":[1]}"#), &kept(list)[..40]] {
            assert!(read_kept(text).is_none(), "{text}");
        }
    }
}
