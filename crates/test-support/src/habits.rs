//! What real model endpoints do beside what is agreed on, as their users report it: a corpus. Each habit has its source
//! and the right outcome for a session whose agent has one tool, `look`, and whose task is answered by `Paris`.

mod ends;
mod errors;
mod interfaces;
mod refusals;
mod replies;
mod texts;

use crate::fake_model::{Behaviour, FakeModel, Request};
pub use interfaces::Interface;
use interfaces::translated;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Decides whether a host refuses a request.
pub type Refuses = fn(&Request) -> Option<Behaviour>;

/// One habit.
#[derive(Clone, Debug)]
pub struct Habit {
    /// Its name, which is also that of the model.
    pub name: String,
    /// Who does so.
    pub source: &'static str,
    /// The agent's `answer_format`.
    pub format: Option<Value>,
    /// Steps after which an answer is forced.
    pub max_steps: Option<u32>,
    /// What the requests that are not refused are answered with, in order; the last again and again.
    pub replies: Vec<Behaviour>,
    /// What it refuses.
    pub refuses: Option<Refuses>,
    /// How the session ends.
    pub outcome: Outcome,
}

/// How a session ends that meets a habit.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It completes with this answer, and nothing was called.
    Answers(Value),
    /// `look` is called with `{"at": 1}` so many times, then it completes with this answer.
    Looks(usize, Value),
    /// It fails, and its owner's error holds these words.
    Fails(&'static str),
}

/// All habits. Names are unique.
pub fn all() -> Vec<Habit> {
    [texts::habits(), replies::habits(), ends::habits(), errors::habits(), refusals::habits()].concat()
}

/// Those that make sense by this interface: refusals are of requests as chat completions spell them.
pub fn by(interface: Interface) -> Vec<Habit> {
    let habits = all().into_iter();
    if interface == Interface::Chat {
        return habits.collect();
    }
    let can_be_played = |habit: &Habit| habit.replies.iter().all(|reply| translated(reply, interface, false).is_some());
    habits.filter(|habit| habit.refuses.is_none() && can_be_played(habit)).collect()
}

/// An endpoint that has every habit, each under its own name as a model. With `streamed`, replies that are whole come as
/// server-sent events, whatever was asked for.
///
/// # Errors
/// When no port can be had.
pub async fn endpoint(interface: Interface, streamed: bool) -> anyhow::Result<FakeModel> {
    let habits: HashMap<String, Habit> = by(interface).into_iter().map(|habit| (habit.name.clone(), habit)).collect();
    let played: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let endpoint = FakeModel::start().await?;
    endpoint.otherwise(Behaviour::decide(move |request| {
        let name = request.body["model"].as_str().unwrap_or_default();
        let Some(habit) = habits.get(name) else { return Behaviour::status(404) };
        if let Some(refusal) = habit.refuses.and_then(|refuses| refuses(request)) {
            return refusal;
        }
        let mut played = played.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = played.entry(name.to_owned()).or_default();
        let reply = habit.replies[(*turn).min(habit.replies.len() - 1)].clone();
        *turn += 1;
        match interface {
            Interface::Chat if streamed => in_pieces(reply),
            Interface::Chat => reply,
            Interface::Messages | Interface::Responses => {
                translated(&reply, interface, streamed).unwrap_or_else(|| Behaviour::status(500))
            }
        }
    }));
    Ok(endpoint)
}

/// A whole reply as a stream; anything else as it is.
fn in_pieces(reply: Behaviour) -> Behaviour {
    let body = match &reply {
        Behaviour::Text(text) => completion(&json!({"content": text}), "stop"),
        Behaviour::Message(message) => {
            completion(message, if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" })
        }
        Behaviour::Body(body) => match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(_) => return reply,
        },
        Behaviour::Decide(_)
        | Behaviour::Calls(_)
        | Behaviour::After(..)
        | Behaviour::Status(..)
        | Behaviour::Bytes(_)
        | Behaviour::CutOff
        | Behaviour::HangUp
        | Behaviour::Silence
        | Behaviour::Drip(_) => return reply,
    };
    let Some(choices) = body["choices"].as_array().filter(|choices| !choices.is_empty() && body.get("error").is_none())
    else {
        return reply;
    };
    let mut chunks = Vec::new();
    for (index, choice) in choices.iter().enumerate() {
        let mut choice = choice.clone();
        let mut message = choice["message"].take();
        if let Some(text) = message["content"].as_str().map(str::to_owned) {
            let half = text.ceil_char_boundary(text.len() / 2);
            chunks
                .push(json!({"choices": [{"index": index, "delta": {"role": "assistant", "content": text[..half]}}]}));
            message["content"] = text[half..].into();
        }
        chunks.push(json!({"choices": [{"index": index, "delta": message}]}));
        let mut last = choice;
        last["index"] = index.into();
        last["delta"] = json!({});
        if let Some(last) = last.as_object_mut() {
            last.remove("message");
        }
        chunks.push(json!({"choices": [last]}));
    }
    let events = chunks.iter().fold(String::new(), |events, chunk| events + &format!("data: {chunk}\n\n"));
    stream(&format!(": hello\n\n{events}data: [DONE]\n\n"))
}

fn stream(events: &str) -> Behaviour {
    Behaviour::Status(200, vec![("content-type".into(), "text/event-stream".into())], events.to_owned())
}

fn habit(name: impl Into<String>, source: &'static str) -> Habit {
    let outcome = Outcome::Answers("Paris".into());
    Habit { name: name.into(), source, format: None, max_steps: None, replies: vec![paris()], refuses: None, outcome }
}

impl Habit {
    fn plays(mut self, replies: impl IntoIterator<Item = Behaviour>) -> Self {
        self.replies = replies.into_iter().collect();
        self
    }

    /// Plays this, then says `Paris`.
    fn then_paris(self, reply: Behaviour) -> Self {
        self.plays([reply, paris()])
    }

    fn refuses(mut self, refuses: Refuses) -> Self {
        self.refuses = Some(refuses);
        self
    }

    fn format(mut self, format: Value) -> Self {
        self.format = Some(format);
        self
    }

    fn answers(mut self, answer: impl Into<Value>) -> Self {
        self.outcome = Outcome::Answers(answer.into());
        self
    }

    fn looks(mut self, times: usize) -> Self {
        self.outcome = Outcome::Looks(times, "Paris".into());
        self
    }

    fn fails(mut self, words: &'static str) -> Self {
        self.outcome = Outcome::Fails(words);
        self
    }
}

fn paris() -> Behaviour {
    Behaviour::text("Paris")
}

fn look() -> Behaviour {
    Behaviour::call("look", json!({"at": 1}))
}

/// A completion of one choice.
fn completion(message: &Value, finish: &str) -> Value {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})
}

fn body(body: &Value) -> Behaviour {
    Behaviour::Body(body.to_string().into_bytes())
}

fn refusal(status: u16, words: &str) -> Behaviour {
    Behaviour::Status(status, Vec::new(), json!({"error": {"message": words}}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn there_are_many_habits_and_each_has_a_name_and_a_source() {
        let habits = all();
        assert!(habits.len() >= 150, "{}", habits.len());
        let names: HashSet<_> = habits.iter().map(|habit| &habit.name).collect();
        assert_eq!(names.len(), habits.len());
        assert!(habits.iter().all(|habit| !habit.source.is_empty() && !habit.replies.is_empty()));
        for interface in [Interface::Messages, Interface::Responses] {
            let played = by(interface).len();
            assert!(played >= 100, "{interface:?}: {played}");
        }
    }
}
