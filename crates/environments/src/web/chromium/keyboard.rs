//! Keys by their names, and chords such as `ctrl+a`.

use serde_json::{Value, json};

/// Keys held during another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four keys, each held or not")]
pub(crate) struct Modifiers {
    pub(crate) alt: bool,
    pub(crate) ctrl: bool,
    pub(crate) meta: bool,
    pub(crate) shift: bool,
}

impl Modifiers {
    /// Adds the one of this name; says whether there is such a one.
    pub(crate) fn hold(&mut self, name: &str) -> bool {
        match name.to_ascii_lowercase().as_str() {
            "alt" | "option" => self.alt = true,
            "ctrl" | "control" => self.ctrl = true,
            "meta" | "cmd" | "command" | "super" | "win" | "windows" => self.meta = true,
            "shift" => self.shift = true,
            _ => return false,
        }
        true
    }

    /// As the protocol writes them.
    pub(crate) fn bits(self) -> u32 {
        u32::from(self.alt) | u32::from(self.ctrl) << 1 | u32::from(self.meta) << 2 | u32::from(self.shift) << 3
    }

    fn shortcut(self) -> bool {
        self.alt || self.ctrl || self.meta
    }
}

/// A key with what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chord {
    pub(crate) modifiers: Modifiers,
    key: Key,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    name: String,
    code: String,
    number: u32,
    text: Option<String>,
}

/// Keys with names: name in small letters, `key`, `code`, virtual key.
const NAMED: [(&str, &str, &str, u32); 33] = [
    ("enter", "Enter", "Enter", 13),
    ("return", "Enter", "Enter", 13),
    ("tab", "Tab", "Tab", 9),
    ("escape", "Escape", "Escape", 27),
    ("esc", "Escape", "Escape", 27),
    ("backspace", "Backspace", "Backspace", 8),
    ("delete", "Delete", "Delete", 46),
    ("del", "Delete", "Delete", 46),
    ("insert", "Insert", "Insert", 45),
    ("home", "Home", "Home", 36),
    ("end", "End", "End", 35),
    ("pageup", "PageUp", "PageUp", 33),
    ("page_up", "PageUp", "PageUp", 33),
    ("pagedown", "PageDown", "PageDown", 34),
    ("page_down", "PageDown", "PageDown", 34),
    ("up", "ArrowUp", "ArrowUp", 38),
    ("arrowup", "ArrowUp", "ArrowUp", 38),
    ("down", "ArrowDown", "ArrowDown", 40),
    ("arrowdown", "ArrowDown", "ArrowDown", 40),
    ("left", "ArrowLeft", "ArrowLeft", 37),
    ("arrowleft", "ArrowLeft", "ArrowLeft", 37),
    ("right", "ArrowRight", "ArrowRight", 39),
    ("arrowright", "ArrowRight", "ArrowRight", 39),
    ("space", " ", "Space", 32),
    ("plus", "+", "Equal", 187),
    ("minus", "-", "Minus", 189),
    ("ctrl", "Control", "ControlLeft", 17),
    ("control", "Control", "ControlLeft", 17),
    ("shift", "Shift", "ShiftLeft", 16),
    ("alt", "Alt", "AltLeft", 18),
    ("meta", "Meta", "MetaLeft", 91),
    ("capslock", "CapsLock", "CapsLock", 20),
    ("contextmenu", "ContextMenu", "ContextMenu", 93),
];

/// Characters of a US keyboard: plain, with shift, `code`, virtual key.
const PUNCTUATION: [(char, char, &str, u32); 11] = [
    ('-', '_', "Minus", 189),
    ('=', '+', "Equal", 187),
    ('[', '{', "BracketLeft", 219),
    (']', '}', "BracketRight", 221),
    ('\\', '|', "Backslash", 220),
    (';', ':', "Semicolon", 186),
    ('\'', '"', "Quote", 222),
    (',', '<', "Comma", 188),
    ('.', '>', "Period", 190),
    ('/', '?', "Slash", 191),
    ('`', '~', "Backquote", 192),
];

/// What digits are with shift.
const SHIFTED_DIGITS: [char; 10] = [')', '!', '@', '#', '$', '%', '^', '&', '*', '('];

