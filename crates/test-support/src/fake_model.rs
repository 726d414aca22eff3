//! A model endpoint for tests: a real HTTP server that speaks `OpenAI`'s chat completions, or does what a test
//! tells it to instead.
//!
//! It writes raw TCP, because what tests need most is what no HTTP library would do: break off, fall silent,
//! promise more than it sends. Dropping the [`FakeModel`] closes all its connections.

mod http;

use http::{Head, read_request, response};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Requests that are kept; the oldest go first.
const REQUESTS_KEPT: usize = 1_000;

/// What the endpoint does with one request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Does what this says, for this request.
    Decide(Decision),
    /// Replies with this text.
    Text(String),
    /// Replies with calls: name, arguments as the model writes them.
    Calls(Vec<(String, String)>),
    /// Replies with this message, whatever is in it.
    Message(Value),
    /// Waits, then does the other.
    After(Duration, Box<Behaviour>),
    /// Answers with a status, headers and a body.
    Status(u16, Vec<(String, String)>, String),
    /// Answers 200 with this body, JSON or not.
    Body(Vec<u8>),
    /// Answers 200 with this many bytes of one endless JSON string.
    Bytes(usize),
    /// Sends the head and half of a good reply, then breaks the connection.
    CutOff,
    /// Breaks the connection without a word.
    HangUp,
    /// Sends nothing, ever.
    Silence,
    /// Sends the head of a good reply, then one byte each time this passes.
    Drip(Duration),
}

impl Behaviour {
    /// A text reply.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A reply with one call.
    #[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
    pub fn call(name: impl Into<String>, arguments: Value) -> Self {
        Self::Calls(vec![(name.into(), arguments.to_string())])
    }

    /// A status with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), String::new())
    }

    /// 429, to be asked again after some seconds.
    pub fn busy(retry_after_s: u64) -> Self {
        Self::Status(429, vec![("retry-after".into(), retry_after_s.to_string())], String::new())
    }

    /// A web page where a reply should be.
    pub fn html() -> Self {
        Self::Body(b"<!doctype html><title>Welcome</title>".to_vec())
    }

    /// What `decide` says of each request. It must not say to decide again.
    pub fn decide(decide: impl Fn(&Request) -> Self + Send + Sync + 'static) -> Self {
        Self::Decide(Decision(Arc::new(decide)))
    }

    /// The other behaviour, some time later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }
}

/// Looks at a request and says what to do with it.
#[derive(Clone)]
pub struct Decision(Arc<dyn Fn(&Request) -> Behaviour + Send + Sync>);

impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decision")
    }
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST`, ...
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; null when it is not JSON.
    pub body: Value,
}

impl Request {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The endpoint. It serves until it is dropped.
pub struct FakeModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped with the endpoint: closes the listener and every connection.
    _serving: JoinSet<()>,
}

struct Shared {
    plan: Mutex<Plan>,
    served: AtomicU64,
    abandoned: watch::Sender<u64>,
    arrived: watch::Sender<u64>,
}

struct Plan {
    queue: VecDeque<Behaviour>,
    otherwise: Behaviour,
    requests: VecDeque<Request>,
}

impl FakeModel {
    /// Starts an endpoint on a free port of this machine that answers every request with `Done.`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// As [`Self::start`], at this address.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start_at(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let plan = Plan { queue: VecDeque::new(), otherwise: Behaviour::text("Done."), requests: VecDeque::new() };
        let shared = Arc::new(Shared {
            plan: Mutex::new(plan),
            served: AtomicU64::new(0),
            abandoned: watch::Sender::new(0),
            arrived: watch::Sender::new(0),
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _serving: serving })
    }

    /// Where it listens, for one that comes back there.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL to configure, `http://127.0.0.1:.../v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Does this with the next completion that has no behaviour queued yet.
    pub fn then(&self, behaviour: Behaviour) -> &Self {
        self.shared.plan().queue.push_back(behaviour);
        self
    }

    /// Does this whenever the queue is empty.
    pub fn otherwise(&self, behaviour: Behaviour) -> &Self {
        self.shared.plan().otherwise = behaviour;
        self
    }

    /// The completions that were asked for, oldest first; of very many only the latest.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.plan().requests.iter().cloned().collect()
    }

    /// How many completions were answered in full.
    pub fn served(&self) -> u64 {
        self.shared.served.load(Ordering::Relaxed)
    }

    /// Returns once this many completions were asked for.
    pub async fn wait_for_requests(&self, count: u64) {
        let _ = self.shared.arrived.subscribe().wait_for(|arrived| *arrived >= count).await;
    }

    /// Returns once this many clients went away before they had their answer.
    pub async fn wait_for_abandoned(&self, count: u64) {
        let _ = self.shared.abandoned.subscribe().wait_for(|abandoned| *abandoned >= count).await;
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_down(&self, request: Request) -> Behaviour {
        let mut plan = self.plan();
        if plan.requests.len() == REQUESTS_KEPT {
            plan.requests.pop_front();
        }
        let behaviour = plan.queue.pop_front().unwrap_or_else(|| plan.otherwise.clone());
        let behaviour = if let Behaviour::Decide(Decision(decide)) = &behaviour { decide(&request) } else { behaviour };
        plan.requests.push_back(request);
        drop(plan);
        self.arrived.send_modify(|arrived| *arrived += 1);
        behaviour
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                // Out of file handles, most likely: some connections have to end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves a connection until either side has enough of it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Ok(Some((head, body))) = read_request(&mut stream).await {
        let goes_on = if head.path.ends_with("/models") {
            let models = json!({"object": "list", "data": [{"id": "fake-model", "object": "model"}]});
            send(&mut stream, &response(200, &[], models.to_string().as_bytes())).await
        } else {
            serve_completion(&mut stream, &head, &body, &shared).await
        };
        if !goes_on {
            break;
        }
    }
}

