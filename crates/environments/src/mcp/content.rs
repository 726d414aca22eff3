//! What an MCP tool returns, as the log keeps it. An odd block costs itself: the others are told, and that it was
//! there.

use super::json;
use crate::{CallError, Observation, Output, Picture};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Value, value::RawValue};

/// Bytes of one result's text that are kept.
const TEXT_MAX_BYTES: usize = 1 << 20;
/// Blocks of one result that are read.
const BLOCKS_MAX: usize = 1_000;
/// Characters of a name, a type or an address that are told.
const NAME_MAX: usize = 300;

/// Forgives missing and superfluous padding.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// The text of a result, its pictures apart; an error when the tool says that it is one.
pub(super) fn output(result: &str) -> Result<Output, CallError> {
    let names = ["content", "structuredContent", "isError", "toolResult", "resultType"];
    let Some([content, structured, is_error, older, kind]) = json::members(result, names) else {
        return Err(CallError("the tool gave a result that is no object".into()));
    };
    if json::string(kind).is_some_and(|kind| kind == "input_required") {
        return Err(CallError("the tool wants to ask something, which this server cannot answer".into()));
    }
    let is_error = is_error.is_some_and(|flag| matches!(flag.get(), "true" | "\"true\"" | "1"));
    let mut told = Told::default();
    match content {
        Some(content) => told.content(content),
        None if structured.is_none() => told.older(older.map_or(result, RawValue::get)),
        None => {}
    }
    if is_error {
        let structured = || structured.map(|structured| structured.get().to_owned());
        let said = Some(told.text).filter(|text| !text.is_empty()).or_else(structured);
        return Err(CallError(cut(said.unwrap_or_else(|| "the tool failed and said nothing".into())).0));
    }
    // Servers repeat structured results as text, for clients that know only text.
    if told.text.is_empty()
        && let Some(structured) = structured
    {
        match Some(structured.get()).filter(|text| text.len() <= TEXT_MAX_BYTES).and_then(json::value) {
            Some(result) => return Ok(Output { observations: shown(told.images), ..Output::of(result) }),
            None => told.push(structured.get()),
        }
    }
    let (text, truncated) = cut(told.text);
    Ok(Output {
        truncated: truncated || told.is_cut,
        observations: shown(told.images),
        ..Output::of(Value::String(text))
    })
}

/// The pictures of a result as what the tool shows.
fn shown(images: Vec<Picture>) -> Vec<Observation> {
    let shows = !images.is_empty();
    shows.then(|| Observation { source: "tool".into(), images, ..Observation::default() }).into_iter().collect()
}

/// What was told so far.
#[derive(Default)]
struct Told {
    text: String,
    images: Vec<Picture>,
    is_cut: bool,
}

impl Told {
    fn content(&mut self, content: &RawValue) {
        let content = content.get();
        let Some((blocks, more)) = json::items(content, BLOCKS_MAX) else {
            // One block without a list around it, or a bare text.
            return self.block(content);
        };
        for block in blocks {
            self.block(block.get());
        }
        if more > 0 {
            self.push(&format!("({more} more blocks, which are left out)"));
            self.is_cut = true;
        }
    }

    /// A result without content: whatever is there, as JSON.
    fn older(&mut self, result: &str) {
        if result.trim_start_matches(['{', ' ']).trim_end() != "}" {
            self.push(result);
        }
    }

