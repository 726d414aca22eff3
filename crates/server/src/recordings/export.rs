//! A session as a recording.

use crate::routes::{session_view, to_json};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use quarterdeck_api::{SessionId, SessionRequest, mask};
use quarterdeck_core::{DELEGATE, HOST_MEMBERS};
use quarterdeck_scenario::{Masks, RecordedChild, Recording, RecordingFault};
use quarterdeck_store::{BlobClass, BlobName, Blobs, Error, SessionFilter, SessionRecord, Store};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use thiserror::Error;

/// Events that are read at once.
const EVENTS_AT_ONCE: u64 = 500;
/// Children that are looked for.
const CHILDREN_MAX: i64 = 1_000;
/// Bytes of pictures and files in one recording; what is beyond stays an address.
const BYTES_MAX: usize = 64 << 20;

/// Why a session cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// It holds what recordings do not know.
    #[error("the session cannot be written as a recording: {0}")]
    Unreadable(#[from] RecordingFault),
}

/// A session and those that it delegated to, with their pictures and files. Secrets of its request, whatever looks like a
/// key and what fits one of `patterns` is masked. None when there is no such session.
///
/// # Errors
/// [`ExportError`].
pub async fn export(
    store: &dyn Store,
    blobs: &Blobs,
    id: SessionId,
    patterns: Vec<Regex>,
) -> Result<Option<Recording>, ExportError> {
    let mut exporter = Exporter { store, blobs, bytes_left: BYTES_MAX, secrets: Vec::new() };
    let Some(mut recording) = exporter.session(id).await? else { return Ok(None) };
    Masks::new(exporter.secrets, patterns).apply(&mut recording)?;
    Ok(Some(recording))
}

struct Exporter<'a> {
    store: &'a dyn Store,
    blobs: &'a Blobs,
    bytes_left: usize,
    /// Of all requests.
    secrets: Vec<String>,
}

impl Exporter<'_> {
    fn session(&mut self, id: SessionId) -> BoxFuture<'_, Result<Option<Recording>, ExportError>> {
        async move {
            let Some(record) = self.store.record(id).await? else { return Ok(None) };
            let mut value = head(&record)?;
            secrets(&record.request, &mut self.secrets);
            value.insert("events".into(), self.events(id).await?.into());
            value.insert("quarterdeck_recording".into(), 1.into());
            let mut value = Value::Object(value);
            self.bring(id, &mut value).await?;
            let mut recording = Recording::try_from(value)?;
            recording.children = self.children(&record, &recording).await?;
            Ok(Some(recording))
        }
        .boxed()
    }

    async fn events(&self, id: SessionId) -> Result<Vec<Value>, ExportError> {
        let mut all = Vec::new();
        loop {
            let events = self.store.events(id, all.len() as u64, EVENTS_AT_ONCE).await?;
            if events.is_empty() {
                return Ok(all);
            }
            for event in events {
                let mut value: Value = serde_json::from_str(event.json.get()).map_err(|_| corrupt(id))?;
                if let Some(members) = value.as_object_mut() {
                    members.remove(HOST_MEMBERS);
                }
                all.push(value);
            }
        }
    }

    async fn children(&mut self, parent: &SessionRecord, log: &Recording) -> Result<Vec<RecordedChild>, ExportError> {
        let id = parent.session.id;
        if !parent.session.settings.delegates {
            return Ok(Vec::new());
        }
        let filter =
            SessionFilter { parent: Some(id), ascending: true, limit: CHILDREN_MAX, ..SessionFilter::default() };
        let listed = self.store.sessions(parent.session.organization, filter).await?;
        let mut calls = Calls::of(log);
        let mut children = Vec::new();
        for row in listed.items {
            let Some(recording) = self.session(row.session.id).await? else { continue };
            // One that a client created names its parent too, and worked off no call.
            if let Some(call) = calls.take(&recording) {
                children.push(RecordedChild { call, recording });
            }
        }
        Ok(children)
    }

    /// Puts bytes in the place of addresses of the session's own pictures and files.
    async fn bring(&mut self, id: SessionId, value: &mut Value) -> Result<(), ExportError> {
        let mut wanted = Vec::new();
        addresses(value, id, &mut wanted);
        wanted.sort_unstable();
        wanted.dedup();
        let mut found: HashMap<String, (String, Bytes)> = HashMap::new();
        for address in wanted {
            let Some(name) = blob(id, &address) else { continue };
            let Some(bytes) = self.blobs.get(&name).await? else { continue };
            if let Some(left) = self.bytes_left.checked_sub(bytes.len()) {
                self.bytes_left = left;
                found.insert(address.clone(), (media_type(&address), bytes));
            }
        }
        put(value, &found);
        Ok(())
    }
}

fn corrupt(id: SessionId) -> Error {
    Error::Corrupt { table: "events", id: id.to_string(), cause: "an event is no JSON".into() }
}

