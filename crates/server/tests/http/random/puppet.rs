//! A model whose every reply is the test's to give.

use super::{PATIENCE, Reply};
use async_trait::async_trait;
use quarterdeck_agent::{ChatReply, ChatRequest, ModelClient, ModelError, RawCall};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{oneshot, watch};

/// Asked by one session at a time; waits for the test to reply.
#[derive(Default)]
pub(crate) struct Puppet {
    asked_so_far: AtomicU64,
    question: watch::Sender<Option<Question>>,
}

/// What it was asked and nobody replied to yet.
struct Question {
    number: u64,
    must_answer: bool,
    reply: Option<oneshot::Sender<Result<ChatReply, ModelError>>>,
}

/// Takes the question back when the one who asked is gone.
struct Asking<'a> {
    puppet: &'a Puppet,
    number: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.puppet.question.send_if_modified(|question| {
            let ours = question.as_ref().is_some_and(|question| question.number == self.number);
            if ours {
                *question = None;
            }
            ours
        });
    }
}

#[async_trait]
impl ModelClient for Puppet {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let (reply, replied) = oneshot::channel();
        let number = self.asked_so_far.fetch_add(1, Ordering::Relaxed);
        let question = Question { number, must_answer: request.tool_required, reply: Some(reply) };
        self.question.send_replace(Some(question));
        let _asking = Asking { puppet: self, number };
        replied.await.unwrap()
    }
}

impl Puppet {
    /// Waits until it is asked in this way.
    pub(crate) async fn asked(&self, must_answer: bool) {
        let wanted = |question: &Option<Question>| {
            question.as_ref().is_some_and(|question| question.must_answer == must_answer && question.reply.is_some())
        };
        self.until(wanted, if must_answer { "asked for an answer" } else { "asked" }).await;
    }

    /// Waits until nobody asks.
    pub(crate) async fn idle(&self) {
        self.until(Option::is_none, "left alone").await;
    }

    async fn until(&self, wanted: impl Fn(&Option<Question>) -> bool, what: &str) {
        let mut question = self.question.subscribe();
        let outcome = tokio::time::timeout(PATIENCE, question.wait_for(wanted)).await;
        assert!(outcome.is_ok(), "the model was never {what}");
    }

    /// Replies to the question that [`Self::asked`] waited for.
    pub(crate) fn reply(&self, reply: Reply) {
        let mut sender = None;
        self.question.send_modify(|question| sender = question.as_mut().and_then(|question| question.reply.take()));
        // Who asked may be gone: then the test finds that the model and the server differ.
        let _ = sender.expect("somebody asks").send(spoken(reply));
    }
}

fn spoken(reply: Reply) -> Result<ChatReply, ModelError> {
    let words = |content: &str| ChatReply { content: Some(content.to_owned()), ..ChatReply::default() };
    match reply {
        Reply::Answer => Ok(words("Done.")),
        Reply::Call { count } => {
            let call = |n| RawCall { name: "ask".into(), arguments: format!("{{\"n\": {n}}}"), ..RawCall::default() };
            Ok(ChatReply { calls: (0..count).map(call).collect(), ..ChatReply::default() })
        }
        Reply::Nonsense => Ok(words(" ")),
        Reply::Trouble => Err(ModelError::Retryable { message: "busy".into(), retry_after: None }),
        Reply::Refusal => Err(ModelError::Fatal { message: "no such model".into() }),
    }
}
