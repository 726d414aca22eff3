//! What of a conversation a model is shown when all of it is more than it reads: the oldest goes first, results and
//! pages before words. The log keeps everything.
//!
//! What is left out depends only on what came before, and it goes in large parts: so the beginning of a request stays
//! the same over many steps, and hosts can cache it.

use crate::{
    SharedMessage,
    model::{ChatMessage, Part},
    text::cut,
};
use quarterdeck_api::ToolDefinition;

/// What a picture counts, in tokens: hosts count them by their size, which is not looked at.
const PICTURE: usize = 1_500;
/// Bytes of text that make a token, by a rule of thumb for most languages.
pub(crate) const BYTES_A_TOKEN: usize = 4;
/// What a message takes beside its words, and bytes that a call takes beside its name and arguments: marks of whose it is.
const MESSAGE: usize = 8;
const CALL_BYTES: usize = 80;
/// Characters that stay of a result, a page or a remark that is left out.
const STUB: usize = 200;
/// Once there is too much, so many hundredths of the budget stay.
const KEPT_PERCENT: usize = 60;
/// Results and remarks at the end that are never touched as long as the rest is enough.
const NEWEST: usize = 3;

const LEFT_OUT: &str = "\n(The rest was left out, to keep the conversation short enough. Ask again if you need it.)";
const PICTURE_LEFT_OUT: &str = "(A picture was here. It was left out, to keep the conversation short enough.)";
const MESSAGES_LEFT_OUT: &str =
    "(Earlier messages of this conversation were left out here, to keep it short enough: calls, results and replies.)";

/// Tokens of a message, by estimate.
pub(crate) fn tokens(message: &ChatMessage) -> usize {
    let bytes = |text: &str| text.len() / BYTES_A_TOKEN + MESSAGE;
    match message {
        ChatMessage::System(text) => bytes(text),
        ChatMessage::User(parts) | ChatMessage::Note(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => bytes(text),
                Part::Image(_) => PICTURE,
            })
            .sum(),
        ChatMessage::Assistant { content, calls, kept } => {
            let calls =
                calls.iter().map(|call| call.name.len() + json_len(&call.arguments) + CALL_BYTES).sum::<usize>();
            let kept = kept
                .as_ref()
                .map_or(0, |kept| json_len(&kept.message) + kept.calls.iter().map(json_len).sum::<usize>());
            content.as_deref().map_or(MESSAGE, bytes) + (calls + kept) / BYTES_A_TOKEN
        }
        ChatMessage::Tool { content, .. } => bytes(content),
    }
}

fn json_len(object: &quarterdeck_api::JsonObject) -> usize {
    // Close enough, and without writing it all out.
    object.iter().map(|(name, value)| name.len() + 4 + value_len(value)).sum()
}

fn value_len(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len() + 2,
        serde_json::Value::Array(items) => items.iter().map(|item| value_len(item) + 1).sum::<usize>() + 2,
        serde_json::Value::Object(members) => json_len(members) + 2,
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 8,
    }
}

/// Tokens of tools on offer, by estimate.
pub(crate) fn of_tools(tools: &[ToolDefinition]) -> usize {
    let tool = |tool: &ToolDefinition| tool.name.len() + tool.description.len() + json_len(&tool.input_schema) + 80;
    tools.iter().map(tool).sum::<usize>() / BYTES_A_TOKEN
}

/// Whether whole replies have to go for the conversation to fit: leaving out outputs is not enough.
pub(crate) fn drops(messages: &[SharedMessage], budget: usize) -> bool {
    messages.iter().map(SharedMessage::tokens).sum::<usize>() > budget && fitted(messages, budget).has_dropped
}

/// The conversation within `budget` tokens. None when not even its last words fit.
pub(crate) fn fit(messages: &[SharedMessage], budget: usize) -> Option<Vec<SharedMessage>> {
    if messages.iter().map(SharedMessage::tokens).sum::<usize>() <= budget {
        return Some(messages.to_vec());
    }
    let fitted = fitted(messages, budget);
    (fitted.total <= budget).then_some(fitted.messages)
}

