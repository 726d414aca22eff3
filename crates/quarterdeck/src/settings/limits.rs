use clap::{Args, value_parser};

/// How much at once, and for how long. All lengths of time are in seconds.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitSettings {
    /// Sessions that this process runs at once, 1 to 65536; more wait for a place
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..=65_536), default_value_t = 1024)]
    pub max_workers: u32,

    /// Sessions of one organization that may run, pause or idle at once, 0 to 1000000, unless it has a limit of its own;
    /// more are queued
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(0..=1_000_000), default_value_t = 64)]
    pub max_concurrent_sessions: u32,

    /// Sessions of one organization that may be queued, 0 to 1000000; more are refused
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(0..=1_000_000), default_value_t = 100)]
    pub max_queued_sessions: u32,

    /// Seconds that a session waits for its client, for results of calls or for a message, before it ends and gives its slot
    /// to others, 1 to 31536000
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=31_536_000), default_value_t = 86_400)]
    pub client_wait: u64,

    /// Seconds after which the sessions of a server that vanished are taken over by another one, 1 to 3600
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=3600), default_value_t = 10)]
    pub lease: u64,

    /// Seconds that running steps may take to finish when the server is stopped, 0 to 3600
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(0..=3600), default_value_t = 5)]
    pub drain_grace: u64,
}
