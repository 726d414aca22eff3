use super::{Secret, text};
use clap::{Args, ValueEnum, value_parser};

/// What thinks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct ModelSettings {
    /// Base URL of an OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1 [default: none, the scripted model]
    #[arg(long, value_name = "URL", value_parser = text)]
    pub model_base_url: Option<String>,

    /// Key for the model's endpoint [default: none]
    #[arg(long, value_name = "KEY")]
    pub model_api_key: Option<Secret>,

    /// Model for agents that name none [default: the endpoint's first]
    #[arg(long, value_name = "NAME", value_parser = text)]
    pub model: Option<String>,

    /// Seconds a model may take for one reply, 1 to 3600
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=3600), default_value_t = 120)]
    pub model_timeout: u64,

    /// Which of its interfaces the endpoint is asked through
    // Shown once there is more than one.
    #[arg(long, value_enum, default_value_t = ModelApi::Chat, hide = true)]
    pub model_api: ModelApi,

    /// Seconds for which an endpoint that is away is asked again before a session fails, 0 to 86400
    // Shown once the runner counts them.
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(0..=86_400), default_value_t = 300,
        hide = true)]
    pub model_patience: u64,

    /// How the model names places on a picture [default: by the model's name]
    // Shown once there are pictures to point at.
    #[arg(long, value_enum, hide = true)]
    pub model_coordinates: Option<Coordinates>,

    /// Latest pictures that the model is shown, 0 to 100; 0 for a model that takes text only
    // Shown once there are pictures.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(0..=100), default_value_t = 3,
        hide = true)]
    pub model_images: u32,

    /// How the model says what to do: calls of tools, or JSON of one schema [default: by the model's name]
    // Shown once the runner can do both.
    #[arg(long, value_enum, hide = true)]
    pub model_replies: Option<Replies>,

    /// The longer side of pictures that the model is shown, in pixels, 64 to 16384 [default: as they are]
    // Shown once there are pictures.
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(64..=16_384), hide = true)]
    pub model_image_side: Option<u32>,
}

/// Interfaces of model endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelApi {
    /// OpenAI's chat completions
    Chat,
    /// Anthropic's messages
    Messages,
    /// OpenAI's responses
    Responses,
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

/// How a model says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Replies {
    /// By calling tools
    Tools,
    /// By JSON of one schema
    Structured,
}
