//! Which hosts belong to a site besides the one that a page is on: links from there are no referrers.

/// Hosts of a site and its siblings; each stands for its subdomains too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InternalHosts(Vec<Box<str>>);

impl InternalHosts {
    /// From hosts as they are written: "shop.example", "www.shop.example".
    ///
    /// # Errors
    /// The first that is no host name, or that is a public suffix and so anybody's.
    pub fn new<'h>(hosts: impl IntoIterator<Item = &'h str>) -> Result<Self, &'h str> {
        let mut kept: Vec<Box<str>> = Vec::new();
        for written in hosts {
            let Ok(url::Host::Domain(host)) = url::Host::parse(written) else { return Err(written) };
            let host = host.strip_suffix('.').unwrap_or(&host);
            let host = host.strip_prefix("www.").unwrap_or(host);
            let is_suffix = host.contains('.') && psl::domain(host.as_bytes()).is_none();
            if is_suffix
                || matches!(psl::suffix(host.as_bytes()), Some(suffix) if suffix.is_known() && suffix.as_bytes() == host.as_bytes())
            {
                return Err(written);
            }
            kept.push(host.into());
        }
        kept.sort_unstable();
        kept.dedup();
        Ok(Self(kept))
    }

    /// Whether `host`, which is in lower case, is one of them or below one.
    pub fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|own| {
            host.strip_suffix(&**own).is_some_and(|front| front.is_empty() || front.ends_with('.'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_stands_for_what_is_below_it_and_nothing_beside_it() {
        let hosts = InternalHosts::new(["Shop.example", "www.brand.co.uk", "localhost"]).unwrap();
        for own in ["shop.example", "a.b.shop.example", "brand.co.uk", "www.brand.co.uk", "localhost"] {
            assert!(hosts.contains(own), "{own}");
        }
        for other in ["notshop.example", "shop.example.evil.example", "co.uk", "brand.com", ""] {
            assert!(!hosts.contains(other), "{other}");
        }
        for wrong in ["co.uk", "com", "https://shop.example", "a b", "192.0.2.1", ""] {
            assert_eq!(InternalHosts::new([wrong]), Err(wrong));
        }
    }
}
