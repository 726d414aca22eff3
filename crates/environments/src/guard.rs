//! The guard for addresses that callers and models name: this server must not be a way into its own network.
//!
//! Three checks, because each alone can be got around: the host as it stands in the address (a resolver is never
//! asked for an IP literal), the addresses that a name resolves to at the moment of connecting, and every redirect,
//! of which only those to the same origin are followed, so that credentials stay with whom they were meant for.
//! Proxies of the environment are not used: they would connect in our place, unchecked.

use ipnet::IpNet;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use url::{Host, Url};

const REDIRECTS_MAX: usize = 5;

/// Decides which hosts may be spoken to: all public ones, and those that the operator lets through.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<Allowed>,
}

#[derive(Debug, Default)]
struct Allowed {
    names: Vec<String>,
    networks: Vec<IpNet>,
}

/// An entry of the operator's list cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is neither a host name, nor an IP address, nor a network such as 10.0.0.0/8")]
pub struct GuardError(String);

/// An address is not let through. The message names the host, nothing else of the address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostRefused {
    /// It is no address that can be spoken to.
    #[error("it is not an http or https address with a host")]
    NotHttp,
    /// It leads, or may lead, to a private network.
    #[error("the host {0:?} is not public (the operator can let it through with --allow-private-hosts)")]
    Private(String),
}

/// Why a host cannot be connected to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// It is not let through.
    #[error(transparent)]
    Refused(#[from] HostRefused),
    /// Its name leads nowhere.
    #[error("the host {0:?} was not found")]
    NotFound(String),
}

impl Guard {
    /// A guard that also lets through what `entries` lists: host names, IP addresses and networks, separated by
    /// commas.
    ///
    /// # Errors
    /// [`GuardError`] names the first entry that is none of these.
    pub fn allowing(entries: &str) -> Result<Self, GuardError> {
        let mut allowed = Allowed::default();
        for entry in entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match network(entry) {
                Some(network) => allowed.networks.push(network),
                None => allowed.names.push(host_name(entry).ok_or_else(|| GuardError(entry.to_owned()))?),
            }
        }
        Ok(Self { allowed: Arc::new(allowed) })
    }

    /// Whether an address may be spoken to, as far as it tells by itself. A name is checked again when it is
    /// resolved: see [`Self::client`].
    ///
    /// # Errors
    /// [`HostRefused`].
    pub fn check(&self, url: &Url) -> Result<(), HostRefused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HostRefused::NotHttp);
        }
        let (text, is_fine) = match url.host() {
            None => return Err(HostRefused::NotHttp),
            Some(Host::Ipv4(address)) => (address.to_string(), self.lets_through(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), self.lets_through(IpAddr::V6(address))),
            Some(Host::Domain(name)) => (name.to_owned(), self.knows(name) || !is_private_name(name)),
        };
        if is_fine { Ok(()) } else { Err(HostRefused::Private(text)) }
    }

    /// Reads and checks an address.
    ///
    /// # Errors
    /// [`HostRefused`].
    pub fn parse(&self, url: &str) -> Result<Url, HostRefused> {
        let url = Url::parse(url).map_err(|_| HostRefused::NotHttp)?;
        self.check(&url)?;
        Ok(url)
    }

    /// What clients for such addresses are built from: it connects only to addresses that this guard lets through,
    /// follows at most 5 redirects and none to another origin. Call [`Self::check`] on every address first.
    pub fn client(&self, connect_timeout: Duration) -> reqwest::ClientBuilder {
        let resolver = Resolver { guard: self.clone() };
        #[expect(clippy::disallowed_methods, reason = "this is the guarded client")]
        let builder = reqwest::Client::builder();
        builder
            .no_proxy()
            .dns_resolver(Arc::new(resolver))
            .redirect(redirect::Policy::custom(same_origin))
            .connect_timeout(connect_timeout)
    }

    /// The addresses of a host, as it stands in an address, that may be connected to. They are checked themselves, so
    /// that a name which changes between check and connection leads nowhere else.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let parsed = Host::parse(host).map_err(|_| HostRefused::NotHttp)?;
        let name = match parsed {
            Host::Ipv4(address) => return self.literal(IpAddr::V4(address), port),
            Host::Ipv6(address) => return self.literal(IpAddr::V6(address), port),
            Host::Domain(name) => name,
        };
        if !self.knows(&name) && is_private_name(&name) {
            return Err(HostRefused::Private(name).into());
        }
        let found = tokio::net::lookup_host((name.as_str(), port)).await;
        let found: Vec<_> = found.map_err(|_| ResolveError::NotFound(name.clone()))?.collect();
        let fine = self.fine(&name, &found);
        match (found.is_empty(), fine.is_empty()) {
            (true, _) => Err(ResolveError::NotFound(name)),
            (false, true) => Err(HostRefused::Private(name).into()),
            (false, false) => Ok(fine),
        }
    }

    fn literal(&self, address: IpAddr, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let refused = || HostRefused::Private(address.to_string()).into();
        self.lets_through(address).then(|| vec![SocketAddr::new(address, port)]).ok_or_else(refused)
    }

    /// Of what a name resolved to, what may be connected to.
    fn fine(&self, name: &str, found: &[SocketAddr]) -> Vec<SocketAddr> {
        let any = self.knows(name);
        found.iter().copied().filter(|address| any || self.lets_through(address.ip())).collect()
    }

    fn lets_through(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allowed.networks.iter().any(|network| network.contains(&address))
    }

    fn knows(&self, name: &str) -> bool {
        self.allowed.names.iter().any(|known| known == bare(name))
    }
}

