//! Requests that a proxy is to make itself: to it, with the whole address (RFC 9112, 3.2.2).
//!
//! ureq has proxies open a tunnel for every address, which most allow for TLS only, and caches of packages never.

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::names::Names;

/// Has every connection go to the proxy.
#[derive(Debug)]
pub(super) struct ToProxy {
    pub(super) proxy: Uri,
    pub(super) names: Names,
}

impl Resolver for ToProxy {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.names.resolve(&self.proxy, config, timeout)
    }
}

/// Has every connection ask with whole addresses.
#[derive(Debug)]
pub(super) struct WholeAddresses;

impl<In: Transport> Connector<In> for WholeAddresses {
    type Out = Forwarded<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Forwarded<In>>, Error> {
        let host = details.uri.authority().map_or("", |authority| authority.as_str());
        let origin = format!("http://{host}");
        Ok(chained.map(|inner| Forwarded { inner, origin }))
    }
}

/// A connection to a proxy, for one host.
#[derive(Debug)]
pub(super) struct Forwarded<In> {
    inner: In,
    origin: String,
}

impl<In: Transport> Transport for Forwarded<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        const METHOD: &[u8] = b"GET ";
        let output = self.inner.buffers().output();
        let longer = amount + self.origin.len();
        // a question begins; it has nothing behind its headers
        if !output[..amount].starts_with(b"GET /") {
            return self.inner.transmit_output(amount, timeout);
        }
        if longer > output.len() {
            return Err(Error::LargeResponseHeader(longer, output.len()));
        }
        output.copy_within(METHOD.len()..amount, METHOD.len() + self.origin.len());
        output[METHOD.len()..][..self.origin.len()].copy_from_slice(self.origin.as_bytes());
        self.inner.transmit_output(longer, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}
