use super::{BlobClass, BlobName, Blobs, LINK_TTL, Located, OpenBlobsError, PutError, ServedAs};
use bytes::Bytes;
use object_store::signer::{Method, SignedUrlOptions};
use quarterdeck_api::SessionId;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use uuid::Uuid;

const ANN: SessionId = SessionId(Uuid::from_u128(1));
const BOB: SessionId = SessionId(Uuid::from_u128(2));

fn name(session: SessionId, class: BlobClass, key: &str) -> BlobName {
    BlobName::new(session, class, key).unwrap()
}

async fn check_place(blobs: &Blobs) {
    let (ann, bob) = (name(ANN, BlobClass::Attachments, "a/b.png"), name(BOB, BlobClass::Attachments, "a/b.png"));
    assert_eq!(blobs.get(&ann).await.unwrap(), None);
    blobs.put(&ann, Bytes::from_static(b"one")).await.unwrap();
    blobs.put(&ann, Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(blobs.get(&ann).await.unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(blobs.get(&bob).await.unwrap(), None);
    for absent in ["a", "a/b.png/c", "a/b.PNG.x"] {
        assert_eq!(blobs.get(&name(ANN, BlobClass::Attachments, absent)).await.unwrap(), None, "{absent}");
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

fn places() -> [(tempfile::TempDir, Blobs); 2] {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    [(tempfile::tempdir().unwrap(), Blobs::in_memory()), (folder, Blobs::open(&url, Vec::new()).unwrap())]
}

#[tokio::test]
async fn a_stream_is_stored_whole_or_not_at_all() {
    for (folder, blobs) in places() {
        let (long, empty) = (name(ANN, BlobClass::Files, "long"), name(ANN, BlobClass::Files, "empty"));
        // More than two parts, and not a whole number of them.
        let bytes: Vec<u8> = (0..20_000_001_u32).map(|number| number.to_le_bytes()[0]).collect();
        assert_eq!(blobs.put_stream(&long, &bytes[..]).await.unwrap(), 20_000_001);
        assert_eq!(blobs.get(&long).await.unwrap().unwrap(), bytes);
        assert_eq!(blobs.put_stream(&empty, &b""[..]).await.unwrap(), 0);
        assert_eq!(blobs.get(&empty).await.unwrap().unwrap().len(), 0);

        let broken = name(ANN, BlobClass::Files, "broken");
        let source = (&bytes[..9_000_000]).chain(Breaking);
        assert!(matches!(blobs.put_stream(&broken, source).await, Err(PutError::Source(_))));
        assert_eq!(blobs.get(&broken).await.unwrap(), None);
        let names = blobs.list(ANN, None).await.unwrap();
        assert!(names.len() == 2 && names.contains(&(long, 20_000_001)) && names.contains(&(empty, 0)), "{names:?}");
        drop(folder);
    }
}

/// A source that fails when it is read.
struct Breaking;

impl AsyncRead for Breaking {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::Error::other("gone")))
    }
}

#[tokio::test]
async fn what_lies_below_a_session_or_a_class_of_it_is_listed_and_removed() {
    for (folder, blobs) in places() {
        let [picture, file, deep] = [
            name(ANN, BlobClass::Screenshots, "a.jpg"),
            name(ANN, BlobClass::Files, "a.pdf"),
            name(ANN, BlobClass::Files, "b/c d.pdf"),
        ];
        let other = name(BOB, BlobClass::Files, "a.pdf");
        for blob in [&picture, &file, &deep, &other] {
            blobs.put(blob, Bytes::from_static(b"12345")).await.unwrap();
        }
        let mut files = blobs.list(ANN, Some(BlobClass::Files)).await.unwrap();
        files.sort_by_key(|(name, _)| name.0.to_string());
        assert_eq!(files, [(file.clone(), 5), (deep, 5)]);
        assert_eq!(blobs.delete_below(ANN, Some(BlobClass::Screenshots)).await.unwrap(), 1);
        assert_eq!((blobs.get(&picture).await.unwrap(), blobs.list(ANN, None).await.unwrap().len()), (None, 2));
        assert_eq!(blobs.delete_below(ANN, None).await.unwrap(), 2);
        assert_eq!(blobs.delete_below(ANN, None).await.unwrap(), 0);
        assert!(blobs.list(ANN, None).await.unwrap().is_empty());
        assert_eq!(blobs.list(BOB, None).await.unwrap(), [(other, 5)]);
        drop(folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_blob_that_is_deleted_gets_all_of_it_or_nothing() {
    for (folder, blobs) in places() {
        let blob = name(ANN, BlobClass::Files, "large");
        let bytes = Bytes::from(vec![7; 4 << 20]);
        for _ in 0..20 {
            blobs.put(&blob, bytes.clone()).await.unwrap();
            let (reader, name) = (blobs.clone(), blob.clone());
            let reading = tokio::spawn(async move { reader.get(&name).await });
            blobs.delete_below(ANN, None).await.unwrap();
            let read = reading.await.unwrap().unwrap();
            assert!(read.is_none_or(|read| read == bytes));
        }
        drop(folder);
    }
}

#[tokio::test]
async fn odd_names_stay_in_their_sessions_folder() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&format!("file://{}", folder.path().display()), Vec::new()).unwrap();
    for key in ["%2e%2e", "%2e%2e%2fx", "..\\x", "C:\\x", "CON", "a b", "ünï", "~", "*?", "a#1", "...", " "] {
        let blob = name(ANN, BlobClass::Files, key);
        blobs.put(&blob, Bytes::from_static(b"x")).await.unwrap();
        assert!(blobs.get(&blob).await.unwrap().is_some(), "{key}");
    }
    let entries: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, [std::ffi::OsString::from(ANN.to_string())]);
}

#[test]
fn names_that_could_lead_elsewhere_cannot_be_made() {
    for key in [
        "",
        "/x",
        "x/",
        "x//y",
        "../x",
        "x/../../y",
        "./x",
        "x\0",
        "x\ny",
        &"x".repeat(256),
        &"é".repeat(100),
        &"x/".repeat(400),
    ] {
        assert_eq!(BlobName::new(ANN, BlobClass::Files, key), None, "{key:?}");
    }
    for folder in ["", ".", "..", "a/b", "Files", "files/"] {
        assert_eq!(BlobClass::named(folder), None, "{folder:?}");
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
    let blob = name(ANN, BlobClass::Attachments, "a.png");
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
    let path = blobs.path(&name(ANN, BlobClass::Attachments, "a b.png"));
    let signer = blobs.signer.clone().unwrap();
    let served = SignedUrlOptions::new().with_query([("response-content-disposition", "attachment")]);
    let link = signer.signed_url_opts(Method::GET, &path, LINK_TTL, &served).await.unwrap();
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
