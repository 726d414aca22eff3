//! The two kinds of request that a proxy serves: tunnels, and requests that name their host in full.

use super::{
    Shared,
    dial::DialError,
    traffic::{Counted, Traffic},
    upstream::Connection,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use std::sync::Arc;

pub(super) type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// Headers that concern one connection, not the message.
const OF_THE_CONNECTION: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// A connection that a tunnel leads to.
pub(super) struct Tunnel {
    inside: OnUpgrade,
    outside: Box<dyn Connection>,
    traffic: Arc<Traffic>,
}

impl Tunnel {
    /// Carries bytes both ways until one side ends, idles, or carried too much.
    pub(super) async fn carry(self) {
        let Ok(inside) = self.inside.await else { return };
        let mut outside = Counted::new(self.outside, self.traffic);
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(inside), &mut outside).await;
    }
}

/// Opens a tunnel.
pub(super) async fn connect(request: Request<Incoming>, shared: &Shared) -> (Answer, Option<Tunnel>) {
    let outside = match dial(request.uri(), 443, shared).await {
        Ok(outside) => outside,
        Err(answer) => return (answer, None),
    };
    let inside = hyper::upgrade::on(request);
    let tunnel = Tunnel { inside, outside, traffic: Arc::clone(&shared.traffic) };
    (Response::new(nothing()), Some(tunnel))
}

/// Passes on a request, and its answer.
pub(super) async fn forward(mut request: Request<Incoming>, shared: &Shared) -> Answer {
    if request.uri().scheme_str() != Some("http") {
        return told(StatusCode::BAD_REQUEST, "This proxy serves a browser: it takes http:// addresses and CONNECT.");
    }
    let outside = match dial(request.uri(), 80, shared).await {
        Ok(outside) => outside,
        Err(answer) => return answer,
    };
    let outside = TokioIo::new(Counted::new(outside, Arc::clone(&shared.traffic)));
    let Some(()) = to_origin_form(&mut request) else {
        return told(StatusCode::BAD_REQUEST, "The address of this page cannot be understood.");
    };
    let Ok((mut sender, connection)) = http1::Builder::new().handshake(outside).await else {
        return told(StatusCode::BAD_GATEWAY, "The host of this page hung up.");
    };
    let ended = shared.ended.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = ended.cancelled() => (),
            _ = connection => (),
        }
    });
    match sender.send_request(request).await {
        Ok(mut response) => {
            remove_headers_of_the_connection(response.headers_mut());
            response.map(BodyExt::boxed)
        }
        Err(_) => told(StatusCode::BAD_GATEWAY, "The host of this page hung up, or its answer is no HTTP."),
    }
}

async fn dial(uri: &Uri, default_port: u16, shared: &Shared) -> Result<Box<dyn Connection>, Answer> {
    let host = uri.host().unwrap_or_default();
    if shared.traffic.is_used_up() {
        return Err(told(StatusCode::TOO_MANY_REQUESTS, "This session has used up what it may load."));
    }
    let dialed = shared.dialer.dial(host, uri.port_u16().unwrap_or(default_port)).await;
    dialed.map_err(|error| match error {
        DialError::Refused(refused) => {
            shared.refused(host);
            told(StatusCode::FORBIDDEN, &format!("This server does not let pages reach this address: {refused}."))
        }
        DialError::Unreachable(cause) => {
            told(StatusCode::BAD_GATEWAY, &format!("This page cannot be reached: {cause}."))
        }
    })
}

/// As the host wants to be asked: by path, with its name in a header.
fn to_origin_form(request: &mut Request<Incoming>) -> Option<()> {
    let host = HeaderValue::from_str(request.uri().authority()?.as_str().rsplit('@').next()?).ok()?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().ok()?;
    remove_headers_of_the_connection(request.headers_mut());
    request.headers_mut().insert(HOST, host);
    Some(())
}

fn remove_headers_of_the_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
}

fn nothing() -> BoxBody<Bytes, hyper::Error> {
    Full::default().map_err(|never| match never {}).boxed()
}

fn told(status: StatusCode, sentence: &str) -> Answer {
    let body = Full::from(sentence.to_owned()).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
