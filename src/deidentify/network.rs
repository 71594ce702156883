//! What may be known of the network that a client's address belongs to, before the address ends: its country, and
//! whether the operator has listed it as a data centre's.
//!
//! Invariant: of an address nothing leaves here but two letters and a yes or no.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions};

/// Largest database that is read, in bytes. One of countries has about 10 MB, one of cities 70.
pub const DATABASE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Largest list of data centres' networks, in bytes.
pub const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How many networks of a database are looked at when it is opened.
const NETWORKS_PROBED: usize = 4096;

/// Where the country stands in a record: as MaxMind and DB-IP write it, and in flat databases.
const COUNTRY_PATHS: [&[PathElement<'static>]; 2] =
    [&[PathElement::Key("country"), PathElement::Key("iso_code")], &[PathElement::Key("country_code")]];

/// A country as its two letters (ISO 3166-1), or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Country(Option<u16>);

/// "AAABAC" to "ZZ", so that each pair of letters is a text that need not be allocated.
const PAIRS: [u8; 26 * 26 * 2] = {
    let mut pairs = [0; 26 * 26 * 2];
    let mut at = 0;
    while at < 26 * 26 {
        pairs[at * 2] = b'A' + (at / 26) as u8;
        pairs[at * 2 + 1] = b'A' + (at % 26) as u8;
        at += 1;
    }
    pairs
};

impl Country {
    /// Two capital letters; anything else is none.
    pub fn from_code(code: &str) -> Self {
        let [first, second] = *code.as_bytes() else { return Self(None) };
        let letters = first.is_ascii_uppercase() && second.is_ascii_uppercase();
        Self(letters.then(|| u16::from(first - b'A') * 26 + u16::from(second - b'A')))
    }

    /// The two letters, or nothing.
    pub fn as_str(self) -> &'static str {
        let pair = self.0.and_then(|index| PAIRS.get(usize::from(index) * 2..usize::from(index) * 2 + 2));
        pair.and_then(|pair| std::str::from_utf8(pair).ok()).unwrap_or("")
    }
}

/// What is left of an address's network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its country.
    pub country: Country,
    /// Whether it is listed as a data centre's.
    pub is_datacenter: bool,
}

/// Why what was configured cannot be used, in words for whoever configured it.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    /// The file cannot be read.
    #[error("{key}: cannot read {path}: {source}")]
    Unreadable {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any that is meant.
    #[error("{key}: {path} has more than {bytes_max} bytes")]
    TooLarge {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// How many it may have.
        bytes_max: u64,
    },
    /// It is no MaxMind database, or a damaged one.
    #[error("geo_database: {path} is no sound MaxMind database (.mmdb): {reason}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A line is no network.
    #[error("datacenter_networks_file: {path}, line {line}: not a network such as 192.0.2.0/24")]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
    },
}