    fn push(&mut self, text: &str) {
        if self.text.len() > TEXT_MAX_BYTES {
            self.is_cut = true;
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }

    fn block(&mut self, block: &str) {
        if let Ok(text) = serde_json::from_str::<String>(block) {
            return self.push(&text);
        }
        let names = ["type", "text", "data", "mimeType", "resource", "uri", "name"];
        let Some([kind, text, data, media_type, resource, uri, name]) = json::members(block, names) else {
            return self.push("(a block that is no object, which is left out)");
        };
        let kind = json::string(kind);
        let media_type = json::string(media_type);
        match kind.as_deref() {
            Some("text") | None if text.is_some() => match (json::string(text), text) {
                (Some(text), _) => self.push(&text),
                (None, Some(other)) => self.push(other.get()),
                (None, None) => {}
            },
            Some("image") => match json::string(data) {
                Some(data) => self.picture(&data, media_type.as_deref()),
                None => self.push("(a picture without data, which cannot be shown)"),
            },
            Some("audio") => {
                let media_type = short(media_type.as_deref().unwrap_or("unknown"));
                self.push(&format!("(sound of type {media_type:?}, which cannot be heard)"));
            }
            Some("resource") => self.resource(resource.map_or(block, RawValue::get)),
            Some("resource_link") => match json::string(uri).or_else(|| json::string(name)) {
                Some(uri) => self.push(&format!("(a resource at {})", short(&uri))),
                None => self.push("(a link to a resource without an address)"),
            },
            Some(kind) => self.push(&format!("(a block of type {:?}, which is not known here)", short(kind))),
            None => self.push("(a block without a type, which is left out)"),
        }
    }

    fn resource(&mut self, resource: &str) {
        let names = ["uri", "text", "blob", "mimeType"];
        let [uri, text, blob, media_type] = json::members(resource, names).unwrap_or_default();
        let uri = short(&json::string(uri).unwrap_or_else(|| "a resource".into()));
        match (json::string(text), json::string(blob), json::string(media_type)) {
            (Some(text), _, _) => self.push(&format!("{uri}:\n{text}")),
            (None, Some(blob), Some(media_type)) if media_type.to_ascii_lowercase().starts_with("image/") => {
                self.push(&format!("{uri}:"));
                self.picture(&blob, Some(&media_type));
            }
            (None, Some(blob), _) => {
                self.push(&format!("({uri}: {} bytes as base64, which cannot be shown)", blob.len()));
            }
            (None, None, _) => self.push(&format!("({uri}: without contents)")),
        }
    }

    /// A picture as base64 or as a `data:` address, of whatever type it says it has.
    fn picture(&mut self, data: &str, said: Option<&str>) {
        if let Some(image) = picture(data) {
            self.images.push(image);
            return self.push("(a picture, shown below)");
        }
        let said = short(said.unwrap_or("unknown"));
        self.push(&format!("(a picture of type {said:?}, which cannot be shown)"));
    }
}

/// Pictures that models are shown, by what they begin with.
const PICTURES: [(&[u8], &str); 4] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
];

/// The picture in plain base64, its type by its own bytes.
fn picture(data: &str) -> Option<Picture> {
    let data = data.trim();
    let data = match data.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        Some(_) => data.split_once(',')?.1,
        None => data,
    };
    let plain: String = data.chars().filter(|c| !c.is_whitespace()).map(standard).collect();
    let bytes = BASE64.decode(plain.trim_end_matches('=')).ok()?;
    let is_webp = bytes.get(8..12) == Some(b"WEBP");
    let known = PICTURES.iter().find(|(magic, kind)| bytes.starts_with(magic) && (*kind != "image/webp" || is_webp));
    let media_type = known?.1.to_owned();
    Some(Picture { bytes: bytes.into(), media_type })
}

/// Base64 for addresses has two letters of its own.
fn standard(letter: char) -> char {
    match letter {
        '-' => '+',
        '_' => '/',
        other => other,
    }
}

