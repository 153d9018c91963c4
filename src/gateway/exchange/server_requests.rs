//! What servers have asked their clients: a client's answer to anything else goes nowhere.

use crate::mcp::envelope::Id;
use std::collections::BTreeMap;

/// Requests of a server that one client may have open; for more there is no answer.
pub const SERVER_REQUESTS_MAX: usize = 1_024;
/// Requests of a server that all of its clients together may have open.
pub const ALL_SERVER_REQUESTS_MAX: usize = 65_536;

/// Why a request is not taken, whichever end it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Its id is that of a request in flight: the answers could not be told apart.
    #[error("a request with this id is in flight already")]
    InFlight,
    /// Its id is that of a request that was given up: the old answer may come yet.
    #[error("a request with this id was given up, and its answer may still come")]
    GivenUp,
    /// The bound.
    #[error("too many requests are in flight")]
    TooMany,
}

/// The requests of one server that its clients have not answered; `C` tells the clients apart.
#[derive(Debug)]
pub struct ServerRequests<C> {
    /// How many answers the server waits for, by client and id.
    open: BTreeMap<C, BTreeMap<Id, usize>>,
    /// Ids in all of it.
    total: usize,
}

impl<C> Default for ServerRequests<C> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), total: 0 }
    }
}

impl<C: Clone + Ord> ServerRequests<C> {
    /// The server asks a client.
    ///
    /// # Errors
    /// The client has a request with this id already, or there are too many.
    pub fn begin(&mut self, client: &C, id: &Id) -> Result<(), NotTaken> {
        let (total, open) = (self.total, self.open.get(client));
        if open.is_some_and(|open| open.contains_key(id)) {
            return Err(NotTaken::InFlight);
        }
        if total >= ALL_SERVER_REQUESTS_MAX || open.is_some_and(|open| open.len() >= SERVER_REQUESTS_MAX) {
            return Err(NotTaken::TooMany);
        }
        self.open.entry(client.clone()).or_default().insert(id.clone(), 1);
        self.total += 1;
        Ok(())
    }

    /// The server asks once more under an id that is open, and waits for one more answer: where several clients cannot be
    /// told apart.
    pub fn begin_another(&mut self, client: &C, id: &Id) {
        if let Some(count) = self.open.get_mut(client).and_then(|open| open.get_mut(id)) {
            *count = count.saturating_add(1);
        }
    }

    /// The client answers, or the server takes its request back. False if the server has not asked this.
    pub fn end(&mut self, client: &C, id: &Id) -> bool {
        let Some(open) = self.open.get_mut(client) else { return false };
        let Some(count) = open.get_mut(id) else { return false };
        *count -= 1;
        if *count == 0 {
            open.remove(id);
            self.total -= 1;
            if open.is_empty() {
                self.open.remove(client);
            }
        }
        true
    }

    /// The server waits for nothing more from this client.
    pub fn forget(&mut self, client: &C) {
        self.total -= self.open.remove(client).map_or(0, |open| open.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_one_request_of_one_client() {
        let (mut requests, id) = (ServerRequests::default(), Id::Integer(1));
        assert_eq!((requests.begin(&"a", &id), requests.begin(&"b", &id)), (Ok(()), Ok(())));
        assert_eq!(requests.begin(&"a", &id), Err(NotTaken::InFlight));
        assert!(requests.end(&"a", &id) && !requests.end(&"a", &id));
        assert!(!requests.end(&"b", &Id::Text("1".into())));
        requests.begin_another(&"b", &id);
        assert!(requests.end(&"b", &id) && requests.end(&"b", &id) && !requests.end(&"b", &id));
        assert_eq!(requests.begin(&"a", &id), Ok(()));
        requests.forget(&"a");
        assert!(!requests.end(&"a", &id));
    }

    #[test]
    fn open_requests_are_bounded_for_each_client_and_for_all() {
        let mut requests = ServerRequests::default();
        let ids = || (0..SERVER_REQUESTS_MAX as i64).map(Id::Integer);
        let more = Id::Text("more".into());
        for client in 0..ALL_SERVER_REQUESTS_MAX / SERVER_REQUESTS_MAX {
            assert_eq!(requests.begin(&client, &more), Ok(()));
            assert!(requests.end(&client, &more));
            assert!(ids().all(|id| requests.begin(&client, &id).is_ok()));
            assert_eq!(requests.begin(&client, &more), Err(NotTaken::TooMany));
        }
        assert_eq!(requests.begin(&usize::MAX, &more), Err(NotTaken::TooMany));
        assert!(requests.end(&0, &Id::Integer(0)));
        assert_eq!(requests.begin(&usize::MAX, &more), Ok(()));
    }
}
