//! The kind `memory`: values by key that outlive the session, shared by all agents that name the namespace.

use crate::{CallError, Environment, Output, Tool};
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, JsonObject};
use serde_json::{Value, json};
use std::{fmt::Debug, sync::Arc};

/// Entries that one namespace may hold.
pub const MEMORY_ENTRIES_MAX: u32 = 10_000;
const KEY_MAX_BYTES: usize = 255;
const VALUE_MAX_BYTES: usize = 64 * 1024;
const LISTED_MAX: u32 = 100;

const GET: &str = "memory_get";
const SET: &str = "memory_set";
const LIST: &str = "memory_list";
const DELETE: &str = "memory_delete";

/// Where values are kept: one namespace of one organization. Errors are sentences for the model.
#[async_trait]
pub trait KeyValues: Debug + Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, key: &str) -> Result<Option<Value>, CallError>;

    /// Stores a value in the place of an earlier one; it is durable on return.
    async fn set(&self, key: &str, value: &Value) -> Result<(), CallError>;

    /// Removes a value.
    async fn delete(&self, key: &str) -> Result<Forgotten, CallError>;

    /// Keys that begin with `prefix` and stand behind `after`, in order, at most `limit`.
    async fn keys(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, CallError>;
}

/// What came of removing a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It was there.
    Removed,
    /// There was none.
    Unknown,
}

/// Memory, open.
#[derive(Debug)]
pub(crate) struct MemoryEnvironment(pub(crate) Arc<dyn KeyValues>);

#[async_trait]
impl Environment for MemoryEnvironment {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Memory
    }

    async fn tools(&self) -> Vec<Tool> {
        let key = json!({"type": "string", "description": "At most 255 bytes."});
        let after = json!({"type": "string", "description": "Only keys behind this one: the last of the list before."});
        vec![
            tool(GET, "Reads what is remembered under a key.", json!({"key": key}), &["key"]),
            tool(
                SET,
                "Remembers a value under a key, beyond this session. An earlier value is replaced.",
                json!({"key": key, "value": {"description": "Any JSON, at most 64 KiB."}}),
                &["key", "value"],
            ),
            tool(
                LIST,
                "Lists the keys of what is remembered, in order, 100 at a time.",
                json!({"prefix": {"type": "string", "description": "Only keys that begin so."}, "after": after}),
                &[],
            ),
            tool(DELETE, "Forgets what is remembered under a key.", json!({"key": key}), &["key"]),
        ]
    }

    async fn call(&self, tool: &str, arguments: &JsonObject) -> Result<Output, CallError> {
        let result = match tool {
            GET => self.get(&key(arguments)?).await,
            SET => self.set(&key(arguments)?, arguments).await,
            LIST => self.list(arguments).await,
            DELETE => self.delete(&key(arguments)?).await,
            _ => Err(CallError(format!("there is no tool {tool:?}"))),
        };
        result.map(Output::of)
    }
}

impl MemoryEnvironment {
    async fn get(&self, key: &str) -> Result<Value, CallError> {
        match self.0.get(key).await? {
            Some(value) => Ok(json!({"found": true, "value": value})),
            None => Ok(json!({"found": false})),
        }
    }

    async fn set(&self, key: &str, arguments: &JsonObject) -> Result<Value, CallError> {
        let value = arguments.get("value").ok_or_else(|| CallError("the argument `value` is missing".into()))?;
        let size = value.to_string().len();
        if size > VALUE_MAX_BYTES {
            return Err(CallError(format!(
                "the value has {size} bytes as JSON; at most {VALUE_MAX_BYTES} can be kept"
            )));
        }
        self.0.set(key, value).await?;
        Ok(json!({"stored": true}))
    }

    async fn list(&self, arguments: &JsonObject) -> Result<Value, CallError> {
        let prefix = text(arguments, "prefix")?.unwrap_or_default();
        let after = text(arguments, "after")?;
        let mut keys = self.0.keys(&prefix, after.as_deref(), LISTED_MAX + 1).await?;
        let more = keys.len() > LISTED_MAX as usize;
        keys.truncate(LISTED_MAX as usize);
        Ok(json!({"keys": keys, "more": more}))
    }

    async fn delete(&self, key: &str) -> Result<Value, CallError> {
        Ok(json!({"deleted": self.0.delete(key).await? == Forgotten::Removed}))
    }
}

fn key(arguments: &JsonObject) -> Result<String, CallError> {
    let key = text(arguments, "key")?.ok_or_else(|| CallError("the argument `key` is missing".into()))?;
    if key.is_empty() || key.len() > KEY_MAX_BYTES {
        return Err(CallError(format!("a key has 1 to {KEY_MAX_BYTES} bytes; this one has {}", key.len())));
    }
    Ok(key)
}

