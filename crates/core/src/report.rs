//! What a runner may say of the session that it drives. It may travel: each report reads back from its JSON.

use crate::{SessionFailure, StepMode};
use quarterdeck_api::{
    AgentEvent, Answer, EnvironmentKind, FileContent, JsonObject, ModelUsage, Outcome, ToolRequest, ToolResultItem,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something that a runner saw or did. Whether it fits the session's state is the session's to decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The agent looked at something: an observation; any other event is refused.
    Observed(AgentEvent),
    /// Something went wrong and is being tried again.
    Troubled {
        /// What went wrong.
        error: String,
        /// Where: `model`, ...
        origin: String,
    },
    /// The model replied with tool calls, or with something that cannot be used.
    Decided {
        /// The mode it was asked in; an answer may have been forced since.
        mode: StepMode,
        /// The reply.
        reply: Reply,
        /// What it wants done.
        calls: Vec<ToolRequest>,
        /// What was wrong with it.
        validation_errors: Vec<String>,
    },
    /// A call that the server runs returned, or a child has worked it off.
    Returned(ToolResultItem),
    /// The model answered.
    Answered {
        /// The reply.
        reply: Reply,
        /// The call of the `answer` tool, when it answered by one.
        call: Option<ToolRequest>,
        /// The answer.
        answer: Answer,
        /// Its own verdict.
        outcome: Option<Outcome>,
    },
    /// The model ended its turn without an answer: the user's next message begins another.
    Asked {
        /// The reply.
        reply: Reply,
    },
    /// The run ends as one whose time is up.
    TimedOut,
    /// An environment started, in a session that plays what another one did.
    Opened {
        /// The id of this start; the engine gives it.
        runner_session_id: Uuid,
        /// Its kind.
        kind: EnvironmentKind,
        /// Where it could be watched.
        live_view_url: Option<String>,
    },
    /// A call brought a file, in such a session.
    Brought(FileContent),
    /// The run cannot go on.
    Failed(SessionFailure),
}

/// What every reply of a model carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What it thought.
    pub reasoning: Option<String>,
    /// What it said.
    pub content: Option<String>,
    /// Tokens used.
    pub usage: Option<ModelUsage>,
    /// What they cost; none when they have no price.
    #[serde(default)]
    pub cost: Option<Box<Cost>>,
    /// What the model's host put into it beside this, and wants back. Recorded, and shown to nobody.
    #[serde(default)]
    pub kept: Option<Box<JsonObject>>,
}

/// What tokens cost, in billionths of a US dollar: sums of whole numbers do not drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Of tokens read.
    pub input: i64,
    /// Of tokens written, but for thoughts.
    pub output: i64,
    /// Of thoughts.
    pub reasoning: i64,
}

impl Cost {
    /// Adds what more cost.
    pub fn add(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
        self.reasoning = self.reasoning.saturating_add(more.reasoning);
    }

    /// Read, written, thought.
    #[expect(clippy::cast_precision_loss, reason = "millions of dollars are exact to the billionth part of one")]
    pub(crate) fn in_dollars(self) -> [f64; 3] {
        [self.input, self.output, self.reasoning].map(|billionths| billionths as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quarterdeck_api::{ErrorCode, JsonObject, ToolResult};

    #[test]
    fn a_report_reads_back_as_it_was_made() {
        let call = ToolRequest { tool_name: "click".into(), args: Some(JsonObject::new()), id: Some("1".into()) };
        let result =
            ToolResult { tool_req: call.clone(), result: 1.into(), truncated: false, output_artifact_path: None };
        let observation =
            AgentEvent::ObservationEvent { source: "web".into(), text: None, image: None, metadata: JsonObject::new() };
        let (mode, reply) = (StepMode::Act, Reply { content: Some("So.".into()), ..Reply::default() });
        for report in [
            Report::Observed(observation),
            Report::Troubled { error: "503".into(), origin: "model".into() },
            Report::Decided { mode, reply: reply.clone(), calls: vec![call], validation_errors: vec!["no".into()] },
            Report::Returned(ToolResultItem::Result(result)),
            Report::Answered { reply, call: None, answer: Answer::Text("42".into()), outcome: Some(Outcome::Success) },
            Report::Asked { reply: Reply::default() },
            Report::TimedOut,
            Report::Failed(SessionFailure::because(ErrorCode::Internal, "it broke")),
        ] {
            let json = serde_json::to_string(&report).expect("a report is JSON");
            assert_eq!(serde_json::from_str::<Report>(&json).expect("it reads back"), report, "{json}");
        }
    }
}
