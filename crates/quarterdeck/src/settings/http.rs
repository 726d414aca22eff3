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

    /// Address that clients know the server by, with its path behind a proxy; links in answers begin with it
    /// [default: the address that a request names]
    // Shown once answers use it.
    #[arg(long, value_name = "URL", value_parser = text, hide = true)]
    pub public_url: Option<String>,

    /// Origins whose pages may call the server from a browser, separated by commas; * for any
    // Shown once answers carry the headers.
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',', value_parser = text, default_value = "*", hide = true)]
    pub cors_origins: Vec<String>,

    /// Key that secrets in the database are encrypted with: 32 bytes in base64
    // Shown once the store encrypts.
    #[arg(long, value_name = "KEY", hide = true)]
    pub secret_key: Option<Secret>,

    /// Refuse requests that hold names which are not in the contract, for test suites
    // Shown once the decoder knows it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set, hide = true)]
    pub strict: bool,
}
