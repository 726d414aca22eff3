//! Fenced blocks of a text in Markdown.

/// A block.
pub(crate) struct Fence<'a> {
    /// Where its opening marks stand.
    pub(crate) start: usize,
    /// The word behind the opening marks, in lower case.
    pub(crate) label: String,
    /// What it holds.
    pub(crate) inside: &'a str,
}

/// Blocks of one text that are looked at.
const FENCES_MAX: usize = 32;

/// The blocks, in order. One that is never closed goes to the end.
pub(crate) fn of(text: &str) -> Vec<Fence<'_>> {
    let mut fences = Vec::new();
    let mut from = 0;
    while fences.len() < FENCES_MAX
        && let Some(start) = text[from..].find("```").map(|at| from + at)
    {
        let line = &text[start + 3..];
        let label_ends = line.find(|char: char| char == '\n' || "{[<`".contains(char)).unwrap_or(line.len());
        let body = start + 3 + label_ends;
        let end = text[body..].find("```").map_or(text.len(), |at| body + at);
        let label = line[..label_ends].trim().to_ascii_lowercase();
        fences.push(Fence { start, label, inside: text[body..end].trim() });
        from = (end + 3).min(text.len());
    }
    fences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_labels() {
        let text = "a\n```json\n{}\n```\nb ```{\"x\": 1}``` c\n```Tool_Code\nopen";
        let fences: Vec<_> = of(text).into_iter().map(|fence| (fence.label, fence.inside.to_owned())).collect();
        let expected = [("json", "{}"), ("", "{\"x\": 1}"), ("tool_code", "open")];
        assert_eq!(fences, expected.map(|(label, inside)| (label.to_owned(), inside.to_owned())));
        assert_eq!(of("no block").len(), 0);
        assert_eq!(of("```").len(), 1);
    }
}