/// Whether the connection can be used again.
async fn serve_completion(stream: &mut BufReader<TcpStream>, head: &Head, body: &[u8], shared: &Shared) -> bool {
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    let model = body["model"].as_str().unwrap_or("fake-model").to_owned();
    let request = Request { method: head.method.clone(), path: head.path.clone(), headers: head.headers.clone(), body };
    let behaviour = shared.take_down(request);
    let done = act(stream, behaviour, &model).await;
    match done {
        Done::Served => {
            shared.served.fetch_add(1, Ordering::Relaxed);
        }
        Done::Abandoned => shared.abandoned.send_modify(|abandoned| *abandoned += 1),
        Done::Broken => {}
    }
    matches!(done, Done::Served)
}

/// How an exchange ended.
enum Done {
    Served,
    /// The client went away first.
    Abandoned,
    /// The endpoint broke it off.
    Broken,
}

async fn act(stream: &mut BufReader<TcpStream>, behaviour: Behaviour, model: &str) -> Done {
    let mut behaviour = behaviour;
    while let Behaviour::After(wait, then) = behaviour {
        if gone_within(stream, wait).await {
            return Done::Abandoned;
        }
        behaviour = *then;
    }
    let full = match behaviour {
        Behaviour::Text(text) => good(model, &json!({"role": "assistant", "content": text})),
        Behaviour::Calls(calls) => good(model, &calling(&calls)),
        Behaviour::Message(message) => good(model, &message),
        Behaviour::Status(status, headers, body) => response(status, &headers, body.as_bytes()),
        Behaviour::Body(body) => response(200, &[], &body),
        Behaviour::Bytes(count) => {
            let mut body = vec![b'a'; count];
            body.iter_mut().take(1).for_each(|first| *first = b'"');
            response(200, &[], &body)
        }
        Behaviour::CutOff => {
            let full = good(model, &json!({"role": "assistant", "content": "This is only half of a"}));
            let _ = stream.write_all(&full[..full.len() - 40]).await;
            let _ = stream.flush().await;
            return Done::Broken;
        }
        Behaviour::HangUp | Behaviour::After(..) | Behaviour::Decide(_) => return Done::Broken,
        Behaviour::Silence => {
            gone(stream).await;
            return Done::Abandoned;
        }
        Behaviour::Drip(pause) => return drip(stream, model, pause).await,
    };
    if send(stream, &full).await { Done::Served } else { Done::Abandoned }
}

async fn drip(stream: &mut BufReader<TcpStream>, model: &str, pause: Duration) -> Done {
    let full = good(model, &json!({"role": "assistant", "content": "Slow."}));
    let head = full.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |end| end + 4);
    if !send(stream, &full[..head]).await {
        return Done::Abandoned;
    }
    for byte in &full[head..] {
        if gone_within(stream, pause).await || !send(stream, &[*byte]).await {
            return Done::Abandoned;
        }
    }
    Done::Served
}

async fn send(stream: &mut BufReader<TcpStream>, bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok()
}

/// Returns when the client closes the connection. It has nothing more to say until it is answered.
async fn gone(stream: &mut BufReader<TcpStream>) {
    let mut scrap = [0; 256];
    while matches!(stream.read(&mut scrap).await, Ok(1..)) {}
}

async fn gone_within(stream: &mut BufReader<TcpStream>, wait: Duration) -> bool {
    tokio::time::timeout(wait, gone(stream)).await.is_ok()
}

fn good(model: &str, message: &Value) -> Vec<u8> {
    let finish = if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" };
    let body = json!({
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    });
    response(200, &[], body.to_string().as_bytes())
}

pub(crate) fn calling(calls: &[(String, String)]) -> Value {
    let calls = calls.iter().enumerate().map(|(place, (name, arguments))| {
        json!({"id": format!("call_{place}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests;
