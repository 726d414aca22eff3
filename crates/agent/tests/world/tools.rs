//! Tools that the server runs, made of closures.

use async_trait::async_trait;
use quarterdeck_agent::{Look, Toolbox};
use quarterdeck_api::{JsonObject, ToolDefinition};
use quarterdeck_core::{CallError, Observation, Output, Picture};
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
    async fn opening(&self) -> Vec<Observation> {
        vec![Observation::of_text("mcp", "Hello from the tools.")]
    }

    async fn tools(&self) -> Vec<ToolDefinition> {
        let tool = |name: &str| ToolDefinition {
            name: name.into(),
            description: "A tool.".into(),
            input_schema: JsonObject::new(),
        };
        ["echo", "together", "stuck", "fail", "picture", "look"].map(tool).to_vec()
    }

    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<Output, CallError> {
        self.calls.lock().unwrap().push(name.to_owned());
        match name {
            "together" => {
                self.barrier.wait().await;
            }
            "stuck" => tokio::time::sleep(Duration::from_hours(1)).await,
            "fail" => return Err(CallError("it broke".into())),
            "picture" => {
                let images = vec![Picture { bytes: "hi".into(), media_type: "image/png".into() }];
                let shown = Observation { source: "tool".into(), images, ..Observation::default() };
                return Ok(Output { observations: vec![shown], ..Output::of("see") });
            }
            _ => {}
        }
        Ok(Output::of(Value::Object(arguments.clone())))
    }

    async fn look(&self, _at: Look) -> Vec<Observation> {
        Vec::new()
    }
}
