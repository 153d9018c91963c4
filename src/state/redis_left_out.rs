//! Stands where Redis would be in a build without it: there is no address of one, so there is nothing to open.

use super::stores::Stores;
use std::fmt;
use std::path::Path;

/// No address of a Redis: this build has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {}

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this mcpol was built without Redis")]
pub struct BadAddress;

impl BadAddress {
    /// The next step.
    pub fn help() -> &'static str {
        "build it with the feature `redis`, which is there by default"
    }
}

impl RedisAddress {
    /// Whether a text is meant as a URL, which may hold a password: no file is called so.
    pub fn is_meant(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| scheme.len() > 1)
    }

    /// Refuses every URL.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_: &str) -> Result<Self, BadAddress> {
        Err(BadAddress)
    }

    /// Lets the paths of its files begin at this folder.
    pub fn begin_at(&mut self, _: &Path) {
        match *self {}
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

pub(super) fn open(address: &RedisAddress) -> Stores {
    match *address {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_url_is_refused_and_not_taken_for_a_file() {
        assert!(RedisAddress::is_meant("redis://h") && RedisAddress::is_meant("REDISS://h"));
        assert_eq!(RedisAddress::parse("redis://h"), Err(BadAddress));
    }
}
