//! Around every request of a server in test mode: it is noted, and goes wrong where somebody asked for that.

use super::{
    CreatedSession, TestBed,
    casting::is_secret,
    faults::{self, Asked},
    journal::{BODY_MAX, Entry},
};
use crate::{App, around::Rest, authentication::bearer, connection::Connection, error::ApiError, keys::key_hash};
use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use quarterdeck_api::{OrganizationId, Problem};
use quarterdeck_engine::Clock;
use quarterdeck_scenario::{Cut, FaultDeed as Deed};
use std::sync::Arc;
use tokio::time::sleep;

/// Where the routes of tests are: no test is about them.
pub(super) const PREFIX: &str = "/_test/";

pub(crate) async fn around(app: &App, bed: Arc<TestBed>, request: Request, rest: Rest) -> Response {
    if request.uri().path().starts_with(PREFIX) {
        return rest.run(request).await;
    }
    let Some(world) = world_of(app, request.headers()).await else { return rest.run(request).await };
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, app.settings.body_max + 1).collect().await else {
        return ApiError::from(Problem::too_large("the body is too large, or did not arrive whole")).into_response();
    };
    let body = body.to_bytes();
    let mut entry = entry(&bed, &parts, &body);
    let connection = parts.extensions.get::<Connection>().cloned().unwrap_or_default();
    let clock = Arc::clone(&bed.clock);
    let drawn = |what: &str| clock.drawn(world, what).unwrap_or_default();
    let struck = bed.world(world, |world| {
        let asked = Asked {
            operation: entry.operation.as_deref(),
            method: parts.method.as_str(),
            session: entry.session.as_deref(),
            headers: &parts.headers,
        };
        faults::struck(&mut world.rules, &asked, drawn)
    });
    entry.fault = struck.as_ref().map(|(id, _)| *id);
    let note = Note { bed, world, entry: Some(entry) };
    let mut parts = parts;
    if struck.is_some() {
        // What is spoiled is counted in bytes of the answer itself.
        parts.headers.remove(header::ACCEPT_ENCODING);
    }
    let request = Request::from_parts(parts, Body::from(body));
    match struck {
        None => note.of(rest.run(request).await),
        Some((_, deed)) => struck_by(&deed, note, request, rest, connection).await,
    }
}

async fn struck_by(deed: &Deed, note: Note, request: Request, rest: Rest, connection: Connection) -> Response {
    match deed {
        Deed::Status { status, retry_after } => note.of(faults::refusal(*status, *retry_after)),
        Deed::Cut(Cut::Headers) => {
            drop(note);
            faults::cut(&connection).await
        }
        Deed::Lost => {
            drop(note.of(rest.run(request).await));
            faults::cut(&connection).await
        }
        Deed::Delay(time) => {
            sleep(*time).await;
            note.of(rest.run(request).await)
        }
        Deed::Hold(time) => {
            let response = rest.run(request).await;
            sleep(*time).await;
            note.of(response)
        }
        Deed::Cut(Cut::Body) | Deed::Drip(_) | Deed::Truncate(_) | Deed::Garbage | Deed::CloseIdle => {
            let response = note.of(rest.run(request).await);
            faults::spoiled(response, deed, connection).await
        }
    }
}

/// The world of a key. Who has none is answered as always, and is in nobody's journal.
async fn world_of(app: &App, headers: &HeaderMap) -> Option<OrganizationId> {
    let key = bearer(headers.get(header::AUTHORIZATION)?.as_bytes())?;
    let caller = app.keys.caller(key_hash(key)).await.ok()??;
    Some(caller.organization)
}

fn entry(bed: &TestBed, parts: &http::request::Parts, body: &[u8]) -> Entry {
    let template = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().replace("{*", "{"));
    let operation = template
        .as_ref()
        .and_then(|template| bed.operations.get(&(parts.method.as_str().to_owned(), template.clone())));
    let is_of_session = template.as_deref().is_some_and(|template| template.starts_with("/api/v2/sessions/{id}"));
    let session = parts.uri.path().split('/').nth(4).filter(|_| is_of_session);
    let kept = body.get(..BODY_MAX).unwrap_or(body);
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = if is_secret(name.as_str()) { "***".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        (name.as_str().to_owned(), value.into_owned().into())
    });
    Entry {
        number: 0,
        at: bed.clock.now(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        operation: operation.cloned(),
        session: session.map(str::to_ascii_lowercase),
        scenario: None,
        headers: headers.collect(),
        body: String::from_utf8_lossy(kept).into_owned(),
        body_cut: kept.len() < body.len(),
        status: None,
        fault: None,
    }
}

/// What will stand in the journal, also when the client goes away before its answer.
struct Note {
    bed: Arc<TestBed>,
    world: OrganizationId,
    entry: Option<Entry>,
}

impl Note {
    fn of(mut self, response: Response) -> Response {
        if let Some(entry) = &mut self.entry {
            entry.status = Some(response.status().as_u16());
            if let Some(CreatedSession(id)) = response.extensions().get() {
                entry.session = Some(id.to_string());
            }
        }
        response
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        self.bed.world(self.world, |world| {
            let session = entry.session.as_ref().and_then(|session| session.parse().ok());
            entry.scenario = session.and_then(|session| world.casts.get(&session).cloned());
            world.journal.add(entry);
        });
    }
}