/// Reads a file that an operator named under `key`, as long as it has at most `bytes_max` bytes.
pub(crate) fn read_bounded(key: &'static str, path: &Path, bytes_max: u64) -> Result<Vec<u8>, NetworksError> {
    use std::io::Read;
    let unreadable = |source| NetworksError::Unreadable { key, path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(NetworksError::TooLarge { key, path: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}

/// The database and the list. Empty, it knows nothing of any address.
#[derive(Default)]
pub struct Networks {
    countries: Option<Reader<Vec<u8>>>,
    /// First and last address of each network, sorted, none touching another; IPv4 as it stands in IPv6.
    datacenters: Vec<(u128, u128)>,
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Networks").field("datacenters", &self.datacenters.len()).finish_non_exhaustive()
    }
}

impl Networks {
    /// Reads what was configured: each may be absent.
    ///
    /// # Errors
    /// Where a file cannot be read, or is not what it should be.
    pub fn open(
        geo_database: Option<&Path>,
        datacenters: &[IpNet],
        datacenters_file: Option<&Path>,
    ) -> Result<Self, NetworksError> {
        let countries = geo_database.map(open_database).transpose()?;
        let mut networks = datacenters.to_vec();
        if let Some(path) = datacenters_file {
            let bytes = read_bounded("datacenter_networks_file", path, LIST_BYTES_MAX)?;
            for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
                let line = line.split('#').next().unwrap_or_default().trim();
                if line.is_empty() {
                    continue;
                }
                let network = line.parse().or_else(|_| line.parse::<IpAddr>().map(IpNet::from));
                networks.push(
                    network.map_err(|_| NetworksError::Line { path: path.to_owned(), line: index + 1 })?,
                );
            }
        }
        Ok(Self { countries, datacenters: merged(&networks) })
    }

    /// Whether countries are looked up.
    pub fn knows_countries(&self) -> bool {
        self.countries.is_some()
    }

    /// How many stretches of addresses are data centres'.
    pub fn datacenters(&self) -> usize {
        self.datacenters.len()
    }

    /// What is known of an address.
    pub(super) fn place(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        let country =
            self.countries.as_ref().map_or(Country::default(), |reader| country_of(reader, address));
        Place { country, is_datacenter: self.is_datacenter(address) }
    }

    fn is_datacenter(&self, address: IpAddr) -> bool {
        let number = number_of(address);
        let after = self.datacenters.partition_point(|&(first, _)| first <= number);
        after.checked_sub(1).is_some_and(|index| number <= self.datacenters[index].1)
    }
}

fn open_database(path: &Path) -> Result<Reader<Vec<u8>>, NetworksError> {
    let bytes = read_bounded("geo_database", path, DATABASE_BYTES_MAX)?;
    let unsound = |reason: String| NetworksError::Database { path: path.to_owned(), reason };
    let reader = Reader::from_source(bytes).map_err(|error| unsound(error.to_string()))?;
    // One of networks' owners, or one whose tree is damaged, opens as well: better said now than at each event.
    let mut has_countries = false;
    let networks = reader.networks(WithinOptions::default()).map_err(|error| unsound(error.to_string()))?;
    for found in networks.take(NETWORKS_PROBED) {
        has_countries |= code_of(&found.map_err(|error| unsound(error.to_string()))?)
            .map_err(|error| unsound(error.to_string()))?
            .is_some();
    }
    if has_countries { Ok(reader) } else { Err(unsound("it has no countries".into())) }
}

/// An address that the database does not have, or has in a way that cannot be read, is of no country.
fn country_of(reader: &Reader<Vec<u8>>, address: IpAddr) -> Country {
    let code = reader.lookup(address).and_then(|found| code_of(&found));
    code.ok().flatten().map_or(Country::default(), Country::from_code)
}

fn code_of<'r>(found: &LookupResult<'r, Vec<u8>>) -> Result<Option<&'r str>, MaxMindDbError> {
    for path in COUNTRY_PATHS {
        if let Some(code) = found.decode_path::<&str>(path)? {
            return Ok(Some(code));
        }
    }
    Ok(None)
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn merged(networks: &[IpNet]) -> Vec<(u128, u128)> {
    let mut ranges: Vec<_> = networks
        .iter()
        .map(|network| (number_of(network.network()), number_of(network.broadcast())))
        .collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_capital_letters_are_a_country() {
        for code in ["DE", "AA", "ZZ", "GB"] {
            assert_eq!(Country::from_code(code).as_str(), code);
        }
        for code in ["", "D", "DEU", "de", "D1", "É", "192.0.2.1"] {
            assert_eq!(Country::from_code(code).as_str(), "", "{code}");
        }
    }

    #[test]
    fn networks_of_data_centres_at_their_edges() {
        let listed: Vec<IpNet> =
            ["198.51.100.0/25", "198.51.100.128/25", "2001:db8:1::/48", "203.0.113.7/32"]
                .map(|network| network.parse().unwrap())
                .to_vec();
        let networks = Networks::open(None, &listed, None).unwrap();
        assert_eq!(networks.datacenters(), 3, "neighbours are one");
        let is = |address: &str| networks.place(address.parse().unwrap()).is_datacenter;
        for inside in
            ["198.51.100.0", "198.51.100.255", "::ffff:198.51.100.9", "2001:db8:1::1", "203.0.113.7"]
        {
            assert!(is(inside), "{inside}");
        }
        for outside in ["198.51.99.255", "198.51.101.0", "2001:db8:2::", "203.0.113.8", "203.0.113.6", "::1"]
        {
            assert!(!is(outside), "{outside}");
        }
        assert!(!Networks::default().place("198.51.100.0".parse().unwrap()).is_datacenter);
    }
}
