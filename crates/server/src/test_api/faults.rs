//! Rules of what goes wrong, and how clients see it.

use crate::connection::Connection;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use quarterdeck_api::Problem;
use quarterdeck_scenario::{FaultDeed as Deed, Rule};
use serde::Serialize;
use std::{convert::Infallible, time::Duration};
use tokio::time::sleep;

/// How long what was written last has to leave before a connection is cut behind it.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(10);

/// A rule and how many requests it was for so far.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ActiveRule {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) rule: Rule,
    seen: u64,
    pub(super) applied: u64,
}

/// A request, as rules see it.
pub(super) struct Asked<'a> {
    pub(super) operation: Option<&'a str>,
    pub(super) method: &'a str,
    pub(super) session: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

impl ActiveRule {
    pub(super) fn new(id: u64, rule: Rule) -> Self {
        Self { id, rule, seen: 0, applied: 0 }
    }

    fn is_for(&self, asked: &Asked<'_>) -> bool {
        let Rule { on, pattern, .. } = &self.rule;
        let header = |name: &String| asked.headers.get(name).and_then(|value| value.to_str().ok());
        (on == "*" || asked.operation == Some(on.as_str()))
            && pattern.method.as_deref().is_none_or(|method| method == asked.method)
            && pattern.session.as_deref().is_none_or(|session| asked.session == Some(session))
            && pattern.header.iter().all(|(name, test)| test.holds(header(name)))
    }

    /// Counts the request, and says whether it is its turn.
    fn strikes(&mut self, asked: &Asked<'_>, drawn: impl FnOnce(&str) -> f64) -> bool {
        if !self.is_for(asked) {
            return false;
        }
        let count = self.seen;
        self.seen += 1;
        let strikes = self.rule.happens(count, || drawn(&format!("fault {} {count}", self.id)));
        self.applied += u64::from(strikes);
        strikes
    }
}

/// What goes wrong with a request: all rules count it, and the first whose turn it is strikes.
pub(super) fn struck(rules: &mut [ActiveRule], asked: &Asked<'_>, drawn: impl Fn(&str) -> f64) -> Option<(u64, Deed)> {
    let mut struck = None;
    for rule in rules {
        if struck.is_some() {
            if rule.is_for(asked) {
                rule.seen += 1;
            }
        } else if rule.strikes(asked, &drawn) {
            struck = Some((rule.id, rule.rule.act.clone()));
        }
    }
    struck
}

/// The answer of a request that is refused on purpose.
pub(super) fn refusal(status: u16, retry_after: Option<u64>) -> Response {
    let problem = Problem::new(status, "a fault of the test was asked for here");
    let mut response = crate::error::ApiError::from(problem).into_response();
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().remove(header::RETRY_AFTER);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Never answers: the connection is cut.
pub(super) async fn cut(connection: &Connection) -> Response {
    connection.cut();
    std::future::pending().await
}

/// What is sent in the place of JSON.
const GARBAGE: &str = "{\"this\": is no JSON";

/// The answer with what goes wrong about its body.
pub(super) async fn spoiled(response: Response, deed: &Deed, connection: Connection) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (length, body) = match deed {
        Deed::Truncate(bytes) => {
            let kept = usize::try_from(*bytes).unwrap_or(usize::MAX).min(whole.len());
            (kept, Body::from(whole.slice(..kept)))
        }
        Deed::Garbage => {
            parts.headers.remove(header::CONTENT_ENCODING);
            (GARBAGE.len(), Body::from(GARBAGE))
        }
        Deed::Drip(rate) => (whole.len(), dripping(whole, *rate)),
        Deed::Cut(_) => (whole.len(), cut_in_the_middle(whole, connection)),
        Deed::CloseIdle => (whole.len(), closing_behind(whole, connection)),
        Deed::Delay(_) | Deed::Status { .. } | Deed::Lost | Deed::Hold(_) => (whole.len(), Body::from(whole)),
    };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(parts, body)
}

fn dripping(whole: Bytes, rate: u64) -> Body {
    // Ten portions a second at most.
    let portion = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a pause between drops is no exact thing")]
    let pause = Duration::from_secs_f64(portion as f64 / rate as f64);
    Body::from_stream(stream::unfold(whole, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        sleep(pause).await;
        let drop = rest.split_to(portion.min(rest.len()));
        Some((Ok::<_, Infallible>(drop), rest))
    }))
}

fn cut_in_the_middle(mut whole: Bytes, connection: Connection) -> Body {
    let half = whole.split_to(whole.len() / 2);
    Body::from_stream(stream::unfold(Some(half), move |half| {
        let connection = connection.clone();
        async move {
            if let Some(half) = half {
                return Some((Ok::<_, Infallible>(half), None));
            }
            sleep(FLUSH_TIMEOUT).await;
            connection.cut();
            std::future::pending().await
        }
    }))
}

fn closing_behind(whole: Bytes, connection: Connection) -> Body {
    Body::from_stream(stream::unfold(Some(whole), move |whole| {
        let connection = connection.clone();
        async move {
            let Some(whole) = whole else {
                tokio::spawn(async move {
                    sleep(FLUSH_TIMEOUT).await;
                    connection.cut();
                });
                return None;
            };
            Some((Ok::<_, Infallible>(whole), None))
        }
    }))
}
