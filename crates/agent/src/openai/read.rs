//! One HTTP exchange with the endpoint: every way it can go wrong becomes a sentence.

use super::ApiKey;
use crate::{model::ModelError, text::one_line};
use chrono::{DateTime, FixedOffset};
use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use serde_json::Value;
use std::{error::Error, time::Duration};

/// How much is read of a list of models, or of an error.
pub(super) const NAMES_MAX_BYTES: usize = 1 << 20;

/// How much of the host's own explanation is passed on, in characters.
const SAID_MAX: usize = 300;

/// The circumstances of an exchange.
pub(super) struct Exchange<'a> {
    pub(super) host: &'a str,
    /// Cut out of whatever the host says.
    pub(super) key: Option<&'a ApiKey>,
    pub(super) reply_max_bytes: usize,
}

impl Exchange<'_> {
    /// Sends `request` and reads the JSON of a good answer.
    pub(super) async fn json(&self, request: RequestBuilder) -> Result<Value, ModelError> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let body = self.body(response, self.reply_max_bytes).await?;
        serde_json::from_slice(&body).map_err(|error| {
            ModelError::retryable(format!("the model at {} sent a reply that is not JSON: {error}", self.host))
        })
    }

    /// Counts while reading: a length that is announced may be a lie.
    async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, ModelError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(ModelError::retryable(format!(
                    "the model at {} sent a reply of more than {limit} bytes",
                    self.host
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn refused(&self, response: Response) -> ModelError {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body = self.body(response, NAMES_MAX_BYTES).await.unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if is_used_up(&body) {
            let message = format!("the model at {} answered {}: the quota is used up", self.host, status.as_u16());
            return ModelError::Fatal { message };
        }
        let said = self.said(status, &body);
        ModelError::of_status(self.host, status.as_u16(), retry_after, said.as_deref())
    }

    /// The host's own words. What it says of a refused key may repeat parts of the key.
    fn said(&self, status: StatusCode, body: &Value) -> Option<String> {
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        let words = ["/error/message", "/message", "/detail", "/error"];
        let words = words.iter().find_map(|place| body.pointer(place)?.as_str())?;
        Some(told(words, self.key))
    }

    fn broken(&self, error: &reqwest::Error) -> ModelError {
        let host = self.host;
        ModelError::retryable(if error.is_timeout() && error.is_connect() {
            format!("connecting to the model at {host} took too long")
        } else if error.is_timeout() {
            format!("the model at {host} took too long to reply")
        } else if error.is_connect() {
            format!("cannot connect to the model at {host}: {}", root_cause(error))
        } else {
            format!("the connection to the model at {host} broke: {}", root_cause(error))
        })
    }
}

/// A host's words, fit for a log.
pub(super) fn told(words: &str, key: Option<&ApiKey>) -> String {
    let words = key.map_or_else(|| words.to_owned(), |key| key.cut_out_of(words));
    one_line(&words, SAID_MAX)
}

/// The innermost cause is the telling one, and holds no address.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) => "no reason given".into(),
        None => one_line(&cause.to_string(), SAID_MAX),
    }
}

/// Some hosts say with 429 what no wait can cure.
fn is_used_up(body: &Value) -> bool {
    let is = |place| body.pointer(place).and_then(Value::as_str) == Some("insufficient_quota");
    is("/error/code") || is("/error/type")
}

/// Seconds, or a date; a date is measured by the host's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    (until - date(headers, DATE)?).to_std().ok()
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc2822(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        const NOW: &str = "Sat, 21 Nov 2026 07:00:00 GMT";
        check_retry_after(&[("retry-after", "7")], Some(7));
        check_retry_after(&[("retry-after", "0")], Some(0));
        check_retry_after(&[("retry-after", "Sat, 21 Nov 2026 07:00:09 GMT"), ("date", NOW)], Some(9));
        check_retry_after(&[("retry-after", "Sat, 21 Nov 2026 06:00:00 GMT"), ("date", NOW)], None);
        check_retry_after(&[("retry-after", "Sat, 21 Nov 2026 07:00:09 GMT")], None);
        for odd in ["-1", "NaN", "1e400", "soon", ""] {
            check_retry_after(&[("retry-after", odd)], None);
        }
        check_retry_after(&[], None);
    }

    #[test]
    fn the_key_is_cut_out_of_what_the_host_says() {
        let key = ApiKey::new("CANARY");
        let exchange = Exchange { host: "h", key: Some(&key), reply_max_bytes: 1 };
        let body = serde_json::json!({"error": {"message": "bad CANARY\nsecond line"}});
        assert_eq!(exchange.said(StatusCode::BAD_REQUEST, &body).as_deref(), Some("bad ***"));
        assert_eq!(exchange.said(StatusCode::UNAUTHORIZED, &body), None);
    }

    fn check_retry_after(headers: &[(&'static str, &'static str)], seconds: Option<u64>) {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header value")));
        assert_eq!(retry_after(&headers.collect()), seconds.map(Duration::from_secs));
    }
}
