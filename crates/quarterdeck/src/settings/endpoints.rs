//! Endpoints of models as the settings file lists them, `[[model-endpoint]]`, and what names of models stand for,
//! `[model-names]`. As a flag or a variable each of them is one text: an inline table, or `NAME=MODEL,MODEL`.

use super::{ModelApi, Secret};
use serde::{Deserialize, Deserializer, de};
use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

/// An endpoint. Its key is not shown.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndpointEntry {
    /// What it is called here: `NAME/MODEL` is a model of it.
    pub name: String,
    /// Its address, as `--model-base-url`.
    pub base_url: String,
    /// The interface that it speaks.
    #[serde(default)]
    pub api: ModelApi,
    /// Its key itself,
    #[serde(default, deserialize_with = "secret")]
    pub key: Option<Secret>,
    /// or the variable that holds it,
    pub key_variable: Option<String>,
    /// or the file.
    pub key_file: Option<PathBuf>,
    /// The models that it has, the default first.
    #[serde(default)]
    pub models: Vec<String>,
    /// Seconds for one reply.
    pub timeout: Option<u64>,
    /// Tokens of a conversation.
    pub context: Option<u32>,
    /// Whether replies are asked for as streams.
    #[serde(default)]
    pub stream: bool,
    /// A proxy to go through.
    #[serde(default, deserialize_with = "secret")]
    pub proxy: Option<Secret>,
    /// A PEM file of certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Requests at once.
    pub at_once: Option<usize>,
    /// Requests in a minute.
    pub per_minute: Option<u32>,
    /// What models cost.
    #[serde(default)]
    pub prices: BTreeMap<String, PriceEntry>,
}

/// What a model's tokens cost, in dollars a million.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PriceEntry {
    /// Read.
    pub input: f64,
    /// Read from a cache; as any other when absent.
    pub cached: Option<f64>,
    /// Written.
    pub output: f64,
}

/// What a name stands for, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    /// The name that agents use.
    pub name: String,
    /// `MODEL` or `ENDPOINT/MODEL`; the later ones stand in when those before are down.
    pub targets: Vec<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

impl FromStr for EndpointEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        #[derive(Deserialize)]
        struct Holder {
            endpoint: EndpointEntry,
        }
        let text = text.trim();
        let table = if text.starts_with('{') { text.to_owned() } else { format!("{{ {text} }}") };
        // The parser's words show the line that is wrong, and a key may stand in it.
        let holder: Holder =
            toml::from_str(&format!("endpoint = {table}")).map_err(|error| error.message().to_owned())?;
        holder.endpoint.checked()
    }
}

impl EndpointEntry {
    fn checked(self) -> Result<Self, String> {
        let keys = [self.key.is_some(), self.key_variable.is_some(), self.key_file.is_some()];
        let prices = self.prices.values().flat_map(|price| [Some(price.input), price.cached, Some(price.output)]);
        if self.name.trim().is_empty() || self.name.contains('/') {
            return Err("its name has to be a word without slashes".to_owned());
        }
        if keys.iter().filter(|is_there| **is_there).count() > 1 {
            return Err(format!("{:?} has more than one of key, key-variable and key-file", self.name));
        }
        if self.timeout.is_some_and(|seconds| !(1..=3_600).contains(&seconds)) {
            return Err(format!("the timeout of {:?} is not from 1 to 3600 seconds", self.name));
        }
        if self.context.is_some_and(|tokens| !(1_000..=10_000_000).contains(&tokens)) {
            return Err(format!("the context of {:?} is not from 1000 to 10000000 tokens", self.name));
        }
        if self.at_once == Some(0) || self.per_minute == Some(0) {
            return Err(format!("{:?} may be asked nothing: at-once and per-minute begin at 1", self.name));
        }
        if prices.flatten().any(|price| !(0.0..=1e6).contains(&price)) {
            return Err(format!("a price of {:?} is not from 0 to 1000000 dollars a million tokens", self.name));
        }
        Ok(self)
    }
}

/// What is shown of it.
impl fmt::Display for EndpointEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.base_url.split_once("://").map_or(self.base_url.as_str(), |(_, rest)| rest);
        let place = place.rsplit_once('@').map_or(place, |(_, host)| host);
        let place = place.split('?').next().unwrap_or_default();
        let key = match (&self.key, &self.key_variable, &self.key_file) {
            (Some(_), ..) => ", key ***".to_owned(),
            (None, Some(variable), _) => format!(", key in the variable {variable}"),
            (None, None, Some(file)) => format!(", key in {}", file.display()),
            (None, None, None) => String::new(),
        };
        write!(f, "{}: {} at {place}{key}", self.name, self.api)
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, targets) = text.split_once('=').ok_or("it is not NAME=MODEL")?;
        let targets: Vec<_> = targets.split(',').map(|target| target.trim().to_owned()).collect();
        let name = name.trim().to_owned();
        if name.is_empty() || targets.iter().any(String::is_empty) {
            return Err("it is not NAME=MODEL".to_owned());
        }
        Ok(Self { name, targets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_and_its_key_is_not_shown() {
        let entry: EndpointEntry =
            "name = \"cloud\", base-url = \"https://u:CANARY@h/v1?key=CANARY\", api = \"messages\", \
            key = \"CANARY\", per-minute = 60, prices = { m = { input = 1.5, output = 3 } }"
                .parse()
                .unwrap();
        assert_eq!((entry.api, entry.per_minute), (ModelApi::Messages, Some(60)));
        assert_eq!(entry.prices["m"], PriceEntry { input: 1.5, cached: None, output: 3.0 });
        assert_eq!(entry.to_string(), "cloud: messages at h/v1, key ***");
        assert!(!format!("{:?}", entry.key).contains("CANARY"));
    }

    #[test]
    fn what_cannot_be_is_told_without_the_key() {
        for (rest, expected) in [
            ("kee = \"CANARY\"", "unknown field `kee`"),
            ("key = \"CANARY\", key-file = \"f\"", "more than one of"),
            ("timeout = 0", "1 to 3600"),
            ("context = 1", "1000 to"),
            ("at-once = 0", "begin at 1"),
            ("prices = { m = { input = -1, output = 1 } }", "a price of"),
            ("api = \"soap\"", "unknown variant `soap`"),
        ] {
            let error = format!("name = \"x\", base-url = \"http://h\", {rest}").parse::<EndpointEntry>().unwrap_err();
            assert!(error.contains(expected) && !error.contains("CANARY"), "{error}");
        }
        assert!("name = \"a/b\", base-url = \"http://h\"".parse::<EndpointEntry>().is_err());
    }

    #[test]
    fn a_name_stands_for_models_in_order() {
        let name: ModelName = "holo3-122b-a10b = local/my-model, other".parse().unwrap();
        assert_eq!(
            (name.name.as_str(), name.targets),
            ("holo3-122b-a10b", vec!["local/my-model".into(), "other".into()])
        );
        for wrong in ["", "x", "=y", "x=", "x=a,,b"] {
            assert!(wrong.parse::<ModelName>().is_err(), "{wrong}");
        }
    }
}
