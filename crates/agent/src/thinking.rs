//! Thoughts and the template's own marks, taken out of a text where servers have left them.

/// Marks around thoughts. Those that end in `true` also count without the opening one, which often stands in the
/// prompt, and in the middle of a text.
const MARKS: [(&str, &str, bool); 10] = [
    ("<think>", "</think>", true),
    ("<seed:think>", "</seed:think>", true),
    ("<mm:think>", "</mm:think>", true),
    ("[THINK]", "[/THINK]", true),
    ("◁think▷", "◁/think▷", true),
    ("<|START_THINKING|>", "<|END_THINKING|>", true),
    ("<|begin_of_thought|>", "<|end_of_thought|>", true),
    ("<thinking>", "</thinking>", false),
    ("<thought>", "</thought>", false),
    ("<|channel>thought", "<channel|>", true),
];

/// Tokens of chat templates that servers forget to take away at the ends of a text.
const TOKENS: [&str; 27] = [
    "<|im_end|>",
    "<|im_start|>assistant",
    "<|im_start|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<|eom|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|start_header_id|>assistant<|end_header_id|>",
    "<|return|>",
    "<|begin_of_box|>",
    "<|end_of_box|>",
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|assistant|>",
    "<|user|>",
    "<|observation|>",
    "<｜end▁of▁sentence｜>",
    "<end_of_turn>",
    "<eos>",
    "</s>",
    "[/INST]",
];

/// Marks of one text that are looked at.
const MARKS_MAX: usize = 32;

/// A text, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// What was thought.
    pub(crate) thoughts: Option<String>,
    /// What was said.
    pub(crate) words: Option<String>,
}

/// Takes the thoughts out of `text`. What is not closed is all thought: it was cut off before a word was said.
pub(crate) fn split(text: &str) -> Split {
    let mut thoughts = Vec::new();
    let words = match channels(text, &mut thoughts) {
        Some(words) => words,
        None => without_marks(text, &mut thoughts),
    };
    Split { thoughts: filled(&thoughts.join("\n")), words: filled(without_tokens(&words)) }
}

fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn without_tokens(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(rest) = TOKENS.iter().find_map(|token| text.strip_suffix(token).or_else(|| text.strip_prefix(token)))
    {
        text = rest.trim();
    }
    text
}

fn without_marks<'a>(text: &'a str, thoughts: &mut Vec<&'a str>) -> String {
    let mut rest = without_tokens(text);
    while let Some((open, close, _)) = MARKS.iter().find(|(open, ..)| rest.starts_with(open)) {
        let (thought, after) = rest[open.len()..].split_once(close).unwrap_or((&rest[open.len()..], ""));
        thoughts.push(thought.trim());
        rest = without_tokens(after);
    }
    let mut words = String::new();
    for _ in 0..MARKS_MAX {
        let Some((end, open, close)) = next_close(rest) else { break };
        if let Some(start) = open_before(rest, end, open) {
            words.push_str(&rest[..start]);
            thoughts.push(rest[start + open.len()..end].trim());
        } else {
            thoughts.push(rest[..end].trim());
            words.clear();
        }
        rest = &rest[end + close.len()..];
    }
    words.push_str(rest);
    words
}

/// The next mark that closes thoughts and is not only spoken of.
fn next_close(text: &str) -> Option<(usize, &'static str, &'static str)> {
    let marks = MARKS.iter().filter(|(.., alone)| *alone);
    let found = marks.filter_map(|(open, close, _)| {
        let at = text.match_indices(close).take(MARKS_MAX).map(|(at, _)| at).find(|at| is_live(text, *at))?;
        Some((at, *open, *close))
    });
    found.min_by_key(|(at, ..)| *at)
}

fn open_before(text: &str, end: usize, open: &str) -> Option<usize> {
    text[..end].rfind(open).filter(|at| is_live(text, *at))
}

/// Whether what stands at `at` is meant, and not quoted or part of a listing.
pub(crate) fn is_live(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let quoted = before.ends_with(['`', '"', '\'', '“', '«']);
    !quoted && before.matches("```").count().is_multiple_of(2)
}

/// What is said on the final channel of a reply in the harmony format, with calls left in place as they are.
/// None when the text is not of that format.
fn channels<'a>(text: &'a str, thoughts: &mut Vec<&'a str>) -> Option<String> {
    const ENDS: [&str; 5] = ["<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>"];
    if let Some((thought, answer)) = text.strip_prefix("analysis").and_then(|rest| rest.rsplit_once("assistantfinal")) {
        thoughts.push(thought);
        return Some(answer.to_owned());
    }
    if !text.contains("<|message|>") {
        return None;
    }
    let mut words = String::new();
    let mut parts = text.split("<|message|>");
    let mut header = parts.next().unwrap_or_default();
    for part in parts {
        let end = ENDS.iter().filter_map(|end| part.find(end)).min().unwrap_or(part.len());
        let body = &part[..end];
        if header.contains("to=") {
            words.push_str(header.rsplit("<|end|>").next().unwrap_or(header));
            words.push_str(body);
            words.push('\n');
        } else if header.contains("analysis") || header.contains("commentary") {
            thoughts.push(body.trim());
        } else {
            words.push_str(body);
        }
        header = &part[end..];
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_told_from_words() {
        check("Paris", None, Some("Paris"));
        check("<think>\nr\n</think>\n\nParis", Some("r"), Some("Paris"));
        check("r</think>Paris", Some("r"), Some("Paris"));
        check("[THINK]r[/THINK]Paris", Some("r"), Some("Paris"));
        check("◁think▷r◁/think▷Paris", Some("r"), Some("Paris"));
        check("<thinking>r</thinking>\nParis", Some("r"), Some("Paris"));
        check("<think>a</think><think>b</think>Paris", Some("a\nb"), Some("Paris"));
        check("It is\n<think>r</think>Paris", Some("r"), Some("It is\nParis"));
        check("<think>r", Some("r"), None);
        check("<think></think>", None, None);
    }

    #[test]
    fn marks_that_are_only_spoken_of_stay() {
        for text in ["The tag `</think>` closes it.", "Write \"</think>\".", "```\nr</think>x\n```\nThat is how."] {
            check(text, None, Some(text));
        }
        let asked_for = "<plan><thought>x</thought></plan>";
        check(asked_for, None, Some(asked_for));
    }

    #[test]
    fn tokens_of_templates_go_from_the_ends() {
        check("Paris<|im_end|>", None, Some("Paris"));
        check("<|im_start|>assistant\nParis</s><|im_end|>\n", None, Some("Paris"));
        check("<|begin_of_box|>Paris<|end_of_box|>", None, Some("Paris"));
        check("<|im_end|>", None, None);
    }

    #[test]
    fn of_channels_the_final_one_is_said() {
        let analysis = "<|channel|>analysis<|message|>r<|end|>";
        check(
            &format!("{analysis}<|start|>assistant<|channel|>final<|message|>Paris<|return|>"),
            Some("r"),
            Some("Paris"),
        );
        check(analysis, Some("r"), None);
        let call = "<|start|>assistant<|channel|>commentary to=functions.look <|constrain|>json<|message|>{}<|call|>";
        let split = split(&format!("{analysis}{call}"));
        assert!(split.words.unwrap().contains("to=functions.look"));
        check("analysisWe think.assistantfinalParis", Some("We think."), Some("Paris"));
    }

    fn check(text: &str, thoughts: Option<&str>, words: Option<&str>) {
        let split = split(text);
        assert_eq!((split.thoughts.as_deref(), split.words.as_deref()), (thoughts, words), "{text}");
    }
}
