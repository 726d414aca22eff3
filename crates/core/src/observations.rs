//! What an environment shows an agent, and what a call of a tool returns.

use bytes::Bytes;
use quarterdeck_api::JsonObject;
use serde_json::Value;
use std::path::PathBuf;
use thiserror::Error;

/// What an environment shows. It becomes `observation_event`s in the log, one for each picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The environment's kind, or what else was looked at: the event's `type`.
    pub source: String,
    /// What is seen, in words.
    pub text: Option<String>,
    /// What is seen, as pictures.
    pub images: Vec<Picture>,
    /// What goes with it, such as a page's address.
    pub metadata: JsonObject,
}

impl Observation {
    /// One of words only.
    pub fn of_text(source: impl Into<String>, text: impl Into<String>) -> Self {
        Self { source: source.into(), text: Some(text.into()), ..Self::default() }
    }
}

/// A picture as an environment hands it over. The log holds its address, never its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The encoded picture: a PNG, JPEG, GIF or WebP file.
    pub bytes: Bytes,
    /// Its media type, `image/jpeg` and the like.
    pub media_type: String,
}

/// What a call returned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The result, as the log keeps it.
    pub result: Value,
    /// Whether some of it was left out because it was too large.
    pub truncated: bool,
    /// What the call shows besides its result; the agent sees it before the result.
    pub observations: Vec<Observation>,
    /// Files that the call brought out of the environment. They become resources of the session.
    pub files: Vec<OutputFile>,
}

impl Output {
    /// A result without pictures and files.
    pub fn of(result: impl Into<Value>) -> Self {
        Self { result: result.into(), ..Self::default() }
    }
}

/// A file that a call brought out of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Its name, without folders.
    pub name: String,
    /// Its media type; guessed from the name when absent.
    pub media_type: Option<String>,
    /// Its content.
    pub content: FileBytes,
}

/// Where the bytes of an [`OutputFile`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileBytes {
    /// Here.
    Memory(Bytes),
    /// In a file of this machine. It is read once, and stays the environment's to remove.
    Path(PathBuf),
}

/// Why a call failed: a sentence for the model and the session's owner, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct CallError(pub String);

/// How the model of a session sees pictures and points at places in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vision {
    /// How it names a place.
    pub coordinates: Coordinates,
    /// Pictures that one request shows it; 0 for a model that reads text only.
    pub images_max: usize,
    /// Pixels of the longer side of a picture, at most; more would be made smaller on the way to it.
    pub image_side_max: Option<u32>,
}

impl Default for Vision {
    fn default() -> Self {
        Self { coordinates: Coordinates::Pixels, images_max: 3, image_side_max: None }
    }
}

/// How a model names a place in a picture, from its top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// In pixels of the picture.
    Pixels,
    /// In thousandths of its width and height.
    Thousandths,
    /// In fractions of its width and height, 0 to 1.
    Fractions,
}
