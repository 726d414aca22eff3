//! A session as a file: its log as it was served, and beside it what it takes to read the log elsewhere. Agent View shows
//! such a file, and a server in test mode plays it.

use crate::playback::Playback;
use quarterdeck_api::{EventData, JsonObject, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, fmt::Write, time::Duration};
use thiserror::Error;

/// The member that says what a file is, and of which version.
const VERSION_KEY: &str = "quarterdeck_recording";
/// The version that is written, and read.
const VERSION: u64 = 1;

/// A session as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Recording {
    /// The session's id, where it was recorded.
    pub id: String,
    /// What it was asked, its agent in full, secrets masked.
    pub request: Value,
    /// Its log.
    pub events: Vec<RecordedEvent>,
    /// The sessions that it delegated to.
    pub children: Vec<RecordedChild>,
    /// What else the API says of it: its status, its times, its answer.
    pub about: JsonObject,
}

/// An event of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// What happened.
    #[serde(flatten)]
    pub data: EventData,
    /// When.
    pub timestamp: Timestamp,
}

/// A session that a recorded one delegated to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedChild {
    /// The id of the call that it worked off.
    pub call: String,
    /// The session.
    pub recording: Recording,
}

/// Why a file is no recording that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {message}")]
pub struct RecordingFault {
    /// A line and column, or the way to a value: `events[3]`.
    pub place: String,
    /// What is wrong there, and what to do.
    pub message: String,
}

fn fault(place: impl Into<String>, message: impl Into<String>) -> RecordingFault {
    RecordingFault { place: place.into(), message: message.into() }
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it, and where.
    pub fn read(text: &str) -> Result<Self, RecordingFault> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            let whole = error.to_string();
            let why = whole.split(" at line ").next().unwrap_or_default();
            let cut = if error.is_eof() { "; the file was not written to its end" } else { "" };
            fault(place, format!("this is no JSON: {why}{cut}"))
        })?;
        Self::of_value(value, "")
    }

    /// Whether a text is meant to be a recording, well or badly.
    pub fn is_one(text: &str) -> bool {
        text.trim_start().starts_with('{') && text.contains(VERSION_KEY)
    }

    fn of_value(value: Value, at: &str) -> Result<Self, RecordingFault> {
        let begin = if at.is_empty() { "the beginning".to_owned() } else { at.to_owned() };
        let Value::Object(mut members) = value else { return Err(fault(begin, "a recording is a JSON object")) };
        check_version(members.remove(VERSION_KEY).as_ref(), &begin)?;
        let Some(Value::String(id)) = members.remove("id") else {
            return Err(fault(begin, "the recording has no `id`"));
        };
        let request = members.remove("request").filter(Value::is_object);
        let request = request.ok_or_else(|| fault(&begin, "the recording has no `request`"))?;
        let Some(Value::Array(events)) = members.remove("events") else {
            return Err(fault(begin, "the recording has no list of `events`"));
        };
        let events: Result<Vec<_>, _> =
            (0..).zip(events).map(|(number, event)| read_event(event, at, number)).collect();
        let children = match members.remove("children") {
            None => Vec::new(),
            Some(Value::Array(children)) => children,
            Some(_) => return Err(fault(begin, "`children` is a list")),
        };
        let children = (0..).zip(children).map(|(number, child)| read_child(child, &format!("{at}children[{number}]")));
        let (events, children) = (events?, children.collect::<Result<Vec<_>, _>>()?);
        if events.is_empty() {
            return Err(fault(begin, "the recording holds no events"));
        }
        Ok(Self { id, request, events, children, about: members })
    }

    /// The file's text.
    pub fn text(&self) -> String {
        Value::from(self.clone()).to_string()
    }

    /// What the session did, for whoever does it again.
    pub fn playback(&self) -> Playback {
        Playback::of(self)
    }

    /// The recording of the session that was reached by these calls, from this one down.
    pub fn below(&self, calls: &[String]) -> Option<&Self> {
        let Some((call, calls)) = calls.split_first() else { return Some(self) };
        self.children.iter().find(|child| child.call == *call)?.recording.below(calls)
    }

    /// The name of its agent.
    pub fn agent(&self) -> Option<&str> {
        self.request.pointer("/agent/name").or_else(|| self.request.get("agent"))?.as_str()
    }

    /// The text of its first message.
    pub fn first_message(&self) -> Option<&str> {
        match self.request.get("messages")? {
            Value::String(text) => Some(text),
            Value::Array(messages) => messages.first()?.get("message")?.as_str(),
            message @ Value::Object(_) => message.get("message")?.as_str(),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    /// Milliseconds between an event and the one before it.
    pub(crate) fn wait_before(&self, event: usize) -> Duration {
        let before = event.checked_sub(1).and_then(|before| self.events.get(before));
        let times = before.zip(self.events.get(event)).map(|(before, event)| (before.timestamp, event.timestamp));
        times.and_then(|(before, now)| (now - before).to_std().ok()).unwrap_or_default()
    }

    /// What must be the same when the session is played again: all but times, and ids are numbers in the order in which they
    /// come. Two recordings of one course of events are the same text.
    pub fn essence(&self) -> String {
        let mut ids = Ids::default();
        let essence = ids.named(self.bare());
        serde_json::to_string_pretty(&essence).unwrap_or_default()
    }

    /// The first thing in which another recording is not the same, in a sentence.
    pub fn difference(&self, played: &Self) -> Option<String> {
        let (mut ids, mut played_ids) = (Ids::default(), Ids::default());
        let (one, other) = (ids.named(self.bare()), played_ids.named(played.bare()));
        differing(&one, &other, "")
    }

    fn bare(&self) -> Value {
        let events: Vec<Value> = self.events.iter().map(|event| json!(event.data)).collect();
        let mut children: Vec<&RecordedChild> = self.children.iter().collect();
        children.sort_by(|one, other| one.call.cmp(&other.call));
        let children: Vec<Value> = children
            .into_iter()
            .map(|child| json!({"call": child.call, "recording": child.recording.bare()}))
            .collect();
        let about: Map<String, Value> = ["latest_answer"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.about.get(name)?.clone())))
            .collect();
        let mut request = self.request.clone();
        if let Some(request) = request.as_object_mut() {
            // Of a child: what was left of its parent's time, which is a time.
            request.remove("max_time_s");
        }
        json!({"events": events, "request": request, "children": children, "about": about})
    }
}

