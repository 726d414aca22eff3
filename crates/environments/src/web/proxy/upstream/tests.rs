use super::*;
use tokio::net::TcpListener;

#[test]
fn addresses_of_proxies_are_read_and_others_are_refused() {
    for (address, speech, host, port) in [
        ("http://proxy.example:3128", Speech::Connect, "proxy.example", 3_128),
        ("http://proxy.example", Speech::Connect, "proxy.example", 80),
        ("https://proxy.example", Speech::ConnectOverTls, "proxy.example", 443),
        ("socks5://10.0.0.1", Speech::Socks5, "10.0.0.1", 1_080),
        ("socks5h://u:p@0x7f.1:9", Speech::Socks5, "127.0.0.1", 9),
        ("socks5://[::1]:1", Speech::Socks5, "[::1]", 1),
    ] {
        let read = Upstream::parse(address).unwrap();
        assert_eq!((read.speech, read.host(), read.port()), (speech, host, port), "{address}");
        assert!(read.url().is_ok(), "{address}");
    }
    for wrong in ["socks4://x:1", "ftp://x", "nope", "http://", "socks5://", "socks5:x", "socks5://a b:1"] {
        assert!(Upstream::parse(wrong).is_err(), "{wrong}");
    }
    let long = format!("socks5://u:{}@x", "p".repeat(256));
    assert!(Upstream::parse(&long).unwrap_err().contains("255"));
}

#[tokio::test]
async fn socks_asks_with_its_credentials_for_the_name() {
    let (asked, answer) =
        by_socks("socks5://user:p%40ss@", &[5, 2], &[&[1, 0], &[5, 0, 0, 1, 1, 2, 3, 4, 0, 9, b'h', b'i']]).await;
    let expected = [
        &[5, 2, 0, 2][..],
        &[1, 4, b'u', b's', b'e', b'r', 4, b'p', b'@', b's', b's'],
        &[5, 1, 0, 3, 7],
        b"example",
        &[0, 80],
    ];
    assert_eq!((asked, answer), (expected.concat(), Ok("hi".to_owned())));
}

#[tokio::test]
async fn what_a_socks_proxy_refuses_is_said() {
    for (chosen, then, said) in [
        (&[5, 255][..], &[][..], "wants other credentials"),
        (b"HT", &[], "does not speak SOCKS 5"),
        (&[5, 0], &[&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0][..]], "does not allow this"),
        (&[5, 0], &[&[5, 5, 0, 3, 1, b'x', 0, 0]], "refused to connect"),
        (&[5, 0], &[&[5, 0, 0, 9]], "does not speak SOCKS 5"),
        (&[5, 0], &[&[5]], "hung up"),
    ] {
        let (_, answer) = by_socks("socks5://", chosen, then).await;
        assert_eq!(answer, Err(said.to_owned()), "{chosen:?} {then:?}");
    }
}

#[tokio::test]
async fn a_proxy_over_tls_is_one_whose_certificate_is_known() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(hello[..2], [22, 3], "it begins with a handshake of TLS");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let upstream = Upstream::parse(&format!("https://{address}")).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let refused = upstream.tunnel(stream, &Host::Domain("example".into()), 80).await.map(drop).unwrap_err();
    assert!(refused.contains("does not speak TLS as it should"), "{refused}");
}

/// Asks a proxy that answers so for `example:80`. Returns what it was asked, and what came through the tunnel.
async fn by_socks(address: &str, chosen: &'static [u8], then: &[&'static [u8]]) -> (Vec<u8>, Result<String, String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answers: Vec<&[u8]> = std::iter::once(chosen).chain(then.iter().copied()).collect();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        for answer in answers {
            let mut part = [0; 512];
            let read = stream.read(&mut part).await.unwrap();
            asked.extend(&part[..read]);
            stream.write_all(answer).await.unwrap();
        }
        asked
    });
    let upstream = Upstream::parse(&format!("{address}{at}")).unwrap();
    let stream = TcpStream::connect(at).await.unwrap();
    let answer = match upstream.tunnel(stream, &Host::Domain("example".into()), 80).await {
        Ok(mut tunnel) => {
            let mut text = String::new();
            tunnel.read_to_string(&mut text).await.unwrap();
            Ok(text)
        }
        Err(refused) => Err(refused),
    };
    (serving.await.unwrap(), answer)
}
