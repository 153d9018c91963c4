//! Who waits for what of a child's lines: the requests of clients, under ids that belong to one of them only (`own_ids`),
//! and the streams on which clients listen to what the child sends unasked.

use super::own_ids;
use crate::gateway::given_up::GivenUp;
use crate::mcp::envelope::{Arrival, Id, Malformed, Message, Received};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces and messages that may wait for one client to read.
pub const EVENTS_WAITING_MAX: usize = 256;
/// Room that the news on a stream leaves for the answer.
const ANSWER_ROOM: usize = 8;
/// Messages kept for clients that do not listen at the moment.
pub const MESSAGES_KEPT_MAX: usize = 256;
/// Tasks whose progress still finds its client after the request that began them was answered.
pub const TASKS_KEPT_MAX: usize = 1024;

/// A piece of the answer to one request.
#[derive(Debug)]
pub enum ChildPiece {
    /// A message that belongs to it; more follow.
    More(Bytes),
    /// The answer.
    Last(Bytes),
}

/// A client's request.
#[derive(Debug)]
pub struct ClientAsked {
    /// The name of the client's session in logs; none in revisions without sessions, where each request stands alone.
    pub session: Option<Arc<str>>,
    /// The client's id of it.
    pub id: Id,
    /// `progressToken` as the client gave it, as JSON.
    pub token: Option<String>,
    /// Whether it may begin a task, whose progress comes after the answer too.
    pub begins_task: bool,
}

/// The id of a request towards the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// The client's: nothing else can be taken for it.
    Kept(Id),
    /// One that the gateway chose.
    Chosen(Id),
}

impl Own {
    /// The id.
    pub fn id(&self) -> &Id {
        match self {
            Self::Kept(id) | Self::Chosen(id) => id,
        }
    }

    /// The client's request as the child gets it.
    pub fn request(&self, message: Message) -> Result<Message, Malformed> {
        match self {
            Self::Kept(_) => Ok(message),
            Self::Chosen(id) => own_ids::request(&message, id),
        }
    }
}

#[derive(Debug)]
struct Waiter {
    own: Own,
    /// The progress token towards the child.
    token: Option<Id>,
    asked: ClientAsked,
    sender: mpsc::Sender<ChildPiece>,
}

#[derive(Debug)]
struct ListeningClient {
    session: Option<Arc<str>>,
    sender: mpsc::Sender<Bytes>,
}

/// A task that goes on after its request was answered.
#[derive(Debug)]
struct RoutedTask {
    own: Id,
    token: String,
    session: Option<Arc<str>>,
}

/// Who waits and who listens.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// Whether several clients share the child, so that no id of theirs is kept.
    is_shared: bool,
    /// Requests, in the order in which they came.
    waiters: BTreeMap<u64, Waiter>,
    by_id: HashMap<Id, u64>,
    by_token: HashMap<Id, u64>,
    latest: u64,
    /// The latest id that the gateway chose; none is chosen twice.
    chosen: i64,
    /// Ids and tokens of the clients that the child may still use though they are over.
    given_up: GivenUp,
    tasks: VecDeque<RoutedTask>,
    listeners: Vec<ListeningClient>,
    /// Messages for the one session, or for any.
    kept: VecDeque<(Option<Arc<str>>, Bytes)>,
}

/// Ids are chosen from here on where those of a client are kept: clients count from the other end.
const CHOSEN_FIRST: i64 = 1 << 52;

/// Where a line of the child goes.
pub(super) enum Delivery {
    /// To the client whose request it belongs to.
    Piece(mpsc::Sender<ChildPiece>, ChildPiece),
    /// To these that listen.
    News(Vec<mpsc::Sender<Bytes>>, Bytes),
    /// Nowhere, or it was kept.
    None,
}

impl Routes {
    /// For a child that several clients share, or that has one.
    pub fn new(is_shared: bool) -> Self {
        Self { is_shared, chosen: if is_shared { 0 } else { CHOSEN_FIRST }, ..Self::default() }
    }

