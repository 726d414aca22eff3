//! Files of a session. Users and pages bring them, so a browser must never take one for a page of ours.

use crate::{App, authentication::MaybeAuthenticated, error::ApiError};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use quarterdeck_api::{ErrorBody, Errors, Problem, SessionId};
use quarterdeck_store::{Located, ServedAs};
use sha2::{Digest, Sha256};

/// What a browser may show by itself: nothing of it can run.
const SHOWN: [&str; 9] = [
    "application/pdf",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
    "text/plain",
];

/// A file of a session, as its events refer to it.
#[utoipa::path(get, path = "/api/v2/sessions/{id}/resources/{bucket}/{*key}", tag = "sessions",
    operation_id = "get_session_resource", security((), ("key" = [])),
    params(
        ("id" = SessionId, Path, description = "The session."),
        ("bucket" = String, Path, description = "What kind of file it is, such as `attachments`."),
        ("key" = String, Path, description = "The file; may hold slashes.")),
    responses(
        (status = 200, description = "The file.", content_type = "*/*"),
        (status = 304, description = "The file that `If-None-Match` names is the present one."),
        (status = 302, description = "The file is at `Location`, for five minutes."),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such session, or no such file in it.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Response, ApiError> {
    let errors = Errors::default();
    let id = errors.session_id(input.variable("id"));
    let id = errors.finish(id)?;
    let found = app.sessions.resource(caller, id, input.variable("bucket"), input.variable("key"), present).await?;
    let (located, served) = found.ok_or_else(|| Problem::not_found("there is no such file in this session"))?;
    match located {
        Located::Here(bytes) => Ok(answer(bytes, served, input.headers().get(header::IF_NONE_MATCH))),
        // What a link holds must not stay anywhere longer than the link works.
        Located::At(link) => {
            Ok((StatusCode::FOUND, [(header::LOCATION, link), (header::CACHE_CONTROL, "no-store".into())])
                .into_response())
        }
    }
}

fn present(media_type: &'static str) -> ServedAs {
    ServedAs {
        content_type: if media_type == "text/plain" { "text/plain; charset=utf-8" } else { media_type },
        disposition: if SHOWN.contains(&media_type) { "inline" } else { "attachment" },
    }
}

/// A file never changes: whoever has it need not ask again, and whoever asks again need not get it again.
fn answer(bytes: Bytes, served: ServedAs, known: Option<&HeaderValue>) -> Response {
    let etag = etag(&bytes);
    let is_known = known.and_then(|known| known.to_str().ok()).is_some_and(|known| names(known, &etag));
    let mut headers = vec![
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
        (header::ETAG, HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""))),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, HeaderMap::from_iter(headers)).into_response();
    }
    let others: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(served.content_type)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(served.disposition)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    ];
    headers.extend(others);
    (HeaderMap::from_iter(headers), bytes).into_response()
}

/// Half of the hash of the bytes tells any two files apart.
fn etag(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let half = hash.iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("\"{half}\"")
}

/// Whether the header `If-None-Match` names this one.
fn names(known: &str, etag: &str) -> bool {
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == etag || one == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_known_is_named_by_its_hash() {
        let etag = etag(b"bytes");
        assert_eq!((etag.len(), etag == super::etag(b"bytes"), etag == super::etag(b"other")), (34, true, false));
        for known in [etag.clone(), format!("\"a\", W/{etag}"), "*".to_owned()] {
            assert!(names(&known, &etag), "{known}");
        }
        assert!(!names("\"a\"", &etag) && !names("", &etag));
    }
}