/// What the API says of the session beside its log.
fn head(record: &SessionRecord) -> Result<Map<String, Value>, ExportError> {
    let text = to_json(&session_view(record, ""));
    let mut head: Map<String, Value> = serde_json::from_str(&text).map_err(|_| corrupt(record.session.id))?;
    head.remove("agent_view_url");
    head.insert("metrics".into(), json!(record.session.metrics()));
    Ok(head)
}

/// What the API masks of a request, as it really is.
fn secrets(request: &SessionRequest, found: &mut Vec<String>) {
    let (whole, masked) = (json!(request), json!(mask::session_request(request)));
    compare(&whole, &masked, found);
}

fn compare(whole: &Value, masked: &Value, found: &mut Vec<String>) {
    match (whole, masked) {
        (Value::String(secret), Value::String(mask)) if secret != mask => {
            // `Bearer abc`, `https://user:password@host`: the part that is secret may stand alone.
            found.extend(secret.split_whitespace().next_back().filter(|last| *last != secret).map(str::to_owned));
            let login = secret.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
            let password = login.and_then(|(login, _)| login.split_once(':'));
            found.extend(password.map(|(_, password)| password.to_owned()));
            found.push(secret.clone());
        }
        (Value::Array(whole), Value::Array(masked)) => {
            whole.iter().zip(masked).for_each(|(whole, masked)| compare(whole, masked, found));
        }
        (Value::Object(whole), Value::Object(masked)) => {
            for (name, whole) in whole {
                compare(whole, masked.get(name).unwrap_or(&Value::Null), found);
            }
        }
        _ => {}
    }
}

fn below(id: SessionId) -> String {
    format!("/api/v2/sessions/{id}/resources/")
}

fn blob(id: SessionId, address: &str) -> Option<BlobName> {
    let (class, key) = address.strip_prefix(&below(id))?.split_once('/')?;
    BlobName::new(id, BlobClass::named(class)?, key)
}

fn media_type(address: &str) -> String {
    mime_guess::from_path(address).first_raw().unwrap_or("application/octet-stream").to_owned()
}

fn addresses(value: &Value, id: SessionId, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with(&below(id)) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| addresses(item, id, found)),
        Value::Object(members) => members.values().for_each(|member| addresses(member, id, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A picture or a file says how its source is meant; anything else becomes an address that holds its bytes.
fn put(value: &mut Value, found: &HashMap<String, (String, Bytes)>) {
    match value {
        Value::String(text) => {
            if let Some((media_type, bytes)) = found.get(text) {
                *text = format!("data:{media_type};base64,{}", STANDARD.encode(bytes));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, found)),
        Value::Object(members) => {
            let source = members.get("source").and_then(Value::as_str).and_then(|source| found.get(source));
            if let Some((media_type, bytes)) = source.filter(|_| members.get("type").is_some_and(|kind| kind == "url"))
            {
                let (media_type, bytes) = (media_type.clone(), STANDARD.encode(bytes));
                members.insert("type".into(), "base64".into());
                members.insert("source".into(), bytes.into());
                if members.get("media_type").is_none_or(Value::is_null) {
                    members.insert("media_type".into(), media_type.into());
                }
                return;
            }
            members.values_mut().for_each(|member| put(member, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The delegated calls of a log that no child was found for.
struct Calls(Vec<Open>);

struct Open {
    call: String,
    agent: Value,
    task: Value,
    /// What came back, where the child is named.
    result: String,
}

impl Calls {
    fn of(log: &Recording) -> Self {
        let events: Vec<Value> = log.events.iter().map(|event| json!(event.data)).collect();
        let called = events.iter().filter_map(|event| event.pointer("/data/tool_reqs")?.as_array()).flatten();
        let open =
            called.filter(|call| call.get("tool_name").is_some_and(|name| name == DELEGATE)).filter_map(|call| {
                let id = call.get("id")?.as_str()?;
                let returned =
                    events.iter().find(|event| event.pointer("/data/tool_req/id").is_some_and(|of| of == id));
                let result = returned.map(Value::to_string).unwrap_or_default();
                let argument = |name| call.pointer(&format!("/args/{name}")).cloned().unwrap_or_default();
                Some(Open { call: id.to_owned(), agent: argument("agent"), task: argument("task"), result })
            });
        Self(open.collect())
    }

    /// The call that a child worked off: the one whose result names it, else the first that asked for the same.
    fn take(&mut self, child: &Recording) -> Option<String> {
        let asked = |open: &Open| open.agent.as_str() == child.agent() && open.task.as_str() == child.first_message();
        let named = self.0.iter().position(|open| open.result.contains(&child.id));
        let place = named.or_else(|| self.0.iter().position(asked))?;
        Some(self.0.remove(place).call)
    }
}
