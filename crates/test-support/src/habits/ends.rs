//! How hosts say that a reply ended, and what is then no answer.

use super::{Habit, body, completion, habit, paris};
use crate::fake_model::Behaviour;
use serde_json::{Value, json};

pub(super) fn habits() -> Vec<Habit> {
    const HALF: &str = "The capital is";
    let half = |finish: &str| body(&completion(&json!({"content": HALF}), finish));
    let fails = [
        ("content_filter", "Azure"),
        ("SAFETY", "Gemini"),
        ("RECITATION", "Gemini"),
        ("sensitive", "Zhipu"),
        ("MALFORMED_FUNCTION_CALL", "Gemini"),
        ("repetition_truncation", "Moonshot"),
        ("unknown", "gateways"),
    ];
    let fails = fails.map(|(finish, source)| (habit(format!("end-{finish}"), source), half(finish), finish));
    let mut habits = Vec::new();
    for (habit, reply, finish) in fails {
        let mut forever = habit.clone().plays([reply.clone()]).fails(finish);
        forever.name.push_str("-forever");
        habits.extend([habit.plays([reply, paris()]), forever]);
    }
    for (finish, source) in [
        ("error", "OpenRouter"),
        ("insufficient_system_resource", "DeepSeek"),
        ("network_error", "Zhipu"),
        ("abort", "SGLang, vLLM"),
        ("timeout", "gateways"),
    ] {
        habits.push(habit(format!("end-{finish}"), source).plays([half(finish), paris()]));
        habits.push(habit(format!("end-{finish}-forever"), source).plays([half(finish)]).fails(finish));
    }
    for (finish, source) in
        [("length", "all"), ("MAX_TOKENS", "Gemini"), ("model_length", "Mistral"), ("max_output_tokens", "gateways")]
    {
        habits.push(habit(format!("end-{finish}"), source).plays([half(finish), paris()]));
        habits.push(
            habit(format!("end-{finish}-forever"), source).plays([half(finish)]).fails("cut off at its length limit"),
        );
    }
    for (finish, source) in [
        ("end_turn", "Anthropic's gateways"),
        ("eos", "Together"),
        ("stop_sequence", "gateways"),
        ("COMPLETE", "Cohere"),
    ] {
        habits.push(
            habit(format!("end-{finish}"), source).plays([body(&completion(&json!({"content": "Paris"}), finish))]),
        );
    }
    habits.extend(nothing());
    habits
}

/// Replies in which nothing is said.
fn nothing() -> Vec<Habit> {
    let reply = |message: Value, finish: &str| body(&completion(&message, finish));
    let promised = reply(json!({"content": "Let me check that."}), "tool_calls");
    let thoughts = reply(json!({"content": null, "reasoning_content": "hm"}), "length");
    let error = json!({"choices": [{"message": {"content": "The capital"}, "finish_reason": "error", "error": {"code": 502, "message": "upstream gone"}}]});
    let open = Behaviour::text("<think>I wonder");
    vec![
        habit("end-promise", "vLLM, Gemini").plays([promised.clone(), paris()]),
        habit("end-promise-forever", "vLLM, Gemini").plays([promised]).fails("there is no call in it"),
        habit("end-thoughts-cut", "Qwen3, DeepSeek").plays([thoughts.clone(), paris()]),
        habit("end-thoughts-cut-forever", "Qwen3, DeepSeek").plays([thoughts]).fails("cut off at its length limit"),
        habit("end-error-inside", "OpenRouter").plays([body(&error), paris()]),
        habit("end-error-inside-forever", "OpenRouter").plays([body(&error)]).fails("upstream gone"),
        habit("end-open-thought", "Qwen3 on llama.cpp").plays([open.clone(), paris()]),
        habit("end-open-thought-forever", "Qwen3 on llama.cpp").plays([open]).fails("the reply is empty"),
        habit("end-empty", "many").plays([Behaviour::text(""), paris()]),
        habit("end-empty-forever", "many").plays([Behaviour::text("")]).fails("the reply is empty"),
        habit("end-only-token", "llama.cpp").plays([Behaviour::text("<|im_end|>"), paris()]),
        habit("end-no-choice", "Gemini when it blocks a prompt")
            .plays([body(&json!({"choices": []}))])
            .fails("without a message"),
        habit("end-null-content", "many").plays([reply(json!({"content": null}), "stop"), paris()]),
    ]
}
