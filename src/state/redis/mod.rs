//! Counters, approvals and grants in Redis, for gateways on many machines.

mod address;

pub use address::{BadAddress, RedisAddress};

use super::grants::{Grant, GrantCreated, GrantName, GrantRevoked, GrantStore, TokenHash};
use crate::clock::Timestamp;
use crate::policy::{
    Answer, Answered, Approval, ApprovalRequest, ApprovalStore, Charge, LimitStore, Reserve, Settlement, StoreError,
    Usage,
};
use std::time::Duration;

/// How long one use of Redis may take before the call is denied.
pub const REDIS_TIMEOUT: Duration = Duration::from_millis(1000);

/// The store of many machines.
#[derive(Debug)]
pub struct RedisStore {
    address: RedisAddress,
}

impl RedisStore {
    /// A store in this Redis; nothing is connected to before it is used.
    pub fn new(address: RedisAddress) -> Self {
        Self { address }
    }

    fn missing<T>(&self) -> Result<T, StoreError> {
        Err(StoreError::Unavailable(self.address.to_string()))
    }
}

impl LimitStore for RedisStore {
    fn reserve(&self, _: Timestamp, _: &[Vec<Charge>]) -> Result<Vec<Reserve>, StoreError> {
        self.missing()
    }
    fn settle(&self, _: Timestamp, _: &[Settlement]) -> Result<(), StoreError> {
        self.missing()
    }
    fn usage(&self, _: Timestamp, _: &[Charge]) -> Result<Vec<Usage>, StoreError> {
        self.missing()
    }
}

impl ApprovalStore for RedisStore {
    fn request(&self, _: Timestamp, _: &ApprovalRequest) -> Result<Approval, StoreError> {
        self.missing()
    }
    fn find(&self, _: Timestamp, _: &str) -> Result<Option<Approval>, StoreError> {
        self.missing()
    }
    fn take(&self, _: Timestamp, _: &str) -> Result<bool, StoreError> {
        self.missing()
    }
    fn get(&self, _: Timestamp, _: &str) -> Result<Option<Approval>, StoreError> {
        self.missing()
    }
    fn list(&self, _: Timestamp) -> Result<Vec<Approval>, StoreError> {
        self.missing()
    }
    fn decide(&self, _: Timestamp, _: &str, _: Answer) -> Result<Answered, StoreError> {
        self.missing()
    }
}

impl GrantStore for RedisStore {
    fn create(&self, _: Timestamp, _: &Grant) -> Result<GrantCreated, StoreError> {
        self.missing()
    }
    fn list(&self) -> Result<Vec<Grant>, StoreError> {
        self.missing()
    }
    fn revoke(&self, _: Timestamp, _: &GrantName) -> Result<GrantRevoked, StoreError> {
        self.missing()
    }
    fn find(&self, _: &TokenHash) -> Result<Option<Grant>, StoreError> {
        self.missing()
    }
    fn any_for(&self, _: &str) -> Result<bool, StoreError> {
        self.missing()
    }
}
