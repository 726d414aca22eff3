//! Errors in the shapes that hosts give them: their words must reach the session's owner.

use super::{Habit, body, habit, paris};
use crate::fake_model::Behaviour;
use serde_json::{Value, json};

pub(super) fn habits() -> Vec<Habit> {
    const WORDS: &str = "the moon is full";
    let said = |status: u16, json: Value| Behaviour::Status(status, Vec::new(), json.to_string());
    let plain = |status: u16, text: &str| Behaviour::Status(status, Vec::new(), text.to_owned());
    let mut habits = Vec::new();
    for (name, source, reply) in [
        ("openai", "OpenAI", said(402, json!({"error": {"message": WORDS, "type": "x", "code": null}}))),
        (
            "list",
            "Gemini",
            said(402, json!([{"error": {"code": 402, "message": WORDS, "status": "FAILED_PRECONDITION"}}])),
        ),
        ("detail", "FastAPI", said(402, json!({"detail": WORDS}))),
        ("detail-list", "FastAPI", said(402, json!({"detail": [{"loc": ["body", "x"], "msg": WORDS, "type": "v"}]}))),
        ("errors", "Cloudflare", said(402, json!({"errors": [{"message": WORDS, "code": 1}], "success": false}))),
        ("text", "nginx, llama.cpp", plain(402, WORDS)),
        ("page", "gateways", plain(402, &format!("<html><head><title>{WORDS}</title></head></html>"))),
        ("error-text", "Ollama", said(402, json!({"error": WORDS}))),
        ("object", "vLLM", said(402, json!({"object": "error", "message": WORDS, "type": "x", "code": 402}))),
        ("title", "Azure", said(402, json!({"title": WORDS, "status": 402}))),
        (
            "raw",
            "OpenRouter",
            said(
                402,
                json!({"error": {"message": "Provider returned error", "metadata": {"raw": json!({"error": {"message": WORDS}}).to_string()}}}),
            ),
        ),
        ("key", "OpenAI", said(401, json!({"error": {"message": format!("{WORDS}: sk-abcd****wxyz")}}))),
        ("forbidden", "all", said(403, json!({"message": WORDS}))),
        ("model", "all", said(404, json!({"error": {"message": WORDS, "code": "model_not_found"}}))),
        ("quota", "OpenAI", said(429, json!({"error": {"message": WORDS, "code": "insufficient_quota"}}))),
        ("inside-base-resp", "MiniMax", body(&json!({"base_resp": {"status_code": 1004, "status_msg": WORDS}}))),
        ("inside-object", "vLLM", body(&json!({"object": "error", "message": WORDS, "code": 402}))),
        ("inside-detail", "FastAPI behind gateways", body(&json!({"detail": WORDS}))),
        ("inside-error", "OpenRouter", body(&json!({"error": {"message": WORDS, "code": 502}}))),
        ("inside-list", "Gemini", body(&json!([{"error": {"code": 400, "message": WORDS}}]))),
        ("inside-success", "Cloudflare", body(&json!({"success": false, "errors": [{"message": WORDS}]}))),
        ("server", "all", said(500, json!({"error": {"message": WORDS}}))),
        ("away", "all", said(503, json!({"error": {"message": WORDS}}))),
    ] {
        habits.push(habit(format!("error-{name}"), source).plays([reply]).fails(WORDS));
    }
    for (name, source, reply) in [
        ("busy", "all", Behaviour::busy(0)),
        ("loading", "llama.cpp", said(503, json!({"error": {"message": "Loading model", "code": 503}}))),
        ("overloaded", "Anthropic's gateways", Behaviour::status(529)),
        ("gateway", "nginx", plain(502, "<html><title>502 Bad Gateway</title></html>")),
        ("cloudflare", "Cloudflare", Behaviour::status(524)),
        ("hang-up", "any", Behaviour::HangUp),
        ("cut-off", "any", Behaviour::CutOff),
        ("page", "captive portals", Behaviour::html()),
        ("inside", "OpenRouter", body(&json!({"error": {"message": "upstream", "code": 502}}))),
        ("early", "all", Behaviour::status(425)),
    ] {
        habits.push(habit(format!("passing-{name}"), source).plays([reply, paris()]));
    }
    habits
}