impl Chord {
    /// Reads a chord: modifiers and a key, joined by `+`. The fault is a sentence.
    ///
    /// # Errors
    /// Names the key that is not known.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let unknown = |name: &str| format!("there is no key {name:?}");
        // The last key may be a plus itself.
        let (before, last) = match text.strip_suffix('+') {
            Some(before) if before.is_empty() || before.ends_with('+') => (before.trim_end_matches('+'), "+"),
            Some(_) => return Err(unknown(text)),
            None => text.rsplit_once('+').unwrap_or(("", text)),
        };
        let mut modifiers = Modifiers::default();
        for name in before.split('+').filter(|name| !name.is_empty()) {
            if !modifiers.hold(name.trim()) {
                return Err(format!("{:?} is no key to hold; there are ctrl, shift, alt and meta", name.trim()));
            }
        }
        let last = if last == "+" { last } else { last.trim() };
        let key = Key::named(last, &mut modifiers).ok_or_else(|| unknown(last))?;
        Ok(Self { modifiers, key })
    }

    /// The key that types a character, if a US keyboard has one.
    pub(crate) fn typing(letter: char) -> Option<Self> {
        let mut modifiers = Modifiers::default();
        let key = Key::character(letter, &mut modifiers)?;
        Some(Self { modifiers, key })
    }

    /// In one spelling: `ctrl+shift+a`.
    pub(crate) fn canonical(&self) -> String {
        let held = [
            (self.modifiers.ctrl, "ctrl+"),
            (self.modifiers.shift, "shift+"),
            (self.modifiers.alt, "alt+"),
            (self.modifiers.meta, "meta+"),
        ];
        let held: String = held.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        held + &self.key.name.to_ascii_lowercase()
    }

    /// The events of pressing and letting go of it, as the protocol wants them.
    pub(crate) fn events(&self) -> [Value; 2] {
        let types_text = self.key.text.is_some() && !self.modifiers.shortcut();
        let event = |kind: &str| {
            json!({
                "type": kind, "key": self.key.name, "code": self.key.code, "modifiers": self.modifiers.bits(),
                "windowsVirtualKeyCode": self.key.number, "nativeVirtualKeyCode": self.key.number,
            })
        };
        let mut down = event(if types_text { "keyDown" } else { "rawKeyDown" });
        if let (true, Some(text)) = (types_text, &self.key.text) {
            down["text"] = text.as_str().into();
            down["unmodifiedText"] = text.as_str().into();
        }
        if let Some(command) = self.editing_command() {
            down["commands"] = json!([command]);
        }
        [down, event("keyUp")]
    }

    /// What a shortcut does to text; headless browsers do not know by themselves.
    fn editing_command(&self) -> Option<&'static str> {
        let Modifiers { alt, ctrl, meta, shift } = self.modifiers;
        if alt || !(ctrl || meta) {
            return None;
        }
        match (self.key.name.to_ascii_lowercase().as_str(), shift) {
            ("a", false) => Some("selectAll"),
            ("c", false) => Some("copy"),
            ("x", false) => Some("cut"),
            ("v", _) => Some("paste"),
            ("z", false) => Some("undo"),
            ("z", true) | ("y", false) => Some("redo"),
            _ => None,
        }
    }
}

impl Key {
    fn named(name: &str, modifiers: &mut Modifiers) -> Option<Self> {
        let small = name.to_ascii_lowercase();
        if let Some((_, key, code, virtual_key)) = NAMED.iter().find(|(known, ..)| *known == small) {
            let text = match *key {
                "Enter" => Some("\r".to_owned()),
                " " | "+" | "-" => Some((*key).to_owned()),
                _ => None,
            };
            return Some(Self { name: (*key).into(), code: (*code).into(), number: *virtual_key, text });
        }
        if let Some(number @ 1..=12) = small.strip_prefix('f').and_then(|number| number.parse::<u32>().ok()) {
            return Some(Self {
                name: format!("F{number}"),
                code: format!("F{number}"),
                number: 111 + number,
                text: None,
            });
        }
        let mut letters = name.chars();
        match (letters.next(), letters.next()) {
            // "ctrl+A" means the key; only in text is a large letter one with shift.
            (Some(letter), None) if modifiers.shortcut() => Self::character(letter.to_ascii_lowercase(), modifiers),
            (Some(letter), None) => Self::character(letter, modifiers),
            _ => None,
        }
    }

    fn character(letter: char, modifiers: &mut Modifiers) -> Option<Self> {
        let key = |code: String, virtual_key: u32, shift: bool, modifiers: &mut Modifiers| {
            modifiers.shift |= shift;
            let letter = if modifiers.shift { letter.to_ascii_uppercase() } else { letter };
            Some(Self { name: letter.into(), code, number: virtual_key, text: Some(letter.into()) })
        };
        if letter.is_ascii_alphabetic() {
            let upper = letter.to_ascii_uppercase();
            return key(format!("Key{upper}"), upper.into(), letter.is_ascii_uppercase(), modifiers);
        }
        if letter.is_ascii_digit() {
            return key(format!("Digit{letter}"), letter.into(), false, modifiers);
        }
        if letter == ' ' {
            return key("Space".into(), 32, false, modifiers);
        }
        if let Some(digit) = SHIFTED_DIGITS.iter().position(|shifted| *shifted == letter) {
            return key(format!("Digit{digit}"), 48 + u32::try_from(digit).ok()?, true, modifiers);
        }
        let (_, shifted, code, virtual_key) =
            PUNCTUATION.iter().find(|(plain, shifted, ..)| *plain == letter || *shifted == letter)?;
        key((*code).to_owned(), *virtual_key, *shifted == letter, modifiers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_are_read_in_many_spellings() {
        for (text, canonical) in [
            ("Enter", "enter"),
            ("ctrl+a", "ctrl+a"),
            ("Control + A", "ctrl+a"),
            ("ctrl+shift+T", "ctrl+shift+t"),
            ("ctrl++", "ctrl+shift++"),
            ("+", "shift++"),
            ("Page_Down", "pagedown"),
            ("a", "a"),
            ("A", "shift+a"),
            ("F5", "f5"),
            ("cmd+left", "meta+arrowleft"),
            ("?", "shift+?"),
            ("space", " "),
        ] {
            assert_eq!(Chord::parse(text).unwrap().canonical(), canonical, "{text}");
        }
        for wrong in ["", "ctrl+", "hyper+a", "F13", "F0", "nokey", "ctrl+nokey", "a+b"] {
            assert!(Chord::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_printable_character_of_a_keyboard_types_itself() {
        for letter in ' '..='~' {
            let [down, up] = Chord::typing(letter).unwrap().events();
            assert_eq!((down["type"].as_str(), up["type"].as_str()), (Some("keyDown"), Some("keyUp")), "{letter}");
            assert_eq!(down["text"], letter.to_string(), "{letter}");
        }
        assert_eq!(Chord::typing('é'), None);
    }

    #[test]
    fn a_shortcut_types_nothing_and_edits() {
        let [down, _] = Chord::parse("ctrl+a").unwrap().events();
        assert_eq!(
            (&down["type"], &down["modifiers"], &down["commands"][0]),
            (&"rawKeyDown".into(), &2.into(), &"selectAll".into())
        );
        assert!(down["text"].is_null());
    }
}
