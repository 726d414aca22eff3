//! Names in requests that nothing reads. The contract lets them pass; the answer tells them, so that a mistyped one is
//! found, and a server for test suites refuses them.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue};
use std::sync::{Arc, Mutex, PoisonError};

/// Names them, each a place in the body or a parameter.
const HEADER: HeaderName = HeaderName::from_static("x-quarterdeck-ignored");

/// What one request holds of them, from where it is decoded to where it is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ignored(Arc<Mutex<Vec<String>>>);

impl Ignored {
    pub(crate) fn set(&self, names: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells them in the answer and in the log.
pub(crate) async fn tell(mut request: Request, next: Next) -> Response {
    let ignored = Ignored::default();
    request.extensions_mut().insert(ignored.clone());
    let mut response = next.run(request).await;
    let names = ignored.take();
    if !names.is_empty() {
        let names = names.join(", ");
        tracing::warn!(names, "a request holds names that are not known, and that change nothing");
        if let Ok(value) = HeaderValue::try_from(names) {
            response.headers_mut().insert(HEADER, value);
        }
    }
    response
}
