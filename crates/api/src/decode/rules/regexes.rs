//! Whether a text is a regular expression of Python's `re`, whose dialect the contract names.
//!
//! A recursive descent over the pattern; each part returns the widths it can match, because a look-behind
//! must have exactly one.

use std::collections::HashMap;

/// Groups nested deeper are refused rather than risked.
const DEPTH_MAX: usize = 100;
/// The largest count of a repetition.
const REPEAT_MAX: u64 = u32::MAX as u64 - 1;

/// Checks `pattern`.
pub fn check(pattern: &str) -> Result<(), String> {
    let mut parser = Parser { text: pattern.chars().collect(), ..Parser::default() };
    parser.whole().map_err(|what| format!("must be a regular expression: {what} at character {}", parser.at))
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
}

impl Parser {
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
        }
        Ok(())
    }

    fn alternatives(&mut self) -> Parsed<Width> {
        let mut width = self.sequence()?;
        while self.eat("|") {
            width = width.or(self.sequence()?);
        }
        Ok(width)
    }

    fn sequence(&mut self) -> Parsed<Width> {
        let mut total = Width::NONE;
        let mut last = Item::Nothing;
        loop {
            self.skip_comments();
            let Some(letter) = self.peek().filter(|letter| !matches!(letter, '|' | ')')) else {
                return Ok(match last {
                    Item::Part(width) => total.then(width),
                    Item::Nothing | Item::Anchor | Item::Repeat => total,
                });
            };
            self.at += 1;
            let repeat = self.repetition(letter)?;
            if let Some((least, most)) = repeat {
                total = total.then(repeatable(last)?.times(least, most));
                last = Item::Repeat;
            } else if let Some(item) = self.item(letter)? {
                if let Item::Part(width) = last {
                    total = total.then(width);
                }
                last = item;
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
    fn repetition(&mut self, letter: char) -> Parsed<Option<(u64, u64)>> {
        let times = match letter {
            '*' => (0, u64::MAX),
            '+' => (1, u64::MAX),
            '?' => (0, 1),
            '{' => match self.counts()? {
                Some(times) => times,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        if matches!(self.peek(), Some('?' | '+')) {
            self.at += 1;
        }
        Ok(Some(times))
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
            '^' | '$' => Ok(Some(Item::Anchor)),
            '[' => self.class().map(|()| Some(Item::Part(Width::ONE))),
            '\\' => self.escape().map(Some),
            '(' => self.group(),
            _ => Ok(Some(Item::Part(Width::ONE))),
        }
    }

    fn escape(&mut self) -> Parsed<Item> {
        match self.next().ok_or("a lone backslash")? {
            'A' | 'b' | 'B' | 'Z' => Ok(Item::Anchor),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => Ok(Item::Part(Width::ONE)),
            '0' => {
                self.octal_digits(2);
                Ok(Item::Part(Width::ONE))
            }
            first if first.is_ascii_digit() => self.number(first).map(Item::Part),
            letter => self.letter(letter).map(|_| Item::Part(Width::ONE)),
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
                return if first > '3' { Err("an octal escape that is too large") } else { Ok(Width::ONE) };
            }
        }
        let number: usize = digits.parse().map_err(|_| "a reference to no group")?;
        self.reference(number - 1)
    }

    fn reference(&self, group: usize) -> Parsed<Width> {
        self.groups.get(group).ok_or("a reference to no group")?.ok_or("a reference to a group that is still open")
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
        self.eat("^");
        let mut first = true;
        loop {
            if !first && self.eat("]") {
                return Ok(());
            }
            first = false;
            let low = self.class_member()?;
            if self.peek() != Some('-') || self.text.get(self.at + 1) == Some(&']') {
                continue;
            }
            self.at += 1;
            let high = self.class_member()?;
            if !matches!((low, high), (Some(low), Some(high)) if low <= high) {
                return Err("a range that is none");
            }
        }
    }

    /// A character of a class, or `None` for one of the sets such as `\d`.
    fn class_member(&mut self) -> Parsed<Option<char>> {
        const OPEN: &str = "a class that is not closed";
        let letter = self.next().ok_or(OPEN)?;
        if letter != '\\' {
            return Ok(Some(letter));
        }
        match self.next().ok_or(OPEN)? {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => Ok(None),
            'b' => Ok(Some('\u{8}')),
            '8' | '9' => Err("an unknown escape"),
            digit if digit.is_digit(8) => {
                self.at -= 1;
                let code = self.octal_digits(3);
                let code = u8::try_from(code).map_err(|_| "an octal escape that is too large")?;
                Ok(Some(char::from(code)))
            }
            letter => self.letter(letter).map(Some),
        }
    }

    /// A group, after its `(`; a comment is no item.
    fn group(&mut self) -> Parsed<Option<Item>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("groups nested too deeply");
        }
        let item = if self.eat("?") { self.extension() } else { self.capture(None).map(Some) };
        self.depth -= 1;
        Ok(item?.map(Item::Part))
    }

    fn extension(&mut self) -> Parsed<Option<Width>> {
        match self.next().ok_or("a group that is not closed")? {
            ':' | '>' => self.inside().map(Some),
            '#' => {
                self.take_while(|letter| letter != ')');
                self.close().map(|()| None)
            }
            '=' | '!' => self.inside().map(|_| Some(Width::NONE)),
            '<' => self.look_behind().map(Some),
            'P' => self.named().map(Some),
            '(' => self.conditional().map(Some),
            _ => {
                self.at -= 1;
                self.scoped_flags().map(Some)
            }
        }
    }

    fn inside(&mut self) -> Parsed<Width> {
        let verbose = self.verbose;
        let width = self.alternatives()?;
        self.verbose = verbose;
        self.close()?;
        Ok(width)
    }

    fn close(&mut self) -> Parsed<()> {
        if self.eat(")") { Ok(()) } else { Err("a group that is not closed") }
    }

    fn capture(&mut self, name: Option<String>) -> Parsed<Width> {
        let group = self.groups.len();
        self.groups.push(None);
        if name.is_some_and(|name| self.names.insert(name, group).is_some()) {
            return Err("two groups of the same name");
        }
        let width = self.inside()?;
        self.groups[group] = Some(width);
        Ok(width)
    }

    fn look_behind(&mut self) -> Parsed<Width> {
        if !self.eat("=") && !self.eat("!") {
            return Err("an unknown kind of group");
        }
        let Width(least, most) = self.inside()?;
        if least == most { Ok(Width::NONE) } else { Err("a look-behind of more than one width") }
    }

    fn named(&mut self) -> Parsed<Width> {
        if self.eat("<") {
            let name = self.name('>')?;
            return self.capture(Some(name));
        }
        if !self.eat("=") {
            return Err("an unknown kind of group");
        }
        let name = self.name(')')?;
        let group = self.names.get(&name).copied().ok_or("a reference to no group")?;
        self.reference(group)
    }

    fn name(&mut self, end: char) -> Parsed<String> {
        let name = self.take_while(|letter| letter.is_alphanumeric() || letter == '_');
        let begins_well = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
        if begins_well && self.next() == Some(end) { Ok(name) } else { Err("a bad group name") }
    }

    fn conditional(&mut self) -> Parsed<Width> {
        let number = self.take_while(|letter| letter.is_ascii_digit());
        if number.is_empty() {
            let name = self.name(')')?;
            self.names.get(&name).ok_or("a reference to no group")?;
        } else {
            self.close()?;
            let number = number.parse().ok().filter(|number| *number > 0).ok_or("a reference to no group")?;
            self.awaited = self.awaited.max(number);
        }
        let yes = self.sequence()?;
        let no = if self.eat("|") { self.sequence()? } else { Width::NONE };
        self.close()?;
        Ok(yes.or(no))
    }

    /// `(?i-s:...)`.
    fn scoped_flags(&mut self) -> Parsed<Width> {
        let on = self.take_while(|letter| "aimsux".contains(letter));
        let minus = self.eat("-");
        let off = if minus { self.take_while(|letter| "imsx".contains(letter)) } else { String::new() };
        let nothing = if minus { off.is_empty() } else { on.is_empty() };
        if nothing
            || !self.eat(":")
            || on.chars().any(|flag| off.contains(flag))
            || (on.contains('a') && on.contains('u'))
        {
            return Err("an unknown kind of group or flags out of place");
        }
        let verbose = self.verbose;
        self.verbose = (verbose || on.contains('x')) && !off.contains('x');
        let width = self.alternatives()?;
        self.verbose = verbose;
        self.close()?;
        Ok(width)
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
