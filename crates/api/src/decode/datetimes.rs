//! Moments in query strings, in the many spellings that clients use.

use super::json::Value;
use super::place::{Fault, Place};
use super::scalars;
use crate::Timestamp;
use chrono::{DateTime, Datelike};
use speedate::{Date, DateTimeConfig, DateTimeConfigBuilder, MicrosecondsPrecisionOverflowBehavior, TimeConfigBuilder};

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

/// A year has four digits: databases compare moments as texts.
fn parse(text: &str) -> Option<Timestamp> {
    let moment = match speedate::DateTime::parse_bytes_with_config(text.as_bytes(), &config()) {
        Ok(moment) => DateTime::from_timestamp(moment.timestamp_tz(), moment.time.microsecond * 1_000),
        Err(_) => DateTime::from_timestamp(Date::parse_str(text).ok()?.timestamp(), 0),
    };
    moment.filter(|moment| (1..=9999).contains(&moment.year()))
}

/// Digits past the sixth of a second are dropped.
fn config() -> DateTimeConfig {
    let times = TimeConfigBuilder::new()
        .microseconds_precision_overflow_behavior(MicrosecondsPrecisionOverflowBehavior::Truncate)
        .build();
    DateTimeConfigBuilder::new().time_config(times).build()
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
        let millis = |text| parse(text).map(|moment| moment.timestamp_subsec_micros());
        assert_eq!((millis("25340230079918"), millis("2024-01-02T03:04:05.1234567")), (Some(918_000), Some(123_456)));
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
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-01:00",
            "--",
            "1e3",
            "nan",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
