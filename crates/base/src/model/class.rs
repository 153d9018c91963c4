//! Category, blast radius, risk level and flags: the closed sets that a verdict is made of.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident, $case:literal { $($(#[$vdoc:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = $case)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in files, JSON and on the screen.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("`{}` is not one of {}", crate::text::escape(text), known.join(", "))
                })
            }
        }
    };
}

closed_set! {
    /// The worst thing that a call with the worst allowed arguments does. Ordered from harmless to worst.
    Category, "PascalCase" {
        /// Gets, lists, searches, computes; changes nothing.
        Read => "Read",
        /// Creates or changes stored data, configuration, a record's state or a message.
        Write => "Write",
        /// Runs, steers or commits something whose effect is decided elsewhere.
        Execute => "Execute",
        /// Removes an object or discards state so that an ordinary edit cannot bring it back.
        Delete => "Delete",
    }
}

closed_set! {
    /// How much one wrong call can cost.
    BlastRadius, "lowercase" {
        /// Next to nothing, or undone at once.
        Low => "low",
        /// One record, one private read, one operation.
        Medium => "medium",
        /// Secrets, permissions, free-form queries, destinations the caller chooses.
        High => "high",
        /// Shell, money, everything at once.
        Critical => "critical",
    }
}

closed_set! {
    /// How strict the default must be: the worse of the category's nature and the blast radius.
    RiskLevel, "lowercase" {
        /// Allow.
        Low => "low",
        /// Allow, and count.
        Medium => "medium",
        /// Allow few, or ask.
        High => "high",
        /// Hide or ask.
        Critical => "critical",
    }
}

closed_set! {
    /// What else is true of a tool. Any number may hold.
    Flag, "snake_case" {
        /// Overwrites or changes in bulk: many targets, `all`, recursive, a filter that selects them.
        Bulk => "bulk",
        /// Runs code, a script or a command that the caller supplies.
        CodeExecution => "code_execution",
        /// Returns or sets secrets, tokens or environment.
        Credential => "credential",
        /// Overwrites or loses state, also outside Delete.
        Destructive => "destructive",
        /// Content leaves for a destination that the caller chooses.
        Egress => "egress",
        /// Touches only caches, canvases, filters, tabs or sessions.
        Ephemeral => "ephemeral",
        /// Reads or writes files where the server runs.
        Filesystem => "filesystem",
        /// Moves or commits money.
        Financial => "financial",
        /// Cannot be undone, in so many words.
        Irreversible => "irreversible",
        /// Costs per call.
        Metered => "metered",
        /// Reaches arbitrary places outside.
        OpenWorld => "open_world",
        /// Moves something in the physical world.
        Physical => "physical",
        /// Returns plainly private data.
        PrivateData => "private_data",
        /// Roles, permissions, members, keys, firewalls, policies.
        Privilege => "privilege",
        /// Undone by the nature of the act.
        Reversible => "reversible",
        /// No evidence at all: treated as Execute.
        Unclassified => "unclassified",
        /// Returns text that third parties wrote.
        UntrustedContent => "untrusted_content",
    }
}

impl Category {
    /// The risk level that a category has by nature, before the blast radius is looked at.
    pub const fn nature(self) -> RiskLevel {
        match self {
            Self::Read => RiskLevel::Low,
            Self::Write => RiskLevel::Medium,
            Self::Execute => RiskLevel::High,
            Self::Delete => RiskLevel::Critical,
        }
    }
}

impl RiskLevel {
    /// The worse of what the category is by nature and the blast radius.
    pub fn of(category: Category, radius: BlastRadius) -> Self {
        let radius = match radius {
            BlastRadius::Low => Self::Low,
            BlastRadius::Medium => Self::Medium,
            BlastRadius::High => Self::High,
            BlastRadius::Critical => Self::Critical,
        };
        category.nature().max(radius)
    }
}

impl BlastRadius {
    /// One step worse; critical stays critical.
    pub const fn raised(self) -> Self {
        match self {
            Self::Low => Self::Medium,
            Self::Medium => Self::High,
            Self::High | Self::Critical => Self::Critical,
        }
    }

    /// One step better; low stays low.
    pub const fn lowered(self) -> Self {
        match self {
            Self::Low | Self::Medium => Self::Low,
            Self::High => Self::Medium,
            Self::Critical => Self::High,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_is_the_worse_of_nature_and_radius() {
        assert_eq!(RiskLevel::of(Category::Execute, BlastRadius::Low), RiskLevel::High);
        assert_eq!(RiskLevel::of(Category::Read, BlastRadius::High), RiskLevel::High);
        assert_eq!(RiskLevel::of(Category::Delete, BlastRadius::Low), RiskLevel::Critical);
    }

    #[test]
    fn words_round_trip() {
        for flag in Flag::ALL {
            assert_eq!(flag.as_str().parse::<Flag>().as_ref(), Ok(flag));
            assert_eq!(serde_json::to_string(flag).unwrap_or_default(), format!("\"{flag}\""));
        }
        assert!("Reed".parse::<Category>().is_err());
    }
}
