//! Questions by HTTP: one connection a host, the proxies of the environment, the certificates that the machine trusts.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::transport::DefaultConnector;

use super::names::Names;
use super::{Answer, LONGEST_WAIT, Trouble};
use crate::base::error::Error;
use crate::output::Stop;

/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How many times a server may send on.
const REDIRECTS: usize = 10;

pub(super) struct Client {
    agent: OnceLock<Agent>,
    stop: Stop,
}

impl Client {
    pub(super) fn new(stop: &Stop) -> Self {
        Self { agent: OnceLock::new(), stop: stop.clone() }
    }

    /// Made when it is first needed: the machine's certificates are read then.
    fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| {
            let tls = TlsConfig::builder()
                .provider(TlsProvider::Rustls)
                .root_certs(RootCerts::PlatformVerifier)
                .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .build();
            let config = Config::builder()
                .tls_config(tls)
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
                .build();
            if cfg!(target_feature = "crt-static") {
                let names = Names { stop: self.stop.clone() };
                Agent::with_parts(config, DefaultConnector::default(), names)
            } else {
                config.new_agent()
            }
        })
    }

    /// A file from a byte on; where `etag` is given, only if it is another one now.
    pub(super) fn get(&self, url: &str, begin: u64, etag: Option<&str>) -> Result<Answer, Trouble> {
        let mut at = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut request = self.agent().get(&at).header("Accept-Encoding", "identity");
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

fn trouble(url: &str, error: ureq::Error) -> Trouble {
    let passing = |why: String| Trouble::Passing { why, wait: None };
    match error {
        ureq::Error::Timeout(_) => passing("the mirror says nothing for too long".to_owned()),
        ureq::Error::HostNotFound => passing("there is no host of that name".to_owned()),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            let error = Error::usage("is no address:").at(url);
            Trouble::Lasting(error.hint("write `https://HOST/PATH`, or `file:PATH` for a folder"))
        }
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
