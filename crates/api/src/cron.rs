//! Cron expressions: what schedules are timed by.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime};

/// Days after which an expression that has not occurred never will: 28 years, when weekdays and leap days
/// have met in every way.
const DAYS_MAX: u64 = 28 * 366;
/// Where the search for a first day begins; any day would do.
const SEARCH_START: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date");
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A parsed expression: minute, hour, day, month, weekday and, rarely, second.
///
/// A day must be in both of the day fields when one of them is unrestricted, else in either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    seconds: Numbers,
    minutes: Numbers,
    hours: Numbers,
    months: Numbers,
    days: Numbers,
    /// `L`: the last day of the month.
    last_day: bool,
    /// `LW`: its last day from Monday to Friday.
    last_workday: bool,
    weekdays: Numbers,
    /// `1#2`: the second Monday.
    nth_weekdays: Vec<(u32, u32)>,
    /// `5L`: the last Friday.
    last_weekdays: Numbers,
}

/// A set of numbers below 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers(u64);

impl Numbers {
    fn has(self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }

    fn add(&mut self, number: u32) {
        self.0 |= 1 << number;
    }

    fn iter(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |number| self.has(*number))
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The numbers of a field, and the words for them.
#[derive(Clone, Copy)]
struct Range {
    first: u32,
    last: u32,
    /// The words for `first` and those after it.
    words: &'static [&'static str],
}

const MINUTES: Range = Range { first: 0, last: 59, words: &[] };
const HOURS: Range = Range { first: 0, last: 23, words: &[] };
const DAYS: Range = Range { first: 1, last: 31, words: &[] };
const MONTH: Range = Range { first: 1, last: 12, words: &MONTHS };
/// Sunday is 0 and 7.
const WEEKDAY: Range = Range { first: 0, last: 7, words: &WEEKDAYS };

impl Cron {
    /// Reads an expression; refuses those that never occur.
    pub fn parse(expression: &str) -> Result<Self, String> {
        let malformed = || "must be a cron expression of five fields".to_owned();
        let cron = parse(expression).ok_or_else(malformed)?;
        let occurs = cron.days_from(SEARCH_START).next().is_some();
        if occurs { Ok(cron) } else { Err("the expression names days that never occur".into()) }
    }

    /// The first moment after `moment`, in the schedule's own local time.
    pub fn next_after(&self, moment: NaiveDateTime) -> Option<NaiveDateTime> {
        let later_today = self.times().filter(|time| *time > moment.time()).min();
        if let Some(time) = later_today.filter(|_| self.occurs_on(moment.date())) {
            return Some(moment.date().and_time(time));
        }
        let day = self.days_from(moment.date().succ_opt()?).next();
        Some(day?.and_time(self.times().min()?))
    }

    fn days_from(&self, first: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let days = (0..DAYS_MAX).map_while(move |count| first.checked_add_days(Days::new(count)));
        days.filter(|day| self.occurs_on(*day))
    }

    fn times(&self) -> impl Iterator<Item = NaiveTime> {
        let minutes = self.hours.iter().flat_map(|hour| self.minutes.iter().map(move |minute| (hour, minute)));
        minutes.flat_map(|(hour, minute)| {
            self.seconds.iter().filter_map(move |second| NaiveTime::from_hms_opt(hour, minute, second))
        })
    }

    fn occurs_on(&self, day: NaiveDate) -> bool {
        let any_day = self.days == full(DAYS);
        let any_weekday = self.weekdays.0 & 0x7f == 0x7f;
        let in_days = self.in_days(day);
        let in_weekdays = self.in_weekdays(day);
        self.months.has(day.month())
            && if any_day || any_weekday { in_days && in_weekdays } else { in_days || in_weekdays }
    }

    fn in_days(&self, day: NaiveDate) -> bool {
        let last = u32::from(day.num_days_in_month());
        let weekday = |number: u32| day.with_day(number).map_or(0, |day| day.weekday().num_days_from_monday());
        let workday = last - weekday(last).saturating_sub(4);
        self.days.has(day.day()) || (self.last_day && day.day() == last) || (self.last_workday && day.day() == workday)
    }

    fn in_weekdays(&self, day: NaiveDate) -> bool {
        let weekday = day.weekday().num_days_from_sunday();
        let nth = (day.day() - 1) / 7 + 1;
        let in_last_week = day.day() + 7 > u32::from(day.num_days_in_month());
        self.weekdays.has(weekday)
            || self.nth_weekdays.contains(&(weekday, nth))
            || (in_last_week && self.last_weekdays.has(weekday))
    }
}

fn full(range: Range) -> Numbers {
    let mut numbers = Numbers::default();
    (range.first..=range.last).for_each(|number| numbers.add(number));
    numbers
}

