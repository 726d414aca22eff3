//! A small site for the tests: what browsers find hard, a page each.

use super::{BrowserExecutable, find_browser};
use axum::{
    Router,
    body::Body,
    extract::{Path as Part, Request},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use std::{collections::HashMap, ffi::OsStr, net::SocketAddr, path::Path, time::Duration};
use tokio::net::TcpListener;
use url::Url;

/// The browser that tests run: the one that `QUARTERDECK_TEST_BROWSER` names, else the best one that is installed.
pub(crate) async fn browser() -> BrowserExecutable {
    #[expect(clippy::disallowed_methods, reason = "a choice of who runs the tests")]
    let named = std::env::var_os("QUARTERDECK_TEST_BROWSER");
    let found = find_browser(named.as_deref().map(Path::new), OsStr::new("/usr/bin:/bin")).await;
    found.expect("a browser for the tests")
}

/// Starts the site on a loopback port.
pub(crate) async fn start() -> Site {
    let page = |html: &'static str| get(move || async move { Html(html) });
    let app = Router::new()
        .route("/", page("<title>Home</title><h1>Home</h1><a href=/two>Two</a> <a href=/three>Three</a>"))
        .route("/two", page("<title>Two</title><h1>Two</h1><p>The answer is 42.</p>"))
        .route("/three", page("<title>Three</title><h1>Three</h1>"))
        .route("/form", page(include_str!("site/form.html")))
        .route("/sent", get(sent))
        .route("/tall", page(include_str!("site/tall.html")))
        .route("/acts", page(include_str!("site/acts.html")))
        .route("/dialogs", page(include_str!("site/dialogs.html")))
        .route("/frames", page(include_str!("site/frames.html")))
        .route("/files", page(include_str!("site/files.html")))
        .route("/upload", post(upload))
        .route("/text", page(include_str!("site/text.html")))
        .route("/chapters", get(chapters))
        .route("/chapter/{number}", get(chapter))
        .route("/slow/{ms}", get(slow))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/hang", get(|| async { tokio::time::sleep(Duration::from_mins(10)).await }))
        .route("/login", get(login))
        .route("/inside", get(inside))
        .route("/report.txt", get(report))
        .route("/endless.bin", get(endless))
        .route("/auth", get(auth))
        .route("/redirect", get(redirect));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Site { address }
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
}

impl Site {
    /// The address of a page.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }
}

async fn sent(uri: Uri) -> Html<String> {
    let mut fields: Vec<_> = query(&uri).into_iter().map(|(name, value)| format!("<p>{name}={value}</p>")).collect();
    fields.sort();
    Html(format!("<meta charset=utf-8><title>Sent</title><h1>Sent</h1>{}", fields.concat()))
}

async fn slow(Part(ms): Part<u64>) -> Html<&'static str> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Html("<title>Slow</title><p>here at last</p>")
}

/// A long page, with a link in each of its parts.
async fn chapters() -> Html<String> {
    let part = |number: u32| {
        format!(
            "<h2>Chapter {number} of many</h2><p>{}</p><a href=/chapter/{number}>Go on {number}</a>",
            "words ".repeat(40)
        )
    };
    Html(format!("<title>Chapters</title>{}", (1..=40).map(part).collect::<String>()))
}

async fn chapter(Part(number): Part<u32>) -> Html<String> {
    Html(format!("<title>Chapter {number}</title><p>The figure of chapter {number} is {}.</p>", number * 7))
}

async fn login() -> Response {
    let cookies = [(header::SET_COOKIE, "session=known; Path=/")];
    (cookies, Redirect::to("/inside")).into_response()
}

async fn inside(headers: HeaderMap) -> Html<&'static str> {
    let is_known = headers.get(header::COOKIE).is_some_and(|cookie| cookie.to_str().unwrap().contains("session=known"));
    Html(if is_known { "<title>Inside</title>signed in" } else { "<title>Outside</title>signed out" })
}

async fn report() -> Response {
    let headers = [(header::CONTENT_DISPOSITION, "attachment; filename=\"../../evil report.txt\"")];
    (headers, "the report says 17").into_response()
}

async fn endless() -> Response {
    let part = || Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; 1 << 16]));
    let body = Body::from_stream(futures_util::stream::repeat_with(part));
    ([(header::CONTENT_DISPOSITION, "attachment; filename=endless.bin")], body).into_response()
}

async fn auth() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=x")], "no entry").into_response()
}

async fn redirect(uri: Uri) -> Redirect {
    Redirect::temporary(&query(&uri)["to"])
}

fn query(uri: &Uri) -> HashMap<String, String> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

async fn upload(request: Request) -> Html<String> {
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    Html(format!("<title>Uploaded</title><pre>{}</pre>", String::from_utf8_lossy(&body).replace('<', "")))
}
