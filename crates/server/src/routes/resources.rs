//! Files of a session. Users and pages bring them, so a browser must never take one for a page of ours.

use crate::{App, authentication::MaybeAuthenticated, error::ApiError, input::Input, tags};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use quarterdeck_api::{Decoder, ErrorBody, Problem, SessionId};
use quarterdeck_store::{Located, ServedAs};

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
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    let id = decoder.finish(id)?;
    if is_for_a_page(&input) {
        let (bucket, key) = (input.variable("bucket"), input.variable("key"));
        let found = app.sessions.resource_bytes(caller, id, bucket, key, present).await?;
        let (bytes, served) = found.ok_or_else(no_file)?;
        return Ok(answer(bytes, served, caller.is_some(), input.headers()));
    }
    let found = app.sessions.resource(caller, id, input.variable("bucket"), input.variable("key"), present).await?;
    let (located, served) = found.ok_or_else(no_file)?;
    match located {
        Located::Here(bytes) => Ok(answer(bytes, served, caller.is_some(), input.headers())),
        // What a link holds must not stay anywhere longer than the link works.
        Located::At(link) => {
            Ok((StatusCode::FOUND, [(header::LOCATION, link), (header::CACHE_CONTROL, "no-store".into())])
                .into_response())
        }
    }
}

/// A page of this server may load nothing from other hosts, so it gets the bytes, not a link to where they lie.
fn is_for_a_page(input: &Input) -> bool {
    input.headers().get("sec-fetch-site").is_some_and(|site| site == "same-origin")
}

fn no_file() -> Problem {
    Problem::not_found("there is no such file in this session")
}

fn present(media_type: &'static str) -> ServedAs {
    ServedAs {
        content_type: if media_type == "text/plain" { "text/plain; charset=utf-8" } else { media_type },
        disposition: if SHOWN.contains(&media_type) { "inline" } else { "attachment" },
    }
}

/// A file never changes: whoever has it need not ask again, and whoever asks again need not get it again. What a link shows
/// must be gone once it is not shared any more.
fn answer(bytes: Bytes, served: ServedAs, is_member: bool, asked: &HeaderMap) -> Response {
    let caching = if is_member { "private, max-age=31536000, immutable" } else { "private, no-store" };
    let etag = tags::of(&bytes);
    let mut headers = vec![
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::ETAG, HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""))),
    ];
    if tags::is_known(asked, &etag) {
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
