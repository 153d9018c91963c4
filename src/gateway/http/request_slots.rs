//! Bounds how many clients' requests are open at the same time, in all and for one grant.

use super::refusal::Refusal;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most requests that may be open, streams included; further ones get 503.
pub const REQUESTS_MAX: usize = 8192;
/// Most requests of one grant that may be open, streams included; further ones get 429.
pub const GRANT_REQUESTS_MAX: usize = 4096;

/// The slots of one gateway, one for each open request; clones share them.
#[derive(Clone, Debug, Default)]
pub struct RequestSlots(Arc<Mutex<TakenSlots>>);

#[derive(Debug, Default)]
struct TakenSlots {
    all: usize,
    grants: HashMap<Arc<str>, usize>,
}

/// The slot of one request; it is free again when this is dropped.
#[derive(Debug)]
pub struct RequestSlot {
    slots: RequestSlots,
    grant: Arc<str>,
}

impl RequestSlots {
    fn with<T>(&self, work: impl FnOnce(&mut TakenSlots) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a slot for a request of this grant.
    ///
    /// # Errors
    /// No slot is free (503), or this grant has all that it may have (429).
    pub fn take(&self, grant: &Arc<str>) -> Result<RequestSlot, Refusal> {
        let busy =
            |status, what| Err(Refusal::new(status, what).with_header(RETRY_AFTER, HeaderValue::from_static("1")));
        self.with(|taken| {
            if taken.all >= REQUESTS_MAX {
                return busy(StatusCode::SERVICE_UNAVAILABLE, "too many requests are open");
            }
            match taken.grants.get_mut(grant) {
                Some(count) if *count >= GRANT_REQUESTS_MAX => {
                    return busy(StatusCode::TOO_MANY_REQUESTS, "too many requests of this grant are open");
                }
                Some(count) => *count += 1,
                None => {
                    taken.grants.insert(Arc::clone(grant), 1);
                }
            }
            taken.all += 1;
            Ok(RequestSlot { slots: self.clone(), grant: Arc::clone(grant) })
        })
    }

    /// How many requests are open.
    pub fn open(&self) -> usize {
        self.with(|taken| taken.all)
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.slots.with(|taken| {
            taken.all = taken.all.saturating_sub(1);
            if let Some(count) = taken.grants.get_mut(&self.grant) {
                *count = count.saturating_sub(1);
                // Names of grants can be many (`jwt:` and any subject): beyond so many, those without a slot are
                // forgotten.
                if *count == 0 && taken.grants.len() > GRANT_REQUESTS_MAX {
                    taken.grants.remove(&self.grant);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;

    #[test]
    fn seats_are_bounded_for_each_grant_and_for_all() {
        let slots = RequestSlots::default();
        let grants: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).to_vec();
        let mut held: Vec<RequestSlot> = (0..GRANT_REQUESTS_MAX).map(|_| slots.take(&grants[0]).unwrap()).collect();
        assert_eq!(slots.take(&grants[0]).unwrap_err().status(), 429);
        held.extend((0..REQUESTS_MAX - GRANT_REQUESTS_MAX).map(|_| slots.take(&grants[1]).unwrap()));
        assert_eq!(slots.take(&grants[2]).unwrap_err().status(), 503);
        held.remove(0);
        let again = slots.take(&grants[0]).unwrap();
        assert_eq!(slots.open(), REQUESTS_MAX);
        drop((held, again));
        assert_eq!(slots.open(), 0);
    }
}
