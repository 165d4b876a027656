//! Addresses of hosts; a program that is linked statically asks getent(1) for them.
//!
//! glibc looks names up by libraries of the machine (nsswitch.conf(5)), which have to be those of its own version: in a static program
//! getaddrinfo(3) ends with a segmentation fault where they are not. getent is of the machine itself, and says what all its programs get.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::base::error::{Error, Result};
use crate::output::Stop;
use crate::sandbox::{Limits, run_outside};

#[derive(Debug)]
pub(super) struct Names {
    stop: Stop,
    asks_getent: bool,
}

impl Names {
    pub(super) fn new(stop: &Stop) -> Self {
        Self { stop: stop.clone(), asks_getent: cfg!(target_feature = "crt-static") }
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
        // nothing is looked up for an address
        if is_address || !self.asks_getent {
            return DefaultResolver::default().resolve(uri, config, timeout);
        }
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let said = getent(host, *timeout.after, &self.stop)
            .map_err(|error| ureq::Error::Io(std::io::Error::other(error)))?;
        let mut addresses = self.empty();
        said.into_iter().take(16).for_each(|address| addresses.push(SocketAddr::new(address, port)));
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// The addresses in the order in which they are to be tried; none, where there is no such host.
fn getent(host: &str, time: Duration, stop: &Stop) -> Result<Vec<IpAddr>> {
    // no name of a host begins so (RFC 952), but an option does
    if host.starts_with('-') {
        return Ok(Vec::new());
    }
    let variables = BTreeMap::from([("PATH", "/usr/bin:/bin".to_owned())]);
    let limits = Limits { time, output: 64 << 10, processor: None, memory: None };
    let ended = run_outside(&["getent", "ahosts", host], Path::new("/"), &variables, limits, stop)?;
    let mut addresses = Vec::new();
    for line in String::from_utf8_lossy(&ended.output).lines() {
        // one line for each kind of socket
        match line.split_whitespace().next().map(str::parse) {
            Some(Ok(address)) if !addresses.contains(&address) => addresses.push(address),
            _ => {}
        }
    }
    match ended.status {
        // 2: no such key
        Some(0 | 2) => Ok(addresses),
        status => Err(Error::failed(format!("`getent` ends with {status:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str) -> Result<Vec<String>, ureq::Error> {
        let (names, uri) = (Names { stop: Stop::default(), asks_getent: true }, url.parse().unwrap());
        let after = Duration::from_secs(30).into();
        let timeout = NextTimeout { after, reason: ureq::Timeout::Connect, ..NextTimeout::default() };
        let addresses = names.resolve(&uri, &Config::default(), timeout)?;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_machine_says_where_a_host_is() {
        let local = asked("http://localhost:81/x").unwrap();
        assert!(
            local.contains(&"127.0.0.1:81".to_owned()) || local.contains(&"[::1]:81".to_owned()),
            "{local:?}"
        );
        assert_eq!(local.iter().collect::<std::collections::BTreeSet<_>>().len(), local.len());
        assert_eq!(asked("https://192.0.2.1/").unwrap(), ["192.0.2.1:443"]);
        assert_eq!(asked("http://[2001:db8::1]/").unwrap(), ["[2001:db8::1]:80"]);
        for nobody in ["http://nobody.invalid/", "http://--help/"] {
            assert!(matches!(asked(nobody), Err(ureq::Error::HostNotFound)), "{nobody}");
        }
    }
}
