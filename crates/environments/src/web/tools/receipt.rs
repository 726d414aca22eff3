//! What a call returns: what was done, what was hit, what came of it.

use crate::web::{
    chromium::{downloads::Arrived, state::Dialog},
    driver::Done,
};
use serde_json::{Map, Value, json};

/// Bytes of a receipt.
const RECEIPT_MAX_BYTES: usize = 4 * 1024;
/// Characters of a value, an address and a title in it.
const PART_MAX_CHARS: usize = 300;

/// The receipt of an action.
pub(crate) fn receipt(done: &str, element: Option<&str>, came: &Done) -> Value {
    let mut receipt = Map::from_iter([("done".to_owned(), cut(done).into())]);
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            receipt.insert(name.to_owned(), value);
        }
    };
    let numbers = |ids: &[crate::web::chromium::tab::TabId]| {
        (!ids.is_empty()).then(|| ids.iter().take(20).map(|id| id.0).collect::<Vec<_>>().into())
    };
    put("element", element.map(|element| cut(element).into()));
    put("hit", came.hit.as_deref().map(|hit| cut(hit).into()));
    put("value", came.value.as_deref().map(|value| cut(value).into()));
    put("changed", Some(came.changed.into()));
    put("url", came.page.as_ref().map(|(url, _)| cut(url).into()));
    put("title", came.page.as_ref().map(|(_, title)| cut(title).into()));
    put("scroll", came.scroll.map(|(at, max)| json!([at, max])));
    put("found", came.found.clone());
    put("opened", numbers(&came.news.opened));
    put("closed", numbers(&came.news.closed));
    put("dialog", dialogs(&came.news.dialogs));
    put("downloaded", downloaded(&came.arrived));
    put("refused", (!came.refused.is_empty()).then(|| came.refused.clone().into()));
    put("load", came.load.as_deref().map(|load| cut(load).into()));
    let notes = notes(came);
    put("note", (!notes.is_empty()).then(|| notes.join("; ").into()));
    bounded(receipt)
}

fn notes(came: &Done) -> Vec<String> {
    let mut notes = came.notes.clone();
    let news = &came.news;
    if news.dialogs_untold > 0 {
        notes.push(format!("{} more dialogs were answered", news.dialogs_untold));
    }
    if news.stopped {
        notes.push("the page opened dialogs without end and was stopped".into());
    }
    if news.dialogs.iter().any(|dialog| dialog.kind == "beforeunload" && !dialog.accepted) {
        notes.push("the page was not left, since its dialog was dismissed".into());
    }
    if news.tabs_refused > 0 {
        notes.push(format!("{} more tabs were not opened: there are too many", news.tabs_refused));
    }
    if news.crashed {
        notes.push("the page crashed; load it again or go elsewhere".into());
    }
    if !came.refused.is_empty() {
        notes.push("this server does not let pages reach the hosts in `refused`".into());
    }
    notes
}

fn dialogs(dialogs: &[Dialog]) -> Option<Value> {
    let told = |dialog: &Dialog| {
        let answered = if dialog.accepted { "accepted" } else { "dismissed" };
        json!({"type": dialog.kind, "message": dialog.message, "answered": answered})
    };
    match dialogs {
        [] => None,
        [dialog] => Some(told(dialog)),
        dialogs => Some(dialogs.iter().map(told).collect()),
    }
}

/// Files that have arrived, as they are told of; none if there are none.
pub(crate) fn downloaded(arrived: &[Arrived]) -> Option<Value> {
    let told = arrived.iter().map(|file| json!({"name": file.name, "size_bytes": file.bytes}));
    (!arrived.is_empty()).then(|| told.collect())
}

fn cut(text: &str) -> String {
    text.chars().take(PART_MAX_CHARS).collect()
}

/// Leaves out the longest parts until the rest is short enough.
fn bounded(mut receipt: Map<String, Value>) -> Value {
    for name in ["dialog", "found", "note", "downloaded", "refused"] {
        if Value::Object(receipt.clone()).to_string().len() <= RECEIPT_MAX_BYTES {
            break;
        }
        if let Some(part) = receipt.get_mut(name) {
            let text: String = part.to_string().chars().take(PART_MAX_CHARS).collect();
            *part = (text + "…").into();
        }
    }
    Value::Object(receipt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::chromium::state::News;

    #[test]
    fn a_receipt_says_what_came_of_it_and_is_short() {
        let dialog = Dialog { kind: "alert".into(), message: "é".repeat(1_000), accepted: true };
        let news = News { dialogs: vec![dialog; 5], dialogs_untold: 3, ..News::default() };
        let came = Done {
            hit: Some("button \"Send\"".into()),
            page: Some(("https://x/".repeat(1_000), "T".into())),
            news,
            refused: vec!["h".repeat(200); 5],
            ..Done::default()
        };
        let receipt = receipt("click at (1, 2)", Some("the button"), &came);
        assert!(receipt.to_string().len() <= RECEIPT_MAX_BYTES, "{}", receipt.to_string().len());
        assert_eq!((&receipt["done"], &receipt["changed"]), (&"click at (1, 2)".into(), &false.into()));
        assert!(receipt["note"].as_str().unwrap().contains("3 more dialogs"));
    }
}
