//! Whether a text is a regular expression of Python's `re`, whose dialect the contract names, and the same expression
//! in the dialect of the engine that matches.
//!
//! A recursive descent over the pattern; each part returns the widths it can match, because a look-behind
//! must have exactly one.

mod groups;
mod translation;

use std::collections::HashMap;
use translation::{Greed, Repeat, Translation};

/// Groups nested deeper are refused rather than risked.
const DEPTH_MAX: usize = 100;
/// The largest count of a repetition.
const REPEAT_MAX: u64 = u32::MAX as u64 - 1;

/// Characters of a construct that are quoted when it is refused.
const QUOTED_MAX: usize = 20;

/// Checks `pattern`.
pub fn check(pattern: &str) -> Result<(), String> {
    translated(pattern).map(drop)
}

/// A pattern in the engine's dialect.
pub struct Translated {
    /// The pattern; its groups have no names.
    pub text: String,
    /// What its compiled form takes up, in units of about 50 bytes. Counts are multiplied out, as the engine does.
    pub weight: u64,
}

/// Reads `pattern` and writes it in the engine's dialect.
pub fn translated(pattern: &str) -> Result<Translated, String> {
    let mut parser = Parser { text: pattern.chars().collect(), ..Parser::default() };
    match parser.whole() {
        Ok(()) => Ok(parser.out.finish()),
        Err(what) => Err(parser.refusal(what)),
    }
}

type Parsed<T> = Result<T, &'static str>;

/// The fewest and most characters a part can match.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Width(u64, u64);

impl Width {
    const NONE: Self = Self(0, 0);
    const ONE: Self = Self(1, 1);

    fn then(self, next: Self) -> Self {
        Self(self.0.saturating_add(next.0), self.1.saturating_add(next.1))
    }

    fn or(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.max(other.1))
    }

    fn times(self, least: u64, most: u64) -> Self {
        Self(self.0.saturating_mul(least), self.1.saturating_mul(most))
    }
}

/// A part of a class: a character, or a set such as `\d`.
#[derive(Clone, Copy)]
enum Member {
    Letter(char),
    Set(char),
}

/// What the last part was, which decides whether it can be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Nothing,
    Anchor,
    Repeat,
    Part(Width),
}

#[derive(Default)]
struct Parser {
    text: Vec<char>,
    at: usize,
    depth: usize,
    /// The width of every group; `None` while it is open.
    groups: Vec<Option<Width>>,
    names: HashMap<String, usize>,
    /// Conditions may name groups that come later.
    awaited: usize,
    verbose: bool,
    ascii: bool,
    multiline: bool,
    /// Where the construct began that is being read.
    construct: usize,
    out: Translation,
}

impl Parser {
    fn refusal(&self, what: &str) -> String {
        let construct: String = self.text[self.construct.min(self.at)..self.at].iter().take(QUOTED_MAX).collect();
        let quoted = if construct.is_empty() { String::new() } else { format!(" (`{construct}`)") };
        format!("must be a regular expression of Python: {what}{quoted} at character {}", self.at)
    }

