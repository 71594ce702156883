//! The one reader of bodies: capped on the wire, capped after decompression, whatever the coding.

use std::io::Read;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Body;

use super::zstandard::Frames;
use super::{Refusal, Reservation};

/// Output is taken and charged to the budget in steps of this many bytes.
const STEP_BYTES: usize = 64 * 1024;

/// `Content-Encoding`, of which one at a time is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let Some(value) = values.next() else { return Ok(Self::Identity) };
        if values.next().is_some() {
            return Err(Refusal::EncodingUnsupported);
        }
        match value.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Refusal::EncodingUnsupported),
        }
    }
}

/// Reads the body as sent. A declared length above the limit is refused before a byte is read.
pub(super) async fn read<B>(
    mut stream: B,
    bytes_max: usize,
    held: &mut Reservation,
) -> Result<Vec<u8>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = stream.size_hint().lower();
    if declared > bytes_max as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    // A declared length is only a promise: the budget is charged for what has arrived.
    let mut body = Vec::with_capacity((declared as usize).min(STEP_BYTES));
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyBroken)?;
        let Some(chunk) = frame.data_ref() else { continue };
        if body.len() + chunk.len() > bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
        held.grow_to(body.len() + chunk.len())?;
        body.extend_from_slice(chunk);
    }
    Ok(body)
}

/// Undoes the content coding. Stops at the limit, so a bomb costs no more than the limit.
pub(super) fn decode(
    raw: Vec<u8>,
    coding: Coding,
    bytes_max: usize,
    held: &mut Reservation,
) -> Result<Vec<u8>, Refusal> {
    let source = raw.as_slice();
    match coding {
        Coding::Identity if raw.len() > bytes_max => Err(Refusal::BodyTooLarge),
        Coding::Identity => Ok(raw),
        Coding::Gzip => drain(flate2::read::MultiGzDecoder::new(source), source.len(), bytes_max, held),
        Coding::Deflate if is_zlib(source) => {
            drain(flate2::read::ZlibDecoder::new(source), source.len(), bytes_max, held)
        }
        Coding::Deflate => drain(flate2::read::DeflateDecoder::new(source), source.len(), bytes_max, held),
        Coding::Brotli => drain(brotli::Decompressor::new(source, 4096), source.len(), bytes_max, held),
        Coding::Zstd => drain(Frames::new(source), source.len(), bytes_max, held),
    }
}

/// RFC 9110 8.4.1.2 means zlib by "deflate"; some senders leave the wrapper out. The first two bytes tell.
fn is_zlib(source: &[u8]) -> bool {
    let [first, second, ..] = *source else { return true };
    first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0
}

fn drain(
    mut decoder: impl Read,
    raw_bytes: usize,
    bytes_max: usize,
    held: &mut Reservation,
) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    let mut filled = 0;
    loop {
        if filled == body.len() {
            let larger = (body.len() + STEP_BYTES.min(body.len().max(4096))).min(bytes_max + 1);
            held.grow_to(raw_bytes + larger)?;
            body.resize(larger, 0);
        }
        match decoder.read(&mut body[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Refusal::EncodingBroken),
        }
        if filled > bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
    }
    body.truncate(filled);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::Full;

    use super::super::Budget;
    use super::*;

    fn encode(coding: Coding, plain: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::best();
        match coding {
            Coding::Identity => plain.to_vec(),
            Coding::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
                writer.write_all(plain).unwrap();
                writer.finish().unwrap()
            }
            Coding::Deflate => {
                let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
                writer.write_all(plain).unwrap();
                writer.finish().unwrap()
            }
            Coding::Brotli => {
                let mut coded = Vec::new();
                brotli::BrotliCompress(
                    &mut &plain[..],
                    &mut coded,
                    &brotli::enc::BrotliEncoderParams::default(),
                )
                .unwrap();
                coded
            }
            Coding::Zstd => zstd::encode_all(plain, 19).unwrap(),
        }
    }

    const ALL: [Coding; 5] = [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    #[test]
    fn every_coding_comes_back_as_it_was() {
        let plain = b"{\"type\":\"pageview\"}".repeat(1000);
        for coding in ALL {
            let mut held = Budget::new(1 << 20).hold();
            let body = decode(encode(coding, &plain), coding, plain.len(), &mut held).unwrap();
            assert!(body == plain, "{coding:?}");
        }
    }

    #[test]
    fn raw_deflate_without_its_wrapper_is_read_too() {
        let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(b"[1,2,3]").unwrap();
        let body =
            decode(writer.finish().unwrap(), Coding::Deflate, 100, &mut Budget::new(65536).hold()).unwrap();
        assert_eq!(body, b"[1,2,3]");
    }

    #[test]
    fn one_over_the_limit_is_too_large_in_every_coding() {
        let plain = vec![b' '; 10_001];
        for coding in ALL {
            let mut held = Budget::new(1 << 20).hold();
            let refused = decode(encode(coding, &plain), coding, 10_000, &mut held);
            assert!(matches!(refused, Err(Refusal::BodyTooLarge)), "{coding:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = encode(Coding::Gzip, &vec![0; 64 << 20]);
        assert!(bomb.len() < 80_000);
        let refused = decode(bomb, Coding::Gzip, 1 << 20, &mut Budget::new(4 << 20).hold());
        assert!(matches!(refused, Err(Refusal::BodyTooLarge)));
    }

    #[test]
    fn a_cut_or_broken_stream_is_said_to_be_broken() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate] {
            let mut coded = encode(coding, b"{\"type\":\"pageview\",\"url\":\"https://shop.example/\"}");
            coded.truncate(coded.len() / 2);
            let refused = decode(coded, coding, 1000, &mut Budget::new(1 << 20).hold());
            assert!(matches!(refused, Err(Refusal::EncodingBroken)), "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_declared_length_above_the_limit_is_refused_unread() {
        let mut held = Budget::new(1 << 20).hold();
        let body = Full::new(Bytes::from(vec![b'x'; 11]));
        assert!(matches!(read(body, 10, &mut held).await, Err(Refusal::BodyTooLarge)));
        let body = Full::new(Bytes::from(vec![b'x'; 10]));
        assert_eq!(read(body, 10, &mut held).await.unwrap().len(), 10);
    }
}
