use super::text;
use clap::{Args, ValueEnum};

/// What is logged, and how it looks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub struct LogSettings {
    /// What is logged to standard error: error, warn, info, debug, trace or off, and levels for parts of the server, such
    /// as info,quarterdeck_engine=debug
    #[arg(long, value_name = "FILTER", value_parser = text, default_value = "info")]
    pub log: String,

    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}
