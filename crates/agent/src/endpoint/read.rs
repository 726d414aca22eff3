//! One HTTP exchange with the endpoint: every way it can go wrong becomes a sentence.

use super::{
    ApiKey,
    api::ModelApi,
    reply::ReplyFault,
    said::{self, ErrorInside, told},
};
use crate::{loose, model::ModelError, text::one_line};
use chrono::{DateTime, FixedOffset};
use reqwest::{
    RequestBuilder, Response,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use serde_json::Value;
use std::{error::Error, fmt, time::Duration};
use tokio::time::timeout;

/// How much is read of a list of models, or of an error.
pub(super) const NAMES_MAX_BYTES: usize = 1 << 20;

/// How much of a fault of the connection is passed on, in characters.
const SAID_MAX: usize = 300;

/// The circumstances of an exchange.
pub(super) struct Exchange<'a> {
    pub(super) host: &'a str,
    pub(super) api: ModelApi,
    /// Cut out of whatever the host says.
    pub(super) key: Option<&'a ApiKey>,
    pub(super) reply_max_bytes: usize,
}

/// Why an exchange brought no reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The host refused the request, in a form from which something may be learnt.
    Refused(Refused),
    /// Anything else.
    Error(ModelError),
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// The host's words, fit to be told.
    pub(super) said: Option<String>,
    /// The whole of what it sent, if that is JSON.
    pub(super) json: Value,
    retry_after: Option<Duration>,
}

impl Refused {
    pub(super) fn into_error(self, host: &str) -> ModelError {
        ModelError::of_status(host, self.status, self.retry_after, self.said.as_deref())
    }
}

impl Failure {
    pub(super) fn into_error(self, host: &str) -> ModelError {
        match self {
            Self::Refused(refused) => refused.into_error(host),
            Self::Error(error) => error,
        }
    }

    /// Whether the host could not be reached, or says that it is not there. One that asks for patience is there.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Refused(refused) => matches!(refused.status, 502..=504 | 529),
            Self::Error(error) => matches!(error, ModelError::Away { .. }),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "it answered {}", refused.status),
            Self::Error(error) => error.fmt(f),
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::Error(error)
    }
}

