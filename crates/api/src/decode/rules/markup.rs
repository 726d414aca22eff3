//! Text that goes into a prompt must not close the wrapper it is put into.

/// The elements that the prompt is made of.
const ELEMENTS: [&str; 12] = [
    "agent_settings",
    "available_skills",
    "available_subagents",
    "description",
    "hard_limits",
    "instructions",
    "name",
    "response_format",
    "role",
    "skill",
    "subagent",
    "url_pattern",
];

/// Refuses the end tag of a raw template block and the closing tags of prompt elements.
pub fn check(text: &str) -> Result<(), String> {
    if after_each(text, "{%").any(ends_raw_block) {
        return Err("must not contain an end-raw template tag".into());
    }
    match after_each(text, "</").find_map(closed_element) {
        Some(element) => Err(format!("must not contain the closing tag of `{element}`")),
        None => Ok(()),
    }
}

fn after_each<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(mark).map(move |(index, _)| &text[index + mark.len()..])
}

fn ends_raw_block(rest: &str) -> bool {
    let rest = skip_blanks(skip_sign(rest)).strip_prefix("endraw").map(|rest| skip_sign(skip_blanks(rest)));
    rest.is_some_and(|rest| rest.starts_with("%}"))
}

fn closed_element(rest: &str) -> Option<&'static str> {
    let rest = skip_blanks(rest);
    ELEMENTS.into_iter().find(|element| skip_word(rest, element).is_some_and(|rest| skip_blanks(rest).starts_with('>')))
}

fn skip_sign(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(|letter: char| letter.is_whitespace() || matches!(letter, '\u{1c}'..='\u{1f}'))
}

fn skip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let mut letters = text.chars();
    let found = word.chars().all(|wanted| letters.next().is_some_and(|letter| folded(letter) == wanted));
    found.then_some(letters.as_str())
}

/// The lower-case ASCII letter that stands for this one whatever the case; two of them lie outside ASCII.
fn folded(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn closing_tags_are_refused() {
        for text in [
            "{%endraw%}",
            "{%- endraw -%}",
            "{%+\nendraw\u{a0}+%}",
            "a </skill> b",
            "</ SKILL\n>",
            "</\u{a0}role>",
            "</\u{17f}\u{212a}ill>",
            "</available_subagents>",
            "</</name>",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn everything_else_passes() {
        for text in [
            "",
            "{% ENDRAW %}",
            "{%-- endraw %}",
            "{% - endraw %}",
            "<skill>",
            "<skill/>",
            "</skill",
            "</skill x>",
            "</div>",
            "</skills>",
            "{{ x }}",
            "</",
            "{%",
        ] {
            assert!(check(text).is_ok(), "{text}");
        }
    }
}