    /// Takes a request that is about to be sent; `None` if the session has one in flight with this id.
    pub fn begin(&mut self, asked: ClientAsked) -> Option<(Own, mpsc::Receiver<ChildPiece>)> {
        if asked.session.is_some() && self.find(asked.session.as_deref(), &asked.id).is_some() {
            return None;
        }
        let token = asked.token.as_deref().and_then(Id::parse);
        let is_taken = |ids: &HashMap<Id, u64>, id: &Id| ids.contains_key(id) || self.given_up.holds(id);
        let could_be_anothers = self.is_shared
            || is_taken(&self.by_id, &asked.id)
            || token.as_ref().is_some_and(|token| is_taken(&self.by_token, token));
        let own = if could_be_anothers { Own::Chosen(self.choose()) } else { Own::Kept(asked.id.clone()) };
        let token = token.map(|token| if could_be_anothers { own.id().clone() } else { token });
        self.latest += 1;
        self.by_id.insert(own.id().clone(), self.latest);
        self.by_token.extend(token.clone().map(|token| (token, self.latest)));
        let (sender, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
        self.waiters.insert(self.latest, Waiter { own: own.clone(), token, asked, sender });
        Some((own, receiver))
    }

    fn choose(&mut self) -> Id {
        loop {
            self.chosen += 1;
            let id = Id::Integer(self.chosen);
            if !self.by_id.contains_key(&id) && !self.by_token.contains_key(&id) {
                return id;
            }
        }
    }

    /// The id towards the child of the request that a session has in flight with this one.
    pub fn find(&self, session: Option<&str>, id: &Id) -> Option<Id> {
        let is_it = |waiter: &&Waiter| waiter.asked.id == *id && waiter.asked.session.as_deref() == session;
        self.waiters.values().find(is_it).map(|waiter| waiter.own.id().clone())
    }

    /// Whether a client waits for the answer to the request with this id towards the child.
    pub fn waits(&self, own: &Id) -> bool {
        self.by_id.contains_key(own)
    }

    fn take(&mut self, own: &Id) -> Option<Waiter> {
        let waiter = self.waiters.remove(&self.by_id.remove(own)?)?;
        if let Some(token) = &waiter.token {
            self.by_token.remove(token);
        }
        Some(waiter)
    }

    /// Lets go of a request that the child may still answer.
    pub fn give_up(&mut self, own: &Id) {
        let Some(waiter) = self.take(own) else { return };
        self.remember(&waiter);
    }

    fn remember(&mut self, waiter: &Waiter) {
        // What was chosen is not chosen again.
        if let Own::Kept(id) = &waiter.own {
            self.given_up.insert(id);
            waiter.token.iter().for_each(|token| self.given_up.insert(token));
        }
    }

    /// The gateway is about to answer these requests itself, which the child may still answer.
    pub fn answered_by_gateway<'i>(&mut self, ids: impl Iterator<Item = &'i Id>) {
        for id in ids {
            if let Some(Waiter { own: Own::Kept(_), token, .. }) =
                self.by_id.get(id).and_then(|at| self.waiters.get(at))
            {
                self.given_up.insert(id);
                token.iter().for_each(|token| self.given_up.insert(token));
            }
        }
    }

    /// Whether any client waits or listens.
    pub fn is_used(&self) -> bool {
        !self.waiters.is_empty() || self.listeners.iter().any(|listener| !listener.sender.is_closed())
    }

