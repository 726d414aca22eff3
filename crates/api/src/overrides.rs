//! Overrides: changes to a resolved request, by path (contract: sessions §4).
//!
//! They are looked at twice. [`check`] runs while the request is decoded, before the agent's name is resolved:
//! does the path exist in the shape of a request, does the value fit there. [`apply_overrides`] runs on the
//! resolved request: does every selector match exactly one entry, does the whole still satisfy every rule.

mod moved;
mod shape;

use crate::decode::json;
use crate::decode::place::Faults;
use crate::{JsonObject, Problem, Retention, SessionRequest, decode_json};
use moved::Touched;
use serde_json::Value;
use std::fmt::Write as _;

/// The most overrides of a request.
const OVERRIDES_MAX: usize = 1_000;
/// Entries of lists that all selectors of a request together may be held against.
const ENTRIES_MAX: usize = 2_000_000;

/// Whether every path leads somewhere and every value fits there.
pub(crate) fn check(overrides: &JsonObject) -> Result<(), String> {
    if overrides.len() > OVERRIDES_MAX {
        return Err(format!("there may be at most {OVERRIDES_MAX} overrides"));
    }
    overrides
        .iter()
        .try_for_each(|(path, value)| check_one(path, value).map_err(|why| format!("override {}: {why}", brief(path))))
}

fn check_one(path: &str, value: &Value) -> Result<(), String> {
    let target = shape::target(&parse(path)?)?;
    let faults = Faults::default();
    let fits = target.fits(&json::from_json(value), &faults.root("value"));
    let first = faults.into_details().into_iter().next();
    match first {
        Some(fault) => Err(format!("the value does not fit: {}", fault.message)),
        None if fits => Ok(()),
        None => Err("the value does not fit".into()),
    }
}

/// The request with its overrides written into it and decoded again in full. The agent must be resolved, that
/// is, be an agent in full. An override of `agent` by a name leaves that name to be resolved once more.
pub fn apply_overrides(request: &SessionRequest) -> Result<SessionRequest, Problem> {
    if request.overrides.is_empty() {
        return Ok(request.clone());
    }
    let mut whole = serde_json::to_value(request).map_err(|_| Problem::internal())?;
    let mut touched = Touched::default();
    let mut entries_left = ENTRIES_MAX;
    for (path, value) in &request.overrides {
        write(path, value, &mut whole, &mut touched, &mut entries_left)
            .map_err(|why| Problem::invalid_body(format!("override {}: {why}", brief(path))))?;
    }
    let changed: SessionRequest = decode_json(&whole)?;
    touched.check(&whole).map_err(Problem::invalid_body)?;
    // Written out, the defaults look like wishes.
    let explicit = |path: &str, known, read| if request.overrides.contains_key(path) { read } else { known };
    let known = request.explicit_retention;
    let explicit_retention = Retention {
        delete_after_min: explicit("delete_after_min", known.delete_after_min, changed.delete_after_min),
        delete_screenshot_after_min: explicit(
            "delete_screenshot_after_min",
            known.delete_screenshot_after_min,
            changed.delete_screenshot_after_min,
        ),
    };
    Ok(SessionRequest { explicit_retention, ..changed })
}

fn write(
    path: &str,
    value: &Value,
    whole: &mut Value,
    touched: &mut Touched,
    entries_left: &mut usize,
) -> Result<(), String> {
    let segments = parse(path)?;
    let mut place = whole;
    let mut pointer = String::new();
    for (index, segment) in segments.iter().enumerate() {
        place = enter(*segment, place, &mut pointer, entries_left)?;
        if let Some(next) = segments.get(index + 1) {
            touched.enter(segment.field, &pointer, place, next.field);
        }
    }
    touched.replace(pointer);
    *place = value.clone();
    Ok(())
}

/// Goes on to what a segment leads to, and adds the step to `pointer`.
fn enter<'v>(
    segment: Segment<'_>,
    value: &'v mut Value,
    pointer: &mut String,
    entries_left: &mut usize,
) -> Result<&'v mut Value, String> {
    let field =
        value.get_mut(segment.field).ok_or_else(|| format!("there is no {} here to change", brief(segment.field)))?;
    let _ = write!(pointer, "/{}", segment.field);
    match segment.selector {
        Some(selector) => {
            let (index, entry) = select(selector, field, entries_left)?;
            let _ = write!(pointer, "/{index}");
            Ok(entry)
        }
        None => Ok(field),
    }
}