impl From<Recording> for Value {
    fn from(recording: Recording) -> Self {
        let Recording { id, request, events, children, about } = recording;
        let mut members = Map::new();
        members.insert(VERSION_KEY.into(), VERSION.into());
        members.insert("id".into(), id.into());
        members.extend(about);
        members.insert("request".into(), request);
        members.insert("events".into(), events.iter().map(|event| json!(event)).collect());
        let children = children.into_iter().map(|child| json!({"call": child.call, "recording": child.recording}));
        members.insert("children".into(), children.collect());
        Self::Object(members)
    }
}

impl TryFrom<Value> for Recording {
    type Error = RecordingFault;

    fn try_from(value: Value) -> Result<Self, RecordingFault> {
        Self::of_value(value, "")
    }
}

/// Characters of a value that a difference shows.
const SHOWN_MAX: usize = 300;

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Lists are compared item by item, so that an event is named by its number.
fn differing(one: &Value, other: &Value, at: &str) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other))
            if at.is_empty() || at.ends_with(".recording") || at == "children" =>
        {
            let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
            // What happened says more than what was asked.
            names.sort_by_key(|name| (*name != "events", name.as_str()));
            names.into_iter().find_map(|name| {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                differing(one.get(name).unwrap_or(&Value::Null), other.get(name).unwrap_or(&Value::Null), &at)
            })
        }
        (Value::Array(one), Value::Array(other)) if at.ends_with("events") || at.ends_with("children") => {
            (0..one.len().max(other.len())).find_map(|number| {
                let at = format!("{at}[{number}]");
                match (one.get(number), other.get(number)) {
                    (Some(one), Some(other)) if one == other => None,
                    (Some(one), Some(other)) => {
                        let inner = one.get("recording").zip(other.get("recording"));
                        let inner = inner.and_then(|(one, other)| differing(one, other, &format!("{at}.recording")));
                        inner.or_else(|| Some(told(Some(one), Some(other), &at)))
                    }
                    (one, other) => Some(told(one, other, &at)),
                }
            })
        }
        (one, other) => (one != other).then(|| told(Some(one), Some(other), at)),
    }
}

fn told(one: Option<&Value>, other: Option<&Value>, at: &str) -> String {
    format!("{at} differs: recorded was {}, and played was {}", shown(one), shown(other))
}

fn check_version(version: Option<&Value>, place: &str) -> Result<(), RecordingFault> {
    match version.map(|version| (version, version.as_u64())) {
        Some((_, Some(VERSION))) => Ok(()),
        Some((_, Some(newer))) if newer > VERSION => {
            let told = format!(
                "the recording is of version {newer}, and version {VERSION} is read here: take a newer quarterdeck"
            );
            Err(fault(place, told))
        }
        Some((other, _)) => Err(fault(place, format!("`{VERSION_KEY}` is the file's version, {VERSION}, not {other}"))),
        None => {
            let told = format!(
                "this is no recording: it has no `{VERSION_KEY}`; `quarterdeck scenario export` and Agent View write it"
            );
            Err(fault(place, told))
        }
    }
}

fn read_event(event: Value, at: &str, number: usize) -> Result<RecordedEvent, RecordingFault> {
    let place = format!("{at}events[{number}]");
    let kind = event.get("type").and_then(Value::as_str).map(str::to_owned);
    let kind = kind.ok_or_else(|| fault(&place, "the event has no `type`"))?;
    serde_json::from_value(event).map_err(|error| {
        let why = error.to_string();
        if why.starts_with("unknown variant") {
            return fault(
                &place,
                format!("events of the type {kind} are not known here ({why}): take a newer quarterdeck"),
            );
        }
        fault(&place, format!("this is no {kind}: {why}"))
    })
}

