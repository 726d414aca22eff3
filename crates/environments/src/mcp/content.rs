//! What an MCP tool returns, as the log keeps it.

use crate::{CallError, Observation, Output, Picture};
use quarterdeck_api::{ImageContent, SourceType};
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

/// Bytes of one result's text that are kept.
const TEXT_MAX_BYTES: usize = 1 << 20;

/// The text of a result, its pictures apart; an error when the tool says that it is one.
pub(super) fn output(result: CallToolResult) -> Result<Output, CallError> {
    let is_error = result.is_error == Some(true);
    let mut images = Vec::new();
    let texts: Vec<String> = result.content.into_iter().filter_map(|block| text(block, &mut images)).collect();
    let mut text = texts.join("\n");
    if is_error {
        let said = if text.is_empty() { "the tool failed and said nothing" } else { &text };
        return Err(CallError(cut(said.to_owned()).0));
    }
    // Servers repeat structured results as text, for clients that know only text.
    if text.is_empty()
        && let Some(structured) = result.structured_content
    {
        text = structured.to_string();
        if text.len() <= TEXT_MAX_BYTES {
            return Ok(Output { observations: shown(images), ..Output::of(structured) });
        }
    }
    let (text, truncated) = cut(text);
    Ok(Output { result: Value::String(text), truncated, observations: shown(images), files: Vec::new() })
}

/// The pictures of a result as what the tool shows.
fn shown(images: Vec<Picture>) -> Vec<Observation> {
    let shows = !images.is_empty();
    shows.then(|| Observation { source: "tool".into(), images, ..Observation::default() }).into_iter().collect()
}

/// What can be told of a block in words.
fn text(block: ContentBlock, images: &mut Vec<Picture>) -> Option<String> {
    match block {
        ContentBlock::Text(text) => Some(text.text),
        ContentBlock::Image(image) => {
            let media_type = image.mime_type;
            let image = ImageContent { source_type: SourceType::Base64, source: image.data, media_type: None };
            let Some(bytes) = image.bytes() else { return Some("(a picture that cannot be read)".into()) };
            images.push(Picture { bytes: bytes.into(), media_type });
            Some("(a picture, shown below)".into())
        }
        ContentBlock::Audio(audio) => Some(format!("(sound of type {:?}, which cannot be heard)", audio.mime_type)),
        ContentBlock::Resource(embedded) => match embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => Some(format!("{uri}:\n{text}")),
            ResourceContents::BlobResourceContents { uri, blob, .. } => {
                Some(format!("({uri}: {} bytes as base64, which cannot be shown)", blob.len()))
            }
            _ => None,
        },
        ContentBlock::ResourceLink(resource) => Some(format!("(a resource at {})", resource.uri)),
        _ => None,
    }
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

    #[test]
    fn words_are_joined_and_pictures_set_apart() {
        let output = read(json!({"content": [
            {"type": "text", "text": "one"},
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
            {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
        ]}));
        let output = output.unwrap();
        let expected =
            "one\n(a picture, shown below)\nfile:///a:\ntwo\n(sound of type \"audio/wav\", which cannot be heard)";
        assert_eq!(output.result, expected);
        let [shown] = &output.observations[..] else { panic!("{output:?}") };
        assert_eq!((shown.source.as_str(), shown.images.len()), ("tool", 1));
        assert_eq!((&shown.images[0].bytes[..], shown.images[0].media_type.as_str()), (&b"hi"[..], "image/png"));
    }

    #[test]
    fn a_structured_result_counts_where_there_are_no_words() {
        assert_eq!(read(json!({"content": [], "structuredContent": {"a": 1}})).unwrap().result, json!({"a": 1}));
        let both = json!({"content": [{"type": "text", "text": "{\"a\":1}"}], "structuredContent": {"a": 1}});
        assert_eq!(read(both).unwrap().result, "{\"a\":1}");
    }

    #[test]
    fn an_error_is_told_in_the_tools_own_words() {
        let failed = json!({"content": [{"type": "text", "text": "no such file"}], "isError": true});
        assert_eq!(read(failed), Err(CallError("no such file".into())));
        assert!(read(json!({"content": [], "isError": true})).is_err());
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let output = read(json!({"content": [{"type": "text", "text": "é".repeat(TEXT_MAX_BYTES)}]})).unwrap();
        assert!(output.truncated && output.result.as_str().unwrap().len() <= TEXT_MAX_BYTES);
    }

    fn read(result: Value) -> Result<Output, CallError> {
        output(serde_json::from_value(result).unwrap())
    }
}
