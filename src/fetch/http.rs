//! Questions by HTTP: one connection a host, the proxies of the environment, the certificates that the machine trusts.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use ureq::config::Config;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::WithoutBody;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Proxy, ProxyProtocol, RequestBuilder};

use super::forward::{ToProxy, WholeAddresses};
use super::names::Names;
use super::proxies::Proxies;
use super::{Answer, LONGEST_WAIT, Trouble};
use crate::base::error::Error;
use crate::output::Stop;

/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How many times a server may send on.
const REDIRECTS: usize = 10;

pub(super) struct Client {
    proxies: Proxies,
    stop: Stop,
    direct: OnceLock<Agent>,
    /// By their proxies: for addresses without and with TLS.
    proxied: [OnceLock<Agent>; 2],
}

impl Client {
    pub(super) fn new(proxies: Proxies, stop: &Stop) -> Self {
        Self { proxies, stop: stop.clone(), direct: OnceLock::new(), proxied: Default::default() }
    }

    /// A question for an address, to its proxy where it has one.
    fn ask(&self, url: &str) -> Result<RequestBuilder<WithoutBody>, Error> {
        let uri: Uri = url.parse().map_err(|_| no_address(url))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let connector = DefaultConnector::default;
        let Some(named) = self.proxies.of(scheme, uri.host().unwrap_or_default()) else {
            let new = || Agent::with_parts(config(None), connector(), self.names());
            return Ok(self.direct.get_or_init(new).get(uri));
        };
        let proxy = Proxy::new(&named.address).ok();
        let proxy =
            proxy.filter(|proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https));
        let proxy = proxy.ok_or_else(|| {
            // not what it says: that may hold a password
            Error::usage(format!("the variable `{}` names no proxy that kpkg knows", named.variable))
                .hint("write `http://HOST:PORT`")
        })?;
        let is_tls = scheme == "https";
        let is_forwarded = !is_tls && proxy.protocol() == ProxyProtocol::Http;
        let agent = self.proxied[usize::from(is_tls)].get_or_init(|| {
            if is_forwarded {
                let names = ToProxy { proxy: proxy.uri().clone(), names: self.names() };
                Agent::with_parts(config(None), connector().chain(WholeAddresses), names)
            } else {
                Agent::with_parts(config(Some(proxy.clone())), connector(), self.names())
            }
        });
        let request = agent.get(uri);
        let name = [proxy.username(), proxy.password()];
        if !is_forwarded || name == [None, None] {
            return Ok(request);
        }
        let name = Base64::encode_string(name.map(Option::unwrap_or_default).join(":").as_bytes());
        Ok(request.header("Proxy-Authorization", format!("Basic {name}")))
    }

    /// Who knows where hosts are.
    fn names(&self) -> Names {
        Names::new(&self.stop)
    }

    /// A file from a byte on; where `etag` is given, only if it is another one now.
    pub(super) fn get(&self, url: &str, begin: u64, etag: Option<&str>) -> Result<Answer, Trouble> {
        let mut at = url.to_owned();
        for _ in 0..REDIRECTS {
            let request = self.ask(&at).map_err(Trouble::Lasting)?;
            let mut request = request.header("Accept-Encoding", "identity");
            if begin > 0 {
                request = request.header("Range", format!("bytes={begin}-"));
            }
            if let Some(etag) = etag {
                request = request.header("If-None-Match", etag);
            }
            let response = request.call().map_err(|error| trouble(&at, error))?;
            let (status, headers) = (response.status().as_u16(), response.headers());
            match status {
                301 | 302 | 303 | 307 | 308 => {
                    at =
                        next(&at, said(headers, "location").unwrap_or_default()).map_err(Trouble::Lasting)?;
                }
                200 | 206 | 304 | 404 | 410 | 416 => {
                    let answer = Answer {
                        status,
                        etag: said(headers, "etag").map(str::to_owned),
                        begin: said(headers, "content-range").and_then(first_byte).unwrap_or(0),
                        body: Box::new(Body(
                            response.into_body().into_with_config().limit(u64::MAX).reader(),
                        )),
                    };
                    return Ok(answer);
                }
                408 | 429 | 500..=599 => {
                    let wait = said(headers, "retry-after").and_then(|text| text.trim().parse().ok());
                    let wait = wait.map(Duration::from_secs).map(|wait| wait.min(LONGEST_WAIT));
                    return Err(Trouble::Passing { why: format!("status {status}"), wait });
                }
                407 => {
                    let error =
                        Error::failed("the proxy takes a name and a password, or others, for").at(&at);
                    return Err(Trouble::Lasting(
                        error.hint("write `http://NAME:PASSWORD@HOST:PORT` into the variable"),
                    ));
                }
                _ => {
                    let error = Error::failed(format!("the mirror answers with status {status}:")).at(&at);
                    return Err(Trouble::Lasting(
                        error.hint("does it take a name and a password? kpkg has none"),
                    ));
                }
            }
        }
        let error = Error::failed(format!("is sent on more than {REDIRECTS} times:")).at(url);
        Err(Trouble::Lasting(error.hint("name the mirror by the address that it ends at")))
    }
}

