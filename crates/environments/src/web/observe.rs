//! What an agent is shown of its browser.

use super::{
    coordinates::{Area, Pointing, Size},
    driver::{Element, Sight},
};
use quarterdeck_api::JsonObject;
use serde_json::{Value, json};
use std::fmt::Write;

/// What goes with a picture or a text: the page and its tabs.
pub(crate) fn metadata(sight: &Sight) -> JsonObject {
    let size = |Size { width, height }| json!({"width": width, "height": height});
    let tabs: Vec<Value> = sight
        .tabs
        .iter()
        .map(|tab| json!({"id": tab.id.0, "title": tab.title, "url": tab.url, "active": Some(tab.id) == sight.active}))
        .collect();
    let mut metadata = JsonObject::new();
    let mut put = |name: &str, value: Value| metadata.insert(name.to_owned(), value);
    put("url", sight.url.as_str().into());
    put("title", sight.title.as_str().into());
    put("tabs", tabs.into());
    put("active_tab", sight.active.map(|tab| tab.0).into());
    put("screen_size", size(sight.screen));
    if let Some((width, height)) = sight.page {
        put("page_size", json!({"width": width, "height": height}));
    }
    if let Some((x, y)) = sight.scroll {
        put("scroll_position", json!({"x": x, "y": y}));
    }
    put("mouse_position", json!({"x": sight.mouse.x, "y": sight.mouse.y}));
    if let Some(load) = &sight.load {
        put("load", load.as_str().into());
    }
    metadata
}

/// The elements that can be acted on, with their positions, for models that see no pictures.
pub(crate) fn listed(elements: &[Element], pointing: &Pointing) -> String {
    let mut text = "What can be acted on in the visible part, with its position (x, y):".to_owned();
    for element in elements {
        let (x, y) = pointing.written(element.at);
        let _ = write!(text, "\n({x}, {y}) {}", element.called);
        if let Some(value) = element.value.as_ref().filter(|value| !value.is_empty()) {
            let _ = write!(text, ": {value}");
        }
    }
    text
}

/// A part that is shown enlarged, as it stands beside its picture.
pub(crate) fn zoomed(area: Area) -> Value {
    json!({"x": area.x, "y": area.y, "width": area.width, "height": area.height})
}
