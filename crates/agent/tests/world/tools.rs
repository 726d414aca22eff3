//! Tools that the server runs, made of closures.

use async_trait::async_trait;
use quarterdeck_agent::{ToolFault, ToolOutput, ToolSpec, Toolbox};
use quarterdeck_api::{AgentEvent, JsonObject};
use serde_json::Value;
use std::{fmt, sync::Mutex, time::Duration};
use tokio::sync::Barrier;

/// `echo` returns its arguments, `together` waits for as many calls as the barrier takes, `stuck` never returns,
/// `fail` fails, `picture` comes with one.
pub(crate) struct FakeTools {
    barrier: Barrier,
    calls: Mutex<Vec<String>>,
}

impl FakeTools {
    pub(crate) fn together(calls: usize) -> Self {
        Self { barrier: Barrier::new(calls), calls: Mutex::default() }
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl fmt::Debug for FakeTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeTools")
    }
}

#[async_trait]
impl Toolbox for FakeTools {
    fn opening_observations(&self) -> Vec<AgentEvent> {
        vec![observation("mcp", "Hello from the tools.")]
    }

    async fn tools(&self) -> Vec<ToolSpec> {
        let tool =
            |name: &str| ToolSpec { name: name.into(), description: "A tool.".into(), parameters: JsonObject::new() };
        ["echo", "together", "stuck", "fail", "picture", "look"].map(tool).to_vec()
    }

    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<ToolOutput, ToolFault> {
        self.calls.lock().unwrap().push(name.to_owned());
        match name {
            "together" => {
                self.barrier.wait().await;
            }
            "stuck" => tokio::time::sleep(Duration::from_hours(1)).await,
            "fail" => return Err(ToolFault("it broke".into())),
            "picture" => {
                let image = serde_json::json!({"type": "base64", "source": "aGk=", "media_type": "image/png"});
                let images = vec![serde_json::from_value(image).unwrap()];
                return Ok(ToolOutput { images, ..ToolOutput::of("see") });
            }
            _ => {}
        }
        Ok(ToolOutput::of(Value::Object(arguments.clone())))
    }
}

fn observation(source: &str, text: &str) -> AgentEvent {
    AgentEvent::ObservationEvent {
        source: source.into(),
        text: Some(text.into()),
        image: None,
        metadata: JsonObject::new(),
    }
}
