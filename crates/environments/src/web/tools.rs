//! The tools of a browser: which are offered in which mode, and what calls of them mean.
//!
//! Names are those of the hosted platform. Arguments are read as models write them: numbers may be strings, and every
//! tool takes an `element`, in which the model says what it means to act on.

mod arguments;
mod receipt;

pub(crate) use arguments::Arguments;
pub(crate) use receipt::{downloaded, receipt};

use super::{
    chromium::{
        keyboard::{Chord, Modifiers},
        state::DialogAnswer,
        tab::TabId,
    },
    coordinates::{Area, Point, Pointing},
    driver::{Action, Button},
};
use crate::Tool;
use quarterdeck_core::CallError;
use serde_json::{Value, json};
use url::Url;

/// The tool that only models have use for that see pictures.
pub(crate) const ZOOM: &str = "zoom_web";
/// Characters that are written at once.
const CONTENT_MAX_CHARS: usize = 20_000;
/// Keys of one call.
const KEYS_MAX: usize = 20;
/// Characters of what is searched for.
const SEARCH_MAX_CHARS: usize = 200;

/// What a browser offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Pictures, and positions in them.
    Visual {
        /// Whether the text of the visible part comes along.
        markdown: bool,
    },
    /// Text in chunks, read only.
    Text,
}

/// What a call of a tool is to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    /// Something in the browser. With positions in the picture that was last seen, it makes no sense on another page.
    Act { action: Action, done: String, by_position: bool },
    /// A link of the text that was last shown, by its number.
    Follow(usize),
    /// A search in the text, from the start or from where the last one ended.
    Search { text: String, next: bool },
    /// A chunk of the text.
    Read(Option<usize>),
    /// A file of the session, given where the page asks for one.
    Upload { file: String, at: Point },
    /// The next picture shows this part, enlarged.
    Zoom(Area),
}

/// The tools of a mode.
pub(crate) fn offered(mode: Mode, pointing: &Pointing) -> Vec<Tool> {
    let mut tools = vec![
        tool(
            "go_to_web",
            "Opens an address in the current tab.",
            &json!({
                "url": text("http or https; or the number of a link in the text you were shown, as in #12"),
            }),
            &["url"],
        ),
        tool("go_back_web", "Goes back to the page before this one in the current tab.", &json!({}), &[]),
        tool("go_forward_web", "Goes forward again after going back.", &json!({}), &[]),
        tool("refresh_web", "Loads the current page again.", &json!({}), &[]),
        tool(
            "switch_tab_web",
            "Shows another tab, or opens a new one with an address.",
            &json!({
                "tab": {"type": "integer", "description": "its id in the list of tabs"},
                "url": text("opens a new tab there"),
            }),
            &[],
        ),
        tool(
            "close_tab_web",
            "Closes a tab.",
            &json!({
                "tab": {"type": "integer", "description": "its id in the list of tabs; the current one if left out"},
            }),
            &[],
        ),
        tool(
            "wait_web",
            "Waits for the page.",
            &json!({
                "seconds": {"type": "number", "minimum": 0.1, "maximum": 10, "description": "how long at most; 1 if left out, 10 with a text"},
                "text": text("ends the waiting as soon as this is on the page"),
            }),
            &[],
        ),
        tool(
            "find_in_page_web",
            "Searches the whole page for a text and goes to where it stands.",
            &json!({
                "text": text("what to search for, in any case"),
                "next": {"type": "boolean", "description": "goes on to the next place"},
            }),
            &["text"],
        ),
    ];
    if let Mode::Visual { .. } = mode {
        tools.extend(visual(pointing));
    }
    if mode != (Mode::Visual { markdown: false }) {
        tools.push(tool(
            "read_page_web",
            "Reads the text of the whole page, a chunk at a time.",
            &json!({
                "chunk": {"type": "integer", "minimum": 1, "description": "which chunk; the next one if left out"},
            }),
            &[],
        ));
    }
    tools
}