fn parse(expression: &str) -> Option<Cron> {
    let fields = expression.split_whitespace().collect::<Vec<_>>();
    let (five, seconds) = match fields.as_slice() {
        [five @ .., seconds] if five.len() == 5 => (five, *seconds),
        five => (five, "0"),
    };
    let [minute, hour, day, month, weekday] = five else { return None };
    let mut cron = Cron {
        seconds: numbers(seconds, MINUTES)?,
        minutes: numbers(minute, MINUTES)?,
        hours: numbers(hour, HOURS)?,
        months: numbers(month, MONTH)?,
        days: Numbers::default(),
        last_day: false,
        last_workday: false,
        weekdays: Numbers::default(),
        nth_weekdays: Vec::new(),
        last_weekdays: Numbers::default(),
    };
    day.split(',').try_for_each(|part| add_day(part, &mut cron))?;
    weekday.split(',').try_for_each(|part| add_weekday(part, &mut cron))?;
    if cron.weekdays.has(7) {
        cron.weekdays.add(0);
    }
    Some(cron)
}

fn add_day(part: &str, cron: &mut Cron) -> Option<()> {
    match part {
        "L" | "l" => cron.last_day = true,
        "LW" | "lw" => cron.last_workday = true,
        part => add_part(part, DAYS, &mut cron.days)?,
    }
    Some(())
}

fn add_weekday(part: &str, cron: &mut Cron) -> Option<()> {
    if let Some((weekday, nth)) = part.split_once('#') {
        let nth = digits(nth).filter(|nth| (1..=5).contains(nth))?;
        cron.nth_weekdays.push((number(weekday, WEEKDAY)? % 7, nth));
        return Some(());
    }
    match part.strip_suffix(['L', 'l']) {
        Some(weekday) => cron.last_weekdays.add(number(weekday, WEEKDAY)? % 7),
        None => add_part(part, WEEKDAY, &mut cron.weekdays)?,
    }
    Some(())
}

fn numbers(field: &str, range: Range) -> Option<Numbers> {
    let mut numbers = Numbers::default();
    field.split(',').try_for_each(|part| add_part(part, range, &mut numbers))?;
    (!numbers.is_empty()).then_some(numbers)
}

/// `*`, `5`, `1-5`, and each with a step: `*/15`, `5/5`, `1-10/3`.
fn add_part(part: &str, range: Range, numbers: &mut Numbers) -> Option<()> {
    let (span, step) = match part.split_once('/') {
        Some((span, step)) => (span, Some(digits(step).filter(|step| *step > 0)?)),
        None => (part, None),
    };
    let (first, last) = match (span.split_once('-'), step) {
        _ if span == "*" => (range.first, range.last),
        (Some((first, last)), _) => (number(first, range)?, number(last, range)?),
        (None, Some(_)) => (number(span, range)?, range.last),
        (None, None) => (number(span, range)?, number(span, range)?),
    };
    let step = usize::try_from(step.unwrap_or(1)).ok()?;
    (first <= last).then(|| (first..=last).step_by(step).for_each(|number| numbers.add(number)))
}

fn number(text: &str, range: Range) -> Option<u32> {
    let word = || range.words.iter().zip(range.first..).find(|(word, _)| word.eq_ignore_ascii_case(text));
    let number = digits(text).or_else(|| word().map(|(_, number)| number))?;
    (range.first..=range.last).contains(&number).then_some(number)
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::Cron;
    use chrono::NaiveDateTime;

    fn next(expression: &str, after: &str) -> String {
        let parse = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("a moment");
        let cron = Cron::parse(expression).expect("an expression");
        cron.next_after(parse(after)).expect("it occurs").to_string()
    }

    #[test]
    fn the_next_moment_is_the_first_after() {
        for (expression, after, expected) in [
            ("0 9 * * 1-5", "2026-11-20 09:00:00", "2026-11-23 09:00:00"),
            ("*/15 * * * *", "2026-11-20 09:59:59", "2026-11-20 10:00:00"),
            ("0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"),
            ("0 0 L * *", "2026-02-01 00:00:00", "2026-02-28 00:00:00"),
            ("0 0 LW * *", "2026-10-01 00:00:00", "2026-10-30 00:00:00"),
            ("0 0 * * 5L", "2026-11-01 00:00:00", "2026-11-27 00:00:00"),
            ("0 0 * * 1#2", "2026-11-01 00:00:00", "2026-11-09 00:00:00"),
            ("0 0 13 * 5", "2026-11-01 00:00:00", "2026-11-06 00:00:00"),
            ("0 0 * * 7", "2026-11-16 00:00:00", "2026-11-22 00:00:00"),
            ("5/20 0 1 jan *", "2026-11-16 00:00:00", "2027-01-01 00:05:00"),
        ] {
            assert_eq!(next(expression, after), expected, "{expression}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for expression in [
            "",
            "@daily",
            "? * * * *",
            "0 0 15W * *",
            "0 0 L-3 * *",
            "5-1 * * * *",
            "0 0 * * MON-SUN",
            "0 0 * * 1#6",
            "*/0 * * * *",
            "0 0 31 2 *",
            "0 0 30 2 *",
            "* * * *",
            "* * * * * * *",
            "1,,2 * * * *",
            "/5 * * * *",
            "é * * * *",
        ] {
            assert!(Cron::parse(expression).is_err(), "{expression}");
        }
    }
}
