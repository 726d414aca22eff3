//! What a browser shows: its picture, its tabs, its text.

use super::{
    Chromium, GLANCE_TIMEOUT, SCRIPT_TIMEOUT, failed,
    script::Page,
    state::{text, whole},
};
use crate::web::{
    coordinates::{Area, Point, Size},
    driver::{ActionError, Element, PageText, Sight, TabSight},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{sync::PoisonError, time::Duration};

/// Time for a picture.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time to find shadow roots that are closed.
const REVEAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a picture.
const PICTURE_MAX_BYTES: usize = 2 << 20;
/// How good pictures are, and those that would be too large.
const QUALITY: u32 = 80;
const QUALITY_OF_LARGE: u32 = 40;
/// Characters of addresses and titles.
const URL_MAX_CHARS: usize = 2_048;
const DATA_URL_MAX_CHARS: usize = 100;
const TITLE_MAX_CHARS: usize = 300;

impl Chromium {
    /// A JPEG of the visible part of the active tab, or of a part of that in the same size.
    pub(super) async fn capture(&self, of: Option<Area>) -> Option<Bytes> {
        if self.is_crashed() {
            return None;
        }
        let capturing = async {
            loop {
                let documents = self.standing().documents;
                tokio::select! {
                    picture = self.captured(of) => return picture,
                    // The page that was asked for its picture is gone, and with it the answer.
                    () = self.replaced(documents) => (),
                }
            }
        };
        tokio::time::timeout(PICTURE_TIMEOUT, capturing).await.ok().flatten()
    }

    async fn replaced(&self, documents: u64) {
        loop {
            let changed = self.shared.changed.notified();
            if self.standing().documents != documents {
                return;
            }
            changed.await;
        }
    }

    async fn captured(&self, of: Option<Area>) -> Option<Bytes> {
        let page = self.active_page()?;
        let clip = self.clip(&page, of).await?;
        for quality in [QUALITY, QUALITY_OF_LARGE] {
            let mut wanted = json!({"format": "jpeg", "quality": quality, "captureBeyondViewport": false});
            if let Some(clip) = &clip {
                wanted["clip"] = clip.clone();
            }
            let captured = page.call("Page.captureScreenshot", wanted).await.ok()?;
            let picture = STANDARD.decode(text(&captured, "data")).ok()?;
            if !picture.is_empty() && picture.len() <= PICTURE_MAX_BYTES {
                return Some(picture.into());
            }
        }
        None
    }

    /// What a picture shows, in pixels of the whole page, and how large. None within if it is all that is visible as it is;
    /// none at all if the page does not say where it is.
    async fn clip(&self, page: &Page, of: Option<Area>) -> Option<Option<Value>> {
        let (size, scale) = {
            let setup = &self.shared.lock().setup;
            (setup.size, setup.picture_scale)
        };
        if of.is_none() && scale >= 1.0 {
            return Some(None);
        }
        let Size { width, height } = size;
        let (width, height) = (f64::from(width), f64::from(height));
        let area = of.unwrap_or(Area { x: 0.0, y: 0.0, width, height });
        let enlarged = (width / area.width).min(height / area.height) * scale;
        let place = page.call("Page.getLayoutMetrics", json!({})).await.ok()?;
        let from = |name: &str| place["cssVisualViewport"][name].as_f64().unwrap_or_default();
        Some(Some(json!({
            "x": from("pageX") + area.x, "y": from("pageY") + area.y, "width": area.width, "height": area.height,
            "scale": enlarged,
        })))
    }

    pub(super) async fn look_around(&self) -> Result<Sight, ActionError> {
        let page = self.page().await?;
        let (targets, known) = tokio::join!(
            self.cdp.call(None, "Target.getTargets", json!({"filter": [{"type": "page"}]})),
            page.helper(GLANCE_TIMEOUT, "state", &[]),
        );
        let (targets, known) = (targets.map_err(|error| failed(&error))?, known.unwrap_or_default());
        let mouse = *self.mouse.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.shared.lock();
        let tabs: Vec<TabSight> = state
            .tabs
            .iter()
            .map(|tab| {
                let all = targets["targetInfos"].as_array();
                let target = all.into_iter().flatten().find(|target| text(target, "targetId") == tab.target);
                let [title, url] =
                    ["title", "url"].map(|name| target.map(|target| text(target, name)).unwrap_or_default());
                TabSight { id: tab.id, title: cut(title, TITLE_MAX_CHARS), url: shown_url(url) }
            })
            .collect();
        let active = tabs.iter().find(|tab| Some(tab.id) == state.active);
        let pair = |of: &str, first: &str, second: &str| Some((whole(&known[of][first])?, whole(&known[of][second])?));
        let url = known["url"].as_str().map(shown_url).or(active.map(|tab| tab.url.clone()));
        let title = known["title"].as_str().map(str::to_owned).or(active.map(|tab| tab.title.clone()));
        let page_size = pair("page", "width", "height");
        Ok(Sight {
            url: url.unwrap_or_default(),
            title: title.unwrap_or_default(),
            active: state.active,
            screen: state.setup.size,
            page: page_size.map(|(width, height)| (width.unsigned_abs(), height.unsigned_abs())),
            scroll: pair("scroll", "x", "y"),
            mouse,
            load: known["load"].as_str().map(str::to_owned),
            is_crashed: state.active_tab().is_some_and(|tab| tab.is_crashed),
            tabs,
        })
    }

    /// The text of the page with that of its frames on other sites.
    pub(super) async fn read(&self, only_visible: bool) -> Result<PageText, ActionError> {
        let page = self.living_page().await?;
        page.reveal(REVEAL_TIMEOUT).await;
        let written = page.markdown(SCRIPT_TIMEOUT, only_visible).await.map_err(|error| failed(&error))?;
        let mut whole = PageText::default();
        append(&mut whole, &written);
        for frame in self.frames().await {
            if let Ok(written) = frame.markdown(GLANCE_TIMEOUT, only_visible).await {
                append(&mut whole, &written);
            }
        }
        Ok(whole)
    }

    /// The frames on other sites in the active tab.
    async fn frames(&self) -> Vec<Page> {
        let sessions = {
            let state = self.shared.lock();
            state.active.map(|tab| state.frame_sessions(tab)).unwrap_or_default()
        };
        let mut pages = Vec::new();
        for session in sessions {
            let page = Page::new(self.cdp.clone(), session, String::new());
            if let Ok(tree) = page.call_within(GLANCE_TIMEOUT, "Page.getFrameTree", json!({})).await {
                let frame = text(&tree["frameTree"]["frame"], "id").to_owned();
                pages.push(Page::new(self.cdp.clone(), page.session, frame));
            }
        }
        pages
    }

    pub(super) async fn list_elements(&self, max: usize) -> Result<Vec<Element>, ActionError> {
        let page = self.living_page().await?;
        page.reveal(REVEAL_TIMEOUT).await;
        let found = page.helper(SCRIPT_TIMEOUT, "elements", &[max.into()]).await.map_err(|error| failed(&error))?;
        let element = |value: &Value| {
            let at = Point { x: value["x"].as_f64()?, y: value["y"].as_f64()? };
            Some(Element {
                at,
                called: text(value, "called").to_owned(),
                value: value["value"].as_str().map(str::to_owned),
            })
        };
        Ok(found.as_array().into_iter().flatten().filter_map(element).collect())
    }
}

/// Adds what a frame shows; its links are numbered on.
fn append(whole: &mut PageText, written: &Value) {
    let texts = |name: &str| written[name].as_array().cloned().unwrap_or_default();
    let before = whole.links.len();
    let blocks = texts("blocks");
    whole.links.extend(texts("links").iter().filter_map(|url| url.as_str().map(str::to_owned)));
    for block in blocks.iter().filter_map(Value::as_str) {
        whole.blocks.push(if before == 0 { block.to_owned() } else { renumbered(block, before) });
    }
}

/// `](#3)` becomes `](#13)` after ten links.
fn renumbered(block: &str, by: usize) -> String {
    let mut parts = block.split("](#");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number = part[..digits].parse::<usize>().map(|number| (number + by).to_string());
        text.push_str("](#");
        text.push_str(&number.unwrap_or_else(|_| part[..digits].to_owned()));
        text.push_str(&part[digits..]);
    }
    text
}

