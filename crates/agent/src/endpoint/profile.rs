//! What is known of an endpoint's ways with one model: what it refused, and what it insists on. Found out from its
//! refusals, remembered as long as the process lives, and heeded from then on.

use super::{api::ModelApi, messages::OUTPUT_MAX_TOKENS};
use crate::{
    SharedMessage,
    model::{ChatMessage, ChatRequest, Part},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Models that are remembered; agents name what they like.
const MODELS_MAX: usize = 1_000;

/// How a request has to be for the endpoint to take it. The default is what most take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own, and any may go with any")]
pub(super) struct Profile {
    /// It does not take `tool_choice`: a call that is owed is asked for in words alone.
    pub(super) no_tool_choice: bool,
    /// It does not take `reasoning_effort`.
    pub(super) no_effort: bool,
    /// It only streams.
    pub(super) streams: bool,
    /// It takes no pictures.
    pub(super) no_pictures: bool,
    /// A user may not speak right after a tool: an assistant's word goes between.
    pub(super) strict_roles: bool,
    /// It takes no system message: its text goes in front of the user's.
    pub(super) no_system: bool,
    /// `content` has to be a text, also where there is none.
    pub(super) text_content: bool,
    /// It does not take back what it sent beside the common members.
    pub(super) nothing_kept: bool,
    /// It takes no tools: they are described in words.
    pub(super) no_tools: bool,
    /// It takes no marks of what is worth being cached.
    pub(super) no_cache_marks: bool,
    /// It thinks as long as it sees fit, and takes no number of tokens for it.
    pub(super) adaptive: bool,
    /// It gives no thoughts in sealed form.
    pub(super) no_include: bool,
    /// How many tokens it writes at most, where that has to be said.
    pub(super) output_tokens: Option<u64>,
    /// How many tokens it reads, found out by too many of them.
    pub(super) context: Option<usize>,
}

/// The profiles of an endpoint, by model.
#[derive(Debug, Default)]
pub(super) struct Profiles(Mutex<HashMap<String, Profile>>);

impl Profiles {
    pub(super) fn of(&self, model: &str) -> Profile {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).cloned().unwrap_or_default()
    }

    pub(super) fn remember(&self, model: &str, profile: &Profile) {
        let mut profiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if profiles.get(model) == Some(profile) || *profile == Profile::default() && !profiles.contains_key(model) {
            return;
        }
        if profiles.len() >= MODELS_MAX && !profiles.contains_key(model) {
            profiles.clear();
        }
        tracing::info!(model, ?profile, "the model's endpoint has habits, which are heeded from now on");
        profiles.insert(model.to_owned(), profile.clone());
    }
}

/// A refusal, as far as something can be learnt of it.
pub(super) struct Refusal<'a> {
    pub(super) api: ModelApi,
    pub(super) status: u16,
    /// The host's words.
    pub(super) said: &'a str,
    pub(super) request: &'a ChatRequest,
    /// Tokens that the request had, by our count.
    pub(super) tokens: usize,
}

impl Profile {
    /// Takes in what a refusal says; false when nothing is left to be done otherwise.
    pub(super) fn learn(&mut self, refusal: &Refusal<'_>) -> bool {
        let said = refusal.said.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if refusal.api == ModelApi::Messages && refusal.status == 400 && said.contains("max_tokens") {
            return self.learn_output(&said);
        }
        if refusal.status == 413 || says(&TOO_LONG) {
            return self.learn_context(&said, refusal.tokens);
        }
        if !matches!(refusal.status, 400 | 404 | 405 | 415 | 422 | 500 | 501) {
            return false;
        }
        let wishes = Wishes::of(refusal.request);
        if let Some(learnt) = self.learn_of_interface(refusal.api, wishes.effort, &said) {
            return learnt;
        }
        if wishes.tool_choice && !self.no_tools && says(&["tool_choice", "tool choice", "toolchoice"]) {
            return set(&mut self.no_tool_choice);
        }
        if wishes.effort && says(&["reasoning", "effort", "thinking"]) && !says(&["reasoning_content"]) {
            return set(&mut self.no_effort);
        }
        if !self.streams && says(&["stream"]) && says(&["only", "must", "require", "true", "non-stream", "nonstream"]) {
            return set(&mut self.streams);
        }
        if wishes.kept
            && !self.nothing_kept
            && !says(&["role"])
            && says(&[
                "reasoning_content",
                "extra",
                "unknown",
                "unrecognized",
                "signature",
                "additional prop",
                "unexpected",
            ])
        {
            return set(&mut self.nothing_kept);
        }
        if wishes.tools
            && refusal.api == ModelApi::Chat
            && says(&[
                "not support tool",
                "tools are not",
                "tool use",
                "tool calling",
                "function calling",
                "support tools",
                "tool_calls is not",
                "enable-auto-tool-choice",
            ])
        {
            return set(&mut self.no_tools);
        }
        if wishes.pictures && says(&["image", "vision", "multimodal", "multi-modal", "modalit", "picture", "visual"]) {
            return set(&mut self.no_pictures);
        }
        if refusal.api == ModelApi::Chat
            && says(&["system"])
            && says(&["role", "message", "instruction", "not supported"])
        {
            return set(&mut self.no_system);
        }
        if says(&["role", "alternat", "after tool", "last message", "conversation"]) {
            return set(&mut self.strict_roles) || set(&mut self.no_system);
        }
        if says(&["content"]) && says(&["null", "none", "string", "empty", "required", "missing", "type"]) {
            return set(&mut self.text_content) || wishes.pictures && set(&mut self.no_pictures);
        }
        refusal.status != 404 && refusal.status != 500 && self.leave_out_all(&wishes)
    }

