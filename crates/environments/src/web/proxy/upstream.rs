//! A proxy that a session wants its browser to use: spoken to by CONNECT, in the clear or over TLS, or by SOCKS 5.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, crypto, pki_types::ServerName},
};
use url::{Host, Url};

/// Bytes of what a proxy answers to CONNECT.
const ANSWER_MAX_BYTES: usize = 16 * 1024;
/// Bytes of a name, of a user and of a password, as SOCKS has room for.
const SOCKS_TEXT_MAX: usize = 255;

/// A connection to the outside.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Connect,
    ConnectOverTls,
    Socks5,
}

/// The proxy of a session: `http://`, `https://` or `socks5://[user:password@]host:port`.
#[derive(Clone)]
pub(crate) struct Upstream {
    speech: Speech,
    host: String,
    port: u16,
    user: Option<(String, String)>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("speech", &self.speech).field("host", &self.host).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Reads the address of a proxy. The fault names no secret.
    ///
    /// # Errors
    /// A sentence for the session's owner.
    pub(crate) fn parse(address: &str) -> Result<Self, String> {
        let url = Url::parse(address).map_err(|_| "it is no address".to_owned())?;
        let (speech, usual_port) = match url.scheme() {
            "http" => (Speech::Connect, 80),
            "https" => (Speech::ConnectOverTls, 443),
            "socks5" | "socks5h" => (Speech::Socks5, 1_080),
            _ => return Err("this server speaks to proxies by http://, https:// and socks5://".into()),
        };
        // The host of a scheme that is not the web's is a name to the parser, whatever it is.
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?;
        let host = Host::parse(host).map_err(|_| "it names no host".to_owned())?.to_string();
        let user = (!url.username().is_empty())
            .then(|| (unescaped(url.username()), unescaped(url.password().unwrap_or_default())));
        let is_long = |(name, password): &(String, String)| name.len().max(password.len()) > SOCKS_TEXT_MAX;
        if speech == Speech::Socks5 && user.as_ref().is_some_and(is_long) {
            return Err(format!("by socks5, a user and a password have at most {SOCKS_TEXT_MAX} bytes each"));
        }
        Ok(Self { speech, host, port: url.port().unwrap_or(usual_port), user })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address as a guard takes one, without credentials.
    ///
    /// # Errors
    /// A sentence, when it has none.
    pub(crate) fn url(&self) -> Result<Url, String> {
        Url::parse(&format!("http://{}:{}/", self.host, self.port)).map_err(|_| "it names no host".into())
    }

    /// Asks for a tunnel to a host over a connection to the proxy.
    ///
    /// # Errors
    /// What the proxy did, for a sentence that begins with it.
    pub(super) async fn tunnel(
        &self,
        stream: TcpStream,
        target: &Host<String>,
        port: u16,
    ) -> Result<Box<dyn Connection>, String> {
        let mut stream: Box<dyn Connection> = match self.speech {
            Speech::Connect | Speech::Socks5 => Box::new(stream),
            Speech::ConnectOverTls => self.over_tls(stream).await?,
        };
        match self.speech {
            Speech::Connect | Speech::ConnectOverTls => self.connect(&mut stream, target, port).await?,
            Speech::Socks5 => self.socks(&mut stream, target, port).await?,
        }
        Ok(stream)
    }

    async fn over_tls(&self, stream: TcpStream) -> Result<Box<dyn Connection>, String> {
        let unset = |_| "cannot be spoken to: this server has no TLS".to_owned();
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.and_then(BuilderVerifierExt::with_platform_verifier).map_err(unset)?.with_no_client_auth();
        let name = self.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|_| "has a name that no certificate is for".to_owned())?;
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let refused = |error: io::Error| format!("does not speak TLS as it should: {error}");
        Ok(Box::new(connected.map_err(refused)?))
    }

    async fn connect(&self, stream: &mut Box<dyn Connection>, target: &Host<String>, port: u16) -> Result<(), String> {
        let authorization = self.user.as_ref().map(|(name, password)| {
            format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
        });
        let authorization = authorization.unwrap_or_default();
        let request = format!("CONNECT {target}:{port} HTTP/1.1\r\nHost: {target}:{port}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await.map_err(hung_up)?;
        stream.flush().await.map_err(hung_up)?;
        let answer = head(stream).await.map_err(hung_up)?;
        match answer.split(' ').nth(1).unwrap_or_default() {
            "200" => Ok(()),
            "407" => Err("wants other credentials".into()),
            _ => Err("refused to connect".into()),
        }
    }

    /// RFC 1928 and 1929.
    async fn socks(&self, stream: &mut Box<dyn Connection>, target: &Host<String>, port: u16) -> Result<(), String> {
        const VERSION: u8 = 5;
        const NO_CREDENTIALS: u8 = 0;
        const BY_PASSWORD: u8 = 2;
        let methods: &[u8] = if self.user.is_some() { &[NO_CREDENTIALS, BY_PASSWORD] } else { &[NO_CREDENTIALS] };
        let mut greeting = vec![VERSION, u8::try_from(methods.len()).unwrap_or_default()];
        greeting.extend(methods);
        stream.write_all(&greeting).await.map_err(hung_up)?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.map_err(hung_up)?;
        match (chosen, &self.user) {
            ([VERSION, NO_CREDENTIALS], _) => (),
            ([VERSION, BY_PASSWORD], Some((name, password))) => sign_in(stream, name, password).await?,
            ([VERSION, _], _) => return Err("wants other credentials".into()),
            _ => return Err("does not speak SOCKS 5".into()),
        }
        stream.write_all(&socks_request(target, port)?).await.map_err(hung_up)?;
        socks_answer(stream).await
    }
}

fn hung_up(_: io::Error) -> String {
    "hung up".into()
}

async fn sign_in(stream: &mut Box<dyn Connection>, name: &str, password: &str) -> Result<(), String> {
    let mut message = vec![1];
    for part in [name, password] {
        message.push(u8::try_from(part.len()).map_err(|_| "takes no such long credentials".to_owned())?);
        message.extend(part.as_bytes());
    }
    stream.write_all(&message).await.map_err(hung_up)?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.map_err(hung_up)?;
    if answer[1] == 0 { Ok(()) } else { Err("wants other credentials".into()) }
}

/// To connect to a host; a name is for the proxy to resolve.
fn socks_request(target: &Host<String>, port: u16) -> Result<Vec<u8>, String> {
    let mut request = vec![5, 1, 0];
    match target {
        Host::Ipv4(address) => {
            request.push(1);
            request.extend(address.octets());
        }
        Host::Ipv6(address) => {
            request.push(4);
            request.extend(address.octets());
        }
        Host::Domain(name) => {
            request.push(3);
            request.push(u8::try_from(name.len()).map_err(|_| "takes no such long name".to_owned())?);
            request.extend(name.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

/// Reads to the end of the answer: what follows belongs to the tunnel.
async fn socks_answer(stream: &mut Box<dyn Connection>) -> Result<(), String> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(hung_up)?;
    let length = match head[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await.map_err(hung_up)?),
        _ => return Err("does not speak SOCKS 5".into()),
    };
    let mut bound = vec![0; length + 2];
    stream.read_exact(&mut bound).await.map_err(hung_up)?;
    match head[1] {
        0 => Ok(()),
        2 => Err("does not allow this".into()),
        _ => Err("refused to connect".into()),
    }
}

/// Reads to the end of a head, byte by byte: what follows belongs to the tunnel.
async fn head(stream: &mut Box<dyn Connection>) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= ANSWER_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn unescaped(text: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
