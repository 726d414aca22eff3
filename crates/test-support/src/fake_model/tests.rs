use super::*;

#[tokio::test]
async fn a_connection_serves_several_requests() -> anyhow::Result<()> {
    let model = FakeModel::start().await?;
    model.then(Behaviour::call("look", json!({"at": 1}))).then(Behaviour::busy(3));
    let mut client = Client::connect(&model).await?;
    assert_eq!(client.ask("{\"model\": \"m\"}").await?.0, "HTTP/1.1 200 Fake");
    let (status, rest) = client.ask("{}").await?;
    assert_eq!(status, "HTTP/1.1 429 Fake");
    assert!(rest.contains("retry-after: 3"), "{rest}");
    let (_, rest) = client.ask("not JSON").await?;
    assert!(rest.contains("\"content\":\"Done.\""), "{rest}");
    assert_eq!(model.served(), 3);
    let requests = model.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!((&requests[0].body["model"], &requests[2].body), (&json!("m"), &Value::Null));
    assert_eq!(requests[0].header("host"), Some("h"));
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() -> anyhow::Result<()> {
    let model = FakeModel::start().await?;
    model.otherwise(Behaviour::Silence);
    let mut client = Client::connect(&model).await?;
    client.send("{}").await?;
    model.wait_for_requests(1).await;
    drop(client);
    model.wait_for_abandoned(1).await;
    assert_eq!(model.served(), 0);
    Ok(())
}

#[tokio::test]
async fn a_broken_reply_ends_before_its_length() -> anyhow::Result<()> {
    let model = FakeModel::start().await?;
    model.then(Behaviour::CutOff);
    let mut client = Client::connect(&model).await?;
    client.send("{}").await?;
    let mut all = String::new();
    client.stream.read_to_string(&mut all).await?;
    assert!(all.starts_with("HTTP/1.1 200") && !all.ends_with('}'), "{all}");
    Ok(())
}

#[tokio::test]
async fn dropping_it_closes_its_connections() -> anyhow::Result<()> {
    let model = FakeModel::start().await?;
    let mut client = Client::connect(&model).await?;
    client.ask("{}").await?;
    drop(model);
    assert!(matches!(client.stream.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    Ok(())
}

struct Client {
    stream: TcpStream,
}

impl Client {
    async fn connect(model: &FakeModel) -> anyhow::Result<Self> {
        Ok(Self { stream: TcpStream::connect(model.address).await? })
    }

    async fn send(&mut self, body: &str) -> anyhow::Result<()> {
        let length = body.len();
        let request =
            format!("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}");
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// The status line, and the rest of the answer.
    async fn ask(&mut self, body: &str) -> anyhow::Result<(String, String)> {
        self.send(body).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            anyhow::ensure!(self.stream.read_buf(&mut answer).await? > 0, "the answer ended early");
        }
        let answer = String::from_utf8(answer)?;
        let (status, rest) = answer.split_once("\r\n").unwrap_or_default();
        Ok((status.to_owned(), rest.to_owned()))
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    length == Some(body.len())
}