/// An address as it is shown: without credentials, and short.
pub(super) fn shown_url(url: &str) -> String {
    if url.starts_with("data:") {
        return cut(url, DATA_URL_MAX_CHARS);
    }
    let Ok(mut parsed) = url::Url::parse(url) else { return cut(url, URL_MAX_CHARS) };
    if parsed.username().is_empty() && parsed.password().is_none() {
        return cut(url, URL_MAX_CHARS);
    }
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    cut(parsed.as_str(), URL_MAX_CHARS)
}

fn cut(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_credentials_and_short() {
        assert_eq!(shown_url("https://user:secret@example.com/a"), "https://example.com/a");
        assert_eq!(shown_url("https://example.com"), "https://example.com");
        assert_eq!(shown_url(&format!("data:text/plain,{}", "a".repeat(500))).len(), DATA_URL_MAX_CHARS);
        assert_eq!(shown_url(&format!("https://x/{}", "a".repeat(5_000))).len(), URL_MAX_CHARS);
    }

    #[test]
    fn links_of_frames_are_numbered_on() {
        let mut whole = PageText::default();
        append(&mut whole, &json!({"blocks": ["[a](#1)"], "links": ["https://a/"]}));
        append(
            &mut whole,
            &json!({"blocks": ["x [b](#1) and [c](#2)", "](#)"], "links": ["https://b/", "https://c/"]}),
        );
        assert_eq!(whole.blocks, ["[a](#1)", "x [b](#2) and [c](#3)", "](#)"]);
        assert_eq!(whole.links.len(), 3);
    }
}
