//! A writer of small MaxMind databases, after the published format (version 2.0): a binary tree over addresses, a section of
//! data, a map that describes both.

use std::net::IpAddr;

use ipnet::IpNet;

/// A node's two branches: nothing, another node, or a place in the data.
#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A tree of IPv6 addresses with IPv4 at `::/96`.
pub struct Database {
    nodes: Vec<[Branch; 2]>,
    data: Vec<u8>,
}

impl Default for Database {
    fn default() -> Self {
        Self { nodes: vec![[Branch::Nothing; 2]], data: Vec::new() }
    }
}

impl Database {
    /// Files `{key: {"iso_code": code}}` under a network.
    pub fn add(&mut self, network: &str, key: &str, code: &str) {
        let network: IpNet = network.parse().unwrap();
        let (bits, length) = match network.network() {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 96 + usize::from(network.prefix_len())),
            IpAddr::V6(address) => (address.to_bits(), usize::from(network.prefix_len())),
        };
        let at = self.data.len();
        map(&mut self.data, 1);
        text(&mut self.data, key);
        map(&mut self.data, 1);
        text(&mut self.data, "iso_code");
        text(&mut self.data, code);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                self.nodes[node][side] = Branch::Data(at);
                break;
            }
            node = match self.nodes[node][side] {
                Branch::Node(next) => next,
                _ => {
                    self.nodes.push([Branch::Nothing; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][side] = Branch::Node(next);
                    next
                }
            };
        }
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let count = self.nodes.len();
        let mut file = Vec::new();
        for branch in self.nodes.iter().flatten() {
            let number = match branch {
                Branch::Nothing => count,
                Branch::Node(node) => *node,
                Branch::Data(at) => count + 16 + at,
            };
            file.extend(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
        }
        file.extend([0; 16]);
        file.extend(&self.data);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        map(&mut file, 9);
        for (key, kind, value) in [
            ("binary_format_major_version", 5, 2),
            ("binary_format_minor_version", 5, 0),
            ("ip_version", 5, 6),
            ("record_size", 5, 24),
            ("node_count", 6, count),
            ("build_epoch", 9, 1_763_848_800),
        ] {
            text(&mut file, key);
            number(&mut file, kind, u32::try_from(value).unwrap());
        }
        text(&mut file, "database_type");
        text(&mut file, "Test-Country");
        text(&mut file, "languages");
        file.extend([0, 11 - 7]);
        text(&mut file, "description");
        map(&mut file, 0);
        file
    }
}

/// Types 7 (map), 2 (text), 5, 6 and 9 (numbers); above 7 the type stands in a byte of its own.
fn map(out: &mut Vec<u8>, entries: u8) {
    out.push(7 << 5 | entries);
}

fn text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 29);
    out.push(2 << 5 | u8::try_from(text.len()).unwrap());
    out.extend(text.as_bytes());
}

fn number(out: &mut Vec<u8>, kind: u8, value: u32) {
    if kind > 7 {
        out.extend([4, kind - 7]);
    } else {
        out.push(kind << 5 | 4);
    }
    // 16 bits have two bytes.
    if kind == 5 {
        let last = out.len() - 1;
        out[last] = kind << 5 | 2;
        out.extend(&value.to_be_bytes()[2..]);
    } else {
        out.extend(value.to_be_bytes());
    }
}