    /// A client listens to what is sent unasked. With `alone`, those that listened before do not any more.
    pub fn listen(&mut self, session: Option<Arc<str>>, alone: bool) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(EVENTS_WAITING_MAX.max(MESSAGES_KEPT_MAX));
        self.kept.retain(|(of, message)| {
            // There is room for all of them.
            let is_for_it = of.is_none() || *of == session;
            !(is_for_it && sender.try_send(message.clone()).is_ok())
        });
        self.listeners.retain(|listener| !alone && !listener.sender.is_closed());
        self.listeners.push(ListeningClient { session, sender });
        receiver
    }

    /// The request that the child names like this; servers may spell a number as text.
    fn named(&self, names: &HashMap<Id, u64>, name: &Id) -> Option<&Waiter> {
        let at = names.get(name).or_else(|| names.get(&name.of_text()?))?;
        self.waiters.get(at)
    }

    /// Where a line of the child goes, as the client gets it.
    pub fn place(&mut self, received: &Received<'_>) -> Delivery {
        let text = &*received.text;
        match &received.arrival {
            Arrival::Result(id) | Arrival::Error(id) => {
                let Some(Waiter { own, token, asked, sender }) = self.take(id) else {
                    // Late, and no later one comes.
                    self.given_up.remove(id);
                    return Delivery::None;
                };
                let message = match own {
                    Own::Kept(_) => Bytes::copy_from_slice(text.as_bytes()),
                    Own::Chosen(_) => own_ids::answer(text, &asked.id).into(),
                };
                if let (true, Some(own), Some(token)) = (asked.begins_task, token, asked.token) {
                    if self.tasks.len() >= TASKS_KEPT_MAX {
                        self.tasks.pop_front();
                    }
                    self.tasks.push_back(RoutedTask { own, token, session: asked.session });
                }
                Delivery::Piece(sender, ChildPiece::Last(message))
            }
            Arrival::Notification(method) if &**method == "notifications/progress" => {
                let Some(own) = own_ids::progress_of(received.params()) else { return Delivery::None };
                if let Some(waiter) = self.named(&self.by_token, &own) {
                    let Some(token) = &waiter.asked.token else { return Delivery::None };
                    let message = own_ids::progress(text, token).into();
                    return Delivery::Piece(waiter.sender.clone(), ChildPiece::More(message));
                }
                if let Some(task) = self.tasks.iter().find(|task| task.own == own) {
                    let (message, session) = (own_ids::progress(text, &task.token).into(), task.session.clone());
                    return self.tell(message, session, usize::MAX);
                }
                // Of a request that is over: a token that the gateway chose says nothing to any client.
                if self.is_shared || self.given_up.holds(&own) {
                    return Delivery::None;
                }
                self.tell(Bytes::copy_from_slice(text.as_bytes()), None, usize::MAX)
            }
            Arrival::Request(..) | Arrival::Notification(_) => {
                if let Some(own) = own_ids::subscription_of(received.params()) {
                    let Some(waiter) = self.named(&self.by_id, &own) else { return Delivery::None };
                    let message = own_ids::of_subscription(text, &waiter.asked.id).into();
                    return Delivery::Piece(waiter.sender.clone(), ChildPiece::More(message));
                }
                // A question is for one, news is for all.
                let count = if matches!(received.arrival, Arrival::Request(..)) { 1 } else { usize::MAX };
                self.tell(Bytes::copy_from_slice(text.as_bytes()), None, count)
            }
        }
    }

    /// A message that belongs to no request, for one session or for all: if no client listens it goes with the latest
    /// request, or waits.
    fn tell(&mut self, message: Bytes, session: Option<Arc<str>>, count: usize) -> Delivery {
        let is_for = |of: &Option<Arc<str>>| session.is_none() || *of == session;
        let open = self.listeners.iter().filter(|it| !it.sender.is_closed() && is_for(&it.session));
        let listeners: Vec<_> = open.take(count).map(|listener| listener.sender.clone()).collect();
        if !listeners.is_empty() {
            return Delivery::News(listeners, message);
        }
        if let Some(waiter) = self.waiters.values().rev().find(|waiter| is_for(&waiter.asked.session)) {
            return Delivery::Piece(waiter.sender.clone(), ChildPiece::More(message));
        }
        if self.kept.len() >= MESSAGES_KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((session, message));
        Delivery::None
    }
}

impl Delivery {
    /// Sends it. A thread may wait for the one client of a child; where several share it, a client that does not read misses
    /// what was sent beside the answers, and the others do not wait.
    pub fn send(self, may_wait: bool) {
        match self {
            Self::None => {}
            Self::News(listeners, message) => {
                for listener in listeners {
                    hand_over(&listener, message.clone(), may_wait);
                }
            }
            Self::Piece(sender, piece) => {
                let has_room = matches!(piece, ChildPiece::Last(_)) || sender.capacity() > ANSWER_ROOM;
                if has_room || may_wait {
                    hand_over(&sender, piece, may_wait);
                }
            }
        }
    }
}

