use super::text;
use clap::{ArgAction, Args, value_parser};

/// The browsers of agents.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Browsers")]
pub struct BrowserSettings {
    /// The browser's program, or none for no browsers [default: one that is installed]
    #[arg(long, value_name = "PROGRAM", value_parser = text)]
    pub browser: Option<String>,

    /// Browsers at once, 0 to 1000; more wait for a place [default: as many as the memory holds]
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(0..=1000))]
    pub browsers_max: Option<u32>,

    /// Megabytes that each process of a browser may take, 100 to 1000000
    #[arg(long, value_name = "MB", value_parser = value_parser!(u64).range(100..=1_000_000), default_value_t = 1000)]
    pub browser_memory: u64,

    /// Seconds that the browser of an idle session is kept, 0 to 86400
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(0..=86_400), default_value_t = 600)]
    pub browser_idle: u64,

    /// Number of the user that browsers run as, when the server runs as root, 1 to 4294967294 [default: the server's]
    #[arg(long, value_name = "UID", value_parser = value_parser!(u32).range(1..=4_294_967_294))]
    pub browser_user: Option<u32>,

    /// Run browsers without their sandbox: whoever breaks out of a page has the server's rights
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub browser_no_sandbox: bool,

    /// What browsers call themselves [default: the browser's own name]
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub browser_user_agent: Option<String>,

    /// Language of browsers, such as en-US [default: the browser's own]
    #[arg(long, value_name = "LANGUAGE", value_parser = text)]
    pub browser_language: Option<String>,

    /// Time zone of browsers, such as Europe/Paris, for sessions that name none [default: the server's]
    #[arg(long, value_name = "ZONE", value_parser = text)]
    pub browser_timezone: Option<String>,
}
