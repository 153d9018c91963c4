//! What an operator says about an issuer of tokens.

use crate::gateway::identity::SubjectRule;
use std::path::PathBuf;

/// Who issues tokens, and what they must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The keys.
    pub jwks: Jwks,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// The claim that says who calls.
    pub grant_claim: String,
    /// Whether callers need a grant beside their token.
    pub subjects: SubjectRule,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// At a URL: https, or http on this machine.
    Url(url::Url),
    /// In a file.
    File(PathBuf),
}
