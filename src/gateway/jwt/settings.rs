//! What an operator configures about an issuer of tokens (`[jwt]`).

use crate::gateway::identity::SubjectRule;
use std::path::PathBuf;

/// The issuer of tokens, and what its tokens must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// Where the issuer's public keys are.
    pub jwks: Jwks,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// The claim that names the caller; `sub` by default.
    pub grant_claim: String,
    /// Whether a caller also needs a grant that names the claim's value.
    pub subjects: SubjectRule,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// At this URL: https, or http on a loopback address.
    Url(url::Url),
    /// In this file.
    File(PathBuf),
}
