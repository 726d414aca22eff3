//! Entity tags: what a client has already it does not get again.

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};

/// Names these bytes. Half of the hash tells any two apart.
pub(crate) fn of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let half = hash.iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("\"{half}\"")
}

/// Whether a client says in `If-None-Match` that it has this one.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let same = |one: &str| one == "*" || one.trim_start_matches("W/") == tag.trim_start_matches("W/");
    known.is_some_and(|known| known.split(',').any(|one| same(one.trim())))
}

/// Gives a list a tag, and answers 304 to who has it already: a page asks again every few seconds, and mostly nothing has
/// changed. The tag is a weak one: it stands for what the list says, whether or not it is compressed.
pub(crate) async fn of_lists(request: Request, next: Next) -> Response {
    let asked = (request.method() == Method::GET).then(|| request.headers().clone());
    let response = next.run(request).await;
    let (Some(asked), StatusCode::OK) = (asked, response.status()) else { return response };
    let (mut head, body) = response.into_parts();
    // A handler has its whole answer in memory; nothing here waits or is cut.
    let size = body.size_hint().upper().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    let Ok(bytes) = to_bytes(body, size).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("W/{}", of(&bytes));
    if let Ok(value) = HeaderValue::try_from(&tag) {
        head.headers.insert(header::ETAG, value);
    }
    if is_known(&asked, &tag) {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::{is_known, of};
    use http::{HeaderMap, header};

    fn check(sent: &str, tag: &str, expected: bool) {
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, sent.parse().unwrap())]);
        assert_eq!(is_known(&headers, tag), expected, "{sent} {tag}");
    }

    #[test]
    fn what_is_known_is_named_by_its_hash() {
        let tag = of(b"bytes");
        assert_eq!((tag.len(), tag == of(b"bytes"), tag == of(b"other")), (34, true, false));
        for known in [tag.clone(), format!("\"a\", W/{tag}"), format!("W/{tag}"), "*".to_owned()] {
            check(&known, &tag, true);
            check(&known, &format!("W/{tag}"), true);
        }
        check("\"a\"", &tag, false);
        check("", &tag, false);
        assert!(!is_known(&HeaderMap::new(), &tag));
    }
}
