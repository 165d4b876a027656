//! In the place of the HTTP client, where kpkg was built without it.

#![allow(clippy::unused_self, reason = "the client has one")]

use super::proxies::Proxies;
use super::{Answer, Trouble};
use crate::base::error::Error;
use crate::output::Stop;

pub(super) struct Client;

impl Client {
    pub(super) fn new(_: Proxies, _: &Stop) -> Self {
        Self
    }

    pub(super) fn get(&self, url: &str, _: u64, _: Option<&str>) -> Result<Answer, Trouble> {
        let error =
            Error::lacking("this kpkg was built without HTTP (feature `fetch`), and does not reach").at(url);
        Err(Trouble::Lasting(error.hint("name a folder instead: `--mirror TARGET=file:/srv/mirror`")))
    }
}
