//! Moments in query strings, in the many spellings that clients use.

use super::json::Value;
use super::place::{Fault, Place};
use super::scalars;
use crate::Timestamp;
use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// Numbers above this are milliseconds, those below are seconds.
const SECONDS_MAX: f64 = 2e10;

/// A date, a date with a time, or seconds or milliseconds since 1970. No zone means UTC.
pub fn datetime(value: &Value<'_>, at: &Place<'_>) -> Option<Timestamp> {
    let text = scalars::text_ref(value, at)?;
    parse(text).or_else(|| {
        at.refuse(
            Fault::new("datetime_from_date_parsing", "must be a date or a date and time, this text is neither"),
            value,
        )
    })
}

fn parse(text: &str) -> Option<Timestamp> {
    since_1970(text).or_else(|| written(text))
}

fn since_1970(text: &str) -> Option<Timestamp> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    let number: f64 = if plain { text.parse().ok()? } else { return None };
    let seconds = if number.abs() > SECONDS_MAX { number / 1000.0 } else { number };
    let whole = seconds.floor();
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and chrono refuses what is out of range")]
    let (whole, micros) = (whole as i64, ((seconds - whole) * 1e6).round() as i64);
    in_years_of_four_digits(DateTime::from_timestamp(whole, 0)?.checked_add_signed(TimeDelta::microseconds(micros))?)
}

fn in_years_of_four_digits(moment: Timestamp) -> Option<Timestamp> {
    use chrono::Datelike;
    (1..=9999).contains(&moment.year()).then_some(moment)
}

fn written(text: &str) -> Option<Timestamp> {
    let date = date(text.get(..10)?)?;
    let Some(separator) = text[10..].chars().next() else {
        return Some(date.and_time(NaiveTime::MIN).and_utc());
    };
    if !matches!(separator, 'T' | 't' | '_' | ' ') {
        return None;
    }
    let (time, zone) = split_zone(&text[11..]);
    let local = date.and_time(time_of_day(time)?);
    in_years_of_four_digits(in_utc(local, offset(zone)?)?)
}

fn date(text: &str) -> Option<NaiveDate> {
    let parts = text.split('-').collect::<Vec<_>>();
    let [year, month, day] = parts.as_slice() else { return None };
    let year = i32::try_from(digits(year, 4)?).ok().filter(|year| *year > 0)?;
    NaiveDate::from_ymd_opt(year, digits(month, 2)?, digits(day, 2)?)
}

/// Hours and minutes, with or without seconds and their fraction.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = match text.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let parts = clock.split(':').collect::<Vec<_>>();
    let (hour, minute, second) = match (parts.as_slice(), fraction) {
        ([hour, minute], None) => (hour, minute, &"00"),
        ([hour, minute, second], _) => (hour, minute, second),
        _ => return None,
    };
    let micros = fraction.map_or(Some(0), microseconds)?;
    NaiveTime::from_hms_micro_opt(digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?, micros)
}

/// Digits past the sixth are dropped.
fn microseconds(fraction: &str) -> Option<u32> {
    let all_digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let six = || fraction.bytes().map(|byte| u32::from(byte - b'0')).chain(std::iter::repeat(0)).take(6);
    all_digits.then(|| six().fold(0, |sum, digit| sum * 10 + digit))
}

fn split_zone(text: &str) -> (&str, &str) {
    let start = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    text.split_at(start)
}

/// Nothing, `Z`, `+hh:mm` or `-hhmm`.
fn offset(zone: &str) -> Option<FixedOffset> {
    if matches!(zone, "" | "Z" | "z") {
        return FixedOffset::east_opt(0);
    }
    let (sign, clock) = zone.strip_prefix('-').map_or((1, zone.strip_prefix('+')), |clock| (-1, Some(clock)));
    let clock = clock?;
    let (hours, minutes) = clock.split_once(':').or_else(|| clock.split_at_checked(2))?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2).filter(|minutes| *minutes < 60)?);
    FixedOffset::east_opt(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?)
}

fn in_utc(local: NaiveDateTime, offset: FixedOffset) -> Option<DateTime<Utc>> {
    // chrono panics in `from_local_datetime` at the very ends of its calendar; a day's room avoids them.
    local.checked_add_days(Days::new(1))?;
    Some(local.checked_sub_offset(offset)?.and_utc())
}

fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn accepted_spellings_mean_the_same_moment() {
        for text in [
            "2024-01-02T03:04:05Z",
            "2024-01-02t03:04:05z",
            "2024-01-02_03:04:05",
            "2024-01-02 03:04:05.000000000",
            "2024-01-02T05:04:05+02:00",
            "2024-01-02T01:04:05-0200",
            "1704164645",
            "1704164645000",
        ] {
            assert_eq!(parse(text).map(|moment| moment.timestamp()), Some(1_704_164_645), "{text}");
        }
        assert_eq!(parse("2024-01-02"), parse("2024-01-02T00:00Z"));
        assert!(parse("2024").is_some() && parse("-5").is_some());
    }

    #[test]
    fn other_text_is_no_moment() {
        for text in [
            "",
            " ",
            "yesterday",
            "2024-01",
            "2024-02-30",
            "2024-13-01T00:00:00Z",
            "20240102T030405Z",
            "2024/01/02",
            "2024-01-02T03:04:60Z",
            "2024-01-02T24:00:00Z",
            "2024-01-02T03:04:05-05",
            "2024-01-02T03:04:05 02:00",
            "2024-01-02T03:04:05Z!",
            " 2024-01-02",
            "2024-01-02 ",
            "99999999999999999999",
            "2024-01-02T03:04:05é",
            "2024-01-é",
            "0000-01-01",
            "--",
            "1e3",
            "nan",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
