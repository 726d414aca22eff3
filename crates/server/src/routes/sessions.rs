//! Creating, reading and ending sessions.

use crate::{
    App,
    authentication::{Authenticated, AuthenticatedBody, MaybeAuthenticated},
    error::ApiError,
    input::Input,
    public_url::Base,
    test_api::{Audience, CreatedSession},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use quarterdeck_api::{
    Decoder, ErrorBody, Event, EventOrder, EventsQuery, Owner, Page, QuotaScope, QuotaStatus, Session, SessionFigures,
    SessionId, SessionListQuery, SessionOrder, SessionRequest, SessionStatus, SessionSummary, TokenQuotaStatus, Tokens,
    mask,
};
use quarterdeck_core::Command;
use quarterdeck_engine::{Created, IdempotencyKey, Preparation, Repeatable};
use quarterdeck_store::{Caller, EventFilter, SessionFilter, SessionRecord, SummaryRow};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Creates a session and starts it, or queues it until its organization has a slot free.
#[utoipa::path(post, path = "/api/v2/sessions", tag = "sessions", operation_id = "create_session",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        description = "The same key and body answer with the same session for 24 hours.")),
    request_body = SessionRequest,
    responses(
        (status = 201, description = "Created.", body = Session),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "This server does not let the session have one of its environments.",
            body = ErrorBody),
        (status = 404, description = "Unknown agent or parent session.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody),
        (status = 429, description = "The organization has no slot free, and `queue` is false or the queue is full.",
            body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Response, ApiError> {
    let decoder = Decoder::default();
    let key = decoder.idempotency_key(input.headers().get("idempotency-key").map(http::HeaderValue::as_bytes));
    let request = input.body::<SessionRequest>(&decoder)?;
    let (key, request) = decoder.finish((key, request))?;
    let key = key.map(|key| IdempotencyKey {
        key: key.as_str().to_owned(),
        request_hash: Sha256::digest(input.body_bytes()).into(),
    });
    let audience = Audience::of(&app, caller, &request, &input).await?;
    let base = app.base(&input);
    let render = |record: &SessionRecord| to_json(&session_view(record, base.as_str()));
    let mut created = None;
    let is_played = audience.as_ref().and_then(Audience::cast).is_some_and(|cast| cast.is_recording());
    let json = match app.sessions.prepare_as(caller, request, key.as_ref(), is_played).await? {
        Preparation::Replayed(json) => base.in_answer(json),
        Preparation::New(prepared) => {
            let prepared = match audience.as_ref().and_then(Audience::cast) {
                Some(cast) => prepared.cast_as(&cast),
                None => prepared,
            };
            let repeatable = key.map(|key| Repeatable {
                key,
                started: render(prepared.started()),
                queued: prepared.queued().map(render),
            });
            match app.sessions.admit(*prepared, repeatable).await? {
                Created::New(record) => {
                    created = Some(record.session.id);
                    base.in_text(render(&record), record.session.id)
                }
                Created::Replayed(json) => base.in_answer(json),
            }
        }
    };
    let mut response = (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], json).into_response();
    if let (Some(audience), Some(id)) = (audience, created) {
        audience.created(id);
        response.extensions_mut().insert(CreatedSession(id));
    }
    Ok(response)
}

/// Lists sessions, newest first.
#[utoipa::path(get, path = "/api/v2/sessions", tag = "sessions", operation_id = "list_sessions",
    params(
        ("owner" = inline(Option<Owner>), Query, description = "Whose sessions."),
        ("status" = Option<Vec<quarterdeck_api::Status>>, Query, description = "In any of these statuses."),
        ("agent" = Option<Vec<String>>, Query, description = "Of any of these catalog agents."),
        ("group_id" = Option<String>, Query, description = "With this label."),
        ("parent_session_id" = Option<String>, Query, description = "Working for this session."),
        ("schedule_id" = Option<uuid::Uuid>, Query, description = "Started by this schedule."),
        ("search" = Option<String>, Query, description = "With this text in the first message or the answer."),
        ("created_before" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Accepted before."),
        ("created_after" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Accepted after."),
        ("finished_before" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Ended before."),
        ("finished_after" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Ended after."),
        ("include" = Option<String>, Query,
            description = "`summary`: each entry also says `steps`, `tokens` (`input`, `output`), `outcome`, \
                `error_code`, `group_id` and `parent_session_id`."),
        ("page" = Option<u64>, Query, minimum = 1, description = "The page, from 1."),
        ("size" = Option<u64>, Query, minimum = 1, maximum = 100, description = "Entries on a page; 10 when absent."),
        ("sort" = inline(Option<Vec<SessionOrder>>), Query, description = "`created_at` or `-created_at`, the default.")),
    responses(
        (status = 200, description = "A page of sessions.", body = Page<SessionSummary>,
            headers(("ETag" = String, description = "Names what the page says."))),
        (status = 304, description = "The page that `If-None-Match` names says the same."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<Json<Page<ListedSession>>, ApiError> {
    let decoder = Decoder::default();
    let query = input.parameters::<SessionListQuery>(&decoder);
    let query = decoder.finish(query)?;
    let page = query.paging.page;
    let with_figures = query.include_summary;
    let Some(filter) = session_filter(caller, query) else {
        return Ok(Json(Page { items: Vec::new(), total: 0, page }));
    };
    let listing = app.sessions.list(caller, filter).await?;
    let base = app.base(&input);
    let view = |row: SummaryRow| ListedSession {
        figures: with_figures.then(|| figures(&row)),
        session: summary_view(row, &base),
    };
    let items = listing.items.into_iter().map(view).collect();
    Ok(Json(Page { items, total: listing.total, page }))
}

/// A session in a listing.
#[derive(Serialize)]
pub(crate) struct ListedSession {
    #[serde(flatten)]
    session: SessionSummary,
    /// Only when they were asked for: some clients refuse what they do not know.
    #[serde(flatten)]
    figures: Option<SessionFigures>,
}

fn figures(row: &SummaryRow) -> SessionFigures {
    let session = &row.session;
    SessionFigures {
        steps: signed(session.steps),
        tokens: Tokens::of(&session.usage),
        outcome: session.outcome,
        error_code: session.error_code(),
        group_id: row.group_id.clone(),
        parent_session_id: row.parent,
    }
}

/// None when nothing can match: no session has such a parent, or was started by a schedule.
fn session_filter(caller: Caller, query: SessionListQuery) -> Option<SessionFilter> {
    if query.schedule_id.is_some() {
        return None;
    }
    let parent = match &query.parent_session_id {
        Some(text) => Some(text.parse::<SessionId>().ok()?),
        None => None,
    };
    let user = match query.owner {
        Owner::Me | Owner::MeInOrganization => Some(caller.user),
        Owner::Organization | Owner::MeOrOrganization => None,
    };
    Some(SessionFilter {
        user,
        statuses: query.status,
        agents: query.agent,
        group_id: query.group_id,
        parent,
        search: query.search,
        created_before: query.created_before,
        created_after: query.created_after,
        finished_before: query.finished_before,
        finished_after: query.finished_after,
        ascending: query.sort.first().is_some_and(|sort| !sort.descending),
        offset: signed(query.paging.offset()),
        limit: signed(query.paging.size),
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many sessions may run, and do.
#[utoipa::path(get, path = "/api/v2/sessions/quota", tag = "sessions", operation_id = "get_session_quota", responses(
    (status = 200, description = "The organization's quota.", body = QuotaStatus),
    (status = 401, description = "No key, or one that does not work.", body = ErrorBody)))]
pub(crate) async fn quota(
    State(app): State<App>,
    Authenticated(caller, _): Authenticated,
) -> Result<Json<QuotaStatus>, ApiError> {
    let quota = app.sessions.quota(caller).await?;
    let (limit, active) = (signed(quota.limit), signed(quota.active));
    let by_status = quota.by_status.into_iter().map(|(status, count)| (status, signed(count))).collect();
    Ok(Json(QuotaStatus { scope: QuotaScope::Org, limit, active, available: (limit - active).max(0), by_status }))
}

/// Tokens that may be used: without a limit, and not counted.
#[utoipa::path(get, path = "/api/v2/quota/tokens", tag = "sessions", operation_id = "get_token_quota", responses(
    (status = 200, description = "The organization's budget of tokens.", body = TokenQuotaStatus),
    (status = 401, description = "No key, or one that does not work.", body = ErrorBody)))]
pub(crate) async fn token_quota(_: Authenticated) -> Json<TokenQuotaStatus> {
    let window_start = chrono::DateTime::UNIX_EPOCH;
    Json(TokenQuotaStatus { limit: None, used: None, remaining: None, window_start, window_end: None })
}

/// `quota` is no id: this answers as [`cancel`] does for any other word. Undocumented, as for any other word.
pub(crate) async fn cancel_named_quota(_: Authenticated) -> Result<StatusCode, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id("quota");
    decoder.finish(id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A session, with its request.
#[utoipa::path(get, path = "/api/v2/sessions/{id}", tag = "sessions", operation_id = "get_session", security((), ("key" = [])),
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 200, description = "The session.", body = Session),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Json<Session>, ApiError> {
    let id = session_id(&input)?;
    let record = app.sessions.record(caller, id).await?;
    let base = app.base(&input);
    let view = session_view(&record, base.as_str());
    Ok(Json(Session { request: base.in_value(view.request, id), ..view }))
}

/// Where a session stands.
#[utoipa::path(get, path = "/api/v2/sessions/{id}/status", tag = "sessions", operation_id = "get_session_status", security((), ("key" = [])),
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 200, description = "Where it stands.", body = SessionStatus),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn status(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Json<SessionStatus>, ApiError> {
    let id = session_id(&input)?;
    Ok(Json(app.sessions.session(caller, id).await?.status_record()))
}

/// Cancels a session, for good. Cancelling an ended one changes nothing.
#[utoipa::path(delete, path = "/api/v2/sessions/{id}", tag = "sessions", operation_id = "cancel_session",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 204, description = "Cancelled."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<StatusCode, ApiError> {
    let id = session_id(&input)?;
    app.sessions.submit(caller, id, Command::Cancel).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pages through a session's events.
#[utoipa::path(get, path = "/api/v2/sessions/{id}/events", tag = "sessions", operation_id = "list_session_events", security((), ("key" = [])),
    params(
        ("id" = SessionId, Path, description = "The session."),
        ("page" = Option<u64>, Query, minimum = 1, description = "The page, from 1."),
        ("size" = Option<u64>, Query, minimum = 1, maximum = 200, description = "Events on a page; 50 when absent."),
        ("sort" = inline(Option<Vec<EventOrder>>), Query, description = "`timestamp`, the default, or `-timestamp`."),
        ("type" = Option<String>, Query, description = "Only events of this type.")),
    responses(
        (status = 200, description = "A page of events.", body = Page<Event>),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn events(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Json<Page<Arc<RawValue>>>, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    let query = input.parameters::<EventsQuery>(&decoder);
    let (id, query) = decoder.finish((id, query))?;
    let filter = EventFilter {
        type_name: query.event_type,
        descending: query.sort.first().is_some_and(|sort| sort.descending),
        offset: signed(query.paging.offset()),
        limit: signed(query.paging.size),
    };
    let listing = app.sessions.events(caller, id, filter).await?;
    let items = app.base(&input).in_events(listing.items, id);
    Ok(Json(Page { items, total: listing.total, page: query.paging.page }))
}

/// The path's session.
pub(crate) fn session_id(input: &Input) -> Result<SessionId, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    Ok(decoder.finish(id)?)
}

/// How a session reads to its owner: secrets masked.
pub(crate) fn session_view(record: &SessionRecord, base: &str) -> Session {
    let session = &record.session;
    #[expect(clippy::expect_used, reason = "only strings are keys, so a request always serializes")]
    let request = to_raw_value(&mask::session_request(&record.request)).expect("a request serializes");
    Session {
        id: session.id,
        request,
        status: session.status_record(),
        agent_revision: record.agent_revision,
        agent_view_url: agent_view_url(session.id, base),
        latest_answer: session.answer.clone(),
        created_at: session.created_at,
        started_at: session.started_at,
        finished_at: session.finished_at,
    }
}

fn summary_view(row: SummaryRow, base: &Base) -> SessionSummary {
    let session = row.session;
    SessionSummary {
        id: session.id,
        agent: Some(row.agent),
        agent_revision: row.agent_revision,
        status: session.state.status(),
        agent_view_url: agent_view_url(session.id, base.as_str()),
        first_message: row.first_message.map(|message| base.in_value(message, session.id)),
        created_at: session.created_at,
        started_at: session.started_at,
        finished_at: session.finished_at,
        last_activity_at: Some(session.last_activity_at),
        anonymized_at: None,
    }
}

/// Where a session can be watched: nowhere when the page is left out.
fn agent_view_url(id: SessionId, base: &str) -> Option<String> {
    cfg!(feature = "agent-view").then(|| format!("{base}/agent-view/{id}"))
}

pub(crate) fn to_json(session: &Session) -> String {
    #[expect(clippy::expect_used, reason = "only strings are keys, so a session always serializes")]
    serde_json::to_string(session).expect("a session serializes")
}
