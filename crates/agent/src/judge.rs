//! What a reply amounts to: calls to make, an answer, or nothing that can be used.
//!
//! Calls come before answers: a reply that calls `answer` beside other tools gets the others done and is
//! asked again, since it answered before it knew their results. When only an answer is asked for, it is the
//! other way round: the `answer` counts and the rest is ignored.

use crate::{
    answer::{self, ANSWER, AnswerFormat},
    arguments,
    calls::DEPTH_MAX,
    model::{ChatReply, Finish, RawCall},
    text::{cut, depth_is_within, without_nul},
    text_calls::{self, Found},
};
use quarterdeck_api::{Answer, JsonObject, Outcome, ToolDefinition, ToolRequest};
use quarterdeck_core::StepMode;
use serde_json::Value;
use std::collections::HashSet;

/// Bytes of a reply's words, and of each call's arguments, that can be kept in the log.
pub(crate) const WORDS_MAX_BYTES: usize = 1 << 20;

/// Validation errors of one reply that are told.
const FAULTS_MAX: usize = 16;

const UNCLEAR_CALL: &str =
    "the reply holds something that looks like a call in its text: call tools by the means given for it, not in words";
const MISSING_CALL: &str = "the reply says that it calls a tool, but there is no call in it: call a tool, or answer";

/// What a reply amounts to.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// These calls are to be made.
    Act(Vec<ToolRequest>),
    /// It is the answer.
    Answer { call: Option<ToolRequest>, answer: Answer, outcome: Option<Outcome> },
    /// It cannot be used, for these reasons.
    Invalid(Vec<String>),
}

/// What a reply is held against.
pub(crate) struct Judge<'a> {
    pub(crate) mode: StepMode,
    pub(crate) tools: &'a [ToolDefinition],
    pub(crate) format: Option<&'a AnswerFormat>,
    /// Ids that calls of earlier replies have.
    pub(crate) taken_ids: HashSet<&'a str>,
    /// How many replies came before.
    pub(crate) replies: usize,
}