fn visual(pointing: &Pointing) -> Vec<Tool> {
    let explained = pointing.explained();
    let at = |more: Value| {
        let mut fields = json!({
            "element": text("what you mean to act on, in a few words"),
            "x": {"type": "number", "description": format!("position {explained}")},
            "y": {"type": "number"},
        });
        merge(&mut fields, more);
        fields
    };
    vec![
        tool(
            "click_web",
            &format!("Clicks. Positions are {explained}."),
            &at(json!({
                "button": {"type": "string", "enum": ["left", "middle", "right"]},
                "clicks": {"type": "integer", "minimum": 1, "maximum": 3, "description": "2 for a double click"},
                "modifiers": {"type": "array", "items": {"type": "string", "enum": ["ctrl", "shift", "alt", "meta"]}},
            })),
            &["x", "y"],
        ),
        tool(
            "write",
            "Clicks a field and writes into it. Without a position, writes where the focus is.",
            &at(json!({
                "content": text("what to write; dates as 2030-12-31"),
                "overwrite": {"type": "boolean", "description": "replaces what is there; true if left out"},
                "press_enter": {"type": "boolean", "description": "presses Enter afterwards"},
            })),
            &["content"],
        ),
        tool(
            "select_option",
            "Chooses from a list (a native select element).",
            &at(json!({
                "option": text("the label of the option, or its value"),
            })),
            &["x", "y", "option"],
        ),
        tool(
            "move_mouse_web",
            "Moves the mouse, for menus that open when it is over them.",
            &at(json!({})),
            &["x", "y"],
        ),
        tool(
            "drag_web",
            "Drags with the left button held.",
            &json!({
                "element": text("what you mean to drag, in a few words"),
                "from_x": {"type": "number"}, "from_y": {"type": "number"},
                "to_x": {"type": "number"}, "to_y": {"type": "number"},
            }),
            &["from_x", "from_y", "to_x", "to_y"],
        ),
        tool(
            "press_keys_web",
            "Presses keys, one chord after the other.",
            &json!({
                "keys": {
                    "type": "array", "items": {"type": "string"}, "maxItems": KEYS_MAX,
                    "description": "such as [\"ctrl+a\", \"Delete\"] or [\"Enter\"]",
                },
            }),
            &["keys"],
        ),
        tool(
            "scroll_web",
            "Scrolls the page, or the part of it under a position.",
            &at(json!({
                "direction": {"type": "string", "enum": ["up", "down", "left", "right"]},
                "amount": {"type": "number", "description": "how far, in the unit of positions; three quarters of what is visible if left out"},
                "to": {"type": "string", "enum": ["top", "bottom"], "description": "goes to an end instead"},
            })),
            &[],
        ),
        tool(
            "upload_file_web",
            "Clicks where the page asks for a file, and gives it one of this session's files.",
            &at(json!({
                "file": text("name of an attached or downloaded file"),
            })),
            &["file", "x", "y"],
        ),
        tool(
            "answer_dialog_web",
            "Says how the next dialog of the page is to be answered; otherwise it is accepted.",
            &json!({
                "accept": {"type": "boolean"},
                "text": text("what to enter, if it asks for something"),
            }),
            &["accept"],
        ),
        zoom(&at),
    ]
}

