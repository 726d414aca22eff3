//! Several endpoints as one client: which of them a model's name means, who stands in when one is down, and what a reply
//! costs there.

use crate::{
    endpoint::EndpointClient,
    model::{ChatReply, ChatRequest, ModelClient, ModelError, TokenUsage},
};
use async_trait::async_trait;
use quarterdeck_core::Cost;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Names that are told when one is not known.
const TOLD_MAX: usize = 12;

/// One of several endpoints.
#[derive(Debug)]
pub struct NamedEndpoint {
    /// What the operator calls it. `NAME/MODEL` is a model of it.
    pub name: String,
    /// Its client.
    pub client: Arc<EndpointClient>,
    /// What its models cost.
    pub prices: BTreeMap<String, Price>,
}

/// What a model's tokens cost, in dollars a million.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Read.
    pub input: f64,
    /// Of those, read from a cache.
    pub cached: f64,
    /// Written, thoughts included.
    pub output: f64,
}

impl Price {
    /// A dollar a million is a thousand billionths a token.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a cast to an integer saturates")]
    fn of(&self, usage: &TokenUsage) -> Cost {
        let cost = |tokens: i64, price: f64| (tokens as f64 * price * 1e3).round() as i64;
        let (input, output) = (usage.input.max(0), usage.output.max(0));
        let (cached, reasoning) = (usage.cached.clamp(0, input), usage.reasoning.clamp(0, output));
        Cost {
            input: cost(input - cached, self.input).saturating_add(cost(cached, self.cached)),
            output: cost(output - reasoning, self.output),
            reasoning: cost(reasoning, self.output),
        }
    }
}

/// All endpoints of a server.
#[derive(Debug)]
pub struct Endpoints {
    /// At least one; the first is for agents that name no model.
    all: Vec<NamedEndpoint>,
    /// What the operator calls models: a name, and in order what it stands for.
    names: BTreeMap<String, Vec<String>>,
    /// The model of agents that name none.
    model: Option<String>,
}

/// A model of an endpoint.
struct Target<'a> {
    endpoint: &'a NamedEndpoint,
    /// The endpoint's own default when absent.
    model: Option<String>,
}

impl Endpoints {
    /// Puts endpoints together. `names` says what names of models stand for, `model` which one agents get that name none.
    pub fn new(all: Vec<NamedEndpoint>, names: BTreeMap<String, Vec<String>>, model: Option<String>) -> Self {
        Self { all, names, model }
    }

    /// The endpoints, in order.
    pub fn all(&self) -> &[NamedEndpoint] {
        &self.all
    }

    /// What a model's name stands for, best first: what the operator says it does, an endpoint's own name before a slash,
    /// or all endpoints that have such a model.
    fn targets(&self, name: Option<&str>) -> Vec<Target<'_>> {
        let Some(name) = name.or(self.model.as_deref()) else {
            return self.all.first().map(|endpoint| Target { endpoint, model: None }).into_iter().collect();
        };
        match self.names.get(name) {
            Some(targets) => targets.iter().flat_map(|target| self.unmapped(target)).collect(),
            None => self.unmapped(name),
        }
    }

    fn unmapped(&self, name: &str) -> Vec<Target<'_>> {
        let target = |endpoint, model: &str| Target { endpoint, model: Some(model.to_owned()) };
        let of_endpoint = self.all.iter().find_map(|endpoint| {
            let model = name.strip_prefix(endpoint.name.as_str())?.strip_prefix('/')?;
            Some(target(endpoint, model))
        });
        let has = |endpoint: &&NamedEndpoint| endpoint.client.known_models().iter().any(|known| known == name);
        let owners: Vec<_> = self.all.iter().filter(has).map(|endpoint| target(endpoint, name)).collect();
        match (owners.is_empty(), of_endpoint) {
            (false, _) => owners,
            (true, Some(of_endpoint)) => vec![of_endpoint],
            // A host may have models that it does not list. One that has told what it has is believed.
            (true, None) => {
                let may_have =
                    |endpoint: &&NamedEndpoint| self.all.len() == 1 || endpoint.client.known_models().is_empty();
                self.all.iter().filter(may_have).map(|endpoint| target(endpoint, name)).collect()
            }
        }
    }

    fn knows_none(&self, name: Option<&str>) -> ModelError {
        let name = name.or(self.model.as_deref()).unwrap_or_default();
        let listed = self.all.iter().flat_map(|endpoint| endpoint.client.known_models());
        let names: BTreeSet<&str> = self.names.keys().chain(listed).map(String::as_str).collect();
        let told = names.iter().take(TOLD_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > TOLD_MAX { ", ..." } else { "" };
        ModelError::fatal(format!(
            "no endpoint has a model {name:?}; there are {told}{more}: name one of these in the agent's `model`, or say in \
             [model-names] which one is meant"
        ))
    }
}