fn short(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

fn cut(mut text: String) -> (String, bool) {
    let is_long = text.len() > TEXT_MAX_BYTES;
    if is_long {
        text.truncate(text.floor_char_boundary(TEXT_MAX_BYTES));
    }
    (text, is_long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const GIF: &str = "R0lGODlhAQABAAAAACw=";

    #[test]
    fn words_are_joined_and_pictures_set_apart() {
        let output = read(&json!({"content": [
            {"type": "text", "text": "one"},
            {"type": "image", "data": GIF, "mimeType": "image/gif"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
            {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
        ]}));
        let output = output.unwrap();
        let expected =
            "one\n(a picture, shown below)\nfile:///a:\ntwo\n(sound of type \"audio/wav\", which cannot be heard)";
        assert_eq!(output.result, expected);
        let [shown] = &output.observations[..] else { panic!("{output:?}") };
        assert_eq!((shown.source.as_str(), shown.images.len()), ("tool", 1));
        assert_eq!(shown.images[0].media_type, "image/gif");
    }

    #[test]
    fn an_odd_block_costs_itself() {
        for (odd, told) in [
            (json!({"type": "text", "text": "x", "annotations": {"audience": ["system"], "priority": "high"}}), "x"),
            (json!({"type": "text", "text": 5}), "5"),
            (json!({"text": "no type"}), "no type"),
            (json!("bare"), "bare"),
            (json!(5), "(a block that is no object, which is left out)"),
            (json!({"type": 5}), "(a block without a type, which is left out)"),
            (json!({"type": "text"}), "(a block of type \"text\", which is not known here)"),
            (json!({"type": "video", "data": "x"}), "(a block of type \"video\", which is not known here)"),
            (json!({"type": "resource_link", "uri": "file:///a"}), "(a resource at file:///a)"),
            (json!({"type": "resource_link"}), "(a link to a resource without an address)"),
            (json!({"type": "resource", "resource": {"uri": 5}}), "(a resource: without contents)"),
            (
                json!({"type": "resource", "resource": {"blob": "aGk="}}),
                "(a resource: 4 bytes as base64, which cannot be shown)",
            ),
            (json!({"type": "resource", "uri": "file:///a", "text": "flat"}), "file:///a:\nflat"),
            (json!({"type": "audio"}), "(sound of type \"unknown\", which cannot be heard)"),
            (json!({"type": "image", "mimeType": "image/png"}), "(a picture without data, which cannot be shown)"),
            (
                json!({"type": "image", "data": "aGk=", "mimeType": "image/tiff"}),
                "(a picture of type \"image/tiff\", which cannot be shown)",
            ),
        ] {
            let block = |text: &str| json!({"type": "text", "text": text});
            let output = read(&json!({"content": [block("before"), odd, block("after")]})).unwrap();
            assert_eq!(output.result, format!("before\n{told}\nafter"));
        }
    }

    #[test]
    fn pictures_are_shown_however_they_are_written() {
        let plain = GIF.trim_end_matches('=');
        for data in [
            GIF.to_owned(),
            plain.to_owned(),
            format!("data:image/png;base64,{GIF}"),
            format!("DATA:;base64,{plain}"),
            format!("{}\n{}", &GIF[..8], &GIF[8..]),
        ] {
            for block in [
                json!({"type": "image", "data": data}),
                json!({"type": "resource", "resource": {"blob": data, "mimeType": "Image/Gif"}}),
            ] {
                let output = read(&json!({"content": [block]})).unwrap();
                let shown = &output.observations[0].images[0];
                assert_eq!(BASE64.encode(&shown.bytes), GIF, "{block}");
                assert_eq!(shown.media_type, "image/gif");
            }
        }
    }

    #[test]
    fn a_structured_result_counts_where_there_are_no_words() {
        assert_eq!(read(&json!({"content": [], "structuredContent": {"a": 1}})).unwrap().result, json!({"a": 1}));
        assert_eq!(read(&json!({"structuredContent": [1]})).unwrap().result, json!([1]));
        let both = json!({"content": [{"type": "text", "text": "{\"a\":1}"}], "structuredContent": {"a": 1}});
        assert_eq!(read(&both).unwrap().result, "{\"a\":1}");
    }

    #[test]
    fn odd_results_are_told_as_they_are() {
        for (result, told) in [
            (json!({"content": "words"}), "words"),
            (json!({"content": {"type": "text", "text": "one"}}), "one"),
            (json!({"content": null}), r#"{"content":null}"#),
            (json!({"toolResult": {"a": 1}}), r#"{"a":1}"#),
            (json!({"a": 1}), r#"{"a":1}"#),
            (json!({}), ""),
        ] {
            assert_eq!(read(&result).unwrap().result, told, "{result}");
        }
        assert!(read(&json!([1])).is_err());
        assert!(read(&json!({"resultType": "input_required"})).is_err());
        let deep = format!(r#"{{"structuredContent": {}1{}}}"#, "[".repeat(500), "]".repeat(500));
        assert!(output(&deep).unwrap().result.is_array());
    }

    #[test]
    fn an_error_is_told_in_the_tools_own_words() {
        let failed = json!({"content": [{"type": "text", "text": "no such file"}], "isError": true});
        assert_eq!(read(&failed), Err(CallError("no such file".into())));
        assert!(read(&json!({"content": [], "isError": true})).is_err());
        let structured = json!({"content": [], "structuredContent": {"code": 5}, "isError": "true"});
        assert_eq!(read(&structured), Err(CallError("{\"code\":5}".into())));
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let output = read(&json!({"content": [{"type": "text", "text": "é".repeat(TEXT_MAX_BYTES)}]})).unwrap();
        assert!(output.truncated && output.result.as_str().unwrap().len() <= TEXT_MAX_BYTES);
        let many = read(&json!({"content": vec![json!("x"); BLOCKS_MAX + 5]})).unwrap();
        assert!(many.truncated && many.result.as_str().unwrap().ends_with("(5 more blocks, which are left out)"));
    }

    fn read(result: &Value) -> Result<Output, CallError> {
        output(&result.to_string())
    }
}
