//! Mouse, keyboard, fields and files.

use super::{
    Chromium, GLANCE_TIMEOUT, SCRIPT_TIMEOUT,
    cdp::CdpError,
    failed,
    keyboard::{Chord, Modifiers},
    script::Page,
    state::{text, whole},
};
use crate::web::{
    coordinates::Point,
    driver::{Action, ActionError, Button, Done},
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{os::unix::fs::chown, time::Duration};

/// Characters that are typed key by key; longer text is put in at once.
const TYPED_MAX: usize = 100;
/// Moves of a drag, and the pause between them: pages follow the mouse, not its jumps.
const DRAG_MOVES: u32 = 12;
const DRAG_INTERVAL: Duration = Duration::from_millis(15);
/// How long a click is given to make the page ask for a file.
const CHOOSER_TIMEOUT: Duration = Duration::from_secs(5);

impl Chromium {
    pub(super) async fn perform(&self, page: &Page, action: Action) -> Result<Done, ActionError> {
        match action {
            Action::Go(url) => self.go(page, &url).await,
            Action::Back => self.go_by_history(page, -1).await,
            Action::Forward => self.go_by_history(page, 1).await,
            Action::Reload => self.reload(page).await,
            Action::OpenTab(url) => self.open_and_go(url.as_ref()).await,
            Action::SwitchTab(tab) => self.switch(tab).await,
            Action::CloseTab(tab) => self.close_tab(tab).await,
            Action::Wait { seconds, text } => self.wait(seconds, text.as_deref()).await,
            Action::Find { text, next } => find(page, &text, next).await,
            Action::Click { at, button, count, modifiers } => self.click(page, at, button, count, modifiers).await,
            Action::Write { at, content, overwrite, enter } => self.write(page, at, &content, overwrite, enter).await,
            Action::Select { at, option } => select(page, at, &option).await,
            Action::Move { at } => self.move_to(page, at).await,
            Action::Drag { from, to } => self.drag(page, from, to).await,
            Action::Press(chords) => press(page, &chords).await,
            Action::Scroll { at, x, y } => self.scroll(page, at, x, y).await,
            Action::ScrollToEnd { at, bottom } => scroll_to_end(page, at, bottom).await,
            Action::Upload { at, name, content } => self.upload(page, at, &name, &content).await,
            Action::AnswerDialog(answer) => {
                self.shared.lock().next_answer = Some(answer);
                Ok(Done::default())
            }
        }
    }

    async fn click(
        &self,
        page: &Page,
        at: Point,
        button: Button,
        count: u8,
        modifiers: Modifiers,
    ) -> Result<Done, ActionError> {
        let hit = hit(page, at).await;
        self.mouse_at(at);
        let button = match button {
            Button::Left => "left",
            Button::Middle => "middle",
            Button::Right => "right",
        };
        let event = |kind: &str, count: u8| {
            json!({
                "type": kind, "x": at.x, "y": at.y, "button": button, "clickCount": count,
                "modifiers": modifiers.bits(),
            })
        };
        let moved = json!({"type": "mouseMoved", "x": at.x, "y": at.y, "modifiers": modifiers.bits()});
        let mut notes = Vec::new();
        let mut events = vec![moved];
        events.extend((1..=count).flat_map(|number| [event("mousePressed", number), event("mouseReleased", number)]));
        for event in events {
            late_is_told(page.call("Input.dispatchMouseEvent", event).await, &mut notes)?;
        }
        Ok(Done { hit, notes, ..Done::default() })
    }

    async fn move_to(&self, page: &Page, at: Point) -> Result<Done, ActionError> {
        let hit = hit(page, at).await;
        self.mouse_at(at);
        let mut notes = Vec::new();
        let moved = json!({"type": "mouseMoved", "x": at.x, "y": at.y});
        late_is_told(page.call("Input.dispatchMouseEvent", moved).await, &mut notes)?;
        Ok(Done { hit, notes, ..Done::default() })
    }

    async fn drag(&self, page: &Page, from: Point, to: Point) -> Result<Done, ActionError> {
        let hit = hit(page, from).await;
        let mut notes = Vec::new();
        let event = |kind: &str, at: Point, pressed: u32| json!({"type": kind, "x": at.x, "y": at.y, "button": "left", "buttons": pressed, "clickCount": 1});
        let moved = json!({"type": "mouseMoved", "x": from.x, "y": from.y});
        let mut events = vec![moved, event("mousePressed", from, 1)];
        events.extend((1..=DRAG_MOVES).map(|step| {
            let share = f64::from(step) / f64::from(DRAG_MOVES);
            let at = Point { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
            event("mouseMoved", at, 1)
        }));
        events.push(event("mouseReleased", to, 0));
        for event in events {
            late_is_told(page.call("Input.dispatchMouseEvent", event).await, &mut notes)?;
            tokio::time::sleep(DRAG_INTERVAL).await;
        }
        self.mouse_at(to);
        Ok(Done { hit, notes, ..Done::default() })
    }

    async fn scroll(&self, page: &Page, at: Point, x: f64, y: f64) -> Result<Done, ActionError> {
        self.mouse_at(at);
        let mut notes = Vec::new();
        let wheel = json!({"type": "mouseWheel", "x": at.x, "y": at.y, "deltaX": x, "deltaY": y});
        late_is_told(page.call("Input.dispatchMouseEvent", wheel).await, &mut notes)?;
        // The wheel is answered before the page has moved.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let scrolled = page.helper(GLANCE_TIMEOUT, "scrolled", &[at.x.into(), at.y.into(), (x != 0.0).into()]).await;
        Ok(Done { scroll: scrolled.ok().and_then(|value| pair(&value)), notes, ..Done::default() })
    }

    async fn write(
        &self,
        page: &Page,
        at: Option<Point>,
        content: &str,
        overwrite: bool,
        enter: bool,
    ) -> Result<Done, ActionError> {
        let mut done = match at {
            Some(at) => self.click(page, at, Button::Left, 1, Modifiers::default()).await?,
            None => Done::default(),
        };
        let focus = page.helper(GLANCE_TIMEOUT, "focus", &[]).await.unwrap_or_default();
        match text(&focus, "kind") {
            "none" => {
                return Err(ActionError::Refused("nothing that takes text has the focus; click a field first".into()));
            }
            "read-only" => {
                return Err(ActionError::Refused(format!("{} takes no text", text(&focus, "called"))));
            }
            "picked" => set_value(page, content, &mut done).await?,
            _ => type_text(page, content, overwrite, &mut done.notes).await?,
        }
        if done.hit.is_none() {
            done.hit = focus["called"].as_str().map(str::to_owned);
        }
        let after = page.helper(GLANCE_TIMEOUT, "focus", &[]).await.unwrap_or_default();
        done.value = after["value"].as_str().map(str::to_owned);
        if enter {
            let chord = Chord::parse("enter").map_err(ActionError::Refused)?;
            press(page, &[chord]).await?;
        }
        Ok(done)
    }

    /// Clicks where a file is asked for, and gives it.
    async fn upload(&self, page: &Page, at: Point, name: &str, content: &Bytes) -> Result<Done, ActionError> {
        let path = self.uploads.join(name);
        let written = tokio::fs::write(&path, content).await.and_then(|()| chown(&path, self.user, self.user));
        written
            .map_err(|_| ActionError::Refused("the file cannot be given to the browser: the disk is full".into()))?;
        if let Some(tab) = self.shared.lock().tabs.iter_mut().find(|tab| tab.session == page.session) {
            tab.chooser = None;
        }
        let mut done = self.click(page, at, Button::Left, 1, Modifiers::default()).await?;
        let asked = tokio::time::timeout(CHOOSER_TIMEOUT, self.chooser(&page.session)).await.ok();
        let Some(node) = asked else {
            return Err(ActionError::Refused(format!(
                "the page did not ask for a file after the click on {}",
                done.hit.as_deref().unwrap_or("nothing")
            )));
        };
        let files = json!({"files": [path], "backendNodeId": node});
        page.call("DOM.setFileInputFiles", files).await.map_err(|error| failed(&error))?;
        done.notes.push(format!("{name:?} ({} bytes) was given to the page", content.len()));
        Ok(done)
    }

    async fn chooser(&self, session: &str) -> i64 {
        loop {
            let asking = {
                let state = self.shared.lock();
                state.tabs.iter().find(|tab| tab.session == session).and_then(|tab| tab.chooser)
            };
            match asking {
                Some(chooser) => return chooser.node,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// What is at a place; none if the page is busy.
async fn hit(page: &Page, at: Point) -> Option<String> {
    let hit = page.helper(GLANCE_TIMEOUT, "hit", &[at.x.into(), at.y.into()]).await.ok()?;
    hit.as_str().map(str::to_owned)
}

/// A page that does not answer an event may have taken it in all the same.
fn late_is_told(answer: Result<Value, CdpError>, notes: &mut Vec<String>) -> Result<(), ActionError> {
    match answer {
        Ok(_) => Ok(()),
        Err(CdpError::Late) => {
            let note = "the page is busy; whether it took this in is unknown";
            if !notes.iter().any(|known| known == note) {
                notes.push(note.into());
            }
            Ok(())
        }
        Err(error) => Err(failed(&error)),
    }
}

async fn press(page: &Page, chords: &[Chord]) -> Result<Done, ActionError> {
    let mut notes = Vec::new();
    for event in chords.iter().flat_map(Chord::events) {
        late_is_told(page.call("Input.dispatchKeyEvent", event).await, &mut notes)?;
    }
    let focus = page.helper(GLANCE_TIMEOUT, "focus", &[]).await.unwrap_or_default();
    let value = focus["value"].as_str().map(str::to_owned);
    Ok(Done { hit: focus["called"].as_str().map(str::to_owned), value, notes, ..Done::default() })
}

/// Puts text where the focus is.
async fn type_text(page: &Page, content: &str, overwrite: bool, notes: &mut Vec<String>) -> Result<(), ActionError> {
    if overwrite {
        let all = Chord::parse("ctrl+a").map_err(ActionError::Refused)?;
        let mut keys = vec![all];
        if content.is_empty() {
            keys.push(Chord::parse("delete").map_err(ActionError::Refused)?);
        }
        press(page, &keys).await?;
    }
    let typed: Option<Vec<Chord>> = content.chars().map(Chord::typing).collect();
    match typed {
        Some(chords) if chords.len() <= TYPED_MAX => press(page, &chords).await.map(drop),
        Some(_) | None => late_is_told(page.call("Input.insertText", json!({"text": content})).await, notes),
    }
}

/// Sets a field that takes no text: dates, times, colours, ranges.
async fn set_value(page: &Page, value: &str, done: &mut Done) -> Result<(), ActionError> {
    let set = page.helper(SCRIPT_TIMEOUT, "setValue", &[value.into()]).await.map_err(|error| failed(&error))?;
    if let Some(fault) = set["fault"].as_str() {
        return Err(ActionError::Refused(format!(
            "{fault}; dates are written as 2030-12-31, times as 23:59, colours as #ff0000"
        )));
    }
    done.value = set["value"].as_str().map(str::to_owned);
    Ok(())
}

async fn select(page: &Page, at: Point, option: &str) -> Result<Done, ActionError> {
    let chosen = page.helper(SCRIPT_TIMEOUT, "select", &[at.x.into(), at.y.into(), option.into()]).await;
    let chosen = chosen.map_err(|error| failed(&error))?;
    match chosen["fault"].as_str() {
        Some(fault) => Err(ActionError::Refused(fault.to_owned())),
        None => Ok(Done {
            hit: chosen["called"].as_str().map(str::to_owned),
            value: chosen["value"].as_str().map(str::to_owned),
            ..Done::default()
        }),
    }
}

async fn scroll_to_end(page: &Page, at: Point, bottom: bool) -> Result<Done, ActionError> {
    let scrolled = page.helper(SCRIPT_TIMEOUT, "scrollToEnd", &[at.x.into(), at.y.into(), bottom.into()]).await;
    let scrolled = scrolled.map_err(|error| failed(&error))?;
    Ok(Done { scroll: pair(&scrolled), ..Done::default() })
}

async fn find(page: &Page, wanted: &str, next: bool) -> Result<Done, ActionError> {
    page.reveal(SCRIPT_TIMEOUT).await;
    let found =
        page.helper(SCRIPT_TIMEOUT, "find", &[wanted.into(), next.into()]).await.map_err(|error| failed(&error))?;
    Ok(Done { found: Some(found), ..Done::default() })
}

fn pair(value: &Value) -> Option<(i64, i64)> {
    Some((whole(&value[0])?, whole(&value[1])?))
}
