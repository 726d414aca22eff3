//! `GET /metrics`: what Prometheus reads. The parts of the server count where things happen; here it is put into words.
//!
//! Invariant: no label holds an id, a name of an organization or user, or a word of theirs; every label has a bounded
//! number of values. So the page may be read without a key.

use crate::{App, authentication::bearer, error::ApiError, keys::key_hash};
use axum::{
    extract::{MatchedPath, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use quarterdeck_api::Problem;
use quarterdeck_store::KeyHash;
use std::{fmt::Write, time::Duration};

/// How long the store may take to count the sessions before they are left out.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often what was measured is put into its buckets: until then it takes room.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Seconds: from a commit to a long step.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];
/// Writes in a batch.
const WRITES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How Prometheus tells this format from others.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Collects what this process measures.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    /// Of the token that the page asks for, if it does.
    token: Option<KeyHash>,
}

impl Metrics {
    /// Begins to collect, for the whole process, from now on; `version` is the server's.
    ///
    /// # Errors
    /// When somebody collects already.
    pub fn install(version: &'static str) -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_writes".into()), &WRITES)?;
        let handle = builder.install_recorder()?;
        describe();
        metrics::gauge!("quarterdeck_build_info", "version" => version).set(1.0);
        #[cfg(target_os = "linux")]
        metrics_process::Collector::default().describe();
        Ok(Self { handle, token: None })
    }

    /// The page is shown only to those who send this token, as a key is sent.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(key_hash(token.trim().as_bytes())), ..self }
    }

    /// Whether the page may be shown to who sends these credentials.
    fn shows_to(&self, credentials: Option<&HeaderValue>) -> bool {
        let sent = credentials.and_then(|credentials| bearer(credentials.as_bytes())).map(key_hash);
        self.token.is_none() || self.token == sent
    }

    /// Keeps what is collected small; runs until it is dropped.
    pub async fn keep_small(self) {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            self.handle.run_upkeep();
        }
    }
}

fn describe() {
    describe_gauge!("quarterdeck_build_info", "Always 1; its label says which version this is.");
    describe_counter!("quarterdeck_http_requests_total", "Requests answered.");
    describe_histogram!(
        "quarterdeck_http_request_seconds",
        Unit::Seconds,
        "Time to the answer's head, waits included."
    );
    describe_counter!("quarterdeck_sessions_created_total", "Sessions created by this process.");
    describe_counter!("quarterdeck_sessions_promoted_total", "Queued sessions that this process started.");
    describe_counter!("quarterdeck_sessions_ended_total", "Sessions that this process ended.");
    describe_counter!("quarterdeck_sessions_claimed_total", "Sessions that this process took up.");
    describe_histogram!("quarterdeck_step_seconds", Unit::Seconds, "Time of a step.");
    describe_gauge!("quarterdeck_workers_busy", "Sessions that this process runs now.");
    describe_gauge!("quarterdeck_workers_limit", "Sessions that this process runs at most.");
    describe_gauge!("quarterdeck_waiters", "Long polls that wait now.");
    describe_counter!("quarterdeck_waiters_woken_total", "Long polls that were woken by a change.");
    describe_counter!("quarterdeck_lease_renewals_failed_total", "Renewals of the lease that failed.");
    describe_histogram!("quarterdeck_model_call_seconds", Unit::Seconds, "Time of a call of the model.");
    describe_counter!("quarterdeck_model_tokens_total", "Tokens used.");
    describe_histogram!(
        "quarterdeck_store_batch_seconds",
        Unit::Seconds,
        "Time to write a batch, until it is durable."
    );
    describe_histogram!("quarterdeck_store_batch_writes", "Writes in a batch.");
    describe_counter!("quarterdeck_store_writes_total", "What became of writes.");
    describe_counter!("quarterdeck_store_errors_total", "Faults of the database.");
}

/// The page. Sessions in the store are left out while it does not answer; `quarterdeck_store_up` says so.
pub(crate) async fn page(State(app): State<App>, headers: HeaderMap) -> Response {
    let Some(metrics) = &app.metrics else { return http::StatusCode::NOT_FOUND.into_response() };
    if !metrics.shows_to(headers.get(header::AUTHORIZATION)) {
        return ApiError::from(Problem::unauthorized()).into_response();
    }
    #[cfg(target_os = "linux")]
    metrics_process::Collector::default().collect();
    metrics.handle.run_upkeep();
    let mut text = metrics.handle.render();
    let live = tokio::time::timeout(STORE_TIMEOUT, app.store.live_sessions(None)).await;
    write_live(&mut text, live.ok().and_then(Result::ok));
    let headers: [(HeaderName, HeaderValue); 1] = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    (headers, text).into_response()
}

/// Not kept between two pages: what is out of date would look like the truth.
fn write_live(text: &mut String, live: Option<Vec<(String, u64)>>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP quarterdeck_store_up Whether the database answered just now.");
    let _ = writeln!(text, "# TYPE quarterdeck_store_up gauge\nquarterdeck_store_up {}", u8::from(live.is_some()));
    let Some(live) = live else { return };
    let _ = writeln!(text, "# HELP quarterdeck_sessions Sessions in the store that have not ended, all servers'.");
    let _ = writeln!(text, "# TYPE quarterdeck_sessions gauge");
    for status in ["queued", "pending", "running", "paused", "idle", "awaiting_tool_results"] {
        let count = live.iter().find(|(name, _)| name == status).map_or(0, |(_, count)| *count);
        let _ = writeln!(text, "quarterdeck_sessions{{status=\"{status}\"}} {count}");
    }
}

/// A request as it is counted: under the route's template, since paths hold ids and names.
pub(crate) struct Counted {
    route: Option<MatchedPath>,
    method: &'static str,
}

impl Counted {
    pub(crate) fn new<B>(request: &http::Request<B>) -> Self {
        Self { route: request.extensions().get().cloned(), method: known_method(request.method()) }
    }

    pub(crate) fn answered(self, status: http::StatusCode, taken: Duration) {
        let Self { route, method } = self;
        let route = route.as_ref().map_or("none", MatchedPath::as_str).to_owned();
        metrics::histogram!("quarterdeck_http_request_seconds", "route" => route.clone(), "method" => method)
            .record(taken);
        let status = status.as_u16().to_string();
        metrics::counter!("quarterdeck_http_requests_total", "route" => route, "method" => method, "status" => status)
            .increment(1);
    }
}

/// Clients may call a method what they like.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}
