//! Names in paths. A catalog's names may hold slashes, and clients send them as they are; a route matches a
//! variable against one segment. So before a route is looked for, the slashes of a name are escaped.

use http::{Request, Uri, uri::PathAndQuery};

/// Where catalogs are. Agents have routes below their names.
const AGENTS: &str = "/api/v2/agents/";
const OTHERS: [&str; 2] = ["/api/v2/environments/", "/api/v2/skills/"];

/// The request, with the name in its path in one segment.
pub(crate) fn in_one_segment<B>(mut request: Request<B>) -> Request<B> {
    if let Some(path) = escaped(request.uri().path())
        && let Some(uri) = with_path(request.uri(), &path)
    {
        *request.uri_mut() = uri;
    }
    request
}

/// The path with the slashes of a name escaped; none when there are none.
fn escaped(path: &str) -> Option<String> {
    if let Some(tail) = path.strip_prefix(AGENTS) {
        let (name, suffix) = tail.split_at(tail.len() - suffix(tail).len());
        return name.contains('/').then(|| format!("{AGENTS}{}{suffix}", name.replace('/', "%2F")));
    }
    let prefix = OTHERS.into_iter().find(|prefix| path.starts_with(prefix))?;
    let name = &path[prefix.len()..];
    name.contains('/').then(|| format!("{prefix}{}", name.replace('/', "%2F")))
}

/// What follows an agent's name: `/revisions`, `/revisions/{number}/restore` or nothing.
fn suffix(tail: &str) -> &str {
    if tail.ends_with("/revisions") {
        return "/revisions";
    }
    let number = tail.strip_suffix("/restore").and_then(|front| front.rsplit_once('/'));
    match number {
        Some((front, _)) if front.ends_with("/revisions") => &tail[front.len() - "/revisions".len()..],
        _ => "",
    }
}

pub(crate) fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::in_one_segment;
    use http::Request;

    fn check(sent: &str, routed: &str) {
        let request = Request::builder().uri(sent).body(()).unwrap();
        assert_eq!(in_one_segment(request).uri(), routed);
    }

    #[test]
    fn the_slashes_of_a_name_are_escaped() {
        check("/api/v2/agents/h/web?revision=1", "/api/v2/agents/h%2Fweb?revision=1");
        check("/api/v2/skills/a/b", "/api/v2/skills/a%2Fb");
        check("/api/v2/environments/a//b/", "/api/v2/environments/a%2F%2Fb%2F");
        check("http://host/api/v2/agents/h/web", "http://host/api/v2/agents/h%2Fweb");
    }

    #[test]
    fn what_follows_an_agents_name_stays() {
        check("/api/v2/agents/h/web/revisions?page=2", "/api/v2/agents/h%2Fweb/revisions?page=2");
        check("/api/v2/agents/h/web/revisions/x/restore", "/api/v2/agents/h%2Fweb/revisions/x/restore");
        check("/api/v2/agents/h%2Fweb/revisions", "/api/v2/agents/h%2Fweb/revisions");
        check("/api/v2/agents/revisions/restore", "/api/v2/agents/revisions%2Frestore");
        check("/api/v2/skills/a/revisions", "/api/v2/skills/a%2Frevisions");
    }

    #[test]
    fn other_paths_are_left_alone() {
        for path in ["/api/v2/agents", "/api/v2/agents/a", "/api/v2/agents/a/revisions", "/api/v2/sessions/a/b"] {
            check(path, path);
        }
    }
}
