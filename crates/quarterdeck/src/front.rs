//! What the operator says of the server's front: who may call from where, and what all organizations see.

use crate::settings::HttpSettings;
use anyhow::{Context, anyhow, bail};
use quarterdeck_engine::BuiltIn;
use quarterdeck_server::{CorsOrigins, PublicUrl, ServerSettings};
use std::{fs, path::Path};
use url::Url;

/// How the server answers.
pub(crate) fn server_settings(settings: &HttpSettings) -> anyhow::Result<ServerSettings> {
    let cors = cors_origins(&settings.cors_origins)?;
    let public_url = match &settings.public.public_url {
        Some(url) => PublicUrl::fixed(url).context("cannot use --public-url")?,
        None => PublicUrl::of_request(settings.trust_forwarded),
    };
    Ok(ServerSettings {
        cors,
        public_url,
        trusts_forwarded_for: settings.trust_forwarded,
        strict: settings.strict,
        ..ServerSettings::default()
    })
}

fn cors_origins(words: &[String]) -> anyhow::Result<CorsOrigins> {
    match words {
        [word] if word == "*" => Ok(CorsOrigins::Any),
        [word] if word == "none" => Ok(CorsOrigins::Only(Vec::new())),
        origins => Ok(CorsOrigins::Only(origins.iter().map(|word| origin(word)).collect::<Result<_, _>>()?)),
    }
}

/// An origin as browsers send it.
fn origin(word: &str) -> anyhow::Result<http::HeaderValue> {
    let text = word.trim().trim_end_matches('/');
    let origin = Url::parse(text).ok().map(|url| url.origin().ascii_serialization());
    match origin {
        Some(origin) if origin == text.to_lowercase() => Ok(origin.try_into()?),
        _ => bail!(
            "--cors-origins: {word:?} is no origin; write a scheme, a host and perhaps a port, such as \
                    https://app.example.com, or * for all, or none"
        ),
    }
}

/// What every organization sees beside its own entries.
pub(crate) fn built_in(file: Option<&Path>) -> anyhow::Result<BuiltIn> {
    let Some(file) = file else { return Ok(BuiltIn::default()) };
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read the catalog {name}"))?;
    let entries = serde_json::from_str(&text).with_context(|| format!("the catalog {name} is not JSON"))?;
    BuiltIn::default().with(&entries).map_err(|why| anyhow!("cannot use the catalog {name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::{CorsOrigins, cors_origins};

    #[test]
    fn origins_are_all_none_or_those_that_browsers_send() {
        let read = |words: &[&str]| cors_origins(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["*"]).unwrap(), CorsOrigins::Any);
        assert_eq!(read(&["none"]).unwrap(), CorsOrigins::Only(Vec::new()));
        let two = read(&["https://a.example/", " http://localhost:3000"]).unwrap();
        let wanted = ["https://a.example", "http://localhost:3000"].map(|origin| origin.parse().unwrap());
        assert_eq!(two, CorsOrigins::Only(wanted.to_vec()));
        for bad in [&["a.example"][..], &["https://a.example/path"], &["*", "https://a.example"], &[""], &["null"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