fn config(proxy: Option<Proxy>) -> Config {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Config::builder()
        .tls_config(tls)
        .proxy(proxy)
        .http_status_as_error(false)
        // each is looked at before it is followed
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("kpkg/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections_per_host(1)
        .timeout_resolve(Some(SILENCE))
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build()
}

/// A body whose errors are those of std.
struct Body<R>(R);

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(ureq::Error::Timeout(_)) => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

fn said<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `bytes 10-99/100`
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Where a redirect leads, RFC 3986, 5.2; never from TLS to none.
fn next(from: &str, to: &str) -> Result<String, Error> {
    let wrong = |why: &str| {
        let error = Error::failed(format!("the mirror sends on to `{}`, {why}:", to.escape_debug()));
        error.at(from).hint("name another mirror")
    };
    let uri: Uri = from.parse().map_err(|_| wrong("from what is no address"))?;
    let (scheme, host) =
        (uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |host| host.as_str()));
    let address = if to.starts_with("http://") || to.starts_with("https://") {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if to.starts_with('/') {
        format!("{scheme}://{host}{to}")
    } else if to.is_empty() || to.contains("://") {
        return Err(wrong("which is no address"));
    } else {
        let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{host}{folder}/{to}")
    };
    if scheme == "https" && !address.starts_with("https://") {
        return Err(wrong("where nothing protects it").hint("name a mirror that stays with https"));
    }
    Ok(address)
}

fn no_address(url: &str) -> Error {
    Error::usage("is no address:").at(url).hint("write `https://HOST/PATH`, or `file:PATH` for a folder")
}

fn trouble(url: &str, error: ureq::Error) -> Trouble {
    let passing = |why: String| Trouble::Passing { why, wait: None };
    match error {
        ureq::Error::Timeout(_) => passing("the mirror says nothing for too long".to_owned()),
        ureq::Error::HostNotFound => passing("there is no host of that name".to_owned()),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Trouble::Lasting(no_address(url)),
        error
            if matches!(error, ureq::Error::Rustls(_)) || error.to_string().contains("peer certificate") =>
        {
            let error =
                Error::failed(format!("the mirror's certificate is not trusted ({}):", plain(&error)));
            Trouble::Lasting(error.at(url).hint(
                "the machine's own certificates decide (package ca-certificates); SSL_CERT_FILE or SSL_CERT_DIR name others, such as those of a company's proxy",
            ))
        }
        ureq::Error::Io(error) => match error.downcast::<Error>() {
            // getent is not there, or somebody asked to stop
            Ok(own) => Trouble::Lasting(own.at(url)),
            Err(error) => passing(error.to_string().to_lowercase()),
        },
        error => passing(plain(&error).to_lowercase()),
    }
}

/// Its text without the word that ureq puts before others' errors.
fn plain(error: &ureq::Error) -> String {
    let text = error.to_string();
    text.trim_start_matches("io: ").trim_start_matches("rustls: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say_and_never_out_of_tls() {
        let to = |from: &str, to: &str| next(from, to).map_err(|error| error.to_string()).unwrap_or_default();
        assert_eq!(to("http://a/b/c", "d"), "http://a/b/d");
        assert_eq!(to("http://a:1/b/c?x", "/d"), "http://a:1/d");
        assert_eq!(to("https://a/b", "//c/d"), "https://c/d");
        assert_eq!(to("http://a/b", "https://c/d"), "https://c/d");
        for wrong in ["http://a/b", "ftp://a/b", "", "file://x"] {
            assert_eq!(to("https://a/b", wrong), "", "{wrong}");
        }
    }
}
