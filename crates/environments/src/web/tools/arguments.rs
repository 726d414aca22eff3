//! Arguments as models write them.

use crate::web::coordinates::{Point, Pointing, Size};
use quarterdeck_api::JsonObject;
use quarterdeck_core::CallError;
use serde_json::Value;

/// The arguments of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    fields: &'a JsonObject,
    pointing: Pointing,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(fields: &'a JsonObject, pointing: Pointing) -> Self {
        Self { fields, pointing }
    }

    /// What the page's visible part measures.
    pub(crate) fn size(&self) -> Size {
        self.pointing.page()
    }

    /// Names of arguments that are not among these.
    pub(crate) fn unknown(&self, known: &JsonObject) -> Vec<String> {
        let names =
            self.fields.keys().filter(|name| !known.contains_key(*name) && !ALWAYS_KNOWN.contains(&name.as_str()));
        names.take(5).map(|name| name.chars().take(50).collect()).collect()
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str, max: usize) -> Result<Option<String>, CallError> {
        let text = match self.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(number @ Value::Number(_)) => number.to_string(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_) | Value::Null) => {
                return Err(CallError(format!("`{name}` must be a text")));
            }
        };
        if text.chars().count() > max {
            return Err(CallError(format!("`{name}` has at most {max} characters")));
        }
        Ok(Some(text))
    }

    pub(super) fn required_text(&self, name: &str, max: usize) -> Result<String, CallError> {
        let text = self.text(name, max)?.ok_or_else(|| missing(name))?;
        if text.trim().is_empty() { Err(CallError(format!("`{name}` is empty"))) } else { Ok(text) }
    }

    /// A list of texts; one text alone is a list of one.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, CallError> {
        let wrong = || CallError(format!("`{name}` must be a list of texts"));
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(texts)) => {
                texts.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Null) => Err(wrong()),
        }
    }

    pub(super) fn word(&self, name: &str, words: &[&str]) -> Result<Option<String>, CallError> {
        let Some(text) = self.text(name, 100)? else { return Ok(None) };
        let text = text.trim().to_ascii_lowercase();
        if words.contains(&text.as_str()) {
            return Ok(Some(text));
        }
        Err(CallError(format!("`{name}` is one of {}, not {text:?}", words.join(", "))))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, CallError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(CallError(format!("`{name}` must be true or false"))),
        }
    }

    pub(super) fn number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, CallError> {
        let wrong = || CallError(format!("`{name}` must be a number from {min} to {max}"));
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        number.filter(|number| (min..=max).contains(number)).map(Some).ok_or_else(wrong)
    }

    pub(super) fn integer(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, CallError> {
        let wrong = || CallError(format!("`{name}` must be a whole number from {min} to {max}"));
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Some(Value::String(text)) => text.trim().trim_start_matches('#').parse().ok(),
            Some(_) => None,
        };
        number.filter(|number| (min..=max).contains(number)).map(Some).ok_or_else(wrong)
    }

    /// A length from left to right, in pixels of the page.
    pub(super) fn width(&self, name: &str) -> Result<Option<f64>, CallError> {
        let length = self.number(name, 0.0, 1_000_000.0)?;
        Ok(length.map(|length| self.pointing.width(length).clamp(1.0, 100_000.0)))
    }

    /// A length from top to bottom, in pixels of the page.
    pub(super) fn height(&self, name: &str) -> Result<Option<f64>, CallError> {
        let length = self.number(name, 0.0, 1_000_000.0)?;
        Ok(length.map(|length| self.pointing.height(length).clamp(1.0, 100_000.0)))
    }

    /// A position.
    pub(super) fn point(&self, x: &str, y: &str) -> Result<Point, CallError> {
        self.optional_point(x, y)?.ok_or_else(|| CallError(format!("`{x}` and `{y}` are missing")))
    }

    /// A position, if one is given.
    pub(super) fn optional_point(&self, x: &str, y: &str) -> Result<Option<Point>, CallError> {
        let (right, bottom) = self.pointing.max();
        let (horizontal, vertical) = (self.number(x, 0.0, right)?, self.number(y, 0.0, bottom)?);
        match (horizontal, vertical) {
            (Some(x), Some(y)) => Ok(Some(self.pointing.place(x, y))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(y)),
            (None, Some(_)) => Err(missing(x)),
        }
    }
}

/// An argument has to be given.
pub(super) fn missing(name: &str) -> CallError {
    CallError(format!("`{name}` is missing"))
}

/// Arguments that every tool takes: what a model means to act on, and why.
const ALWAYS_KNOWN: [&str; 3] = ["element", "thought", "note"];

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}