fn fitted(messages: &[SharedMessage], budget: usize) -> Fitted {
    let kept = budget * KEPT_PERCENT / 100;
    let mut fitted = Fitted::default();
    for message in messages {
        fitted.push(message.clone());
        if fitted.total > budget {
            fitted.shorten(kept);
        }
        if fitted.total > budget {
            fitted.drop_oldest(kept);
        }
        if fitted.total > budget {
            fitted.shorten_newest(kept);
        }
    }
    fitted
}

/// A conversation, as it was shown at each of its steps.
#[derive(Default)]
struct Fitted {
    messages: Vec<SharedMessage>,
    total: usize,
    /// Messages before this one are as short as they get.
    shortened: usize,
    has_dropped: bool,
}

impl Fitted {
    fn push(&mut self, message: SharedMessage) {
        self.total += message.tokens();
        self.messages.push(message);
    }

    /// Cuts what is old and large, oldest first, but not the newest.
    fn shorten(&mut self, kept: usize) {
        let large = self.messages.iter().enumerate().filter(|(_, message)| is_large(message)).map(|(place, _)| place);
        let large: Vec<_> = large.collect();
        let newest = large.len().checked_sub(NEWEST).map_or(0, |place| large[place]);
        self.shorten_before(newest, kept);
    }

    fn shorten_newest(&mut self, kept: usize) {
        self.shortened = 0;
        self.shorten_before(self.messages.len(), kept);
    }

    fn shorten_before(&mut self, end: usize, kept: usize) {
        while self.total > kept && self.shortened < end {
            let message = &mut self.messages[self.shortened];
            if is_large(message) {
                let before = message.tokens();
                *message = shortened(message).into();
                self.total = self.total - before + message.tokens();
            }
            self.shortened += 1;
        }
    }

    /// Leaves out whole replies with their results, but never the system's words, the first task or what is newest.
    fn drop_oldest(&mut self, kept: usize) {
        let is_reply = |message: &SharedMessage| matches!(**message, ChatMessage::Assistant { .. });
        let Some(start) = self.messages.iter().position(is_reply) else { return };
        let Some(last) = self.messages.iter().rposition(is_reply) else { return };
        let mut end = start;
        let mut total = self.total;
        while total > kept && end < last {
            total -= self.messages[end].tokens();
            end += 1;
            while end < last && !is_reply(&self.messages[end]) {
                total -= self.messages[end].tokens();
                end += 1;
            }
        }
        if end == start {
            return;
        }
        self.has_dropped = true;
        let is_marked = |message: &SharedMessage| *message == marker();
        let marker_stands = start > 0 && is_marked(&self.messages[start - 1]);
        self.messages.drain(start..end);
        if !marker_stands {
            self.messages.insert(start, marker().into());
        }
        self.total = self.messages.iter().map(SharedMessage::tokens).sum();
        self.shortened = self.shortened.saturating_sub(end - start);
    }
}

fn marker() -> ChatMessage {
    ChatMessage::Note(vec![Part::Text(MESSAGES_LEFT_OUT.into())])
}

/// Whether it would be shorter once cut.
fn is_large(message: &ChatMessage) -> bool {
    match message {
        ChatMessage::Tool { content, .. } => content.len() > 2 * STUB + LEFT_OUT.len(),
        ChatMessage::User(parts) | ChatMessage::Note(parts) => parts.iter().any(|part| match part {
            Part::Image(_) => true,
            Part::Text(text) => matches!(message, ChatMessage::Note(_)) && text.len() > 2 * STUB + LEFT_OUT.len(),
        }),
        ChatMessage::System(_) | ChatMessage::Assistant { .. } => false,
    }
}

/// Words of a person stay whole, pictures of theirs do not.
fn shortened(message: &ChatMessage) -> ChatMessage {
    match message {
        ChatMessage::Tool { call_id, content } => {
            ChatMessage::Tool { call_id: call_id.clone(), content: stub(content) }
        }
        ChatMessage::User(parts) => ChatMessage::User(parts.iter().map(without_picture).collect()),
        ChatMessage::Note(parts) => {
            ChatMessage::Note(parts.iter().map(|part| stubbed(without_picture(part))).collect())
        }
        ChatMessage::System(_) | ChatMessage::Assistant { .. } => message.clone(),
    }
}

