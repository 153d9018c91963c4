//! The words of the field as types: names, tool definitions as received, classes, evidence, findings.
//!
//! Only checked values live here; wire formats are parsed elsewhere and die there.

mod class;
mod extra;
mod greeting;
mod listing;
mod package;
mod tool;
mod verdict;

pub use class::{BlastRadius, Category, Flag, RiskLevel};
pub use extra::{Extra, ExtraKind, ExtraName, Extras, Offered};
pub use greeting::{
    Greeting, GreetingPart, SERVER_INFO_KEY, Said, beside_entries, beside_key, holds_sentence, is_embedded, is_word,
    says_nothing, texts,
};
pub use listing::{Listing, Note, Package, ServerInfo, ServerSource};
pub use tool::{Annotations, Fingerprint, Parameter, SCHEMA_DEPTH_MAX, ToolDefinition, ToolProblem, TypeSet};
pub use verdict::{
    Classified, Confidence, Evidence, EvidenceSource, FINDING_TOOLS_MAX, Finding, SetFinding, Severity, ToolReference,
    Verdict,
};

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the name as it was received; nothing is trimmed or folded.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as received. Escape it before showing it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Escaped, so that a name cannot drive a terminal.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&crate::text::escape(&self.0))
            }
        }
    };
}

name_type! {
    /// A tool's name, exactly as the server declares it. Compared byte for byte; never used as a path, regex or shell word.
    ToolName
}
name_type! {
    /// What a server is called here: the key in a configuration, the package, or what the user said.
    ServerName
}