fn text(arguments: &JsonObject, name: &str) -> Result<Option<String>, CallError> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.contains('\0') => {
            Err(CallError(format!("the argument `{name}` holds a NUL character")))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(CallError(format!("the argument `{name}` is not a text")))
        }
    }
}

fn tool(name: &str, description: &str, properties: Value, required: &[&str]) -> Tool {
    let mut input_schema = JsonObject::from_iter([("type".to_owned(), Value::from("object"))]);
    input_schema.insert("properties".into(), properties);
    input_schema.insert("required".into(), json!(required));
    Tool { name: name.into(), description: description.into(), input_schema }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, sync::Mutex};

    #[derive(Debug, Default)]
    struct InMemory(Mutex<BTreeMap<String, Value>>);

    #[async_trait]
    impl KeyValues for InMemory {
        async fn get(&self, key: &str) -> Result<Option<Value>, CallError> {
            Ok(self.0.lock().unwrap().get(key).cloned())
        }

        async fn set(&self, key: &str, value: &Value) -> Result<(), CallError> {
            self.0.lock().unwrap().insert(key.to_owned(), value.clone());
            Ok(())
        }

        async fn delete(&self, key: &str) -> Result<Forgotten, CallError> {
            let removed = self.0.lock().unwrap().remove(key);
            Ok(if removed.is_some() { Forgotten::Removed } else { Forgotten::Unknown })
        }

        async fn keys(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, CallError> {
            let values = self.0.lock().unwrap();
            let fits = |key: &&String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
            Ok(values.keys().filter(fits).take(limit as usize).cloned().collect())
        }
    }

    #[tokio::test]
    async fn what_is_set_is_read_listed_and_deleted() {
        let memory = MemoryEnvironment(Arc::new(InMemory::default()));
        check(&memory, GET, json!({"key": "a"}), Ok(json!({"found": false}))).await;
        check(&memory, SET, json!({"key": "a", "value": {"n": null}}), Ok(json!({"stored": true}))).await;
        check(&memory, GET, json!({"key": "a"}), Ok(json!({"found": true, "value": {"n": null}}))).await;
        check(&memory, LIST, json!({}), Ok(json!({"keys": ["a"], "more": false}))).await;
        check(&memory, DELETE, json!({"key": "a"}), Ok(json!({"deleted": true}))).await;
        check(&memory, DELETE, json!({"key": "a"}), Ok(json!({"deleted": false}))).await;
    }

    #[tokio::test]
    async fn a_list_says_when_there_is_more() {
        let memory = MemoryEnvironment(Arc::new(InMemory::default()));
        for number in 0..101 {
            let stored = Ok(json!({"stored": true}));
            check(&memory, SET, json!({"key": format!("k{number:03}"), "value": 1}), stored).await;
        }
        let arguments = |value: Value| value.as_object().unwrap().clone();
        let first = memory.call(LIST, &arguments(json!({"prefix": "k"}))).await.unwrap().result;
        assert_eq!((first["keys"].as_array().unwrap().len(), &first["more"]), (100, &json!(true)));
        check(&memory, LIST, json!({"after": "k099"}), Ok(json!({"keys": ["k100"], "more": false}))).await;
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused_with_its_reason() {
        let memory = MemoryEnvironment(Arc::new(InMemory::default()));
        for (tool, arguments, fault) in [
            (GET, json!({}), "`key` is missing"),
            (GET, json!({"key": ""}), "1 to 255 bytes"),
            (GET, json!({"key": "é".repeat(128)}), "1 to 255 bytes; this one has 256"),
            (GET, json!({"key": 1}), "is not a text"),
            (SET, json!({"key": "a\0", "value": 1}), "NUL"),
            (SET, json!({"key": "a"}), "`value` is missing"),
            (SET, json!({"key": "a", "value": "x".repeat(VALUE_MAX_BYTES)}), "at most 65536"),
            (LIST, json!({"prefix": "\0"}), "NUL"),
            ("memory_burn", json!({}), "no tool"),
        ] {
            let told = memory.call(tool, arguments.as_object().unwrap()).await.unwrap_err().0;
            assert!(told.contains(fault), "{told}");
        }
    }

    async fn check(memory: &MemoryEnvironment, tool: &str, arguments: Value, expected: Result<Value, CallError>) {
        let told = memory.call(tool, arguments.as_object().unwrap()).await.map(|output| output.result);
        assert_eq!(told, expected, "{tool} {arguments}");
    }
}
