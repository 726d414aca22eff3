//! Names in requests that nothing reads. The contract lets them pass; the answer tells them, so that a mistyped one is
//! found, and a server for test suites refuses them.

use http::{HeaderMap, HeaderName, HeaderValue};
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

    /// Tells them in the answer and in the log.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let names = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if names.is_empty() {
            return;
        }
        let names = names.join(", ");
        tracing::warn!(names, "a request holds names that are not known, and that change nothing");
        if let Ok(value) = HeaderValue::try_from(names) {
            headers.insert(HEADER, value);
        }
    }
}
