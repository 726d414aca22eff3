//! The tools that a step offers to the model.

use crate::{
    answer::{ANSWER, AnswerFormat, answer_tool},
    offered_schema::cleaned,
};
use quarterdeck_api::{Agent, JsonObject, Reference, ToolDefinition};
use quarterdeck_core::{DELEGATE, StepMode};
use serde_json::{Value, json};
use std::collections::HashSet;

/// `delegate` if the agent has subagents, its own tools, those that the server runs, and `answer`; only `answer` when
/// nothing else may be done. The first of two tools with one name is offered, so the agent's own win over the server's:
/// hosts refuse a list that holds both.
pub(crate) fn tools(
    agent: &Agent,
    servers: Vec<ToolDefinition>,
    mode: StepMode,
    format: Option<&AnswerFormat>,
) -> Vec<ToolDefinition> {
    let mut tools: Vec<ToolDefinition> = Vec::new();
    if mode == StepMode::Act {
        let mut taken = HashSet::from([ANSWER.to_owned()]);
        let all = delegate(agent).into_iter().chain(agent.tools.iter().flatten().cloned()).chain(servers);
        tools.extend(all.filter(|tool| taken.insert(tool.name.clone())));
    }
    tools.push(answer_tool(format));
    for tool in &mut tools {
        tool.input_schema = cleaned(&tool.input_schema);
    }
    tools
}

/// The agents that this one may delegate to, the first of each name.
pub(crate) fn subagents(agent: &Agent) -> Vec<&Agent> {
    let mut subagents: Vec<&Agent> = Vec::new();
    let mut taken = HashSet::new();
    for subagent in agent.subagents.iter().flatten() {
        match subagent {
            Reference::Inline(subagent) if taken.insert(subagent.name.as_str()) => subagents.push(subagent),
            // The engine puts named agents in full in place of their names.
            Reference::Inline(_) | Reference::Name(_) => {}
        }
    }
    subagents
}

const DELEGATE_DOES: &str = "Gives a subagent a task, waits until it has worked on it, and returns its answer. \
    Several calls in one reply work at the same time.";
const TASK_IS: &str =
    "What to do, and all that it takes to know for it: the subagent sees nothing of this conversation.";

fn delegate(agent: &Agent) -> Option<ToolDefinition> {
    let names: Vec<&str> = subagents(agent).into_iter().map(|subagent| subagent.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let parameters = json!({
        "type": "object",
        "properties": {
            "agent": {"type": "string", "enum": names, "description": "Which subagent."},
            "task": {"type": "string", "description": TASK_IS},
        },
        "required": ["agent", "task"],
        "additionalProperties": false,
    });
    let parameters = match parameters {
        Value::Object(parameters) => parameters,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => JsonObject::new(),
    };
    Some(ToolDefinition { name: DELEGATE.into(), description: DELEGATE_DOES.into(), input_schema: parameters })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::agent;
    use quarterdeck_api::JsonObject;
    use serde_json::json;

    #[test]
    fn answer_is_always_on_offer_and_alone_when_an_answer_is_forced() {
        let tool = |name, description| json!({"name": name, "description": description});
        let agent = agent(json!({"tools": [tool("a", "1"), tool("a", "2"), tool("answer", "3"), tool("b", "4")]}));
        check(&agent, StepMode::Act, &["a", "b", "c", "answer"]);
        check(&agent, StepMode::AnswerOnly, &["answer"]);
    }

    #[test]
    fn delegate_is_on_offer_with_subagents_and_hides_a_tool_of_its_name() {
        let custom = json!([{"name": "delegate", "description": "1"}]);
        let subagent = |name, what| json!({"name": name, "description": what, "environments": []});
        let subagents = json!([subagent("a", "1"), subagent("b", "2"), subagent("a", "3")]);
        let parent = agent(json!({"tools": custom, "subagents": subagents}));
        check(&parent, StepMode::Act, &["delegate", "b", "c", "answer"]);
        check(&parent, StepMode::AnswerOnly, &["answer"]);
        let offered = &tools(&parent, Vec::new(), StepMode::Act, None)[0];
        assert_eq!(offered.input_schema["properties"]["agent"]["enum"], json!(["a", "b"]));

        let childless = agent(json!({"tools": custom, "subagents": []}));
        check(&childless, StepMode::Act, &["delegate", "b", "c", "answer"]);
        assert_eq!(tools(&childless, Vec::new(), StepMode::Act, None)[0].description, "1");
    }

    fn check(agent: &Agent, mode: StepMode, expected: &[&str]) {
        let server =
            |name: &str| ToolDefinition { name: name.into(), description: "5".into(), input_schema: JsonObject::new() };
        let tools = tools(agent, vec![server("b"), server("answer"), server("c")], mode, None);
        let owns = agent.tools.iter().flatten().any(|tool| tool.name == "b");
        assert!(!owns || tools.iter().all(|tool| tool.name != "b" || tool.description == "4"), "the agent's own wins");
        assert_eq!(tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), expected);
    }
}
