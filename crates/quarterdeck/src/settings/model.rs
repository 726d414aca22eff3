use super::{EndpointEntry, ModelName, Secret, text};
use clap::{ArgAction, Args, ValueEnum, value_parser};
use serde::Deserialize;
use std::{fmt, path::PathBuf};

/// What thinks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct ModelSettings {
    /// Base URL of a model's endpoint, such as http://127.0.0.1:8000/v1 [default: none, the scripted model]
    #[arg(long, value_name = "URL", value_parser = text)]
    pub model_base_url: Option<String>,

    /// Interface that the endpoint speaks: OpenAI's chat completions, which nearly all do, Anthropic's Messages, or OpenAI's
    /// Responses
    #[arg(long, value_enum, default_value = "chat")]
    pub model_api: ModelApi,

    /// Key for the model's endpoint [default: none]
    #[arg(long, value_name = "KEY")]
    pub model_api_key: Option<Secret>,

    /// Model for agents that name none [default: the first of the first endpoint]
    #[arg(long, value_name = "NAME", value_parser = text)]
    pub model: Option<String>,

    /// Seconds a model may take for one reply, 1 to 3600
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=3600), default_value_t = 120)]
    pub model_timeout: u64,

    /// Seconds for which an endpoint that is away is asked again before a session fails, 0 to 86400
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(0..=86_400), default_value_t = 300)]
    pub model_patience: u64,

    /// Proxy that the model's endpoint is reached through [default: none, whatever HTTPS_PROXY says]
    #[arg(long, value_name = "URL")]
    pub model_proxy: Option<Secret>,

    /// PEM file of certificate authorities that the model's endpoint is trusted by, beside the system's [default: none]
    #[arg(long, value_name = "FILE")]
    pub model_ca_file: Option<PathBuf>,

    /// Ask for replies as streams of server-sent events; an endpoint that insists on it is found out without
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub model_stream: bool,

    /// Tokens of a conversation that the model is sent, by our estimate, 1000 to 10000000; older outputs are left out
    /// beyond [default: all, until the endpoint says that it is too much]
    #[arg(long, value_name = "TOKENS", value_parser = value_parser!(u32).range(1_000..=10_000_000))]
    pub model_context: Option<u32>,

    /// A further endpoint, such as 'name = "cloud", base-url = "https://host/v1", key-variable = "CLOUD_KEY"'; in the file a
    /// table [[model-endpoint]] for each (docs/models.md) [default: none]
    #[arg(long, value_name = "TABLE")]
    pub model_endpoint: Vec<EndpointEntry>,

    /// What a model's name in agents stands for: a model, or ENDPOINT/MODEL, and after commas what stands in when that is
    /// down; in the file a table [model-names] [default: none, itself]
    #[arg(long, value_name = "NAME=MODEL")]
    pub model_names: Vec<ModelName>,

    /// How the model names places on a picture [default: by the model's name]
    #[arg(long, value_enum)]
    pub model_coordinates: Option<Coordinates>,

    /// Latest pictures that the model is shown, 0 to 100; 0 for a model that takes text only
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(0..=100), default_value_t = 3)]
    pub model_images: u32,

    /// Pixels of the longer side of pictures of browsers, 200 to 4096, for a model whose host would make larger ones smaller
    /// [default: as large as the page is]
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(200..=4_096))]
    pub model_image_side: Option<u32>,
}

/// An interface of model endpoints.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ModelApi {
    /// POST /chat/completions
    #[default]
    Chat,
    /// Anthropic's POST /messages
    Messages,
    /// OpenAI's POST /responses
    Responses,
}

impl fmt::Display for ModelApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
        })
    }
}

impl From<ModelApi> for quarterdeck_agent::ModelApi {
    fn from(api: ModelApi) -> Self {
        match api {
            ModelApi::Chat => Self::Chat,
            ModelApi::Messages => Self::Messages,
            ModelApi::Responses => Self::Responses,
        }
    }
}

/// How a model names places on a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Coordinates {
    /// In pixels of the picture that it was shown
    Pixels,
    /// In thousandths of each side
    #[value(name = "0-1000")]
    Thousandths,
    /// In fractions of each side
    #[value(name = "0-1")]
    Fractions,
}

impl From<Coordinates> for quarterdeck_agent::Coordinates {
    fn from(coordinates: Coordinates) -> Self {
        match coordinates {
            Coordinates::Pixels => Self::Pixels,
            Coordinates::Thousandths => Self::Thousandths,
            Coordinates::Fractions => Self::Fractions,
        }
    }
}