    /// What only one of the interfaces has.
    fn learn_of_interface(&mut self, api: ModelApi, thinks: bool, said: &str) -> Option<bool> {
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        match api {
            ModelApi::Messages if !self.no_cache_marks && says(&["cache_control"]) => {
                Some(set(&mut self.no_cache_marks))
            }
            ModelApi::Messages if thinks && !self.adaptive && says(&["adaptive", "budget_tokens", "thinking.type"]) => {
                Some(set(&mut self.adaptive))
            }
            ModelApi::Responses if !self.no_include && says(&["include", "encrypted"]) => {
                Some(set(&mut self.no_include))
            }
            ModelApi::Chat | ModelApi::Messages | ModelApi::Responses => None,
        }
    }

    /// The limit of a reply that the host names, or half of what was too much.
    fn learn_output(&mut self, said: &str) -> bool {
        const LEAST: u64 = 1_024;
        let asked = self.output_tokens.unwrap_or(OUTPUT_MAX_TOKENS);
        let numbers = said.split(|char: char| !char.is_ascii_digit()).filter_map(|digits| digits.parse::<u64>().ok());
        let named = numbers.filter(|number| (LEAST..asked).contains(number)).max();
        let limit = named.unwrap_or(asked / 2);
        let lower = limit >= LEAST;
        if lower {
            self.output_tokens = Some(limit);
        }
        lower
    }

    /// A refusal that names nothing: whatever is no need goes at once.
    fn leave_out_all(&mut self, wishes: &Wishes) -> bool {
        let before = self.clone();
        self.no_tool_choice |= wishes.tool_choice;
        self.no_effort |= wishes.effort;
        self.nothing_kept |= wishes.kept;
        self.strict_roles |= wishes.user_after_tool;
        self.no_pictures |= wishes.pictures;
        *self != before
    }

    /// The limit that the host names, or two thirds of what was too much.
    fn learn_context(&mut self, said: &str, tokens: usize) -> bool {
        let numbers = said.split(|char: char| !char.is_ascii_digit()).filter_map(|digits| digits.parse::<usize>().ok());
        let named = numbers.filter(|number| (512..=100_000_000).contains(number)).min();
        // Our count is an estimate: what the host names is believed only as far as it is less than what was sent.
        let limit = named.map_or(tokens * 2 / 3, |named| named.min(tokens * 5 / 6));
        let lower = self.context.is_none_or(|known| limit < known) && limit >= 128;
        if lower {
            self.context = Some(limit);
        }
        lower
    }
}

const TOO_LONG: [&str; 15] = [
    "context_length",
    "context length",
    "maximum context",
    "context window",
    "context size",
    "too many tokens",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "token limit",
    "max_model_len",
    "max_prompt_tokens",
    "reduce the length",
    "too long",
];

fn set(habit: &mut bool) -> bool {
    !std::mem::replace(habit, true)
}

/// What of a request could be left out.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
struct Wishes {
    tool_choice: bool,
    effort: bool,
    tools: bool,
    pictures: bool,
    kept: bool,
    user_after_tool: bool,
}

