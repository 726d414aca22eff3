//! What environments show, and the files that come out of them.

use crate::{
    fake::FakeProvider,
    world::{World, caller, other_caller},
};
use quarterdeck_api::{SessionId, Status};
use quarterdeck_engine::SubmitError;
use quarterdeck_store::{Located, ServedAs};
use serde_json::json;

#[tokio::test]
async fn calls_to_a_browser_run_in_turn_and_are_followed_by_one_look() {
    let world = World::new(FakeProvider::browser()).await;
    let id = world.create("@call quick\n@and quick\n@and quick\n@answer Done.", json!({})).await;
    world.until(id, Status::Completed).await;
    assert_eq!((world.provider.calls(), world.provider.overlaps(), world.provider.looks()), (3, 0, 2));
    let words = world.words(id).await;
    let of_step: Vec<&str> = words.iter().map(String::as_str).filter(|word| is_of_step(word)).collect();
    let sight = "observation_event";
    let results = "tool_result quick";
    // The opening, the first sight, then the calls; the sight after them before the last result.
    assert_eq!(of_step, [sight, sight, "policy_event", results, results, sight, results, "policy_event"], "{words:?}");
}

#[tokio::test]
async fn other_environments_run_calls_at_once_and_are_not_looked_at() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call quick\n@and quick\n@answer Done.", json!({})).await;
    world.until(id, Status::Completed).await;
    assert_eq!((world.provider.overlaps(), world.provider.looks()), (1, 0));
}

#[tokio::test]
async fn a_log_of_a_hundred_pictures_is_small_and_names_them_by_address() {
    let world = World::new(FakeProvider::browser()).await;
    let script = "@call quick\n".repeat(100) + "@answer Done.";
    let id = world.create(&script, json!({})).await;
    world.until(id, Status::Completed).await;
    let log = world.log_text(id).await;
    assert!(log.len() < 1 << 20, "{} bytes", log.len());
    assert!(!log.contains("base64"));
    let pictures = world.pictures(id).await;
    assert_eq!(pictures.len(), 101);
    assert_eq!(world.session(id).await.pictures, 101);
    for source in [&pictures[0], &pictures[100]] {
        let (bucket, key) = place(id, source);
        assert_eq!(bucket, "screenshots");
        let found = world.sessions.resource(Some(caller()), id, bucket, key, served).await.unwrap().unwrap();
        assert!(matches!(found, (Located::Here(bytes), _) if bytes.len() == 60_000));
        for other in [Some(other_caller()), None] {
            let refused = world.sessions.resource(other, id, bucket, key, served).await.err().unwrap();
            assert!(matches!(refused, SubmitError::NotFound(_)), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_picture_that_a_call_shows_is_kept_as_well() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call picture\n@answer Done.", json!({})).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.pictures(id).await.len(), 1);
    assert!(!world.log_text(id).await.contains("base64"));
}

#[tokio::test]
async fn a_file_that_a_call_brings_becomes_a_resource() {
    let world = World::new(FakeProvider::browser()).await;
    let id = world.create("@call download\n@answer Done.", json!({})).await;
    world.until(id, Status::Completed).await;
    assert_eq!((world.count(id, "FileTransferEvent").await, world.count(id, "AttachmentEvent").await), (1, 1));
    let files = world.provider.contexts()[0].files.clone();
    let file = files.read("bill.pdf").await.unwrap().unwrap();
    assert_eq!((&file.bytes[..], file.media_type.as_str()), (&b"%PDF"[..], "application/pdf"));
    assert_eq!(files.read("other.pdf").await.unwrap(), None);
}

fn is_of_step(word: &str) -> bool {
    ["observation_event", "policy_event", "tool_result quick"].contains(&word)
}

fn place(id: SessionId, source: &str) -> (&str, &str) {
    let rest = source.strip_prefix(&format!("/api/v2/sessions/{id}/resources/")).unwrap();
    rest.split_once('/').unwrap()
}

fn served(content_type: &'static str) -> ServedAs {
    ServedAs { content_type, disposition: "inline" }
}