fn hand_over<T>(sender: &mpsc::Sender<T>, message: T, may_wait: bool) {
    let _ = if may_wait { sender.blocking_send(message).map_err(drop) } else { sender.try_send(message).map_err(drop) };
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;
    use crate::mcp::envelope::receive;

    fn asked(session: &str, id: i64) -> ClientAsked {
        let session = Some(session).filter(|name| !name.is_empty()).map(Arc::from);
        ClientAsked { session, id: Id::Integer(id), token: Some("\"t\"".to_owned()), begins_task: false }
    }

    fn number(own: &Own) -> i64 {
        match own.id() {
            Id::Integer(number) => *number,
            Id::Text(_) => 0,
        }
    }

    fn sent(routes: &mut Routes, line: &str) {
        routes.place(&receive(line.as_bytes()).unwrap()).send(false);
    }

    fn heard(receiver: &mut mpsc::Receiver<ChildPiece>) -> Vec<String> {
        std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|piece| match piece {
                ChildPiece::More(bytes) | ChildPiece::Last(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            })
            .collect()
    }

    #[test]
    fn clients_that_use_the_same_id_and_token_hear_their_own_answers() {
        let mut routes = Routes::new(true);
        let (one, mut first) = routes.begin(asked("a", 7)).unwrap();
        let (two, mut second) = routes.begin(asked("b", 7)).unwrap();
        assert!(routes.begin(asked("a", 7)).is_none(), "in flight in this session");
        assert!(routes.begin(asked("", 7)).is_some() && routes.begin(asked("", 7)).is_some(), "each stands alone");
        let (one, two) = (number(&one), number(&two));
        for own in [two, one] {
            let token = format!(r#"{{"progressToken":{own},"progress":1}}"#);
            sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{token}}}"#));
            sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","id":{own},"result":{{"of":{own}}}}}"#));
        }
        let progress =
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;
        for (own, receiver) in [(one, &mut first), (two, &mut second)] {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"of":{own}}}}}"#);
            assert_eq!(heard(receiver), [progress, &answer]);
        }
    }

    #[test]
    fn what_comes_late_reaches_nobody_however_often_the_id_is_used_again() {
        for is_shared in [false, true] {
            let mut routes = Routes::new(is_shared);
            let (old, _) = routes.begin(asked("a", 7)).unwrap();
            assert_eq!(matches!(old, Own::Kept(_)), !is_shared);
            routes.give_up(old.id());
            let (new, mut heard_by_new) = routes.begin(asked("a", 7)).unwrap();
            assert_eq!(new, Own::Chosen(new.id().clone()));
            let token = if is_shared { number(&old).to_string() } else { "\"t\"".to_owned() };
            let token = format!(r#"{{"progressToken":{token},"progress":1}}"#);
            sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{token}}}"#));
            sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, number(&old)));
            assert!(heard(&mut heard_by_new).is_empty());
            sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, number(&new)));
            assert_eq!(heard(&mut heard_by_new), [r#"{"jsonrpc":"2.0","id":7,"result":{}}"#]);
        }
    }

    #[test]
    fn what_the_gateway_answered_itself_is_given_up() {
        let mut routes = Routes::new(false);
        let (own, mut receiver) = routes.begin(asked("a", 7)).unwrap();
        routes.answered_by_gateway([own.id()].into_iter());
        sent(&mut routes, r#"{"jsonrpc":"2.0","id":7,"error":{}}"#);
        assert_eq!(heard(&mut receiver).len(), 1);
        assert!(matches!(routes.begin(asked("a", 7)).unwrap().0, Own::Chosen(_)));
    }

    #[test]
    fn a_task_tells_its_progress_after_the_answer_to_its_own_session() {
        let mut routes = Routes::new(true);
        let (own, _answer) = routes.begin(ClientAsked { begins_task: true, ..asked("a", 1) }).unwrap();
        let own = number(&own);
        sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","id":{own},"result":{{}}}}"#));
        let (mut others, mut its) = (routes.listen(Some("b".into()), false), routes.listen(Some("a".into()), false));
        let token = format!(r#"{{"progressToken":{own},"progress":1}}"#);
        sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{token}}}"#));
        assert!(others.try_recv().is_err());
        assert!(String::from_utf8_lossy(&its.try_recv().unwrap()).contains("\"t\""));
    }

    #[test]
    fn a_client_that_does_not_read_misses_news_and_never_its_answer() {
        let mut routes = Routes::new(false);
        let (own, mut receiver) = routes.begin(asked("a", 1)).unwrap();
        let own = number(&own);
        for _ in 0..2 * EVENTS_WAITING_MAX {
            sent(&mut routes, r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#);
        }
        sent(&mut routes, &format!(r#"{{"jsonrpc":"2.0","id":{own},"result":{{}}}}"#));
        let heard = heard(&mut receiver);
        assert_eq!(heard.len(), EVENTS_WAITING_MAX - ANSWER_ROOM + 1);
        assert!(heard.last().unwrap().contains("\"id\":1"));
    }
}
