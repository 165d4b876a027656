//! Which proxy a request goes by, told by the environment as curl(1) reads it.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// By the scheme of an address, the variables that may name its proxy; the first that says something counts.
const VARIABLES: [(&str, [&str; 4]); 2] = [
    ("http", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
    ("https", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
];

/// The proxies of an environment, and the hosts that are asked without them.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    by_scheme: BTreeMap<&'static str, Named>,
    except: Vec<String>,
}

/// A proxy, and the variable that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub variable: &'static str,
    /// May hold a password.
    pub address: String,
}

impl Proxies {
    /// From variables by their names.
    pub fn new(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let named = |names: [&'static str; 4]| {
            names.into_iter().find_map(|variable| Some(Named { variable, address: set(variable)? }))
        };
        let by_scheme = VARIABLES.into_iter().filter_map(|(scheme, names)| Some((scheme, named(names)?)));
        let except = ["no_proxy", "NO_PROXY"].into_iter().find_map(set).unwrap_or_default();
        let except = except.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        Self { by_scheme: by_scheme.collect(), except: except.map(str::to_ascii_lowercase).collect() }
    }

    /// That of an address.
    #[must_use]
    pub fn of(&self, scheme: &str, host: &str) -> Option<&Named> {
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let is_excepted = self.except.iter().any(|entry| excepts(entry, &host));
        self.by_scheme.get(scheme).filter(|_| !is_excepted)
    }
}

/// Whether an entry is of a host: everything, a network, or a name with all that is below it.
fn excepts(entry: &str, host: &str) -> bool {
    if let (Ok(address), Some((network, bits))) = (host.parse::<IpAddr>(), entry.split_once('/'))
        && let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>())
    {
        return is_in(address, network, bits);
    }
    let name = entry.trim_matches(['[', ']']).trim_start_matches('*').trim_start_matches('.');
    if entry == "*" || host == name {
        return true;
    }
    !name.is_empty() && host.strip_suffix(name).is_some_and(|below| below.ends_with('.'))
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let [one, other] = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            [address, network].map(|address| u128::from(u32::from(address)) << 96)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => [address, network].map(u128::from),
        _ => return false,
    };
    // those that differ begin behind the network's part
    (one ^ other).leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_which_proxy_an_address_has() {
        let with = |variables: &[(&str, &str)]| {
            let variables: BTreeMap<_, _> =
                variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            Proxies::new(&move |name| variables.get(name).cloned())
        };
        let variable = |proxies: &Proxies, scheme| proxies.of(scheme, "host").map(|named| named.variable);
        let both = with(&[("HTTP_PROXY", "http://a"), ("https_proxy", "http://b"), ("ALL_PROXY", "c")]);
        assert_eq!(
            (variable(&both, "http"), variable(&both, "https")),
            (Some("HTTP_PROXY"), Some("https_proxy"))
        );
        let one = with(&[("http_proxy", "http://a"), ("HTTPS_PROXY", "")]);
        assert_eq!((variable(&one, "http"), variable(&one, "https")), (Some("http_proxy"), None));
        let all = with(&[("all_proxy", "a"), ("NO_PROXY", "x")]);
        assert_eq!((variable(&all, "http"), variable(&all, "https")), (Some("all_proxy"), Some("all_proxy")));
        assert_eq!(variable(&with(&[]), "http"), None);
    }

    #[test]
    fn hosts_are_excepted_by_name_and_network() {
        for (entries, hosts, others) in [
            ("*", "a 192.0.2.1", ""),
            ("localhost, 127.0.0.1", "localhost LOCALHOST 127.0.0.1", "127.0.0.2 alocalhost"),
            ("example.org", "example.org example.org. a.example.org", "anexample.org org"),
            (".example.org,*.example.net", "a.example.org a.example.net", "example.com"),
            ("10.0.0.0/8 192.0.2.128/25", "10.255.0.1 192.0.2.200", "11.0.0.1 192.0.2.1 ::1 a"),
            ("2001:db8::/32,[::1]", "[2001:db8::5] [::1]", "[2001:db9::1] 10.0.0.1"),
            ("0.0.0.0/0", "1.2.3.4", "a ::1"),
        ] {
            let variables = |name: &str| match name {
                "http_proxy" => Some("http://proxy".to_owned()),
                "no_proxy" => Some(entries.to_owned()),
                _ => None,
            };
            let proxies = Proxies::new(&variables);
            for host in hosts.split_whitespace() {
                assert_eq!(proxies.of("http", host), None, "{entries}: {host}");
            }
            for host in others.split_whitespace() {
                assert!(proxies.of("http", host).is_some(), "{entries}: {host}");
            }
        }
    }
}
