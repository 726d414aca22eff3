//! Routes of the contract that this version does not serve yet: they say so, once the request itself is in order, with
//! 404, which no client tries again. `docs/compatibility.md` lists them.

use crate::{
    App,
    authentication::{Authenticated, AuthenticatedBody},
    error::ApiError,
    input::Input,
};
use axum::{
    Router,
    routing::{MethodFilter, on},
};
use quarterdeck_api::{Decode, Decoder, Problem, decode};

/// A body of which nothing is known but that it is an object.
struct AnyObject;

impl Decode for AnyObject {
    fn decode(value: &decode::json::Value<'_>, at: &decode::place::Place<'_>) -> Option<Self> {
        decode::fields::Fields::of(value, at).map(|fields| {
            fields.take_all();
            Self
        })
    }
}

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;
const PATCH: MethodFilter = MethodFilter::PATCH;
const DELETE: MethodFilter = MethodFilter::DELETE;

/// Each with whether it takes a body.
const ROUTES: [(&str, MethodFilter, bool); 16] = [
    ("/api/v2/webhooks", GET, false),
    ("/api/v2/webhooks", POST, true),
    ("/api/v2/webhooks/events", GET, false),
    ("/api/v2/webhooks/events", PATCH, true),
    ("/api/v2/webhooks/events", DELETE, false),
    ("/api/v2/webhooks/{webhook_id}", GET, false),
    ("/api/v2/webhooks/{webhook_id}", PATCH, true),
    ("/api/v2/webhooks/{webhook_id}", DELETE, false),
    ("/api/v2/webhooks/{webhook_id}/rotate", POST, false),
    ("/api/v2/webhooks/{webhook_id}/ping", POST, false),
    ("/api/v2/schedules", GET, false),
    ("/api/v2/schedules", POST, true),
    ("/api/v2/schedules/{schedule_id}", GET, false),
    ("/api/v2/schedules/{schedule_id}", PATCH, true),
    ("/api/v2/schedules/{schedule_id}", DELETE, false),
    ("/api/v2/schedules/{schedule_id}/runs", GET, false),
];

/// Schedule commands, of which only `pause` looks at its body, which may be absent.
const SCHEDULE_COMMANDS: [&str; 3] = ["pause", "resume", "trigger"];

pub(crate) fn router() -> Router<App> {
    let mut router = Router::new();
    for (path, method, takes_body) in ROUTES {
        router = router.route(path, if takes_body { on(method, with_body) } else { on(method, without_body) });
    }
    for command in SCHEDULE_COMMANDS {
        let path = format!("/api/v2/schedules/{{schedule_id}}/{command}");
        router = router.route(&path, on(POST, without_body));
    }
    router.route("/mcp", axum::routing::any(mcp))
}

async fn with_body(AuthenticatedBody(_, input): AuthenticatedBody) -> Result<(), ApiError> {
    let decoder = Decoder::default();
    let id = path_id(&decoder, &input);
    let object = input.body::<AnyObject>(&decoder)?;
    decoder.finish((id, object))?;
    Err(unserved())
}

async fn without_body(Authenticated(_, input): Authenticated) -> Result<(), ApiError> {
    let decoder = Decoder::default();
    let id = path_id(&decoder, &input);
    decoder.finish(id)?;
    Err(unserved())
}

fn unserved() -> ApiError {
    not_served("this version of the server does not serve this route yet")
}

/// `hai mcp install` points here.
async fn mcp(_: Input) -> ApiError {
    not_served("this version of the server has no MCP endpoint yet; use the API under /api/v2")
}

fn not_served(message: &str) -> ApiError {
    Problem::typed(404, "not_implemented", message).into()
}

/// Where the path holds an id, it must be one.
fn path_id(decoder: &Decoder, input: &Input) -> Option<()> {
    // `events` is a listing, and no id of a webhook that could be changed or deleted.
    if input.path() == "/api/v2/webhooks/events" && input.method() != http::Method::GET {
        return decoder.path("webhook_id", "events", decode::scalars::uuid).map(drop);
    }
    for name in ["webhook_id", "schedule_id"] {
        let segment = input.variable(name);
        if !segment.is_empty() {
            decoder.path(name, segment, decode::scalars::uuid)?;
        }
    }
    Some(())
}
