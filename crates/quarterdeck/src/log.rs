//! The log: what is written to it, and how it looks.

use crate::settings::{LogFormat, LogSettings};
use anyhow::{anyhow, bail};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Parts that only a filter that names them turns on further. Of the database driver only what is wrong.
const QUIET: &[(&str, &str)] = &[("sqlx", "warn")];
const LEVELS: &str = "off, error, warn, info, debug, trace";

/// Starts the log of the process.
///
/// # Errors
/// When the filter is none, or a log is started already.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = filter(&settings.log)?;
    // A log that cannot be written, on a full disk, would be complained of on the log itself, with a panic.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_ansi(has_colours());
    let log = log.with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}

/// Only for people, and only for those who have not declined (<https://no-color.org>).
fn has_colours() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a convention of all programs, not a setting of ours")]
    let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !declined && std::io::stderr().is_terminal()
}

/// Whether a log can be started like this.
pub(crate) fn check(settings: &LogSettings) -> anyhow::Result<()> {
    filter(&settings.log).map(|_| ())
}

fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    let mut directives: Vec<String> = text.split(',').map(|directive| directive.trim().to_owned()).collect();
    for directive in &directives {
        check_directive(text, directive)?;
    }
    for (part, level) in QUIET {
        if !directives.iter().any(|directive| is_of(part, directive)) {
            directives.push(format!("{part}={level}"));
        }
    }
    EnvFilter::try_new(directives.join(",")).map_err(|error| anyhow!("--log {text:?} is no log filter: {error}"))
}

/// A word alone that is no level would be taken for a part of the server, and turn everything else off.
fn check_directive(text: &str, directive: &str) -> anyhow::Result<()> {
    let is_level = |word: &str| LEVELS.split(", ").any(|level| level.eq_ignore_ascii_case(word));
    let is_part = |word: &str| word.contains("::") || word.contains('[') || PARTS.iter().any(|part| is_of(part, word));
    match directive.rsplit_once('=').filter(|(_, level)| !level.contains(']')) {
        Some((_, level)) if !is_level(level) => {
            bail!("--log {text:?}: {level:?} is no level; there are {LEVELS}");
        }
        None if !is_level(directive) && !is_part(directive) => bail!(
            "--log {text:?}: {directive:?} is no level; there are {LEVELS}, and filters such as \
             info,quarterdeck_engine=debug"
        ),
        Some(_) | None => Ok(()),
    }
}

/// What may be named alone, for all that it says.
const PARTS: &[&str] = &[
    "quarterdeck",
    "quarterdeck_server",
    "quarterdeck_engine",
    "quarterdeck_environments",
    "quarterdeck_agent",
    "quarterdeck_store",
    "sqlx",
];

/// Whether a directive is about a crate: `sqlx`, `sqlx::query=debug`, `sqlx[span]=info`.
fn is_of(name: &str, directive: &str) -> bool {
    directive.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':', '[']))
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn what_the_driver_says_is_logged_only_for_who_asks_for_it_by_name() {
        for given in ["info", "debug", "trace,sqlx_else=info"] {
            assert!(filter(given).unwrap().to_string().contains("sqlx=warn"), "{given}");
        }
        for given in ["sqlx=trace", "info,sqlx::query=debug"] {
            assert!(!filter(given).unwrap().to_string().contains("sqlx=warn"), "{given}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_what_may_stand_there() {
        for wrong in ["verbose", "a=b=c", "info,loud", "quarterdeck_engine=loud", "info,", "warning"] {
            let refused = filter(wrong).unwrap_err().to_string();
            assert!(refused.contains(wrong) && refused.contains("trace"), "{refused}");
        }
        for right in ["off", "INFO", "info, quarterdeck_engine=debug", "quarterdeck_server[request{id=1}]=trace"] {
            filter(right).unwrap();
        }
    }
}
