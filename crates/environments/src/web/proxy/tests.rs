use super::*;
use axum::{Router, body::Body, routing::get};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PLENTY: u64 = 1 << 30;

#[tokio::test]
async fn what_is_let_through_is_carried_by_request_and_by_tunnel() {
    let site = site().await;
    let proxy = Proxy::start(Guard::allowing("127.0.0.1").unwrap(), OwnPorts::default(), None, PLENTY).await.unwrap();
    let request = format!("GET http://{site}/hi HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\n\r\n");
    assert!(ask(&proxy, &request).await.ends_with("hi"));
    let tunnel = format!("CONNECT {site} HTTP/1.1\r\nHost: {site}\r\n\r\nGET /hi HTTP/1.0\r\nHost: {site}\r\n\r\n");
    let answer = ask(&proxy, &tunnel).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
    assert_eq!(proxy.take_refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn what_leads_inside_is_refused_and_told_and_never_connected_to() {
    let canary = Canary::listen().await;
    let port = canary.address.port();
    let proxy = Proxy::start(Guard::default(), OwnPorts::default(), None, PLENTY).await.unwrap();
    for host in
        ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "[::ffff:127.0.0.1]", "x.localhost"]
    {
        for ask_for in [format!("GET http://{host}:{port}/"), format!("CONNECT {host}:{port}")] {
            let answer = ask(&proxy, &format!("{ask_for} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{ask_for}: {answer}");
        }
    }
    assert_eq!(proxy.take_refusals().len(), REFUSALS_MAX);
    assert_eq!(proxy.take_refusals(), Vec::<String>::new());
    assert_eq!(canary.hits(), 0);
}

#[tokio::test]
async fn the_servers_own_ports_are_refused_whatever_is_let_through() {
    let canary = Canary::listen().await;
    let own = OwnPorts::of([canary.address.port()]);
    let guard = Guard::allowing("127.0.0.0/8,localhost,0.0.0.0").unwrap();
    let proxy = Proxy::start(guard, own, None, PLENTY).await.unwrap();
    for port in [canary.address.port(), proxy.address().port()] {
        for host in ["127.0.0.1", "127.0.0.9", "localhost", "0.0.0.0"] {
            let request = format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let answer = ask(&proxy, &request).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{host}:{port}: {answer}");
        }
    }
    assert_eq!(canary.hits(), 0);
}

#[tokio::test]
async fn a_session_that_has_loaded_too_much_loads_no_more() {
    let site = site().await;
    let proxy = Proxy::start(Guard::allowing("127.0.0.1").unwrap(), OwnPorts::default(), None, 100_000).await.unwrap();
    let answer = ask(&proxy, &format!("GET http://{site}/endless HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!(answer.len() < 1_000_000, "{}", answer.len());
    let answer = ask(&proxy, &format!("GET http://{site}/hi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
}

#[tokio::test]
async fn an_upstream_proxy_gets_names_and_no_private_addresses() {
    // The upstream is a proxy of ours: what it refuses or carries shows what it was asked for.
    let site = site().await;
    let upstream =
        Proxy::start(Guard::allowing("127.0.0.1").unwrap(), OwnPorts::default(), None, PLENTY).await.unwrap();
    let address = format!("http://user:p%40ss@{}", upstream.address());
    let by = |guard: &str| {
        Proxy::start(
            Guard::allowing(guard).unwrap(),
            OwnPorts::default(),
            Some(Upstream::parse(&address).unwrap()),
            PLENTY,
        )
    };
    let get = |host: &str| format!("GET http://{host}/hi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let allowing = by("127.0.0.1").await.unwrap();
    assert!(ask(&allowing, &get(&site.to_string())).await.ends_with("hi"));
    let unreachable = ask(&allowing, &get("nowhere.invalid")).await;
    assert!(unreachable.starts_with("HTTP/1.1 502") && unreachable.contains("refused to connect"), "{unreachable}");
    let refusing = by("").await.unwrap();
    assert!(ask(&refusing, &get("10.0.0.1")).await.starts_with("HTTP/1.1 403"));
    assert!(ask(&refusing, &get("example.com")).await.starts_with("HTTP/1.1 403"), "the upstream itself is inside");
}

#[tokio::test]
async fn what_is_no_request_for_a_proxy_is_refused() {
    let proxy = Proxy::start(Guard::default(), OwnPorts::default(), None, PLENTY).await.unwrap();
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET ftp://x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "\0\0\r\n\r\n",
    ] {
        let answer = ask(&proxy, request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let head = format!("GET http://x/ HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(4 * HEAD_MAX_BYTES));
    let answer = ask(&proxy, &head).await;
    // The answer may be lost when the connection is ended in the middle of the head.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_end_with_their_proxy() {
    let site = site().await;
    let proxy = Proxy::start(Guard::allowing("127.0.0.1").unwrap(), OwnPorts::default(), None, PLENTY).await.unwrap();
    let address = proxy.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("CONNECT {site} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    drop(proxy);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the tunnel is open still");
    assert!(TcpStream::connect(address).await.is_err());
}

async fn site() -> SocketAddr {
    let endless = || async {
        Body::from_stream(futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; 4096]))
        }))
    };
    let app = Router::new().route("/hi", get(|| async { "hi" })).route("/endless", get(endless));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends a request, ends its side, and reads all that comes.
async fn ask(proxy: &Proxy, request: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        let mut part = [0; 8192];
        while let Ok(read @ 1..) = stream.read(&mut part).await {
            answer.extend_from_slice(&part[..read]);
            if answer.ends_with(b"hi") {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A listener that must see nobody.
struct Canary {
    address: SocketAddr,
    hits: Arc<AtomicU64>,
}

impl Canary {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, hits) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&hits);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { address, hits }
    }

    fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}
