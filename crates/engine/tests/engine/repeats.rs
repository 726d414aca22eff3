//! Creations that are repeated under their idempotency key.

use crate::{
    runner::FakeRunner,
    world::{World, caller, request},
};
use chrono::DateTime;
use quarterdeck_api::{Agent, IfMatch};
use quarterdeck_engine::{CreateError, Created, IdempotencyKey, Preparation, Repeatable};
use quarterdeck_store::NewOrganization;
use serde_json::json;

/// The client never heard of the first one.
#[tokio::test]
async fn a_repeated_creation_is_answered_as_the_first_whatever_became_of_its_agent() {
    let world = World::new(FakeRunner::doing([])).await;
    let acme = NewOrganization {
        id: caller().organization.0,
        name: "acme".into(),
        limit: None,
        created_at: DateTime::UNIX_EPOCH,
    };
    world.store.create_organization(acme).await.unwrap();
    let catalog = world.sessions.catalog();
    let agent = json!({"name": "short-lived", "description": "Goes.", "environments": ["h/web-environment"]});
    catalog.create::<Agent>(caller(), serde_json::from_value(agent).unwrap(), None).await.unwrap();
    let Ok(Created::New(first)) = create(&world, 1).await else { panic!("it is new") };
    catalog.delete::<Agent>(caller(), "short-lived", IfMatch::Any).await.unwrap();

    let repeated = create(&world, 1).await;
    assert!(matches!(repeated, Ok(Created::Replayed(id)) if id == first.session.id.to_string()));
    assert!(matches!(create(&world, 2).await, Err(CreateError::KeyReused)), "another body");
}

async fn create(world: &World, body: u8) -> Result<Created, CreateError> {
    let key = IdempotencyKey { key: "key".into(), request_hash: [body; 32] };
    let request = request(json!({"agent": "short-lived"}));
    let prepared = match world.sessions.prepare(caller(), request, Some(&key)).await? {
        Preparation::New(prepared) => prepared,
        Preparation::Replayed(answer) => return Ok(Created::Replayed(answer)),
    };
    let answer = prepared.started().session.id.to_string();
    world.sessions.admit(*prepared, Some(Repeatable { key, started: answer, queued: None })).await
}