fn stubbed(part: Part) -> Part {
    match part {
        Part::Text(text) if text.len() > 2 * STUB + LEFT_OUT.len() => Part::Text(stub(&text)),
        Part::Text(_) | Part::Image(_) => part,
    }
}

fn without_picture(part: &Part) -> Part {
    match part {
        Part::Image(_) => Part::Text(PICTURE_LEFT_OUT.into()),
        Part::Text(text) => Part::Text(text.clone()),
    }
}

/// Head and tail of a text: what encloses it as data stays closed.
fn stub(text: &str) -> String {
    let tail = text.char_indices().rev().nth(STUB / 2).map_or(0, |(at, _)| at);
    format!("{}\n{}{LEFT_OUT}", cut(text, STUB), &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ChatCall;
    use quarterdeck_api::JsonObject;

    #[test]
    fn what_fits_stays_as_it_is() {
        let all = conversation(3, 100);
        assert_eq!(fit(&all, 100_000), Some(all));
    }

    #[test]
    fn old_results_go_first_and_the_newest_stay() {
        let all = conversation(20, 4_000);
        let shown = fit(&all, 15_000).unwrap();
        assert_eq!(shown.len(), all.len());
        let lengths: Vec<_> = shown.iter().filter_map(result).map(str::len).collect();
        assert!(lengths[0] < 1_000 && lengths[17..].iter().all(|length| *length == 4_000), "{lengths:?}");
        assert!(result(&shown[3]).unwrap().contains("left out"));
    }

    #[test]
    fn a_session_of_3000_steps_stays_within_its_budget_and_its_requests_begin_alike() {
        const BUDGET: usize = 32_000;
        let all = conversation(3_000, 2_000);
        let mut alike = 0;
        let mut before: Vec<SharedMessage> = Vec::new();
        for steps in 2_950..3_000 {
            let shown = fit(&all[..2 + 2 * steps], BUDGET).unwrap();
            assert!(shown.iter().map(SharedMessage::tokens).sum::<usize>() <= BUDGET);
            alike += usize::from(shown.len() > before.len() && shown[..before.len()] == before[..]);
            assert_eq!(shown[..2], all[..2], "the system's words and the task stay");
            before = shown;
        }
        assert!(alike > 25, "{alike} of 50");
    }

    #[test]
    fn calls_and_results_stay_together() {
        for budget in (500..4_000).step_by(97) {
            let Some(shown) = fit(&conversation(40, 600), budget) else { continue };
            for pair in shown.windows(2) {
                let follows_call = matches!(*pair[0], ChatMessage::Assistant { .. });
                assert_eq!(matches!(*pair[1], ChatMessage::Tool { .. }), follows_call, "{budget}");
            }
        }
    }

    #[test]
    fn what_cannot_fit_is_said() {
        let all = [ChatMessage::System("x".repeat(4_000)), ChatMessage::User(vec![])].map(SharedMessage::from);
        assert_eq!(fit(&all, 500), None);
    }

    fn conversation(steps: usize, result_bytes: usize) -> Vec<SharedMessage> {
        let mut all = vec![ChatMessage::System("s".repeat(800)), ChatMessage::User(vec![Part::Text("Go".into())])];
        for step in 0..steps {
            let call = ChatCall { id: format!("c{step}"), name: "look".into(), arguments: JsonObject::new() };
            all.push(ChatMessage::Assistant { content: Some(format!("Step {step}")), calls: vec![call], kept: None });
            all.push(ChatMessage::Tool { call_id: format!("c{step}"), content: "r".repeat(result_bytes) });
        }
        all.into_iter().map(SharedMessage::from).collect()
    }

    fn result(message: &SharedMessage) -> Option<&str> {
        match &**message {
            ChatMessage::Tool { content, .. } => Some(content),
            ChatMessage::System(_) | ChatMessage::User(_) | ChatMessage::Note(_) | ChatMessage::Assistant { .. } => {
                None
            }
        }
    }
}
