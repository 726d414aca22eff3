//! What a script is made of.

use quarterdeck_api::{ErrorCode, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The tool that an agent answers by.
pub const ANSWER: &str = "answer";

/// A list of cues. One cue is used up by each reply or failure; which is next follows from the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// In order.
    pub steps: Vec<Step>,
}

/// A part of a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A reply, or a failure to give one.
    Cue(Box<Cue>),
    /// One of two ways to go on.
    If(Box<Branch>),
}

/// One of two ways to go on, chosen by what the log says when its turn comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// What is looked at.
    pub place: Place,
    /// What is asked of it.
    pub test: crate::TextTest,
    /// The steps if it holds.
    pub then: Vec<Step>,
    /// The steps if not.
    #[serde(rename = "else")]
    pub otherwise: Vec<Step>,
}

/// What a branch looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// What the latest call returned, its failure included.
    Result,
    /// The latest message of a person.
    Message,
}

/// One reply, or one failure to give one, and what comes with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cue {
    /// The line that it begins in, from 1.
    pub line: usize,
    /// What the agent sees before it, as if an environment had shown it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<Observe>,
    /// How long it takes.
    #[serde(default)]
    pub wait: Duration,
    /// How often it comes in a row.
    pub times: usize,
    /// What it says besides its calls.
    pub say: Option<String>,
    /// What it thinks.
    pub think: Option<String>,
    /// The tokens it used; counted when it does not say.
    pub usage: Option<Usage>,
    /// What it does.
    pub act: Act,
}

/// What a cue does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A reply without calls: its text counts as the answer.
    Text(String),
    /// A reply of calls, the answer among them; none at all is an empty reply.
    Calls(Vec<Call>),
    /// No reply.
    Fail(Failure),
    /// The turn ends without an answer, and the user's next message begins another.
    Ask(Option<String>),
    /// The session ends in a way that no reply can cause.
    End(End),
}

/// A call in a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The tool.
    pub tool: String,
    /// What it is called with.
    pub arguments: Arguments,
    /// What it returns; with one, nothing is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<CallResult>,
}

/// What a tool is called with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// JSON.
    Json(Value),
    /// As it stands, so that faulty JSON can be tried.
    Raw(String),
}

impl Arguments {
    /// From the text of a line: JSON where it is an object.
    pub(crate) fn of_text(text: &str) -> Self {
        let object = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        object.map_or_else(|| Self::Raw(text.to_owned()), Self::Json)
    }

    /// As a model writes them.
    pub fn text(&self) -> String {
        match self {
            Self::Json(value) => value.to_string(),
            Self::Raw(text) => text.clone(),
        }
    }
}

/// What a call returns without being made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// This.
    Value(Value),
    /// This failure.
    Error(String),
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The model's host answers with this status.
    Status {
        /// 300 to 599.
        status: u16,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// It takes too long.
    Timeout {
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// It cannot be reached.
    Connect {
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// The connection breaks.
    Reset {
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// What it sends is not JSON.
    Garbage,
    /// It failed in the words that a log holds.
    Said(String),
}

/// How a session ends when no reply is the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It fails with this code.
    Failed(ErrorCode),
    /// Its time is up.
    TimedOut,
}

/// Something that the agent sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observe {
    /// The kind of environment; `web` when it is not said.
    #[serde(rename = "type")]
    pub source: String,
    /// The page's address.
    pub url: Option<String>,
    /// The page's title.
    pub title: Option<String>,
    /// What it sees, in words.
    pub text: Option<String>,
    /// What it sees, as a picture: a data URI, or a file beside the scenario's before it is loaded.
    pub image: Option<String>,
    /// What else goes with it.
    pub metadata: serde_json::Map<String, Value>,
}

/// Tokens of one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Read.
    #[serde(rename = "in")]
    pub input: u32,
    /// Of those, from a cache.
    pub cached: u32,
    /// Written.
    #[serde(rename = "out")]
    pub output: u32,
    /// Of those, spent on thinking.
    pub reasoning: u32,
}

impl Script {
    /// Every cue, whichever way the script goes.
    pub fn cues(&self) -> Vec<&Cue> {
        let mut found = Vec::new();
        collect(&self.steps, &mut found);
        found
    }

    /// Every cue, to change it.
    pub fn cues_mut(&mut self) -> Vec<&mut Cue> {
        let mut found = Vec::new();
        collect_mut(&mut self.steps, &mut found);
        found
    }

    /// The tools whose results the script knows.
    pub fn tools(&self) -> Vec<&str> {
        let calls = self.cues().into_iter().flat_map(Cue::calls);
        let mut names: Vec<&str> = calls.filter(|call| call.result.is_some()).map(|call| call.tool.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn collect<'a>(steps: &'a [Step], found: &mut Vec<&'a Cue>) {
    for step in steps {
        match step {
            Step::Cue(cue) => found.push(cue),
            Step::If(branch) => {
                collect(&branch.then, found);
                collect(&branch.otherwise, found);
            }
        }
    }
}

fn collect_mut<'a>(steps: &'a mut [Step], found: &mut Vec<&'a mut Cue>) {
    for step in steps {
        match step {
            Step::Cue(cue) => found.push(cue),
            Step::If(branch) => {
                collect_mut(&mut branch.then, found);
                collect_mut(&mut branch.otherwise, found);
            }
        }
    }
}

impl Cue {
    /// A cue that only does this.
    pub fn of(line: usize, act: Act) -> Self {
        Self {
            line,
            observations: Vec::new(),
            wait: Duration::ZERO,
            times: 1,
            say: None,
            think: None,
            usage: None,
            act,
        }
    }

    /// The calls of its reply.
    pub fn calls(&self) -> &[Call] {
        match &self.act {
            Act::Calls(calls) => calls,
            Act::Text(_) | Act::Fail(_) | Act::Ask(_) | Act::End(_) => &[],
        }
    }

    /// The calls of its reply, to change them.
    pub(crate) fn calls_mut(&mut self) -> Option<&mut Vec<Call>> {
        match &mut self.act {
            Act::Calls(calls) => Some(calls),
            Act::Text(_) | Act::Fail(_) | Act::Ask(_) | Act::End(_) => None,
        }
    }
}

impl Call {
    /// A call without a result of its own.
    pub(crate) fn of(tool: impl Into<String>, arguments: Arguments) -> Self {
        Self { tool: tool.into(), arguments, result: None }
    }

    /// The call that gives an answer.
    pub(crate) fn answer(answer: &Value, outcome: Option<Outcome>) -> Self {
        let arguments = match outcome {
            Some(outcome) => json!({"answer": answer, "outcome": outcome}),
            None => json!({"answer": answer}),
        };
        Self::of(ANSWER, Arguments::Json(arguments))
    }
}

impl Observe {
    /// What goes with it, the page's address and title included.
    pub fn all_metadata(&self) -> serde_json::Map<String, Value> {
        let mut all = self.metadata.clone();
        for (name, value) in [("url", &self.url), ("title", &self.title)] {
            if let Some(value) = value {
                all.insert(name.to_owned(), value.clone().into());
            }
        }
        all
    }
}
