//! Names in a request that nothing reads: mistyped fields, parameters of another version. They are let pass, and told.

use super::json::{Member, Value};
use crate::LocationPart;
use std::cell::RefCell;
use std::collections::HashMap;

/// More are not looked at.
pub(super) const TOLD_MAX: usize = 20;

/// Names are cut here, in characters.
const NAME_MAX: usize = 64;

/// Which members of a body's objects were looked at. An object is known by where it lies in memory: the body stays
/// there while it is read.
#[derive(Debug, Default)]
pub(super) struct Reads(RefCell<HashMap<usize, Vec<bool>>>);

impl Reads {
    /// An object is read by its fields.
    pub(super) fn open(&self, object: &Value<'_>, members: usize) {
        self.0.borrow_mut().entry(address(object)).or_insert_with(|| vec![false; members]);
    }

    /// All of an object counts as looked at.
    pub(super) fn close(&self, object: &Value<'_>) {
        self.0.borrow_mut().remove(&address(object));
    }

    /// A field of it was looked at.
    pub(super) fn read(&self, object: &Value<'_>, member: usize) {
        if let Some(read) = self.0.borrow_mut().get_mut(&address(object)).and_then(|reads| reads.get_mut(member)) {
            *read = true;
        }
    }

    /// Where in `body` members lie that nothing looked at.
    pub(super) fn unread(&self, body: &Value<'_>) -> Vec<Vec<LocationPart>> {
        let reads = self.0.borrow();
        if reads.values().flatten().all(|is_read| *is_read) {
            return Vec::new();
        }
        let mut search = Search { reads: &reads, path: Vec::new(), found: Vec::new(), looked: 0 };
        search.look_into(body);
        search.found
    }
}

struct Search<'r> {
    reads: &'r HashMap<usize, Vec<bool>>,
    path: Vec<LocationPart>,
    found: Vec<Vec<LocationPart>>,
    looked: usize,
}

impl Search<'_> {
    fn look_into(&mut self, value: &Value<'_>) {
        match value {
            Value::Object(members) => self.look_into_members(members, self.reads.get(&address(value))),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.below(LocationPart::Index(index as u64), |search| search.look_into(item));
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) | Value::Str(_) => {}
        }
    }

    /// Those of an object that is free JSON are all as good as read.
    fn look_into_members(&mut self, members: &[Member<'_>], reads: Option<&Vec<bool>>) {
        for (index, (name, member)) in members.iter().enumerate() {
            let is_read = reads.and_then(|reads| reads.get(index)).is_none_or(|is_read| *is_read);
            let part = || LocationPart::Name(name.chars().take(NAME_MAX).collect());
            if is_read {
                self.below(part(), |search| search.look_into(member));
            } else if self.looked < TOLD_MAX {
                self.looked += 1;
                // Of several with one name the last is read; the others' name is known all the same.
                if members.iter().skip(index + 1).all(|(other, _)| other != name) {
                    self.below(part(), |search| search.found.push(search.path.clone()));
                }
            }
        }
    }

    fn below(&mut self, part: LocationPart, look: impl FnOnce(&mut Self)) {
        self.path.push(part);
        look(self);
        self.path.pop();
    }
}

fn address(object: &Value<'_>) -> usize {
    std::ptr::from_ref(object).addr()
}

/// A place in words that fit into a header: `agent.tools[0].nmae`.
pub(super) fn in_words(path: &[LocationPart]) -> String {
    let mut words = String::new();
    for part in path {
        match part {
            LocationPart::Index(index) => words.extend(["[", &index.to_string(), "]"]),
            LocationPart::Name(name) => {
                let dot = if words.is_empty() { "" } else { "." };
                let plain = |letter: char| if letter.is_ascii_graphic() && letter != ',' { letter } else { '?' };
                let name: String = name.chars().take(NAME_MAX).map(plain).collect();
                words.push_str(dot);
                words.push_str(&name);
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::{Body, Decoder, SessionListQuery, SessionRequest};

    fn ignored(body: &str) -> Vec<String> {
        let decoder = Decoder::default();
        let body = Body::parse(Some("application/json"), body.as_bytes()).unwrap();
        decoder.body::<SessionRequest>(&body);
        decoder.ignored()
    }

    #[test]
    fn names_that_nothing_reads_are_told_with_their_place() {
        for (body, told) in [
            (r#"{"agent": "a", "messages": "m", "queue": true, "overrides": {"max_steps": 3}}"#, &[][..]),
            (r#"{"agent": "a", "mesages": "m"}"#, &["mesages"]),
            (
                r#"{"agent": {"name": "a", "description": "d", "enviroments": [],
                    "environments": [{"kind": "web", "id": "w", "start": 1}]}}"#,
                &["agent.enviroments", "agent.environments[0].start"],
            ),
            (
                r#"{"agent": "a", "messages": [{"type": "user_message", "message": "m", "x": 1}, {"message": "n"}]}"#,
                &["messages[0].x"],
            ),
            (
                r#"{"agent": {"name": "a", "description": "d", "environments": ["e"],
                    "answer_format": {"type": "object", "any": {"thing": 1}}}}"#,
                &[],
            ),
            (r#"{"agent": "a", "agent": "b"}"#, &[]),
            ("{\"agent\": \"a\", \"é,\\n\": 1}", &["???"]),
        ] {
            assert_eq!(ignored(body), told, "{body}");
        }
        let many = (0..1_000).fold(String::new(), |many, number| many + &format!(", \"x{number}\": 1"));
        assert_eq!(ignored(&format!("{{\"agent\": \"a\"{many}}}")).len(), super::TOLD_MAX);
    }

    #[test]
    fn parameters_that_nothing_reads_are_told_once() {
        let decoder = Decoder::default();
        decoder.query::<SessionListQuery>(Some("status=running&statuss=x&size=3&statuss=y"));
        assert_eq!(decoder.ignored(), ["statuss"]);
    }

    #[test]
    fn they_are_faults_for_who_is_strict() {
        let decoder = Decoder::default();
        decoder.be_strict();
        let query = decoder.query::<SessionListQuery>(Some("statuss=x"));
        let problem = decoder.finish(query).unwrap_err();
        assert_eq!(
            (problem.status, problem.body.message.as_str()),
            (422, "query.statuss: this name is not known here")
        );
    }
}