impl Exchange<'_> {
    /// Sends `request` and reads the JSON of a good answer.
    pub(super) async fn json(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let response = self.send(request, None).await?;
        let body = self.body(response, self.reply_max_bytes, None).await?;
        Ok(self.parsed(&body)?)
    }

    /// Sends `request` and reads a completion, which comes as JSON or, whatever was asked for, as a stream of events. In
    /// a stream no silence may be longer than `idle`.
    pub(super) async fn completion(&self, request: RequestBuilder, idle: Option<Duration>) -> Result<Value, Failure> {
        let response = self.send(request, idle).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_stream = kind.to_ascii_lowercase().contains("event-stream");
        let body = self.body(response, self.reply_max_bytes, idle).await?;
        let begins = |mark: &[u8]| body.trim_ascii_start().starts_with(mark);
        if is_stream && !begins(b"{") || begins(b"data:") || begins(b"event:") {
            return self.assembled(&body);
        }
        Ok(self.parsed(&body)?)
    }

    fn assembled(&self, body: &[u8]) -> Result<Value, Failure> {
        let cut = || {
            ModelError::retryable(format!("the stream of the model at {} ended before the reply was whole", self.host))
        };
        Ok(self.api.assembled(body).ok_or_else(cut)?)
    }

    async fn send(&self, request: RequestBuilder, idle: Option<Duration>) -> Result<Response, Failure> {
        let response = self.within(idle, request.send()).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    async fn within<T>(
        &self,
        idle: Option<Duration>,
        next: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, ModelError> {
        let result = match idle {
            None => next.await,
            Some(idle) => timeout(idle, next).await.map_err(|_| {
                let (host, seconds) = (self.host, idle.as_secs());
                ModelError::retryable(format!("the model at {host} took too long to reply: {seconds} s without a word"))
            })?,
        };
        result.map_err(|error| self.broken(&error))
    }

    /// One odd character must not cost a whole reply.
    fn parsed(&self, body: &[u8]) -> Result<Value, ModelError> {
        let error = match serde_json::from_slice(body) {
            Ok(json) => return Ok(json),
            Err(error) => error,
        };
        let text = String::from_utf8_lossy(body);
        loose::value(without_comments(&text)).filter(|json| !json.is_string()).ok_or_else(|| {
            let host = self.host;
            let said = said::words(body).map(|said| format!(": {}", told(&said, self.key))).unwrap_or_default();
            ModelError::retryable(format!("the model at {host} sent a reply that is not JSON ({error}){said}"))
        })
    }

    /// What a fault in a reply of status 200 means.
    pub(super) fn fault(&self, fault: ReplyFault) -> Failure {
        let host = self.host;
        Failure::Error(match fault {
            ReplyFault::NoMessage => {
                ModelError::retryable(format!("the model at {host} sent a reply without a message in it"))
            }
            ReplyFault::BrokenOff(word) => {
                ModelError::retryable(format!("the model at {host} broke its reply off: {}", told(&word, self.key)))
            }
            ReplyFault::Error(ErrorInside { status: Some(status), words }) => {
                let said = Some(told(&words, self.key));
                return Failure::Refused(Refused { status, said, json: Value::Null, retry_after: None });
            }
            ReplyFault::Error(ErrorInside { status: None, words }) => {
                ModelError::retryable(format!("the model at {host} replied with an error: {}", told(&words, self.key)))
            }
        })
    }

    /// Counts while reading: a length that is announced may be a lie. A stream is over when it says so: some hosts leave
    /// the connection open.
    async fn body(&self, mut response: Response, limit: usize, idle: Option<Duration>) -> Result<Vec<u8>, ModelError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.within(idle, response.chunk()).await? {
            if body.len() + chunk.len() > limit {
                return Err(ModelError::retryable(format!(
                    "the model at {} sent a reply of more than {limit} bytes",
                    self.host
                )));
            }
            body.extend_from_slice(&chunk);
            if self.api.is_over(&body) {
                break;
            }
        }
        Ok(body)
    }

    async fn refused(&self, response: Response) -> Failure {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = self.body(response, NAMES_MAX_BYTES, None).await.unwrap_or_default();
        let said = said::words(&body).map(|said| told(&said, self.key));
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if is_used_up(&json) {
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            let message = format!("the model at {} answered {status}: the quota is used up{said}", self.host);
            return Failure::Error(ModelError::Fatal { message });
        }
        Failure::Refused(Refused { status, said, json, retry_after })
    }

    fn broken(&self, error: &reqwest::Error) -> ModelError {
        let host = self.host;
        if error.is_timeout() && error.is_connect() {
            ModelError::away(format!("connecting to the model at {host} took too long"))
        } else if error.is_timeout() {
            ModelError::retryable(format!("the model at {host} took too long to reply"))
        } else if error.is_connect() {
            ModelError::away(format!("cannot connect to the model at {host}: {}", root_cause(error)))
        } else if error.is_request() {
            ModelError::away(format!("the connection to the model at {host} broke: {}", root_cause(error)))
        } else {
            ModelError::retryable(format!("the connection to the model at {host} broke: {}", root_cause(error)))
        }
    }
}

/// Some gateways send comments while the host behind them thinks.
fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while rest.starts_with(':') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest.trim_start());
    }
    rest
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
    fn what_is_odd_about_json_does_not_cost_it() {
        let exchange = Exchange { host: "h", api: ModelApi::Chat, key: None, reply_max_bytes: 1 };
        let parsed = |body: &[u8]| exchange.parsed(body).map(|json| json["a"].clone());
        for body in [
            &b"{\"a\": \"x\"}"[..],
            b"\n\n: PROCESSING\n\n: PROCESSING\n\n{\"a\": \"x\"}",
            b"\xef\xbb\xbf{\"a\": \"x\", \"b\": NaN}",
        ] {
            assert_eq!(parsed(body), Ok("x".into()));
        }
        assert_eq!(parsed(b"{\"a\": \"\\ud83d\"}"), Ok("\u{fffd}".into()));
        assert_eq!(parsed(b"{\"a\": \"\xff\"}"), Ok("\u{fffd}".into()));
        for body in [&b"<title>Welcome</title>"[..], b"{\"a\": ", b"", b"\"text\""] {
            assert!(
                exchange.parsed(body).is_err_and(|error| error.to_string().contains("is not JSON"))
                    || body == b"\"text\""
            );
        }
    }

    fn check_retry_after(headers: &[(&'static str, &'static str)], seconds: Option<u64>) {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header value")));
        assert_eq!(retry_after(&headers.collect()), seconds.map(Duration::from_secs));
    }
}
