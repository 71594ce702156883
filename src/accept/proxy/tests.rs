use proptest::prelude::*;

use super::*;

/// What a proxy writes.
fn written(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn v4(source: [u8; 4]) -> Vec<u8> {
    [&source[..], &[10, 0, 0, 1], &[0xc0, 0, 0x01, 0xbb]].concat()
}

#[test]
fn what_a_proxy_writes_is_read() {
    let told =
        |bytes: &[u8]| whole(bytes).map(|(client, end)| (client.map(|client| client.to_string()), end));
    assert_eq!(told(&written(1, 0x11, &v4([203, 0, 113, 7]))), Ok((Some("203.0.113.7".into()), 28)));
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[15] = 1;
    assert_eq!(told(&written(1, 0x21, &v6)), Ok((Some("2001:db8::1".into()), 52)));
    // What a proxy adds behind the addresses is skipped: here a checksum and an authority.
    let more = [v4([198, 51, 100, 1]), vec![0x03, 0, 4, 1, 2, 3, 4, 0x02, 0, 1, b'x']].concat();
    assert_eq!(told(&written(1, 0x11, &more)), Ok((Some("198.51.100.1".into()), 16 + more.len())));
    // A mapped address is the address it maps.
    let mut mapped = [0; 36];
    mapped[10..16].copy_from_slice(&[0xff, 0xff, 203, 0, 113, 9]);
    assert_eq!(told(&written(1, 0x21, &mapped)), Ok((Some("203.0.113.9".into()), 52)));
    assert_eq!(told(&written(0, 0x00, &[])), Ok((None, 16)));
}

#[test]
fn anything_else_is_refused_and_named() {
    assert_eq!(whole(b"PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n"), Err(ProxyError::NotV2));
    assert_eq!(whole(b"POST /v1/events HTTP/1.1\r\n\r\n"), Err(ProxyError::NotV2));
    let good = written(1, 0x11, &v4([203, 0, 113, 7]));
    for cut in 0..good.len() {
        assert_eq!(whole(&good[..cut]), Err(ProxyError::TooShort), "{cut}");
    }
    assert_eq!(whole(&written(2, 0x11, &v4([1, 1, 1, 1]))), Err(ProxyError::Command));
    assert_eq!(whole(&written(1, 0x11, &[1; 11])), Err(ProxyError::TooShort));
    for family in [0x00, 0x12, 0x22, 0x31, 0x32, 0xff] {
        assert_eq!(whole(&written(1, family, &[0; 216])), Err(ProxyError::Family), "{family:x}");
    }
    let mut version = good.clone();
    version[12] = 0x11;
    assert_eq!(whole(&version), Err(ProxyError::NotV2));
    assert_eq!(whole(&written(1, 0x11, &[0; REST_BYTES_MAX + 1])), Err(ProxyError::TooLong));
    assert!(whole(&written(1, 0x11, &[0; REST_BYTES_MAX])).is_ok());
}

/// Inputs that are worth more than random ones, replayed on every run.
#[test]
fn the_corpus_is_replayed() {
    for line in include_str!("corpus.txt").lines().filter(|line| !line.starts_with('#')) {
        let (expected, hex) = line.split_once(' ').unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let told = match whole(&bytes) {
            Ok((Some(client), _)) => client.to_string(),
            Ok((None, _)) => "local".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(told, expected, "{hex}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_past_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((_, end)) = whole(&bytes) {
            prop_assert!(end <= bytes.len());
        }
    }

    #[test]
    fn nothing_behind_the_signature_makes_it_panic(rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&SIGNATURE[..], &rest].concat();
        if let Ok((_, end)) = whole(&bytes) {
            prop_assert!(end <= bytes.len());
        }
    }

    #[test]
    fn every_address_comes_back(source: [u8; 4], more in proptest::collection::vec(any::<u8>(), 0..100)) {
        let bytes = written(1, 0x11, &[v4(source), more].concat());
        prop_assert_eq!(whole(&bytes), Ok((Some(IpAddr::from(source)), bytes.len())));
    }
}