impl Judge<'_> {
    /// Judges a reply. Calls that it holds as text are moved to where calls belong.
    pub(crate) async fn judge(&self, reply: &mut ChatReply) -> Verdict {
        match self.try_judge(reply).await {
            Ok(verdict) => verdict,
            Err(mut faults) => {
                faults.truncate(FAULTS_MAX);
                Verdict::Invalid(faults)
            }
        }
    }

    async fn try_judge(&self, reply: &mut ChatReply) -> Result<Verdict, Vec<String>> {
        check_size(reply)?;
        if let Finish::Stopped(reason) = &reply.finish {
            return self.judge_stopped(&reason.clone(), reply).await;
        }
        if reply.calls.is_empty() {
            return self.judge_words(reply).await;
        }
        self.judge_listed(&reply.calls).await
    }

    async fn judge_listed(&self, calls: &[RawCall]) -> Result<Verdict, Vec<String>> {
        let calls = arguments::unwrapped(calls);
        match self.mode {
            StepMode::Act => self.judge_calls(&calls).await,
            StepMode::AnswerOnly => self.judge_forced(&calls).await,
        }
    }

    /// What a host could not read as a call may be one all the same; anything else that was stopped is no whole reply.
    async fn judge_stopped(&self, reason: &str, reply: &mut ChatReply) -> Result<Verdict, Vec<String>> {
        let fault = || vec![format!("the reply ended before it was whole: {}", cut(reason, 500))];
        let words = reply.content.as_deref().unwrap_or_default();
        match text_calls::find(words, self.tools) {
            Found::Calls { calls, words, .. } if reply.calls.is_empty() => {
                let verdict = self.judge_listed(&calls).await.map_err(|_| fault())?;
                (reply.calls, reply.content) = (calls, words);
                Ok(verdict)
            }
            Found::Calls { .. } | Found::Words | Found::Unclear => Err(fault()),
        }
    }

    async fn judge_calls(&self, calls: &[RawCall]) -> Result<Verdict, Vec<String>> {
        let calls = self.read_calls(calls)?;
        let (answers, others): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| call.tool_name == ANSWER);
        match answers.into_iter().next() {
            Some(answer) if others.is_empty() => self.judge_answer(answer).await,
            _ => Ok(Verdict::Act(others)),
        }
    }

    async fn judge_forced(&self, calls: &[RawCall]) -> Result<Verdict, Vec<String>> {
        let is_answer =
            |call: &&RawCall| text_calls::offers(self.tools, &call.name).is_some_and(|tool| tool.name == ANSWER);
        let answer = calls.iter().find(is_answer);
        let answer = answer.ok_or_else(|| vec!["only `answer` may be called now".to_owned()])?;
        let read = self.read_calls(std::slice::from_ref(answer))?;
        let call = read.into_iter().next().ok_or_else(Vec::new)?;
        self.judge_answer(call).await
    }

    async fn judge_words(&self, reply: &mut ChatReply) -> Result<Verdict, Vec<String>> {
        if reply.finish == Finish::CutOff {
            return Err(vec!["the reply was cut off at its length limit: be shorter".into()]);
        }
        let words = reply.content.clone().unwrap_or_default();
        if words.trim().is_empty() {
            return self.judge_thoughts(reply).await;
        }
        match text_calls::find(&words, self.tools) {
            Found::Calls { calls, words: before, marked } => {
                // JSON that looks like a call may be just what the format asks for.
                if !marked && let Some(verdict) = self.formatted(&words).await {
                    return Ok(verdict);
                }
                (reply.calls, reply.content) = (calls, before);
                self.judge_listed(&reply.calls).await
            }
            Found::Unclear => match self.formatted(&words).await {
                Some(verdict) => Ok(verdict),
                None => Err(vec![UNCLEAR_CALL.into()]),
            },
            Found::Words if reply.finish == Finish::Calls => Err(vec![MISSING_CALL.into()]),
            Found::Words => {
                let answer = answer::in_text(self.format, &words).await?;
                Ok(Verdict::Answer { call: None, answer, outcome: None })
            }
        }
    }

    /// Nothing was said. Some hosts take a call for a part of the thoughts.
    async fn judge_thoughts(&self, reply: &mut ChatReply) -> Result<Verdict, Vec<String>> {
        let thoughts = reply.reasoning.as_deref().unwrap_or_default();
        if let Found::Calls { calls, marked: true, .. } = text_calls::find(thoughts, self.tools) {
            let verdict = self.judge_listed(&calls).await?;
            reply.calls = calls;
            return Ok(verdict);
        }
        let fault =
            if reply.finish == Finish::Calls { MISSING_CALL } else { "the reply is empty: call a tool, or answer" };
        Err(vec![fault.into()])
    }

    async fn formatted(&self, words: &str) -> Option<Verdict> {
        let format = self.format?;
        let answer = answer::in_text(Some(format), words).await.ok()?;
        Some(Verdict::Answer { call: None, answer, outcome: None })
    }

    async fn judge_answer(&self, call: ToolRequest) -> Result<Verdict, Vec<String>> {
        let empty = JsonObject::new();
        let args = call.args.as_ref().unwrap_or(&empty);
        let answer = answer::in_call(self.format, args).await?;
        let outcome = answer::outcome_in_call(args);
        Ok(Verdict::Answer { call: Some(call), answer, outcome })
    }

    /// All calls, or every fault of them.
    fn read_calls(&self, calls: &[RawCall]) -> Result<Vec<ToolRequest>, Vec<String>> {
        let mut taken = self.taken_ids.clone();
        let mut read = Vec::new();
        let mut faults = Vec::new();
        for (place, call) in calls.iter().enumerate() {
            match self.read_call(call) {
                Ok((tool_name, args)) => {
                    let id = usable_id(call, &taken).map_or_else(|| self.own_id(place), str::to_owned);
                    taken.extend(call.id.as_deref());
                    read.push(ToolRequest { tool_name, args: Some(args), id: Some(id) });
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// A dot never stands in the ids that hosts make, so this one meets none of theirs.
    fn own_id(&self, place: usize) -> String {
        format!("call.{}.{place}", self.replies)
    }

    /// The tool's name as it is on offer, and the arguments.
    fn read_call(&self, call: &RawCall) -> Result<(String, JsonObject), String> {
        let Some(tool) = text_calls::offers(self.tools, &call.name) else {
            let name = cut(&call.name, 64);
            let known: Vec<_> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
            return Err(format!("there is no tool {name:?}; there are: {}", cut(&known.join(", "), 1_000)));
        };
        let name = &tool.name;
        if call.arguments.len() > WORDS_MAX_BYTES {
            return Err(format!("the arguments of {name:?} are longer than {WORDS_MAX_BYTES} bytes"));
        }
        let args = arguments::read(&call.arguments)
            .map_err(|error| format!("the arguments of {name:?} are not a JSON object: {error}"))?;
        let args = Value::Object(args);
        if holds_nul(&args) {
            return Err(format!("the arguments of {name:?} hold a NUL character"));
        }
        // Deeper ones could be stored, but not be read back.
        if !depth_is_within(&args, DEPTH_MAX) {
            return Err(format!("the arguments of {name:?} are nested more than {DEPTH_MAX} levels deep"));
        }
        match args {
            Value::Object(args) => Ok((name.clone(), args)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(String::new()),
        }
    }
}

fn check_size(reply: &ChatReply) -> Result<(), Vec<String>> {
    let words = reply.content.as_ref().map_or(0, String::len);
    if words > WORDS_MAX_BYTES {
        return Err(vec![format!("the reply has {words} bytes of text; at most {WORDS_MAX_BYTES} can be taken")]);
    }
    if reply.calls_left_out > 0 {
        let (kept, all) = (reply.calls.len(), reply.calls.len() + reply.calls_left_out);
        return Err(vec![format!("the reply makes {all} calls; at most {kept} can be taken")]);
    }
    Ok(())
}

/// Clients match results to calls by this id: it must tell the calls of a session apart.
fn usable_id<'a>(call: &'a RawCall, taken: &HashSet<&str>) -> Option<&'a str> {
    let id = call.id.as_deref()?;
    let sound = (1..=128).contains(&id.len()) && !id.chars().any(char::is_control) && !id.starts_with("call.");
    (sound && !taken.contains(id)).then_some(id)
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, member)| name.contains('\0') || holds_nul(member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What is kept of a reply that cannot be used, so that the model sees what it wrote.
pub(crate) fn shown(reply: &ChatReply) -> Option<String> {
    let words = reply.content.as_deref().filter(|words| !words.trim().is_empty()).map(|words| cut(words, 4_000));
    let calls =
        reply.calls.iter().take(8).map(|call| format!("{}({})", cut(&call.name, 64), cut(&call.arguments, 1_000)));
    let shown = words.into_iter().chain(calls).collect::<Vec<_>>().join("\n");
    (!shown.is_empty()).then(|| without_nul(shown))
}

#[cfg(test)]
mod tests;