fn zoom(at: &impl Fn(Value) -> Value) -> Tool {
    tool(
        ZOOM,
        "Shows a part of the visible page enlarged in the next picture, to read what is small. Positions stay those of \
         the whole visible page.",
        &at(json!({
            "width": {"type": "number", "description": "of the part, in the unit of positions; a third of the page if left out"},
            "height": {"type": "number"},
        })),
        &["x", "y"],
    )
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn merge(fields: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (fields, more) {
        fields.extend(more);
    }
}

fn tool(name: &str, description: &str, properties: &Value, required: &[&str]) -> Tool {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    let input_schema = schema.as_object().cloned().unwrap_or_default();
    Tool { name: name.into(), description: description.into(), input_schema }
}

/// Reads a call.
///
/// # Errors
/// A sentence that names the argument and what it may be. Nothing was done then.
pub(crate) fn read(tool: &str, given: &Arguments<'_>) -> Result<Call, CallError> {
    let act = |done: String, action| Ok(Call::Act { action, done, by_position: false });
    match tool {
        "go_to_web" => go_to(given),
        "go_back_web" => act("back".into(), Action::Back),
        "go_forward_web" => act("forward".into(), Action::Forward),
        "refresh_web" => act("loaded again".into(), Action::Reload),
        "switch_tab_web" => switch_tab(given),
        "close_tab_web" => {
            let tab = given.integer("tab", 1, i64::from(u32::MAX))?.map(tab_id);
            act("tab closed".into(), Action::CloseTab(tab))
        }
        "wait_web" => {
            let text = given.text("text", SEARCH_MAX_CHARS)?;
            let usual = if text.is_some() { 10.0 } else { 1.0 };
            let seconds = given.number("seconds", 0.1, 10.0)?.unwrap_or(usual);
            act("waited".into(), Action::Wait { seconds, text })
        }
        "find_in_page_web" => {
            let text = given.required_text("text", SEARCH_MAX_CHARS)?;
            Ok(Call::Search { text, next: given.flag("next")?.unwrap_or(false) })
        }
        "read_page_web" => {
            Ok(Call::Read(given.integer("chunk", 1, 1_000_000)?.and_then(|chunk| chunk.try_into().ok())))
        }
        "upload_file_web" => Ok(Call::Upload { file: given.required_text("file", 500)?, at: given.point("x", "y")? }),
        ZOOM => {
            let page = given.size();
            let third = |side: u32| f64::from(side) / 3.0;
            let width = given.width("width")?.unwrap_or(third(page.width));
            let height = given.height("height")?.unwrap_or(third(page.height));
            Ok(Call::Zoom(Area::around(given.point("x", "y")?, width, height, page)))
        }
        "answer_dialog_web" => {
            let accept = given.flag("accept")?.ok_or_else(|| arguments::missing("accept"))?;
            let text = given.text("text", 1_000)?.unwrap_or_default();
            act("noted for the next dialog".into(), Action::AnswerDialog(DialogAnswer { accept, text }))
        }
        "press_keys_web" => press_keys(given),
        "write" => write(given),
        "click_web" | "select_option" | "move_mouse_web" | "drag_web" | "scroll_web" => by_mouse(tool, given),
        _ => Err(CallError(format!("there is no tool {tool:?}"))),
    }
}

fn tab_id(number: i64) -> TabId {
    TabId(u32::try_from(number).unwrap_or_default())
}

fn go_to(given: &Arguments<'_>) -> Result<Call, CallError> {
    let url = given.required_text("url", 8_000)?;
    if let Some(number) = url.trim().strip_prefix('#').and_then(|number| number.parse().ok()) {
        return Ok(Call::Follow(number));
    }
    let url = web_address(&url).map_err(CallError)?;
    Ok(Call::Act { done: format!("went to {}", short(&url)), action: Action::Go(url), by_position: false })
}

fn short(url: &Url) -> String {
    let text: String = url.as_str().chars().take(200).collect();
    if text.len() < url.as_str().len() { text + "…" } else { text }
}

/// An address as a person would type it. Anything but http and https is refused: a browser opens files and its own
/// pages by address, too.
///
/// # Errors
/// A sentence.
pub(crate) fn web_address(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let parsed = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        // "localhost:80" has the scheme "localhost" for a parser.
        Ok(url) if !is_host_and_port(text) => {
            return Err(format!("pages are opened by http and https, not by {}:", url.scheme()));
        }
        Err(fault) if text.contains("://") => Err(fault),
        Ok(_) | Err(_) => Url::parse(&format!("https://{text}")),
    };
    let url =
        parsed.map_err(|_| format!("{:?} is no address of a page", text.chars().take(200).collect::<String>()))?;
    match url.host_str() {
        Some(_) => Ok(url),
        None => Err("an address of a page names a host".into()),
    }
}

fn is_host_and_port(text: &str) -> bool {
    let after = text.split_once(':').map(|(_, after)| after).unwrap_or_default();
    let port = after.split(['/', '?', '#']).next().unwrap_or_default();
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn switch_tab(given: &Arguments<'_>) -> Result<Call, CallError> {
    let url = given.text("url", 8_000)?.filter(|url| !url.trim().is_empty());
    let tab = given.integer("tab", 1, i64::from(u32::MAX))?;
    let (done, action) = match (tab, url) {
        (_, Some(url)) => {
            let url = web_address(&url).map_err(CallError)?;
            (format!("opened {} in a new tab", short(&url)), Action::OpenTab(Some(url)))
        }
        (Some(number), None) => (format!("tab {number}"), Action::SwitchTab(tab_id(number))),
        (None, None) => {
            return Err(CallError("name the tab to show by `tab`, or give a `url` to open in a new one".into()));
        }
    };
    Ok(Call::Act { action, done, by_position: false })
}

fn press_keys(given: &Arguments<'_>) -> Result<Call, CallError> {
    let names = given.texts("keys")?;
    if names.is_empty() || names.len() > KEYS_MAX {
        return Err(CallError(format!("`keys` holds 1 to {KEYS_MAX} chords, such as [\"ctrl+a\", \"Delete\"]")));
    }
    let chords = names.iter().map(|name| Chord::parse(name)).collect::<Result<Vec<_>, _>>();
    let chords = chords.map_err(|fault| CallError(format!("`keys`: {fault}")))?;
    for chord in &chords {
        if let Some(instead) = of_the_browser(&chord.canonical()) {
            return Err(CallError(format!(
                "the key {} is for the browser, not for the page: {instead}",
                chord.canonical()
            )));
        }
    }
    let pressed: Vec<String> = chords.iter().map(Chord::canonical).collect();
    Ok(Call::Act { done: format!("pressed {}", pressed.join(", ")), action: Action::Press(chords), by_position: false })
}

/// Keys of a browser's own window, and what to call instead.
fn of_the_browser(chord: &str) -> Option<&'static str> {
    Some(match chord {
        "ctrl+t" | "ctrl+n" | "ctrl+tab" | "ctrl+shift+t" | "ctrl+pagedown" | "ctrl+pageup" => "call switch_tab_web",
        "ctrl+w" | "ctrl+f4" => "call close_tab_web",
        "ctrl+l" | "f6" | "alt+d" => "call go_to_web",
        "ctrl+r" | "f5" | "ctrl+shift+r" => "call refresh_web",
        "alt+arrowleft" => "call go_back_web",
        "alt+arrowright" => "call go_forward_web",
        "ctrl+f" | "f3" | "ctrl+g" => "call find_in_page_web",
        _ => return None,
    })
}

