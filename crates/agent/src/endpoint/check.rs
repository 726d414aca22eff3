//! What is wrong with an endpoint's settings, found out before any session fails for it.

use super::{EndpointClient, below, names_in, read::NAMES_MAX_BYTES};
use crate::model::ModelError;
use reqwest::Url;
use std::time::Duration;

/// How long the endpoint is given.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(10);
/// Names of models that are told.
const NAMES_TOLD: usize = 5;

impl EndpointClient {
    /// Asks the endpoint for its models, with the key. One sentence says what is wrong and what to set; none when nothing
    /// is, as far as that can be told: some hosts have no list.
    pub async fn check(&self) -> Option<String> {
        let listed = match self.listed_at(&self.models).await {
            Ok(listed) => listed,
            Err(ModelError::Fatal { message })
                if message.contains("answered 404") || message.contains("answered 405") =>
            {
                return self.check_address().await;
            }
            Err(ModelError::Fatal { message })
                if message.contains("answered 401") || message.contains("answered 403") =>
            {
                let set = if self.authorization.is_some() { "is wrong: set another" } else { "is missing: set it" };
                return Some(format!("{message}: the key {set} with --model-api-key"));
            }
            Err(error) => return Some(format!("{error}: see that it runs, and that --model-base-url is its address")),
        };
        let asked = self.settings.model.as_ref()?;
        if listed.is_empty() || listed.iter().any(|name| name == asked) {
            return None;
        }
        let told = listed.iter().take(NAMES_TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = listed.len().saturating_sub(NAMES_TOLD);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("the model host {} does not list {asked:?} (--model); it lists {told}{more}", self.host))
    }

    /// A base URL without `/v1` is the usual reason for there being nothing.
    async fn check_address(&self) -> Option<String> {
        let mut base = self.models.clone();
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop();
        }
        let longer = below(&base, &["v1"]);
        if !base.path().contains("/v1") && self.listed_at(&below(&longer, &["models"])).await.is_ok() {
            return Some(format!("there is nothing at {}: add /v1 to --model-base-url", shown(&base)));
        }
        (self.settings.model.is_none()).then(|| {
            format!(
                "there is no list of models at {}: check --model-base-url, or name a model with --model",
                shown(&base)
            )
        })
    }

    async fn listed_at(&self, address: &Url) -> Result<Vec<String>, ModelError> {
        let body = self.listed_json(address, NAMES_MAX_BYTES, WAIT_MAX).await;
        Ok(names_in(&body.map_err(|failure| failure.into_error(&self.host))?))
    }
}

fn shown(address: &Url) -> String {
    format!("{}{}", super::host_of(address), address.path())
}