fn network(entry: &str) -> Option<IpNet> {
    IpNet::from_str(entry).ok().or_else(|| IpAddr::from_str(entry).ok().map(IpNet::from))
}

/// A name in the form in which addresses hold it.
fn host_name(entry: &str) -> Option<String> {
    match Host::parse(entry) {
        Ok(Host::Domain(name)) => Some(bare(&name).to_owned()),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => None,
    }
}

/// A trailing dot means the same host.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Names that never lead to the public network, whatever they resolve to.
fn is_private_name(name: &str) -> bool {
    const PRIVATE: [&str; 5] = ["localhost", "local", "internal", "home.arpa", "localdomain"];
    let name = bare(name);
    PRIVATE.iter().any(|suffix| name == *suffix || name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// After IANA's registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113))
}

/// Only global unicast, and of that nothing that is a way to IPv4: NAT64, Teredo and 6to4 would carry a private
/// address past the check.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    is_global
        && first != 0x2002
        && !(first == 0x3fff && second < 0x1000)
        && !(first == 0x2001 && second < 0x0200)
        && !(first == 0x2001 && second == 0x0db8)
}

/// Only to the same origin, and only such as keep method and body.
fn same_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let keeps_method = matches!(attempt.status().as_u16(), 307 | 308);
    let stays = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error("too many redirects");
    }
    if keeps_method && stays { attempt.follow() } else { attempt.stop() }
}

/// Resolves names and drops every address that is not let through.
struct Resolver {
    guard: Guard,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let fine = guard.fine(name.as_str(), &found);
            if fine.is_empty() {
                return Err(HostRefused::Private(name.as_str().to_owned()).into());
            }
            let addresses: Addrs = Box::new(fine.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ways to write an address that leads inside.
    const INSIDE: [&str; 50] = [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.0.0.1./",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://[2001:db8::1]/",
        "http://[3fff::1]/",
        "http://[3fff:fff:ffff::1]/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://a.localhost/",
        "http://%6cocalhost/",
        "http://\u{24db}ocalhost/",
        "http://printer.local/",
        "http://db.internal/",
        "http://metadata.google.internal/",
        "http://nas.home.arpa/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.0.1/",
        "http://169.254.169.254/",
        "http://100.64.0.1/",
        "http://192.0.0.8/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://\u{ff11}27.0.0.1/",
        "http://127\u{3002}0.0.1/",
        "http://user:secret@127.0.0.1/",
    ];

    #[test]
    fn no_spelling_of_an_address_leads_inside() {
        let guard = Guard::default();
        for url in INSIDE {
            let refused = guard.parse(url).expect_err(url);
            assert!(matches!(refused, HostRefused::Private(_)), "{url}: {refused}");
            assert!(!refused.to_string().contains("secret"));
        }
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for url in ["nope", "file:///etc/hostname", "ftp://example.com/", "http://", "http://[fe80::1%25eth0]/", ""] {
            assert_eq!(Guard::default().parse(url), Err(HostRefused::NotHttp), "{url}");
        }
    }

    #[test]
    fn public_hosts_pass() {
        for url in [
            "https://example.com/mcp",
            "http://8.8.8.8/",
            "http://172.32.0.1/",
            "http://[2606:4700::1111]/",
            "https://local.example.com/",
            "https://internals.dev/",
            "http://100.128.0.1/",
        ] {
            assert!(Guard::default().parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_operator_lets_hosts_and_networks_through() {
        let guard = Guard::allowing("localhost, 10.1.0.0/16,192.168.7.7 ,::1").unwrap();
        for url in
            ["http://localhost:9/", "http://localhost./", "http://10.1.2.3/", "http://192.168.7.7/", "http://[::1]/"]
        {
            assert!(guard.parse(url).is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1/", "http://a.localhost/", "http://10.2.0.1/", "http://192.168.7.8/"] {
            assert!(guard.parse(url).is_err(), "{url}");
        }
        for entry in ["10.0.0.0/33", "a b", "http://x"] {
            assert_eq!(Guard::allowing(entry).err(), Some(GuardError(entry.into())));
        }
    }

    #[tokio::test]
    async fn no_spelling_of_a_host_resolves_inside() {
        let hosts = INSIDE.iter().filter_map(|url| url.strip_prefix("http://")?.strip_suffix('/'));
        for host in hosts.filter(|host| !host.contains('@')) {
            let refused = Guard::default().resolve(host, 80).await.expect_err(host);
            assert!(matches!(refused, ResolveError::Refused(HostRefused::Private(_))), "{host}: {refused}");
        }
        for host in ["", "a b", "user:secret@127.0.0.1", "[::1"] {
            let refused = Guard::default().resolve(host, 80).await;
            assert_eq!(refused, Err(HostRefused::NotHttp.into()), "{host}");
        }
        let allowing = Guard::allowing("127.0.0.1").unwrap();
        assert_eq!(allowing.resolve("127.1", 80).await, Ok(vec!["127.0.0.1:80".parse().unwrap()]));
        let unknown = Guard::default().resolve("nowhere.invalid", 80).await;
        assert_eq!(unknown, Err(ResolveError::NotFound("nowhere.invalid".into())));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_not_connected_to() {
        // The resolver alone: `localhost` would be refused by its name before.
        let resolver = |guard| Resolver { guard };
        let name = || Name::from_str("localhost").unwrap();
        assert!(resolver(Guard::default()).resolve(name()).await.is_err());
        assert!(resolver(Guard::allowing("localhost").unwrap()).resolve(name()).await.is_ok());
        let by_network = Guard::allowing("127.0.0.0/8,::1").unwrap();
        assert!(resolver(by_network).resolve(name()).await.is_ok());
    }
}