    fn whole(&mut self) -> Parsed<()> {
        self.global_flags()?;
        self.alternatives()?;
        match self.peek() {
            Some(_) => Err("a parenthesis that nothing opens"),
            None if self.awaited > self.groups.len() => Err("a reference to no group"),
            None => Ok(()),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn eat(&mut self, word: &str) -> bool {
        let here = self.text[self.at..].iter().copied();
        let found = here.take(word.len()).eq(word.chars());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let taken: String = self.text[self.at..].iter().copied().take_while(|letter| wanted(*letter)).collect();
        self.at += taken.chars().count();
        taken
    }

    /// `(?i)` and the like, which may stand at the very beginning only.
    fn global_flags(&mut self) -> Parsed<()> {
        let start = self.at;
        while self.eat("(?") {
            let flags = self.take_while(|letter| "aimsux".contains(letter));
            if flags.is_empty() || !self.eat(")") {
                self.at -= 2 + flags.len();
                return Ok(());
            }
            if flags.contains('a') && flags.contains('u') {
                self.at = start;
                return Err("flags that exclude each other");
            }
            self.verbose |= flags.contains('x');
            self.ascii |= flags.contains('a');
            self.multiline |= flags.contains('m');
            self.out.global_flags(&flags);
        }
        Ok(())
    }

    fn alternatives(&mut self) -> Parsed<Width> {
        let mut width = self.sequence()?;
        while self.eat("|") {
            self.out.push("|");
            width = width.or(self.sequence()?);
        }
        Ok(width)
    }

    fn sequence(&mut self) -> Parsed<Width> {
        let mut total = Width::NONE;
        let mut last = Item::Nothing;
        let mut begin = self.out.mark();
        loop {
            self.skip_comments();
            let Some(letter) = self.peek().filter(|letter| !matches!(letter, '|' | ')')) else {
                return Ok(match last {
                    Item::Part(width) => total.then(width),
                    Item::Nothing | Item::Anchor | Item::Repeat => total,
                });
            };
            self.construct = self.at;
            self.at += 1;
            if let Some(repeat) = self.repetition(letter)? {
                total = total.then(repeatable(last)?.times(repeat.least, repeat.most));
                self.out.repeat(begin, repeat);
                last = Item::Repeat;
                continue;
            }
            let here = self.out.mark();
            if let Some(item) = self.item(letter)? {
                if let Item::Part(width) = last {
                    total = total.then(width);
                }
                (last, begin) = (item, here);
            }
        }
    }

    fn skip_comments(&mut self) {
        while self.verbose {
            self.take_while(|letter| letter.is_ascii_whitespace());
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|letter| letter != '\n');
        }
    }

    /// How often the part before is repeated, when `letter` begins a repetition.
    fn repetition(&mut self, letter: char) -> Parsed<Option<Repeat>> {
        let (least, most) = match letter {
            '*' => (0, u64::MAX),
            '+' => (1, u64::MAX),
            '?' => (0, 1),
            '{' => match self.counts()? {
                Some(times) => times,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let greed = match self.peek() {
            Some('?') => Greed::Lazy,
            Some('+') => Greed::Possessive,
            Some(_) | None => Greed::Greedy,
        };
        self.at += usize::from(greed != Greed::Greedy);
        Ok(Some(Repeat { least, most, greed }))
    }

    /// `{2}`, `{2,}`, `{,3}` or `{2,3}`; anything else is a brace that means itself.
    fn counts(&mut self) -> Parsed<Option<(u64, u64)>> {
        let start = self.at;
        let least = self.take_while(|letter| letter.is_ascii_digit());
        let comma = self.eat(",");
        let most = if comma { self.take_while(|letter| letter.is_ascii_digit()) } else { least.clone() };
        if !self.eat("}") || (!comma && least.is_empty()) {
            self.at = start;
            return Ok(None);
        }
        let count =
            |digits: &str, default| if digits.is_empty() { Ok(default) } else { digits.parse().map_err(|_| ()) };
        let (Ok(least), Ok(most)) = (count(&least, 0), count(&most, u64::MAX)) else {
            return Err("a repetition that is too large");
        };
        if least > REPEAT_MAX || (most > REPEAT_MAX && most != u64::MAX) {
            return Err("a repetition that is too large");
        }
        if least > most { Err("a repetition with its bounds exchanged") } else { Ok(Some((least, most))) }
    }

    fn item(&mut self, letter: char) -> Parsed<Option<Item>> {
        match letter {
            '^' => Ok(Some(self.anchor("^"))),
            '$' if self.multiline => Ok(Some(self.anchor("$"))),
            // What follows nothing may take the newline; what follows something must leave it.
            '$' if self.peek().is_none() => Ok(Some(self.anchor("\\n?\\z"))),
            '$' => Ok(Some(self.anchor("(?=\\n?\\z)"))),
            '[' => self.class().map(|()| Some(Item::Part(Width::ONE))),
            '\\' => self.escape().map(Some),
            '(' => self.group(),
            '.' => {
                self.out.any();
                Ok(Some(Item::Part(Width::ONE)))
            }
            _ => {
                self.out.literal(letter);
                Ok(Some(Item::Part(Width::ONE)))
            }
        }
    }

    fn anchor(&mut self, text: &str) -> Item {
        self.out.push(text);
        Item::Anchor
    }

    fn escape(&mut self) -> Parsed<Item> {
        match self.next().ok_or("a lone backslash")? {
            letter @ ('A' | 'b' | 'B' | 'Z') => {
                self.out.anchor(letter, self.ascii);
                Ok(Item::Anchor)
            }
            letter @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => {
                self.out.set(letter, self.ascii);
                Ok(Item::Part(Width::ONE))
            }
            '0' => {
                let code = self.octal_digits(2);
                self.out.literal(char::from_u32(code).unwrap_or_default());
                Ok(Item::Part(Width::ONE))
            }
            first if first.is_ascii_digit() => self.number(first).map(Item::Part),
            letter => {
                let letter = self.letter(letter)?;
                self.out.literal(letter);
                Ok(Item::Part(Width::ONE))
            }
        }
    }

    /// `\1` is a reference, `\101` a character.
    fn number(&mut self, first: char) -> Parsed<Width> {
        let mut digits = String::from(first);
        if let Some(second) = self.peek().filter(char::is_ascii_digit) {
            self.at += 1;
            digits.push(second);
            let octal = digits.chars().all(|digit| digit.is_digit(8));
            if let Some(third) = self.peek().filter(|third| octal && third.is_digit(8)) {
                self.at += 1;
                digits.push(third);
                let code = u8::from_str_radix(&digits, 8).map_err(|_| "an octal escape that is too large")?;
                self.out.literal(char::from(code));
                return Ok(Width::ONE);
            }
        }
        let number: usize = digits.parse().map_err(|_| "a reference to no group")?;
        self.reference(number - 1)
    }

    fn reference(&mut self, group: usize) -> Parsed<Width> {
        let width = self.groups.get(group).ok_or("a reference to no group")?;
        let width = width.ok_or("a reference to a group that is still open")?;
        self.out.reference(group + 1);
        Ok(width)
    }

    fn octal_digits(&mut self, most: usize) -> u32 {
        let mut value = 0;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|letter| letter.to_digit(8)) else { break };
            self.at += 1;
            value = value * 8 + digit;
        }
        value
    }

    /// An escaped letter that means one character, inside or outside of a class.
    fn letter(&mut self, letter: char) -> Parsed<char> {
        match letter {
            'x' => self.hexadecimal(2),
            'u' => self.hexadecimal(4),
            'U' => self.hexadecimal(8),
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            other if other.is_ascii_alphabetic() => Err("an unknown escape"),
            other => Ok(other),
        }
    }

    fn hexadecimal(&mut self, count: usize) -> Parsed<char> {
        let digits: String = self.text[self.at..].iter().take(count).collect();
        let complete = digits.len() == count && digits.chars().all(|digit| digit.is_ascii_hexdigit());
        let code = u32::from_str_radix(&digits, 16).ok().filter(|code| complete && *code <= 0x0010_ffff);
        self.at += digits.chars().count();
        let code = code.ok_or("an incomplete escape")?;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// A class, after its `[`.
    fn class(&mut self) -> Parsed<()> {
        let negated = self.eat("^");
        self.out.open_class(negated);
        let mut first = true;
        loop {
            if !first && self.eat("]") {
                self.out.push("]");
                return Ok(());
            }
            first = false;
            self.construct = self.at;
            let low = self.class_member()?;
            if self.peek() != Some('-') || self.text.get(self.at + 1) == Some(&']') {
                self.class_entry(low);
                continue;
            }
            self.at += 1;
            let high = self.class_member()?;
            match (low, high) {
                (Member::Letter(low), Member::Letter(high)) if low <= high => self.out.range(low, high),
                _ => return Err("a range that is none"),
            }
        }
    }

    fn class_entry(&mut self, member: Member) {
        match member {
            Member::Letter(letter) => self.out.literal(letter),
            Member::Set(set) => self.out.set_in_class(set, self.ascii),
        }
    }

    fn class_member(&mut self) -> Parsed<Member> {
        const OPEN: &str = "a class that is not closed";
        let letter = self.next().ok_or(OPEN)?;
        if letter != '\\' {
            return Ok(Member::Letter(letter));
        }
        match self.next().ok_or(OPEN)? {
            set @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => Ok(Member::Set(set)),
            'b' => Ok(Member::Letter('\u{8}')),
            '8' | '9' => Err("an unknown escape"),
            digit if digit.is_digit(8) => {
                self.at -= 1;
                let code = self.octal_digits(3);
                let code = u8::try_from(code).map_err(|_| "an octal escape that is too large")?;
                Ok(Member::Letter(char::from(code)))
            }
            letter => self.letter(letter).map(Member::Letter),
        }
    }
}

fn repeatable(item: Item) -> Parsed<Width> {
    match item {
        Item::Part(width) => Ok(width),
        Item::Repeat => Err("a repetition of a repetition"),
        Item::Nothing | Item::Anchor => Err("a repetition of nothing"),
    }
}

#[cfg(test)]
mod tests;
