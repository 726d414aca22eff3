//! Single values: texts, numbers, flags, identifiers, and the other spellings in which they are accepted.

use super::json::{Value, not_finite};
use super::place::{Fault, Place};
use std::borrow::Cow;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// Any text.
pub fn text(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    text_ref(value, at).map(str::to_owned)
}

/// Any text, borrowed.
pub fn text_ref<'v>(value: &'v Value<'_>, at: &Place<'_>) -> Option<&'v str> {
    let Value::Str(text) = value else {
        return at.refuse(Fault::new("string_type", "must be a string"), value);
    };
    Some(text)
}

/// A text that is used as a key or compared by a database, which cannot hold NUL.
pub fn plain(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    let text = text_ref(value, at)?;
    if text.contains('\0') {
        return at.refuse(Fault::rule("must not contain NUL characters"), value);
    }
    Some(text.to_owned())
}

/// A text of at least and at most so many characters.
pub fn sized<'v>(lengths: RangeInclusive<usize>, value: &'v Value<'_>, at: &Place<'_>) -> Option<&'v str> {
    let text = text_ref(value, at)?;
    let (least, most) = lengths.into_inner();
    let length = text.chars().count();
    if length < least {
        let msg = format!("must have at least {}", counted(least, "character"));
        return at.refuse(Fault::new("string_too_short", msg).with("min_length", least), value);
    }
    if length > most {
        let msg = format!("must have at most {}", counted(most, "character"));
        return at.refuse(Fault::new("string_too_long", msg).with("max_length", most), value);
    }
    Some(text)
}

/// A text that is not empty.
pub fn filled(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    sized(1..=usize::MAX, value, at).map(str::to_owned)
}

/// A number of things, in words.
pub fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// Integers from `least` to `most`.
pub fn integer_in(least: i64, most: i64) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<i64> + Copy {
    integer_where(Bounds { least: Some(least), most: Some(most), ..Bounds::NONE })
}

/// Integers of at least `least`.
pub fn at_least(least: i64) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<i64> + Copy {
    integer_where(Bounds { least: Some(least), ..Bounds::NONE })
}

/// Integers above zero.
pub fn positive(value: &Value<'_>, at: &Place<'_>) -> Option<i64> {
    integer_where(Bounds { above: Some(0), ..Bounds::NONE })(value, at)
}

/// Any integer of 64 bits.
pub fn integer(value: &Value<'_>, at: &Place<'_>) -> Option<i64> {
    integer_where(Bounds::NONE)(value, at)
}

/// Integers in bounds.
pub fn integer_where(bounds: Bounds<i64>) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<i64> + Copy {
    move |value, at| {
        let number = whole(value).map_or_else(|fault| at.refuse(fault, value), Some)?;
        bounds.check(number.clamped(), value, at)?;
        number.exact(value, at)
    }
}

/// Numbers in bounds. Infinities are refused last, so that a broken bound is named first.
pub fn number_where(bounds: Bounds<f64>) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<f64> + Copy {
    move |value, at| {
        let number = real(value).map_or_else(|fault| at.refuse(fault, value), Some)?;
        bounds.check(number, value, at)?;
        if number.is_finite() { Some(number) } else { at.refuse(not_finite(), value) }
    }
}

/// What a number must satisfy.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<N> {
    /// It is greater than this.
    pub above: Option<N>,
    /// It is this or greater.
    pub least: Option<N>,
    /// It is this or less.
    pub most: Option<N>,
}

impl<N> Bounds<N> {
    /// Every number.
    pub const NONE: Self = Self { above: None, least: None, most: None };
}

impl<N: PartialOrd + Copy + std::fmt::Display + Into<serde_json::Value>> Bounds<N> {
    fn check(self, number: N, value: &Value<'_>, at: &Place<'_>) -> Option<()> {
        match self.broken(number) {
            Some(fault) => at.refuse(fault, value),
            None => Some(()),
        }
    }

    fn broken(self, number: N) -> Option<Fault> {
        if let Some(above) = unmet(self.above, |above| number > above) {
            return Some(Fault::new("greater_than", format!("must be greater than {above}")).with("gt", above));
        }
        if let Some(least) = unmet(self.least, |least| number >= least) {
            return Some(Fault::new("greater_than_equal", format!("must be {least} or greater")).with("ge", least));
        }
        let most = unmet(self.most, |most| number <= most)?;
        Some(Fault::new("less_than_equal", format!("must be {most} or less")).with("le", most))
    }
}

/// The bound, if it does not hold. "Not a number" meets none.
fn unmet<N: Copy>(bound: Option<N>, holds: impl Fn(N) -> bool) -> Option<N> {
    bound.filter(|bound| !holds(*bound))
}

/// A whole number of any size, as far as bounds can tell.
#[derive(Clone, Copy)]
enum Whole {
    Fits(i64),
    TooLow,
    TooHigh,
}

impl Whole {
    fn clamped(self) -> i64 {
        match self {
            Self::Fits(number) => number,
            Self::TooLow => i64::MIN,
            Self::TooHigh => i64::MAX,
        }
    }