fn select<'v>(
    selector: Selector<'_>,
    list: &'v mut Value,
    entries_left: &mut usize,
) -> Result<(usize, &'v mut Value), String> {
    let entries = list.as_array_mut().ok_or("there is no list to select from")?;
    *entries_left = entries_left
        .checked_sub(entries.len())
        .ok_or_else(|| format!("all selectors together look at more than {ENTRIES_MAX} entries"))?;
    let mut matching = entries.iter_mut().enumerate().filter(|(_, entry)| selector.matches(entry));
    match (matching.next(), matching.next()) {
        (Some(found), None) => Ok(found),
        (None, _) => Err(format!("no entry is selected by {}", brief(selector.value))),
        (Some(_), Some(_)) => Err(format!("several entries are selected by {}", brief(selector.value))),
    }
}

/// A step of a path: a field, and which entry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment<'p> {
    field: &'p str,
    selector: Option<Selector<'p>>,
}

/// The entry whose field has this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Selector<'p> {
    field: &'p str,
    value: &'p str,
}

impl Selector<'_> {
    fn matches(&self, entry: &Value) -> bool {
        match entry.get(self.field) {
            Some(Value::String(text)) => text == self.value,
            // Words and numbers are short; what is not is what no selector names.
            Some(other @ (Value::Null | Value::Bool(_) | Value::Number(_))) => other.to_string().as_str() == self.value,
            Some(Value::Array(_) | Value::Object(_)) | None => false,
        }
    }
}

/// Splits `a.b[c=d].e`.
fn parse(path: &str) -> Result<Vec<Segment<'_>>, String> {
    path.split('.').map(|segment| parse_segment(segment).ok_or_else(|| "the path is malformed".to_owned())).collect()
}

fn parse_segment(segment: &str) -> Option<Segment<'_>> {
    let Some((field, selector)) = segment.split_once('[') else {
        return is_identifier(segment).then_some(Segment { field: segment, selector: None });
    };
    let (key, value) = selector.strip_suffix(']')?.split_once('=')?;
    let well_formed = is_identifier(field) && is_identifier(key) && !value.is_empty() && !value.contains(['[', ']']);
    well_formed.then_some(Segment { field, selector: Some(Selector { field: key, value }) })
}

fn is_identifier(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(letter) && !text.starts_with(|first: char| first.is_ascii_digit())
}

fn brief(path: &str) -> String {
    format!("`{}`", path.chars().take(120).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{Segment, Selector, apply_overrides, parse};
    use crate::{SessionRequest, decode_json};
    use serde_json::{Value, json};

    /// How long a session and its screenshots read to be kept, and what of it a client said.
    fn retention(fields: &Value) -> [Option<i64>; 4] {
        let mut request = json!({"agent": {"name": "a", "description": "Does.", "environments": ["h/web-environment"]}, "messages": "Go"});
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let request: SessionRequest = decode_json(&request).unwrap();
        let request = apply_overrides(&request).unwrap();
        let said = request.explicit_retention;
        let read = [request.delete_after_min, request.delete_screenshot_after_min];
        [read[0], read[1], said.delete_after_min, said.delete_screenshot_after_min]
    }

    #[test]
    fn a_default_retention_is_told_from_one_that_was_asked_for() {
        let month = Some(43_200);
        assert_eq!(retention(&json!({})), [month, month, None, None]);
        assert_eq!(retention(&json!({"delete_after_min": 43_200})), [month, month, month, None]);
        assert_eq!(retention(&json!({"delete_after_min": null})), [None, month, None, None]);
        let overridden = json!({"delete_after_min": 9, "overrides": {"delete_screenshot_after_min": 5}});
        assert_eq!(retention(&overridden), [Some(9), Some(5), Some(9), Some(5)]);
        let another = json!({"overrides": {"max_steps": 5}});
        assert_eq!(retention(&another), [month, month, None, None]);
    }

    #[test]
    fn a_path_is_fields_and_selectors() {
        let selector = Some(Selector { field: "kind", value: "web" });
        assert_eq!(
            parse("a.b[kind=web]"),
            Ok(vec![Segment { field: "a", selector: None }, Segment { field: "b", selector }])
        );
        for path in
            ["", ".", "a..b", "a.", "a[0]", "a[k]", "a[[k=v]]", "a[k=v][l=w]", "a[*]", "$.a", "a b", "a[k=]", "1a"]
        {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
