//! Skills.

use super::Decode;
use super::fields::{Fields, checked, list, nullable};
use super::json::Value;
use super::place::{Fault, Place};
use super::rules::{base64, ensure, files, markup, names, regexes};
use super::scalars::{filled, sized, text};
use crate::Skill;
use std::collections::BTreeMap;

/// The longest `url_pattern`, in characters.
const PATTERN_MAX: usize = 1024;
/// The most helper files.
const FILES_MAX: usize = 511;
/// The largest helper file, in bytes.
const FILE_SIZE_MAX: usize = 2 * 1024 * 1024;
/// The largest sum of all helper files, in bytes.
const FILES_SIZE_MAX: usize = 4 * 1024 * 1024;

impl Decode for Skill {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let name = fields.required("name", skill_name);
        let description = fields.required("description", prompt_text);
        let body = fields.required("body", prompt_text);
        let source = fields.or("source", None, nullable(prompt_part));
        let url_pattern = fields.or("url_pattern", None, nullable(url_pattern));
        let compatibility = fields.or("compatibility", None, nullable(prompt_part));
        let files = fields.or_empty("files", helper_files);
        let executable_files = fields.or_empty("executable_files", paths);
        let skill = Self {
            name: name?,
            description: description?,
            body: body?,
            source: source?,
            url_pattern: url_pattern?,
            compatibility: compatibility?,
            files: files?,
            executable_files: executable_files?,
        };
        check(&skill).map_or_else(|broken| fields.refuse(broken), |()| Some(skill))
    }
}

/// The rules over a skill as a whole.
fn check(skill: &Skill) -> Result<(), String> {
    let sizes = skill.files.values().map(|content| decoded_size(content));
    if sizes.clone().any(|size| size > FILE_SIZE_MAX) {
        return Err(format!("no file may be larger than {FILE_SIZE_MAX} bytes"));
    }
    if sizes.sum::<usize>() > FILES_SIZE_MAX {
        return Err(format!("all files together may not be larger than {FILES_SIZE_MAX} bytes"));
    }
    files::check_paths(&skill.files.keys().map(String::as_str).collect::<Vec<_>>())?;
    let all_known = skill.executable_files.iter().all(|path| skill.files.contains_key(path));
    ensure(all_known, "each of `executable_files` must be one of `files`")
}

/// How many bytes padded base64 stands for.
fn decoded_size(content: &str) -> usize {
    let padding = content.bytes().rev().take_while(|byte| *byte == b'=').count();
    (content.len() / 4 * 3).saturating_sub(padding)
}

/// The name of a skill.
pub fn skill_name(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    checked(filled, |name| names::check_catalog_name(name))(value, at)
}

/// Text that is put into a prompt and is not empty.
pub fn prompt_text(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    checked(filled, |text| markup::check(text))(value, at)
}

/// Text that is put into a prompt.
pub fn prompt_part(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    checked(text, |text| markup::check(text))(value, at)
}

/// A regular expression over addresses.
pub fn url_pattern(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    let rules = |pattern: &String| markup::check(pattern).and_then(|()| regexes::check(pattern));
    checked(pattern_text, rules)(value, at)
}

/// The text of a regular expression, not looked into.
pub fn pattern_text(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    sized(1..=PATTERN_MAX, value, at).map(str::to_owned)
}

/// Helper files by path.
pub fn helper_files(value: &Value<'_>, at: &Place<'_>) -> Option<BTreeMap<String, String>> {
    if matches!(value, Value::Object(members) if members.len() > FILES_MAX) {
        let msg = format!("must have at most {FILES_MAX} entries");
        return at.refuse(Fault::new("too_long", msg).with("max_length", FILES_MAX), value);
    }
    super::fields::map(content)(value, at)
}

/// Base64 in either alphabet, which is kept in the one that is safe in addresses.
fn content(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    let Value::Str(text) = value else {
        return at.refuse(Fault::new("bytes_type", "must be base64 text"), value);
    };
    match base64::decode(text) {
        Some(bytes) => Some(base64::encode(&bytes)),
        None => at.refuse(Fault::new("bytes_invalid_encoding", "must be valid base64"), value),
    }
}

/// A list of paths; the contract calls it a tuple.
pub fn paths(value: &Value<'_>, at: &Place<'_>) -> Option<Vec<String>> {
    let Value::Array(_) = value else {
        return at.refuse(Fault::new("tuple_type", "must be a list"), value);
    };
    list(text)(value, at)
}
