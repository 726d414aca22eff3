//! Where everything that a server sends arrives: replies go to those who wait, requests are answered, the rest is
//! counted. What a server can make us hold or do has a bound here, whatever the transport; beyond it the link ends.

use super::{
    error::McpError,
    json,
    message::{self, Message, Outgoing},
};
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

/// Answers to requests of a server that wait to be sent. They are sent one at a time.
pub(super) const ANSWERS_MAX: usize = 64;
/// What a server may send between two replies that somebody waits for.
const UNASKED_MAX: usize = 20_000;
const UNASKED_MAX_BYTES: usize = 64 << 20;

/// What a request came to.
pub(super) type Outcome = Result<Box<RawValue>, McpError>;

/// The inbox of one link.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    answers: mpsc::Sender<Outgoing>,
    tools_changed: AtomicBool,
    /// Why the link ended.
    ended: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    /// Replies that cannot be assigned since the last time that nobody waited.
    lost_replies: usize,
    unasked: usize,
    unasked_bytes: usize,
}

/// A request that waits for its reply. Dropping it gives up waiting.
#[derive(Debug)]
pub(super) struct Waiting {
    inbox: Arc<Inbox>,
    id: u64,
    reply: oneshot::Receiver<Outcome>,
}

impl Inbox {
    /// An inbox, and the answers to be sent.
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (answers, to_send) = mpsc::channel(ANSWERS_MAX);
        let inbox = Self {
            state: Mutex::default(),
            answers,
            tools_changed: AtomicBool::default(),
            ended: watch::Sender::default(),
        };
        (Arc::new(inbox), to_send)
    }

    /// Makes room for the reply to a new request.
    pub(super) fn expect(self: &Arc<Self>) -> Waiting {
        let (sender, reply) = oneshot::channel();
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.waiting.insert(id, sender);
        Waiting { inbox: Arc::clone(self), id, reply }
    }

    /// Whether the reply to a request is there already, or will never be.
    pub(super) fn is_settled(&self, id: u64) -> bool {
        !self.state().waiting.contains_key(&id)
    }

    /// Takes what was sent, as bytes. `origin` is the request whose exchange it came in, if the transport tells.
    pub(super) fn take(&self, bytes: &[u8], origin: Option<u64>) {
        if self.count(bytes.len()) {
            return;
        }
        match json::sound(bytes) {
            Some(text) => message::read(&text).into_iter().for_each(|message| self.take_message(message, origin)),
            // Programs print lines that were never meant as messages.
            None if json::looks_like_message(bytes) => {
                self.lose_reply(bytes, origin, "it sent a message that is no JSON");
            }
            None => tracing::debug!("an MCP server sent something that is no message"),
        }
    }

    /// A reply cannot be read. `head` is its beginning.
    pub(super) fn lose_reply(&self, head: &[u8], origin: Option<u64>, why: &str) {
        self.settle(message::salvaged_id(head), origin, Err(McpError::NoReply(why.to_owned())));
    }

    fn take_message(&self, message: Message<'_>, origin: Option<u64>) {
        match message {
            Message::Reply { id, outcome } => {
                self.settle(id, origin, outcome.map(RawValue::to_owned).map_err(McpError::Refused));
            }
            Message::Odd { id } => {
                let why = "it sent a message with neither a result nor an error";
                self.settle(id, origin, Err(McpError::NoReply(why.into())));
            }
            Message::Request { id: Some(id), method } => self.answer(Outgoing::answer(id, &method)),
            Message::Request { id: None, .. } => self.end("it gave a request of its own too long an id"),
            Message::Notification { method } => {
                if method == "notifications/tools/list_changed" {
                    self.tools_changed.store(true, Ordering::Release);
                }
            }
        }
    }

    fn answer(&self, answer: Outgoing) {
        if self.answers.try_send(answer).is_err() {
            self.end(&format!("it asked for more than {ANSWERS_MAX} answers at once"));
        }
    }

    /// Sends something that nobody waits for, if there is room.
    pub(super) fn send_if_there_is_room(&self, message: Outgoing) {
        drop(self.answers.try_send(message));
    }

    /// Gives a reply to whoever waits for it: by its id, else by the exchange that it came in. One that names
    /// neither may be anybody's; when as many of these came as there are requests that wait, they are theirs.
    fn settle(&self, id: Option<u64>, origin: Option<u64>, outcome: Outcome) {
        let mut state = self.state();
        let is_old = id.is_some_and(|id| (1..=state.last_id).contains(&id) && !state.waiting.contains_key(&id));
        if is_old {
            return; // Of a request that was given up.
        }
        let known = id.filter(|id| state.waiting.contains_key(id)).or(origin);
        if let Some(waiting) = known.and_then(|id| state.waiting.remove(&id)) {
            (state.unasked, state.unasked_bytes) = (0, 0);
            // Given up in this moment, if it cannot be sent.
            drop(waiting.send(outcome));
        } else if !state.waiting.is_empty() {
            state.lost_replies += 1;
            if state.waiting.len() == 1 {
                state.waiting.drain().for_each(|(_, waiting)| drop(waiting.send(outcome.clone())));
            }
        }
        state.settle_lost();
    }

    /// Counts what was sent. Whether it was too much, or the link is over anyway.
    fn count(&self, bytes: usize) -> bool {
        let mut state = self.state();
        state.unasked += 1;
        state.unasked_bytes = state.unasked_bytes.saturating_add(bytes);
        let is_too_much = state.unasked > UNASKED_MAX || state.unasked_bytes > UNASKED_MAX_BYTES;
        drop(state);
        if is_too_much {
            self.end("it sent too much that nobody had asked for");
        }
        self.why_ended().is_some()
    }

    /// Ends the link: all who wait are told why.
    pub(super) fn end(&self, why: &str) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert_with(|| why.to_owned());
            is_first
        });
        let waiting = std::mem::take(&mut self.state().waiting);
        for (_, waiting) in waiting {
            drop(waiting.send(Err(McpError::NoReply(why.to_owned()))));
        }
    }

    /// Why the link ended, if it did.
    pub(super) fn why_ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Waits until the link ends.
    pub(super) async fn until_ended(&self) {
        // The sender lives as long as the inbox does.
        drop(self.ended.subscribe().wait_for(Option::is_some).await);
    }

    /// Whether the server said since the last time that its tools are others now.
    pub(super) fn take_tools_changed(&self) -> bool {
        self.tools_changed.swap(false, Ordering::AcqRel)
    }

    /// The tools are to be listed again.
    pub(super) fn note_tools_changed(&self) {
        self.tools_changed.store(true, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle_lost(&mut self) {
        if self.lost_replies >= self.waiting.len() {
            let why = "it sent a reply that names no request";
            self.waiting.drain().for_each(|(_, waiting)| drop(waiting.send(Err(McpError::NoReply(why.into())))));
            self.lost_replies = 0;
        }
    }
}

impl Waiting {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The reply.
    pub(super) async fn reply(&mut self) -> Outcome {
        let over = || McpError::NoReply("the connection was given up".into());
        (&mut self.reply).await.unwrap_or_else(|_| Err(over()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.inbox.state();
        state.waiting.remove(&self.id);
        state.settle_lost();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replies_find_their_requests() {
        let (inbox, _answers) = Inbox::new();
        let (mut one, mut two) = (inbox.expect(), inbox.expect());
        inbox.take(br#"{"id": "2", "result": {"a": 2}}"#, None);
        inbox.take(br#"{"id": 1, "result": {"a": 1}}"#, None);
        assert_eq!(one.reply().await.unwrap().get(), r#"{"a": 1}"#);
        assert_eq!(two.reply().await.unwrap().get(), r#"{"a": 2}"#);
    }

    #[tokio::test]
    async fn a_reply_by_a_wrong_id_goes_to_the_exchange_it_came_in() {
        let (inbox, _answers) = Inbox::new();
        let (mut one, two) = (inbox.expect(), inbox.expect());
        inbox.take(br#"{"id": 99, "result": {}}"#, Some(1));
        assert!(one.reply().await.is_ok() && !inbox.is_settled(two.id()));
    }

    #[tokio::test]
    async fn an_old_reply_is_nobodys() {
        let (inbox, _answers) = Inbox::new();
        drop(inbox.expect());
        let two = inbox.expect();
        inbox.take(br#"{"id": 1, "result": {}}"#, None);
        assert!(!inbox.is_settled(two.id()));
    }

    #[tokio::test]
    async fn replies_that_name_nobody_end_the_wait_of_all_who_can_be_meant() {
        let (inbox, _answers) = Inbox::new();
        let (mut one, mut two, mut three) = (inbox.expect(), inbox.expect(), inbox.expect());
        inbox.take(br#"{"id": null, "error": {"message": "no"}}"#, None);
        inbox.take(br#"{"id": 3, "result": "#, None);
        assert!(three.reply().await.is_err(), "the id of a broken reply is found");
        assert!(!inbox.is_settled(one.id()));
        inbox.take(br#"{"id": "x", "result": {}}"#, None);
        assert!(one.reply().await.is_err() && two.reply().await.is_err());
        let mut alone = inbox.expect();
        inbox.take(br#"{"id": null, "error": {"message": "no"}}"#, None);
        assert_eq!(alone.reply().await.unwrap_err().to_string(), "no");
    }

    #[tokio::test]
    async fn a_flood_ends_the_link() {
        let (inbox, answers) = Inbox::new();
        let mut waiting = inbox.expect();
        for n in 0..=ANSWERS_MAX {
            assert_eq!(inbox.why_ended(), None);
            inbox.take(format!(r#"{{"id": {n}, "method": "ping"}}"#).as_bytes(), None);
        }
        assert_eq!(waiting.reply().await.unwrap_err().to_string(), "it asked for more than 64 answers at once");
        assert_eq!(answers.len(), ANSWERS_MAX);
        let (inbox, _answers) = Inbox::new();
        for _ in 0..=UNASKED_MAX {
            assert_eq!(inbox.why_ended(), None);
            inbox.take(br#"{"method": "notifications/message"}"#, None);
        }
        assert!(inbox.why_ended().is_some());
    }
}
