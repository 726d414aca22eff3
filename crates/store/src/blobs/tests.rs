use super::{BlobName, Blobs, LINK_LIFE, Located, OpenBlobsError, ServedAs};
use bytes::Bytes;
use object_store::signer::{Method, SignedUrlOptions};
use quarterdeck_api::SessionId;
use uuid::Uuid;

const ANN: SessionId = SessionId(Uuid::from_u128(1));
const BOB: SessionId = SessionId(Uuid::from_u128(2));

fn name(session: SessionId, bucket: &str, key: &str) -> BlobName {
    BlobName::new(session, bucket, key).unwrap()
}

async fn check_place(blobs: &Blobs) {
    let (ann, bob) = (name(ANN, "attachments", "a/b.png"), name(BOB, "attachments", "a/b.png"));
    assert_eq!(blobs.get(&ann).await.unwrap(), None);
    blobs.put(&ann, Bytes::from_static(b"one")).await.unwrap();
    blobs.put(&ann, Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(blobs.get(&ann).await.unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(blobs.get(&bob).await.unwrap(), None);
    for absent in ["a", "a/b.png/c", "a/b.PNG.x"] {
        assert_eq!(blobs.get(&name(ANN, "attachments", absent)).await.unwrap(), None, "{absent}");
    }
    blobs.delete(&ann).await.unwrap();
    blobs.delete(&ann).await.unwrap();
    assert_eq!(blobs.get(&ann).await.unwrap(), None);
}

#[tokio::test]
async fn blobs_in_memory_read_back_until_they_are_deleted() {
    check_place(&Blobs::open("memory:", Vec::new()).unwrap()).await;
}

#[tokio::test]
async fn blobs_in_a_folder_read_back_until_they_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/new/folder", folder.path().display());
    check_place(&Blobs::open(&url, Vec::new()).unwrap()).await;
}

#[tokio::test]
async fn odd_names_stay_in_their_sessions_folder() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&format!("file://{}", folder.path().display()), Vec::new()).unwrap();
    for key in ["%2e%2e", "%2e%2e%2fx", "..\\x", "C:\\x", "CON", "a b", "ünï", "~", "*?", "a#1", "...", " "] {
        let blob = name(ANN, "b", key);
        blobs.put(&blob, Bytes::from_static(b"x")).await.unwrap();
        assert!(blobs.get(&blob).await.unwrap().is_some(), "{key}");
    }
    let entries: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, [std::ffi::OsString::from(ANN.to_string())]);
}

#[test]
fn names_that_could_lead_elsewhere_cannot_be_made() {
    for (bucket, key) in [
        ("", "x"),
        ("..", "x"),
        (".", "x"),
        ("a/b", "x"),
        ("a", ""),
        ("a", "/x"),
        ("a", "x/"),
        ("a", "x//y"),
        ("a", "../x"),
        ("a", "x/../../y"),
        ("a", "./x"),
        ("a", "x\0"),
        ("a", "x\ny"),
        ("a", &"x".repeat(256)),
        ("a", &"é".repeat(100)),
        ("a", &"x/".repeat(400)),
    ] {
        assert_eq!(BlobName::new(ANN, bucket, key), None, "{bucket:?} {key:?}");
    }
}

#[test]
fn a_bucket_of_s3_is_a_place_and_other_addresses_are_not() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let options = vec![("AWS_REGION".to_owned(), "eu-west-1".to_owned())];
    assert!(Blobs::open("s3://bucket/some/prefix", options).is_ok());
    for url in ["ftp://host/x", "/var/blobs", "", "http://host/bucket"] {
        assert!(matches!(Blobs::open(url, Vec::new()), Err(OpenBlobsError::UnknownUrl(_))), "{url}");
    }
}

const AS_IMAGE: ServedAs = ServedAs { content_type: "image/png", disposition: "inline" };

#[tokio::test]
async fn blobs_of_this_server_are_located_here() {
    let blobs = Blobs::in_memory();
    let blob = name(ANN, "attachments", "a.png");
    assert_eq!(blobs.locate(&blob, AS_IMAGE).await.unwrap(), None);
    blobs.put(&blob, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(blobs.locate(&blob, AS_IMAGE).await.unwrap(), Some(Located::Here(Bytes::from_static(b"x"))));
}

/// Without a network: signing needs none.
#[tokio::test]
async fn a_link_into_a_bucket_is_signed_for_one_blob_and_five_minutes() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = [("AWS_REGION", "eu-west-3"), ("AWS_ACCESS_KEY_ID", "AKIA1"), ("AWS_SECRET_ACCESS_KEY", "CANARY")];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let blobs = Blobs::open("s3://acme/below/this", options).unwrap();
    let path = blobs.path(&name(ANN, "attachments", "a b.png"));
    let signer = blobs.signer.clone().unwrap();
    let served = SignedUrlOptions::new().with_query([("response-content-disposition", "attachment")]);
    let link = signer.signed_url_opts(Method::GET, &path, LINK_LIFE, &served).await.unwrap();
    assert_eq!(link.scheme(), "https");
    assert!(link.host_str().unwrap().ends_with("eu-west-3.amazonaws.com"), "{link}");
    assert!(link.path().ends_with(&format!("/below/this/{ANN}/attachments/a%20b.png")), "{link}");
    let value = |key: &str| link.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
    assert_eq!(value("X-Amz-Expires").as_deref(), Some("300"));
    assert_eq!(value("response-content-disposition").as_deref(), Some("attachment"));
    assert_eq!(value("X-Amz-Signature").unwrap().len(), 64);
    assert!(value("X-Amz-Credential").unwrap().starts_with("AKIA1/"));
    assert!(!link.as_str().contains("CANARY"));
}
