//! The figures, as a Markdown table; and percentiles.

use std::{fmt, io::Write, time::Duration};

/// Rows of figures.
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row, and shows it at once.
    pub(crate) fn row(&mut self, engine: &str, what: &str, figure: String, beside: String) {
        say(&format!("{engine}: {what}: {figure} {beside}"));
        self.rows.push([engine.to_owned(), what.to_owned(), figure, beside]);
    }

    /// Prints all of it.
    pub(crate) fn print(&self) {
        say(&self.to_string());
    }
}

/// Whoever reads may have gone: the measurement goes on, and nobody is told.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n| engine | what | figure | beside |\n|---|---|---|---|")?;
        for [engine, what, figure, beside] in &self.rows {
            writeln!(f, "| {engine} | {what} | {figure} | {beside} |")?;
        }
        Ok(())
    }
}

/// Measured times.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// `p50 1.2 ms, p99 3.4 ms`.
    pub(crate) fn percentiles(&mut self) -> String {
        self.0.sort_unstable();
        format!("p50 {:.2} ms, p99 {:.2} ms", self.percentile(50), self.percentile(99))
    }

    fn percentile(&self, percent: usize) -> f64 {
        let position = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(position).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// How often a second.
pub(crate) fn rate(count: usize, time: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = count as f64 / time.as_secs_f64();
    format!("{rate:.0}/s")
}