#[async_trait]
impl ModelClient for Endpoints {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        if self.all.len() > 1 {
            // Before the lists are there, no name is known.
            for endpoint in &self.all {
                endpoint.client.learn_models().await;
            }
        }
        let targets = self.targets(request.model.as_deref());
        let mut next = targets.iter().enumerate().peekable();
        while let Some((place, target)) = next.next() {
            let others = next.peek().is_some();
            let client = &target.endpoint.client;
            if others && client.is_shut() {
                continue;
            }
            let asked = ChatRequest { model: target.model.clone(), ..request.clone() };
            match client.complete(&asked).await {
                Err(ModelError::Away { message, .. }) if others => {
                    tracing::debug!(endpoint = %target.endpoint.name, error = %message, "another endpoint stands in");
                }
                Ok(mut reply) => {
                    if place > 0 {
                        count_fallback(&target.endpoint.name);
                    }
                    let price = target.endpoint.prices.get(&reply.model);
                    reply.cost = price.zip(reply.usage.as_ref()).map(|(price, usage)| price.of(usage));
                    return Ok(reply);
                }
                Err(error) => return Err(error),
            }
        }
        Err(self.knows_none(request.model.as_deref()))
    }

    fn answers_to(&self, name: Option<&str>) -> Option<String> {
        let target = self.targets(name).into_iter().next()?;
        target.model.clone().or_else(|| target.endpoint.client.answers_to(None))
    }

    /// The least of those that may answer: what is left out for one is left out for all.
    fn context_tokens(&self, name: Option<&str>) -> Option<usize> {
        let targets = self.targets(name).into_iter();
        targets.filter_map(|target| target.endpoint.client.context_tokens(target.model.as_deref())).min()
    }
}

fn count_fallback(endpoint: &str) {
    metrics::counter!("quarterdeck_model_fallbacks_total", "endpoint" => endpoint.to_owned()).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::EndpointSettings;

    fn endpoints(names: &[(&str, &[&str])], model: Option<&str>) -> Endpoints {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = |name: &str, models: &[&str]| {
            let models = models.iter().map(|model| (*model).to_owned()).collect();
            let settings = EndpointSettings { models, ..EndpointSettings::new(format!("http://{name}.example/v1")) };
            let client = Arc::new(EndpointClient::new(settings).unwrap());
            NamedEndpoint { name: name.into(), client, prices: BTreeMap::new() }
        };
        let all = vec![endpoint("local", &["a", "b"]), endpoint("cloud", &["b", "vendor/c"]), endpoint("open", &[])];
        let names = names.iter().map(|(name, targets)| {
            let targets = targets.iter().map(|target| (*target).to_owned()).collect();
            ((*name).to_owned(), targets)
        });
        Endpoints::new(all, names.collect(), model.map(str::to_owned))
    }

    fn check(endpoints: &Endpoints, name: Option<&str>, expected: &[&str]) {
        let targets = endpoints.targets(name);
        let told = targets
            .iter()
            .map(|target| format!("{}:{}", target.endpoint.name, target.model.as_deref().unwrap_or_default()));
        assert_eq!(told.collect::<Vec<_>>(), expected, "{name:?}");
    }

    #[test]
    fn a_name_is_looked_up_where_it_is_known() {
        let names: [(&str, &[&str]); 2] = [("holo3-122b-a10b", &["cloud/my-model", "a"]), ("a", &["b"])];
        let endpoints = endpoints(&names, Some("holo3-122b-a10b"));
        check(&endpoints, Some("b"), &["local:b", "cloud:b"]);
        check(&endpoints, Some("vendor/c"), &["cloud:vendor/c"]);
        check(&endpoints, Some("local/x"), &["local:x"]);
        check(&endpoints, Some("holo3-122b-a10b"), &["cloud:my-model", "local:a"]);
        check(&endpoints, None, &["cloud:my-model", "local:a"]);
        check(&endpoints, Some("a"), &["local:b", "cloud:b"]);
        // The one that lists nothing may have anything.
        check(&endpoints, Some("new"), &["open:new"]);
    }

    #[test]
    fn without_a_name_the_first_endpoint_answers() {
        check(&endpoints(&[], None), None, &["local:"]);
        assert_eq!(endpoints(&[], None).answers_to(None).as_deref(), Some("a"));
    }

    #[test]
    fn the_error_says_what_there_is() {
        let mut endpoints = endpoints(&[("mine", &["a"])], None);
        endpoints.all.pop();
        check(&endpoints, Some("new"), &[]);
        let told = endpoints.knows_none(Some("new")).to_string();
        assert!(told.contains("no endpoint has a model \"new\"; there are a, b, mine, vendor/c:"), "{told}");
    }

    #[test]
    fn a_price_is_of_what_was_read_written_and_thought() {
        let price = Price { input: 2.0, cached: 0.5, output: 10.0 };
        let usage = TokenUsage { input: 1_000, cached: 400, output: 50, reasoning: 20 };
        assert_eq!(price.of(&usage), Cost { input: 1_400_000, output: 300_000, reasoning: 200_000 });
        let odd = TokenUsage { input: 1, cached: 9, output: i64::MAX, reasoning: -3 };
        assert!(price.of(&odd).output > 0);
    }
}