    fn exact(self, value: &Value<'_>, at: &Place<'_>) -> Option<i64> {
        match self {
            Self::Fits(number) => Some(number),
            Self::TooLow | Self::TooHigh => at.refuse(too_large(), value),
        }
    }
}

fn too_large() -> Fault {
    Fault::new("int_parsing_size", "must fit into 64 bits")
}

fn whole(value: &Value<'_>) -> Result<Whole, Fault> {
    match value {
        Value::Int(number) => Ok(Whole::Fits(*number)),
        Value::BigInt(number) if *number < 0.into() => Ok(Whole::TooLow),
        Value::BigInt(_) => Ok(Whole::TooHigh),
        Value::Bool(flag) => Ok(Whole::Fits(i64::from(*flag))),
        Value::Float(number) => whole_float(*number),
        Value::Str(text) => {
            whole_text(text).ok_or_else(|| Fault::new("int_parsing", "must be an integer, this text is none"))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Fault::new("int_type", "must be an integer")),
    }
}

fn whole_float(number: f64) -> Result<Whole, Fault> {
    if !number.is_finite() {
        return Err(not_finite());
    }
    if number.fract() != 0.0 {
        return Err(Fault::new("int_from_float", "must be an integer, this number has a fraction"));
    }
    if number.abs() >= 9_223_372_036_854_775_808.0 {
        return Err(too_large());
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 64 bits, as just checked")]
    Ok(Whole::Fits(number as i64))
}

/// Digits with an optional sign, blanks around, single `_` between digits and a fraction of zeros.
fn whole_text(text: &str) -> Option<Whole> {
    let text = text.trim();
    let text = text
        .split_once('.')
        .map_or(Some(text), |(whole, rest)| rest.bytes().all(|byte| byte == b'0').then_some(whole))?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = without_separators(unsigned)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let negative = text.starts_with('-');
    let signed: Cow<'_, str> = if negative { format!("-{digits}").into() } else { digits };
    Some(match signed.parse() {
        Ok(number) => Whole::Fits(number),
        Err(_) if negative => Whole::TooLow,
        Err(_) => Whole::TooHigh,
    })
}

/// The text without the `_` between its digits; `None` when one stands elsewhere.
fn without_separators(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(text.into());
    }
    let misplaced = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    (!misplaced).then(|| text.replace('_', "").into())
}

fn real(value: &Value<'_>) -> Result<f64, Fault> {
    match value {
        Value::Float(number) => Ok(*number),
        #[expect(clippy::cast_precision_loss, reason = "that is what a JSON number is")]
        Value::Int(number) => Ok(*number as f64),
        Value::BigInt(number) => Ok(number.to_string().parse().unwrap_or(f64::INFINITY)),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::Str(text) => {
            real_text(text).ok_or_else(|| Fault::new("float_parsing", "must be a number, this text is none"))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Fault::new("float_type", "must be a number")),
    }
}

fn real_text(text: &str) -> Option<f64> {
    without_separators(text.trim())?.parse().ok()
}

/// True or false, and the words people use for them.
pub fn boolean(value: &Value<'_>, at: &Place<'_>) -> Option<bool> {
    let unclear = || Fault::new("bool_parsing", "must be true or false, this value is neither");
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Float(number) if number.fract() != 0.0 || !number.is_finite() => at.refuse(not_boolean(), value),
        Value::Float(number) if number.abs() < 0.5 => Some(false),
        Value::Float(number) if (number - 1.0).abs() < 0.5 => Some(true),
        Value::Str(text) => boolean_word(text).or_else(|| at.refuse(unclear(), value)),
        Value::Int(_) | Value::BigInt(_) | Value::Float(_) => at.refuse(unclear(), value),
        Value::Null | Value::Array(_) | Value::Object(_) => at.refuse(not_boolean(), value),
    }
}

fn not_boolean() -> Fault {
    Fault::new("bool_type", "must be true or false")
}

fn boolean_word(text: &str) -> Option<bool> {
    const YES: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
    const NO: [&str; 6] = ["false", "f", "no", "n", "off", "0"];
    let among = |words: [&str; 6]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if among(YES) { Some(true) } else { among(NO).then_some(false) }
}

/// A UUID in any of its spellings.
pub fn uuid(value: &Value<'_>, at: &Place<'_>) -> Option<Uuid> {
    let Value::Str(text) = value else {
        return at.refuse(Fault::new("uuid_type", "must be a UUID"), value);
    };
    let parsed = Uuid::parse_str(text).ok();
    parsed.or_else(|| at.refuse(Fault::new("uuid_parsing", "must be a UUID, this text is none"), value))
}

/// One of a few words; `kind` is what the contract calls the fault for this field, `literal_error` or `enum`.
pub fn word<T: Copy>(kind: &'static str, words: &[(&str, T)], value: &Value<'_>, at: &Place<'_>) -> Option<T> {
    let named = |word: &str| matches!(value, Value::Str(text) if text == word);
    if let Some((_, meaning)) = words.iter().find(|(word, _)| named(word)) {
        return Some(*meaning);
    }
    let expected = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    at.refuse(Fault::new(kind, format!("must be one of {expected}")).with("expected", expected), value)
}
