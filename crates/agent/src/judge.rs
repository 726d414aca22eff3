//! What a reply amounts to: calls to make, an answer, or nothing that can be used.
//!
//! Calls come before answers: a reply that calls `answer` beside other tools gets the others done and is
//! asked again, since it answered before it knew their results. When only an answer is asked for, it is the
//! other way round: the `answer` counts and the rest is ignored.

use crate::{
    answer::{self, ANSWER, AnswerFormat},
    calls::DEPTH_MAX,
    model::{ChatReply, RawCall},
    text::{cut, depth_is_within, without_nul},
};
use quarterdeck_api::{Answer, JsonObject, Outcome, ToolDefinition, ToolRequest};
use quarterdeck_core::StepMode;
use serde_json::Value;
use std::collections::HashSet;

/// Bytes of a reply's words, and of each call's arguments, that can be kept in the log.
pub(crate) const WORDS_MAX_BYTES: usize = 1 << 20;

/// Validation errors of one reply that are told.
const FAULTS_MAX: usize = 16;

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
    pub(crate) async fn judge(&self, reply: &ChatReply) -> Verdict {
        match self.try_judge(reply).await {
            Ok(verdict) => verdict,
            Err(mut faults) => {
                faults.truncate(FAULTS_MAX);
                Verdict::Invalid(faults)
            }
        }
    }

    async fn try_judge(&self, reply: &ChatReply) -> Result<Verdict, Vec<String>> {
        check_size(reply)?;
        if reply.calls.is_empty() {
            return self.judge_words(reply).await;
        }
        match self.mode {
            StepMode::Act => self.judge_calls(&reply.calls).await,
            StepMode::AnswerOnly => self.judge_forced(&reply.calls).await,
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
        let answer = calls.iter().find(|call| call.name == ANSWER);
        let answer = answer.ok_or_else(|| vec!["only `answer` may be called now".to_owned()])?;
        let read = self.read_calls(std::slice::from_ref(answer))?;
        let call = read.into_iter().next().ok_or_else(Vec::new)?;
        self.judge_answer(call).await
    }

    async fn judge_words(&self, reply: &ChatReply) -> Result<Verdict, Vec<String>> {
        let words = reply.content.as_deref().unwrap_or_default();
        if words.trim().is_empty() {
            return Err(vec!["the reply is empty: call a tool, or answer".into()]);
        }
        if reply.cut_off {
            return Err(vec!["the reply was cut off at its length limit: be shorter".into()]);
        }
        let answer = answer::in_text(self.format, words).await?;
        Ok(Verdict::Answer { call: None, answer, outcome: None })
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
                Ok(args) => {
                    let id = usable_id(call, &taken).map_or_else(|| self.own_id(place), str::to_owned);
                    taken.extend(call.id.as_deref());
                    read.push(ToolRequest { tool_name: call.name.clone(), args: Some(args), id: Some(id) });
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

    fn read_call(&self, call: &RawCall) -> Result<JsonObject, String> {
        let name = cut(&call.name, 64);
        if !self.tools.iter().any(|tool| tool.name == call.name) {
            let known: Vec<_> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
            return Err(format!("there is no tool {name:?}; there are: {}", cut(&known.join(", "), 1_000)));
        }
        if call.arguments.len() > WORDS_MAX_BYTES {
            return Err(format!("the arguments of {name:?} are longer than {WORDS_MAX_BYTES} bytes"));
        }
        let args: JsonObject = serde_json::from_str(&call.arguments)
            .map_err(|error| format!("the arguments of {name:?} are not a JSON object: {error}"))?;
        let args = Value::Object(args);
        if call.arguments.contains("\\u0000") && holds_nul(&args) {
            return Err(format!("the arguments of {name:?} hold a NUL character"));
        }
        // Deeper ones could be stored, but not be read back.
        if !depth_is_within(&args, DEPTH_MAX) {
            return Err(format!("the arguments of {name:?} are nested more than {DEPTH_MAX} levels deep"));
        }
        match args {
            Value::Object(args) => Ok(args),
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
