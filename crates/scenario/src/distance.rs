//! Which known word somebody meant.

/// The known word that is closest to `written`, if it is close: the shorter the word, the closer.
pub(crate) fn meant<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = known.into_iter().map(|word| (edits(written, word), word)).filter(|(edits, word)| {
        let allowed = match word.chars().count() {
            0..=2 => 0,
            3..=4 => 1,
            _ => 2,
        };
        (1..=allowed).contains(edits)
    });
    close.min_by_key(|(edits, _)| *edits).map(|(_, word)| word)
}

/// How many letters have to be put in, left out, changed, or swapped with their neighbour.
fn edits(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().take(64).collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let change = row[j] + usize::from(a != b);
            let mut least = change.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_close_and_another_word_is_not() {
        let known = ["answer", "think", "text", "say"];
        for (written, wanted) in [
            ("anwser", Some("answer")),
            ("thnik", Some("think")),
            ("tetx", Some("text")),
            ("answer", None),
            ("alice", None),
            ("sam", Some("say")),
            ("bob", None),
        ] {
            assert_eq!(meant(written, known), wanted, "{written}");
        }
    }
}
