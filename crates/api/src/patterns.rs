//! Regular expressions that callers write, ready to match: Python's dialect, as the contract names it, on an engine that
//! can be told how much work it may do.

use crate::decode::rules::regexes;
use fancy_regex::{Error, Regex, RegexBuilder, RuntimeError};
use jsonschema::PatternOptions;
use std::sync::OnceLock;

/// What all patterns of one schema may weigh together: about 10 MB of compiled form. See [`Pattern::weight`].
pub const PATTERNS_WEIGHT_MAX: u64 = 200_000;

/// Bytes of the compiled form of one pattern, and of what the engine remembers while it matches.
const SIZE_MAX_BYTES: usize = 8 << 20;
const CACHE_MAX_BYTES: usize = 512 << 10;

/// How often the engine may go back in one match, tried in this order: most matches need no more than the first.
const BACKTRACKS: [usize; 3] = [16, 1_024, 65_536];

/// The same for patterns of names, which the schema library matches itself.
const NAME_BACKTRACKS: usize = 1_000;

/// What matching may still cost, in units of about 10 nanoseconds.
pub trait Work {
    /// Takes `units` of the budget, unless less is left or the work was told to stop. Once it has said no it says no
    /// to everything.
    fn take(&self, units: u64) -> bool;
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    text: String,
    weight: u64,
    /// By [`BACKTRACKS`]; the first is made at once.
    engines: [OnceLock<Option<Regex>>; BACKTRACKS.len()],
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A sentence about the pattern: what in it is not Python's, or that it is too large.
    pub fn compile(source: &str) -> Result<Self, String> {
        let regexes::Translated { text, weight } = regexes::translated(source)?;
        if weight > PATTERNS_WEIGHT_MAX {
            return Err(too_heavy());
        }
        let pattern = Self { source: source.to_owned(), text, weight, engines: Default::default() };
        match pattern.build(BACKTRACKS[0]) {
            Ok(engine) => {
                let _ = pattern.engines[0].set(Some(engine));
                Ok(pattern)
            }
            Err(fault) => Err(format!("must be a regular expression that this server can match: {fault}")),
        }
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the compiled form takes up, in units of about 50 bytes.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether the pattern is found in a text; none when the work for it was refused or does not suffice.
    pub fn is_found_in(&self, text: &str, work: &impl Work) -> Option<bool> {
        for (place, backtracks) in BACKTRACKS.into_iter().enumerate() {
            if !work.take(self.cost(text, backtracks)) {
                return None;
            }
            let engine = self.engines[place].get_or_init(|| self.build(backtracks).ok()).as_ref()?;
            match engine.is_match(text) {
                Ok(found) => return Some(found),
                Err(Error::RuntimeError(RuntimeError::BacktrackLimitExceeded)) => {}
                Err(_) => break,
            }
        }
        // More than any budget has, so that nobody takes the silence for a no.
        work.take(u64::MAX);
        None
    }

    /// What one match costs at worst: each way back may scan the text, in as many states as the pattern has.
    fn cost(&self, text: &str, backtracks: usize) -> u64 {
        let scan = scan(text, self.weight);
        (backtracks as u64).saturating_mul(scan.saturating_add(8)).saturating_add(scan)
    }

    fn build(&self, backtracks: usize) -> Result<Regex, Error> {
        RegexBuilder::new(&self.text)
            .backtrack_limit(backtracks)
            .delegate_size_limit(SIZE_MAX_BYTES)
            .delegate_dfa_size_limit(CACHE_MAX_BYTES)
            .build()
    }
}

fn scan(text: &str, weight: u64) -> u64 {
    (text.len() as u64).saturating_mul(weight) / 1_024
}

/// How the schema library compiles patterns of names (`patternProperties`).
pub fn name_patterns() -> PatternOptions<jsonschema::FancyRegex> {
    PatternOptions::fancy_regex()
        .backtrack_limit(NAME_BACKTRACKS)
        .size_limit(SIZE_MAX_BYTES)
        .dfa_size_limit(CACHE_MAX_BYTES)
}

/// Checks a pattern of names: Python's dialect, and what the schema library understands of it.
///
/// # Errors
/// A sentence about the pattern.
pub fn check_name_pattern(source: &str) -> Result<(), String> {
    Pattern::compile(source)?;
    let schema = serde_json::json!({"patternProperties": {source: true}});
    match jsonschema::options().with_pattern_options(name_patterns()).build(&schema) {
        Ok(_) => Ok(()),
        Err(_) => Err("must be a regular expression of JavaScript, too, since it is for names".into()),
    }
}

/// What a pattern of names weighs; one that is none weighs most.
pub fn name_weight(source: &str) -> u64 {
    regexes::translated(source).map_or(PATTERNS_WEIGHT_MAX, |translated| translated.weight)
}

/// What matching a pattern of names of some weight to a name costs at worst, in the units of [`Work`].
pub fn name_cost(weight: u64, name: &str) -> u64 {
    (NAME_BACKTRACKS as u64).saturating_mul(scan(name, weight).saturating_add(1))
}

/// What a schema says whose patterns are too heavy.
pub(crate) fn too_heavy() -> String {
    "must have lighter regular expressions: with all counts multiplied out they take too much room".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Budget(Cell<u64>);

    impl Work for Budget {
        fn take(&self, units: u64) -> bool {
            let left = self.0.get().checked_sub(units);
            self.0.set(left.unwrap_or_default());
            left.is_some()
        }
    }

    fn found(pattern: &str, text: &str) -> Option<bool> {
        let compiled = Pattern::compile(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
        compiled.is_found_in(text, &Budget(Cell::new(200_000_000)))
    }

    #[test]
    fn what_python_finds_is_found() {
        for (pattern, yes, no) in [
            (r"\Aa{,3}\Z", "aaa", "aaaa"),
            ("^abc$", "abc\n", "abc\n\n"),
            ("a$|b", "a\n", "ac"),
            ("(?m)^b$", "a\nb\nc", "a\nbb"),
            (r"(?P<n>a|b)(?P=n)", "xbb", "ab"),
            ("(a)?(?(1)b|c)$", "ab", "b"),
            ("x++y", "xxy", "xx"),
            ("^(?:a|ab)(?>b*)c", "abbc", "abb"),
            (r"^[\d-]+$", "1-٣", "a"),
            (r"(?a)^\w+\Z", "az_09", "ä"),
            (r"(?a:\bx)", "äx", "ax"),
            (r"^[]\^-]{2}$", "]^", "a^"),
            ("[[a&&b]c", "&c", "dc"),
            ("a{}|b{2", "b{2", "a"),
            (r"(?x) a b # both", "ab", "a b"),
            (r"\101\x42\u0043\.", "ABC.", "ABCD"),
            (r"(?i)straße$", "STRAßE", "strasse"),
            ("(?s:a.)b", "a\nb", "a\n"),
            ("(?<=ab)c(?!d)", "abc", "abcd"),
            (r"^\S+\s\S+$", "a\u{1f}b", "ab"),
        ] {
            assert_eq!(found(pattern, yes), Some(true), "{pattern} in {yes:?}");
            assert_eq!(found(pattern, no), Some(false), "{pattern} in {no:?}");
        }
    }

    #[test]
    fn a_match_ends_with_its_budget() {
        let text = format!("{}!", "a".repeat(60));
        assert_eq!(found(r"^(?:(a|aa)+\1c|a+bc)$", &text), None);
        assert_eq!(found("(a+)+$", &text), Some(false), "without looking back it takes no more than the text");
    }

    #[test]
    fn looking_around_in_a_long_text_is_within_the_budget() {
        let text = "a ".repeat(500_000);
        assert_eq!(found(r"^(?!\s*$)", &text), Some(true));
    }

    #[test]
    fn what_is_too_large_or_of_another_dialect_is_refused_by_name() {
        for (pattern, expected) in [
            ("[a-z]{100000}", "lighter"),
            ("(?:a{1000}){1000}", "lighter"),
            (r"\p{L}", r"`\p`"),
            ("(?<year>x)", "`(?<`"),
            (r"[\q]", r"`\q`"),
        ] {
            let refused = Pattern::compile(pattern).unwrap_err();
            assert!(refused.contains(expected), "{pattern}: {refused}");
        }
    }

    #[test]
    fn patterns_of_names_are_in_both_dialects() {
        assert_eq!(check_name_pattern("^x-"), Ok(()));
        for pattern in [r"\p{L}", "(?P<n>x)(?P=n)(", "a{100000}{2}"] {
            assert!(check_name_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
