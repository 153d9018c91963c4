//! Which server a request of the client went to: only that one hears that the client does not want the answer any more.
//! Another may have a request of the same id from another client, if sessions share it.

use crate::gateway::mediate::lock;
use crate::mcp::envelope::Id;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

/// Requests that are remembered for one session; of older ones the end of the answer is awaited.
pub(super) const FLIGHTS_MAX: usize = 1024;

/// To whom a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// One server.
    Server(String),
    /// All of the session.
    All,
}

/// Where the requests of one session went.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<FlightTable>);

#[derive(Debug, Default)]
struct FlightTable {
    flights: HashMap<Id, To>,
    order: VecDeque<Id>,
}

impl Flights {
    /// A request goes on.
    pub(super) fn begin(&self, id: &Id, to: To) {
        let mut table = lock(&self.0);
        if table.flights.insert(id.clone(), to).is_some() {
            return;
        }
        if table.order.len() >= FLIGHTS_MAX
            && let Some(oldest) = table.order.pop_front()
        {
            table.flights.remove(&oldest);
        }
        table.order.push_back(id.clone());
    }

    /// Where it went.
    pub(super) fn of(&self, id: &Id) -> Option<To> {
        lock(&self.0).flights.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_requests_are_remembered_and_an_id_that_is_used_again_is_the_new_one() {
        let flights = Flights::default();
        flights.begin(&Id::Integer(0), To::All);
        flights.begin(&Id::Integer(0), To::Server("one".to_owned()));
        assert_eq!(flights.of(&Id::Integer(0)), Some(To::Server("one".to_owned())));
        for number in 1..FLIGHTS_MAX {
            flights.begin(&Id::Integer(number as i64), To::All);
        }
        assert!(flights.of(&Id::Integer(0)).is_some());
        flights.begin(&Id::Text("0".into()), To::All);
        assert_eq!(flights.of(&Id::Integer(0)), None);
        assert_eq!(flights.of(&Id::Integer(1)), Some(To::All));
    }
}
