//! Values that both spellings share: times, statuses, outcomes, codes.

use crate::cue::{End, Failure};
use quarterdeck_api::{ErrorCode, Outcome};
use std::time::Duration;

/// No wait is longer.
pub(crate) const WAIT_MAX: Duration = Duration::from_hours(24);
/// No reply comes more often.
pub(crate) const TIMES_MAX: usize = 100_000;

/// A time such as `200ms`, `1.5s`, `2m` or `1h`.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("`{text}` is not a time such as 200ms, 1.5s, 2m or 1h, of at most a day");
    let end = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(fault)?;
    let number: f64 = text[..end].trim().parse().map_err(|_| fault())?;
    let seconds = match &text[end..] {
        "ms" => number / 1_000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(fault()),
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= WAIT_MAX).ok_or_else(fault)
}

pub(crate) fn times(text: &str) -> Result<usize, String> {
    let times = text.parse().ok().filter(|times| (1..=TIMES_MAX).contains(times));
    times.ok_or_else(|| format!("`{text}` is not a number from 1 to {TIMES_MAX}"))
}

pub(crate) const OUTCOMES: [(&str, Option<Outcome>); 5] = [
    ("success", Some(Outcome::Success)),
    ("partial", Some(Outcome::Partial)),
    ("infeasible", Some(Outcome::Infeasible)),
    ("blocked", Some(Outcome::Blocked)),
    ("none", None),
];

/// An outcome by its word; `none` is an answer without one.
pub(crate) fn outcome(text: &str) -> Result<Option<Outcome>, String> {
    let known = OUTCOMES.iter().find(|(word, _)| *word == text).map(|(_, outcome)| *outcome);
    known.ok_or_else(|| format!("`{text}` is no outcome; there are success, partial, infeasible, blocked and none"))
}

pub(crate) const FAILURES: [&str; 3] = ["timeout", "connect", "reset"];

/// A failure by its word or status.
pub(crate) fn failure(what: &str, after: Option<Duration>) -> Result<Failure, String> {
    match what {
        "timeout" => return Ok(Failure::Timeout { after }),
        "connect" => return Ok(Failure::Connect { after }),
        "reset" => return Ok(Failure::Reset { after }),
        _ => {}
    }
    let status = what.parse().ok().filter(|status| (300..600).contains(status));
    let status = status.ok_or_else(|| format!("`{what}` is neither a status nor timeout, connect or reset"))?;
    Ok(Failure::Status { status, after })
}

pub(crate) const CODES: [(&str, ErrorCode); 6] = [
    ("environment_error", ErrorCode::EnvironmentError),
    ("no_answer", ErrorCode::NoAnswer),
    ("answer_validation", ErrorCode::AnswerValidation),
    ("timeout", ErrorCode::Timeout),
    ("insufficient_credit", ErrorCode::InsufficientCredit),
    ("internal", ErrorCode::Internal),
];

/// An ending by its code.
pub(crate) fn failed(code: &str) -> Result<End, String> {
    let known = CODES.iter().find(|(word, _)| *word == code).map(|(_, code)| End::Failed(*code));
    let words = CODES.map(|(word, _)| word).join(", ");
    known.ok_or_else(|| format!("`{code}` is no error code; there are {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, wanted) in [("0s", 0), ("200ms", 200), ("1.5s", 1_500), ("2m", 120_000), ("24h", 86_400_000)] {
            assert_eq!(duration(text).map(|time| time.as_millis()), Ok(wanted), "{text}");
        }
        for text in ["", "1", "s", "-1s", "25h", "1d", "NaNs", "1 week"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
