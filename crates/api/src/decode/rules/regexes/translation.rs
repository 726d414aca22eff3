//! Writes a pattern in the dialect of `fancy-regex`, and adds up what its compiled form takes.
//!
//! What Python and the engine spell alike is copied. What they spell differently (`\Z`, `{,3}`, `$` before a last
//! newline, possessive counts, named groups) is written the engine's way.

use super::Translated;
use std::fmt::Write as _;

/// What a pattern weighs before its first part.
const PATTERN: u64 = 200;
const LETTER: u64 = 2;
const ATOMIC: &str = "(?>";
const RANGE: u64 = 4;
/// The complement of a class, and any character, are many ranges of bytes.
const COMPLEMENT: u64 = 12;
const WORDS: u64 = 400;
const DIGITS: u64 = 80;
const SPACES: u64 = 20;

/// How much a repetition takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// A repetition; `u64::MAX` is no upper bound.
#[derive(Clone, Copy)]
pub(super) struct Repeat {
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) greed: Greed,
}

/// A place in what was written.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    length: usize,
    weight: u64,
}

#[derive(Default)]
pub(super) struct Translation {
    text: String,
    weight: u64,
    /// Where atomic groups begin. They are written last: writing in between would move what follows, each time.
    atomic: Vec<usize>,
}

impl Translation {
    pub(super) fn finish(mut self) -> Translated {
        self.atomic.sort_unstable();
        let mut text = String::with_capacity(self.text.len() + self.atomic.len() * ATOMIC.len());
        let mut written = 0;
        for begin in self.atomic {
            text.push_str(&self.text[written..begin]);
            text.push_str(ATOMIC);
            written = begin;
        }
        text.push_str(&self.text[written..]);
        Translated { text, weight: self.weight.saturating_add(PATTERN) }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { length: self.text.len(), weight: self.weight }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.weigh(LETTER);
    }

    /// A character that means itself, inside or outside of a class.
    pub(super) fn literal(&mut self, letter: char) {
        self.spell(letter);
        self.weigh(LETTER);
    }

    pub(super) fn any(&mut self) {
        self.text.push('.');
        self.weigh(COMPLEMENT);
    }

    pub(super) fn range(&mut self, low: char, high: char) {
        self.spell(low);
        self.text.push('-');
        self.spell(high);
        self.weigh(RANGE);
    }

    pub(super) fn open_class(&mut self, negated: bool) {
        self.text.push_str(if negated { "[^" } else { "[" });
        self.weigh(if negated { COMPLEMENT } else { LETTER });
    }

    /// `\d` and the like, outside of a class.
    pub(super) fn set(&mut self, letter: char, ascii: bool) {
        self.text.push('[');
        self.set_in_class(letter, ascii);
        self.text.push(']');
    }

    pub(super) fn set_in_class(&mut self, letter: char, ascii: bool) {
        let (text, weight) = match (letter, ascii) {
            ('d', true) => ("0-9", RANGE),
            ('D', true) => ("[^0-9]", COMPLEMENT),
            ('w', true) => ("0-9A-Z_a-z", COMPLEMENT),
            ('W', true) => ("[^0-9A-Z_a-z]", COMPLEMENT),
            ('s', true) => ("\\t-\\r ", RANGE),
            ('S', true) => ("[^\\t-\\r ]", COMPLEMENT),
            ('d', false) => ("\\d", DIGITS),
            ('D', false) => ("\\D", DIGITS),
            ('w', false) => ("\\w", WORDS),
            ('W', false) => ("\\W", WORDS),
            // Python also counts the separators of ASCII.
            ('s', false) => ("\\s\\x{1c}-\\x{1f}", SPACES),
            (_, _) => ("[^\\s\\x{1c}-\\x{1f}]", SPACES),
        };
        self.text.push_str(text);
        self.weigh(weight);
    }

    /// `\\A`, `\Z`, `\\b` or `\\B`.
    pub(super) fn anchor(&mut self, letter: char, ascii: bool) {
        const WORD: &str = "[0-9A-Z_a-z]";
        match (letter, ascii) {
            ('Z', _) => self.push("\\z"),
            ('b', true) => self.push(&format!("(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))")),
            ('B', true) => self.push(&format!("(?:(?<={WORD})(?={WORD})|(?<!{WORD})(?!{WORD}))")),
            (letter, _) => {
                self.text.push('\\');
                self.text.push(letter);
                self.weigh(WORDS);
            }
        }
    }

    /// What the group of this number matched, from 1.
    pub(super) fn reference(&mut self, number: usize) {
        // In a group of its own: a digit may follow.
        let _ = write!(self.text, "(?:\\{number})");
        self.weigh(LETTER);
    }

    /// Flags for the whole pattern. Those about spaces and ASCII are heeded while the pattern is read.
    pub(super) fn global_flags(&mut self, flags: &str) {
        let known = known_flags(flags);
        if !known.is_empty() {
            let _ = write!(self.text, "(?{known})");
        }
    }

    /// Repeats what was written since `begin`.
    pub(super) fn repeat(&mut self, begin: Mark, repeat: Repeat) {
        let Repeat { least, most, greed } = repeat;
        if greed == Greed::Possessive {
            self.atomic.push(begin.length);
        }
        let _ = match (least, most) {
            (0, u64::MAX) => write!(self.text, "*"),
            (1, u64::MAX) => write!(self.text, "+"),
            (0, 1) => write!(self.text, "?"),
            (least, u64::MAX) => write!(self.text, "{{{least},}}"),
            (least, most) => write!(self.text, "{{{least},{most}}}"),
        };
        match greed {
            Greed::Greedy => {}
            Greed::Lazy => self.text.push('?'),
            Greed::Possessive => self.text.push(')'),
        }
        let times = if most == u64::MAX { least.saturating_add(1) } else { most };
        let once = self.weight.saturating_sub(begin.weight).saturating_add(LETTER);
        self.weight = begin.weight.saturating_add(once.saturating_mul(times.max(1)));
    }

    fn spell(&mut self, letter: char) {
        if letter.is_ascii() && !letter.is_ascii_alphanumeric() {
            let _ = write!(self.text, "\\x{{{:x}}}", u32::from(letter));
        } else {
            self.text.push(letter);
        }
    }

    fn weigh(&mut self, weight: u64) {
        self.weight = self.weight.saturating_add(weight);
    }
}

/// What begins a group with flags of its own.
pub(super) fn scoped_flags(on: &str, off: &str) -> String {
    match (known_flags(on), known_flags(off)) {
        (on, off) if off.is_empty() => format!("(?{on}:"),
        (on, off) => format!("(?{on}-{off}:"),
    }
}

fn known_flags(flags: &str) -> String {
    let mut known: Vec<char> = flags.chars().filter(|flag| matches!(flag, 'i' | 'm' | 's')).collect();
    known.sort_unstable();
    known.dedup();
    known.into_iter().collect()
}