fn read_child(child: Value, at: &str) -> Result<RecordedChild, RecordingFault> {
    let Value::Object(mut members) = child else { return Err(fault(at, "a child is a JSON object")) };
    let call = members.remove("call").and_then(|call| call.as_str().map(str::to_owned));
    let call = call.ok_or_else(|| fault(at, "the child has no `call`"))?;
    let recording = members.remove("recording").ok_or_else(|| fault(at, "the child has no `recording`"))?;
    Ok(RecordedChild { call, recording: Recording::of_value(recording, &format!("{at}."))? })
}

/// Ids by numbers.
#[derive(Default)]
struct Ids(HashMap<String, usize>);

impl Ids {
    fn named(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.named_in(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.named(item)).collect(),
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, member)| (name, self.named(member)));
                Value::Object(members.collect())
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }

    /// A text with every id in it, with hyphens or without, as a number.
    fn named_in(&mut self, text: &str) -> String {
        if text.starts_with("data:") {
            return text.to_owned();
        }
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((place, length)) = next_id(rest) {
            let id = rest[place..place + length].replace('-', "").to_ascii_lowercase();
            let count = self.0.len() + 1;
            let number = *self.0.entry(id).or_insert(count);
            whole.push_str(&rest[..place]);
            // Writing to a string cannot fail.
            let _ = write!(whole, "<id {number}>");
            rest = &rest[place + length..];
        }
        whole.push_str(rest);
        whole
    }
}

/// Where the next id of version 7 is, and how long it is written.
fn next_id(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|place| {
        let is_inside = place > 0 && bytes[place - 1].is_ascii_alphanumeric();
        let length = [36, 32].into_iter().find(|length| bytes.get(place..place + length).is_some_and(is_id))?;
        let is_longer = bytes.get(place + length).is_some_and(u8::is_ascii_alphanumeric);
        (!is_inside && !is_longer).then_some((place, length))
    })
}

fn is_id(bytes: &[u8]) -> bool {
    let hyphens: &[usize] = if bytes.len() == 36 { &[8, 13, 18, 23] } else { &[] };
    let version = if bytes.len() == 36 { 14 } else { 12 };
    let fits = |(place, byte): (usize, &u8)| {
        if hyphens.contains(&place) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    bytes.get(version) == Some(&b'7') && bytes.iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Value {
        json!({
            "quarterdeck_recording": 1, "id": "s", "request": {"agent": {"name": "a"}, "messages": "hi"},
            "events": [{"type": "RequestStartEvent", "data": {}, "timestamp": "2026-01-01T00:00:00Z"}],
        })
    }

    #[test]
    fn a_recording_reads_back_as_it_was_written() {
        let recording = Recording::read(&small().to_string()).unwrap();
        assert_eq!((recording.agent(), recording.first_message()), (Some("a"), Some("hi")));
        assert_eq!(Recording::read(&recording.text()), Ok(recording));
    }

    #[test]
    fn what_cannot_be_read_is_told_once_with_its_place() {
        let text = small().to_string();
        check(&text[..40], "line 1, column 40: this is no JSON: EOF while parsing");
        check("[]", "the beginning: a recording is a JSON object");
        check("{\"events\": []}", "the beginning: this is no recording: it has no `quarterdeck_recording`");
        changed(
            "/quarterdeck_recording",
            json!(2),
            "the beginning: the recording is of version 2, and version 1 is read here",
        );
        changed(
            "/quarterdeck_recording",
            json!("x"),
            "the beginning: `quarterdeck_recording` is the file's version, 1, not \"x\"",
        );
        changed("/events", json!([]), "the beginning: the recording holds no events");
        changed("/events/0/type", json!("NewEvent"), "events[0]: events of the type NewEvent are not known here");
        changed("/events/0", json!(1), "events[0]: the event has no `type`");
        changed("/events/0/timestamp", json!("soon"), "events[0]: this is no RequestStartEvent: ");
        let mut with_child = small();
        with_child["children"] = json!([{"call": "c", "recording": {"quarterdeck_recording": 3}}]);
        check(&with_child.to_string(), "children[0].: the recording is of version 3");
    }

    #[test]
    fn ids_are_numbers_in_their_order() {
        let (one, other) = ("018f0000-0000-7000-8000-000000000001", "018f0000000070008000000000000002");
        let mut ids = Ids::default();
        let text = format!("/{one}/{other}.png {one} {} x{other}", one.replace('-', ""));
        assert_eq!(ids.named_in(&text), format!("/<id 1>/<id 2>.png <id 1> <id 1> x{other}"));
    }

    fn changed(pointer: &str, value: Value, start: &str) {
        let mut file = small();
        *file.pointer_mut(pointer).unwrap() = value;
        check(&file.to_string(), start);
    }

    fn check(text: &str, start: &str) {
        let told = Recording::read(text).unwrap_err().to_string();
        assert!(told.starts_with(start), "{told}");
    }
}