fn write(given: &Arguments<'_>) -> Result<Call, CallError> {
    let content = match given.text("content", CONTENT_MAX_CHARS)? {
        Some(content) => content,
        None => given.required_text("text", CONTENT_MAX_CHARS).map_err(|_| arguments::missing("content"))?,
    };
    let at = given.optional_point("x", "y")?;
    let enter = given.flag("press_enter")?.unwrap_or(false);
    let overwrite = given.flag("overwrite")?.unwrap_or(true);
    let place = at.map(|at| format!(" at {at}")).unwrap_or_default();
    let done =
        format!("wrote {} characters{place}{}", content.chars().count(), if enter { " and pressed enter" } else { "" });
    Ok(Call::Act { action: Action::Write { at, content, overwrite, enter }, done, by_position: at.is_some() })
}

fn by_mouse(tool: &str, given: &Arguments<'_>) -> Result<Call, CallError> {
    let (done, action) = match tool {
        "click_web" => click(given)?,
        "select_option" => {
            let (at, option) = (given.point("x", "y")?, given.required_text("option", 500)?);
            (format!("chose {option:?} at {at}"), Action::Select { at, option })
        }
        "move_mouse_web" => {
            let at = given.point("x", "y")?;
            (format!("moved the mouse to {at}"), Action::Move { at })
        }
        "drag_web" => {
            let (from, to) = (given.point("from_x", "from_y")?, given.point("to_x", "to_y")?);
            (format!("dragged from {from} to {to}"), Action::Drag { from, to })
        }
        _ => return scroll(given),
    };
    Ok(Call::Act { action, done, by_position: true })
}

fn click(given: &Arguments<'_>) -> Result<(String, Action), CallError> {
    let at = given.point("x", "y")?;
    let button = match given.word("button", &["left", "middle", "right"])?.as_deref() {
        Some("right") => Button::Right,
        Some("middle") => Button::Middle,
        Some(_) | None => Button::Left,
    };
    let count = u8::try_from(given.integer("clicks", 1, 3)?.unwrap_or(1)).unwrap_or(1);
    let mut modifiers = Modifiers::default();
    for name in given.texts("modifiers")? {
        if !modifiers.hold(&name) {
            return Err(CallError(format!("`modifiers` holds ctrl, shift, alt or meta, not {name:?}")));
        }
    }
    let how = match (button, count) {
        (Button::Left, 1) => "click",
        (Button::Left, 2) => "double click",
        (Button::Left, _) => "triple click",
        (Button::Middle, _) => "middle click",
        (Button::Right, _) => "right click",
    };
    Ok((format!("{how} at {at}"), Action::Click { at, button, count, modifiers }))
}

fn scroll(given: &Arguments<'_>) -> Result<Call, CallError> {
    let visible = given.size();
    let middle = Point { x: f64::from(visible.width / 2), y: f64::from(visible.height / 2) };
    let at = given.optional_point("x", "y")?.unwrap_or(middle);
    if let Some(end) = given.word("to", &["top", "bottom"])? {
        let action = Action::ScrollToEnd { at, bottom: end == "bottom" };
        return Ok(Call::Act { action, done: format!("scrolled to the {end}"), by_position: false });
    }
    let direction = given.word("direction", &["up", "down", "left", "right"])?.unwrap_or_else(|| "down".into());
    let is_horizontal = matches!(direction.as_str(), "left" | "right");
    let side = if is_horizontal { visible.width } else { visible.height };
    let length = if is_horizontal { given.width("amount")? } else { given.height("amount")? };
    let length = length.unwrap_or(f64::from(side) * 0.75).round();
    let signed = if matches!(direction.as_str(), "up" | "left") { -length } else { length };
    let (x, y) = if is_horizontal { (signed, 0.0) } else { (0.0, signed) };
    let done = format!("scrolled {direction} by {length} pixels");
    Ok(Call::Act { action: Action::Scroll { at, x, y }, done, by_position: false })
}

#[cfg(test)]
mod tests;
