//! Groups: what stands in parentheses.

use super::{DEPTH_MAX, Item, Parsed, Parser, Width, translation};

impl Parser {
    /// A group, after its `(`; a comment is no item.
    pub(super) fn group(&mut self) -> Parsed<Option<Item>> {
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
            ':' => self.inside("(?:").map(Some),
            '>' => self.inside("(?>").map(Some),
            '#' => {
                self.take_while(|letter| letter != ')');
                self.close().map(|()| None)
            }
            '=' => self.inside("(?=").map(|_| Some(Width::NONE)),
            '!' => self.inside("(?!").map(|_| Some(Width::NONE)),
            '<' => self.look_behind().map(Some),
            'P' => self.named().map(Some),
            '(' => self.conditional().map(Some),
            _ => {
                self.at -= 1;
                self.scoped_flags().map(Some)
            }
        }
    }

    /// The inside of a group, which `opening` begins in the engine's dialect.
    fn inside(&mut self, opening: &str) -> Parsed<Width> {
        self.out.push(opening);
        let width = self.alternatives()?;
        self.close()?;
        self.out.push(")");
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
        let width = self.inside("(")?;
        self.groups[group] = Some(width);
        Ok(width)
    }

    fn look_behind(&mut self) -> Parsed<Width> {
        let opening = match self.peek() {
            Some('=') => "(?<=",
            Some('!') => "(?<!",
            Some(_) | None => return Err("an unknown kind of group"),
        };
        self.at += 1;
        let Width(least, most) = self.inside(opening)?;
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
        let group = if number.is_empty() {
            let name = self.name(')')?;
            self.names.get(&name).ok_or("a reference to no group")? + 1
        } else {
            self.close()?;
            let number = number.parse().ok().filter(|number| *number > 0).ok_or("a reference to no group")?;
            self.awaited = self.awaited.max(number);
            number
        };
        self.out.push(&format!("(?({group})"));
        let yes = self.sequence()?;
        self.out.push("|");
        let no = if self.eat("|") { self.sequence()? } else { Width::NONE };
        self.close()?;
        self.out.push(")");
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
        let before = (self.verbose, self.ascii, self.multiline);
        self.verbose = (self.verbose || on.contains('x')) && !off.contains('x');
        self.ascii = (self.ascii || on.contains('a')) && !on.contains('u');
        self.multiline = (self.multiline || on.contains('m')) && !off.contains('m');
        let width = self.inside(&translation::scoped_flags(&on, &off))?;
        (self.verbose, self.ascii, self.multiline) = before;
        Ok(width)
    }
}