impl Wishes {
    fn of(request: &ChatRequest) -> Self {
        let parts = |message: &ChatMessage| match message {
            ChatMessage::User(parts) | ChatMessage::Note(parts) => {
                parts.iter().any(|part| matches!(part, Part::Image(_)))
            }
            ChatMessage::System(_) | ChatMessage::Assistant { .. } | ChatMessage::Tool { .. } => false,
        };
        let is_kept = |message: &ChatMessage| matches!(message, ChatMessage::Assistant { kept: Some(_), .. });
        let after_tool = |pair: &[SharedMessage]| {
            let [first, second] = pair else { return false };
            matches!((&**first, &**second), (ChatMessage::Tool { .. }, ChatMessage::User(_) | ChatMessage::Note(_)))
        };
        Self {
            tool_choice: request.tool_required,
            effort: request.reasoning_effort.is_some(),
            tools: !request.tools.is_empty(),
            pictures: request.messages.iter().any(|message| parts(message)),
            kept: request.messages.iter().any(|message| is_kept(message)),
            user_after_tool: request.messages.windows(2).any(after_tool),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quarterdeck_api::{JsonObject, ReasoningEffort, ToolDefinition};

    #[test]
    fn what_a_refusal_names_is_left_out_from_then_on() {
        let learnt = |said: &str| {
            let mut profile = Profile::default();
            assert!(profile.learn(&refusal(400, said, &full())), "{said}");
            profile
        };
        for said in [
            "tool_choice=required is not supported in thinking mode",
            "Invalid value for 'tool_choice': 'required'",
            "The tool choice 'required' is not available",
        ] {
            assert_eq!(learnt(said), Profile { no_tool_choice: true, ..Profile::default() }, "{said}");
        }
        assert!(learnt("Unrecognized request argument supplied: reasoning_effort").no_effort);
        assert!(learnt("This model only supports stream=True").streams);
        assert!(learnt("only stream mode is supported").streams);
        for said in ["image_url is not supported", "model x is not a multimodal model", "this model has no vision"] {
            assert!(learnt(said).no_pictures, "{said}");
        }
        assert!(learnt("registry.ollama.ai/library/x does not support tools").no_tools);
        assert!(learnt("Unexpected role 'user' after role 'tool'").strict_roles);
        assert!(learnt("Conversation roles must alternate user/assistant").strict_roles);
        assert!(learnt("System role not supported").no_system);
        assert!(learnt("messages.2.content: Input should be a valid string, got null").text_content);
        assert!(learnt("property 'reasoning_content' is unsupported").nothing_kept);
    }

    #[test]
    fn a_refusal_that_names_nothing_costs_all_that_is_no_need() {
        let mut profile = Profile::default();
        assert!(profile.learn(&refusal(400, "Bad Request", &full())));
        assert!(profile.no_tool_choice && profile.no_effort && profile.no_pictures && profile.nothing_kept);
        assert!(!profile.learn(&refusal(400, "Bad Request", &full())));
        assert!(!Profile::default().learn(&refusal(400, "Bad Request", &ChatRequest::default())));
        for status in [401, 402, 403, 404, 500] {
            assert!(!Profile::default().learn(&refusal(status, "No.", &full())), "{status}");
        }
    }

    #[test]
    fn a_limit_of_the_context_is_taken_from_the_hosts_words() {
        for (said, limit) in [
            ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", 8_192),
            ("prompt is too long: 210000 tokens > 200000 maximum", 16_666),
            ("context_length_exceeded", 13_333),
        ] {
            let mut profile = Profile::default();
            assert!(profile.learn(&refusal(400, said, &full())), "{said}");
            assert_eq!(profile.context, Some(limit), "{said}");
        }
    }

    #[test]
    fn what_only_one_interface_has_is_left_out_there() {
        let learnt = |api, said: &str| {
            let mut profile = Profile::default();
            assert!(profile.learn(&Refusal { api, ..refusal(400, said, &full()) }), "{said}");
            profile
        };
        let of_messages = |said| learnt(ModelApi::Messages, said);
        let limit = "max_tokens: 16384 > 8192, which is the maximum allowed number of output tokens for claude-3-5";
        assert_eq!(of_messages(limit), Profile { output_tokens: Some(8_192), ..Profile::default() });
        let sum = "input length and `max_tokens` exceed context limit: 190000 + 16384 > 200000";
        assert_eq!(of_messages(sum).output_tokens, Some(8_192));
        assert!(of_messages("tools.0.cache_control: Extra inputs are not permitted").no_cache_marks);
        let adaptive = "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\"";
        assert_eq!(of_messages(adaptive), Profile { adaptive: true, ..Profile::default() });
        assert!(of_messages("thinking is not supported on this model").no_effort);
        let include = "Encrypted content is not supported with this model";
        assert_eq!(learnt(ModelApi::Responses, include), Profile { no_include: true, ..Profile::default() });
    }

    #[test]
    fn models_are_remembered_apart_and_within_bounds() {
        let profiles = Profiles::default();
        let streams = Profile { streams: true, ..Profile::default() };
        profiles.remember("a", &streams);
        assert_eq!((profiles.of("a"), profiles.of("b")), (streams.clone(), Profile::default()));
        for number in 0..2 * MODELS_MAX {
            profiles.remember(&number.to_string(), &streams);
        }
        assert!(profiles.0.lock().unwrap().len() <= MODELS_MAX);
    }

    fn refusal<'a>(status: u16, said: &'a str, request: &'a ChatRequest) -> Refusal<'a> {
        Refusal { api: ModelApi::Chat, status, said, request, tokens: 20_000 }
    }

    fn full() -> ChatRequest {
        ChatRequest {
            messages: vec![
                ChatMessage::Assistant {
                    content: None,
                    calls: Vec::new(),
                    kept: Some(crate::model::HostMembers::default()),
                }
                .into(),
                ChatMessage::Tool { call_id: "c".into(), content: "r".into() }.into(),
                ChatMessage::User(vec![Part::Image("data:x".into())]).into(),
            ],
            tools: vec![ToolDefinition { name: "t".into(), description: "d".into(), input_schema: JsonObject::new() }],
            tool_required: true,
            reasoning_effort: Some(ReasoningEffort::Low),
            ..ChatRequest::default()
        }
    }
}
