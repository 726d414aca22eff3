use super::{Secret, text};
use clap::{ArgAction, Args};

/// Where a server listens.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP")]
pub struct ListenSettings {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", value_parser = text, default_value = "127.0.0.1:8430")]
    pub listen: String,
}

/// Where clients reach the server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP")]
pub struct PublicSettings {
    /// Address that clients know the server by, with its path behind a proxy; links in answers begin with it
    /// [default: the address that each request was sent to]
    #[arg(long, value_name = "URL", value_parser = text)]
    pub public_url: Option<String>,
}

/// How clients reach the server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP")]
pub struct HttpSettings {
    #[command(flatten)]
    /// Where the server listens.
    pub address: ListenSettings,

    /// An API key to accept [default: the first start on an empty store makes one and prints it once]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<Secret>,

    /// Token that readers of /metrics must send, as a key is sent [default: none: whoever reaches it may read it]
    #[arg(long, value_name = "TOKEN")]
    pub metrics_token: Option<Secret>,

    #[command(flatten)]
    /// Where clients reach the server.
    pub public: PublicSettings,

    /// Believe X-Forwarded-Host, X-Forwarded-Proto and X-Forwarded-For; only behind a proxy that sets all of them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub trust_forwarded: bool,

    /// Origins whose web pages may call the server, separated by commas: scheme, host and port; * for all, none
    /// for no page
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',', value_parser = text, default_value = "*")]
    pub cors_origins: Vec<String>,

    /// Keys that stored secrets are encrypted with, each 32 bytes in base64, separated by commas: the first encrypts, all
    /// decrypt; the same for all servers on one Postgres [default: secret.key beside an embedded database, made at the
    /// first start; none on Postgres]
    #[arg(long, value_name = "KEYS")]
    pub secret_key: Option<Secret>,

    /// Refuse requests that hold names which are not known; for test suites
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub strict: bool,
}
