//! The tools that a step offers to the model.

use crate::{
    answer::{ANSWER, AnswerFormat, answer_tool},
    model::ToolSpec,
};
use quarterdeck_api::{Agent, ToolDefinition};
use quarterdeck_core::StepMode;

/// The agent's own tools and `answer`; only `answer` when nothing else may be done. The first of two tools
/// with one name is offered: hosts refuse a list that holds both.
pub(crate) fn tools(agent: &Agent, mode: StepMode, format: Option<&AnswerFormat>) -> Vec<ToolSpec> {
    let mut tools: Vec<ToolSpec> = Vec::new();
    if mode == StepMode::Act {
        for tool in agent.tools.iter().flatten() {
            if tool.name != ANSWER && !tools.iter().any(|known| known.name == tool.name) {
                tools.push(spec(tool));
            }
        }
    }
    tools.push(answer_tool(format));
    tools
}

fn spec(tool: &ToolDefinition) -> ToolSpec {
    ToolSpec { name: tool.name.clone(), description: tool.description.clone(), parameters: tool.input_schema.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::agent;
    use serde_json::json;

    #[test]
    fn answer_is_always_on_offer_and_alone_when_an_answer_is_forced() {
        let tool = |name, description| json!({"name": name, "description": description});
        let agent = agent(json!({"tools": [tool("a", "1"), tool("a", "2"), tool("answer", "3"), tool("b", "4")]}));
        check(&agent, StepMode::Act, &["a", "b", "answer"]);
        check(&agent, StepMode::AnswerOnly, &["answer"]);
    }

    fn check(agent: &Agent, mode: StepMode, expected: &[&str]) {
        let tools = tools(agent, mode, None);
        assert_eq!(tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), expected);
    }
}
