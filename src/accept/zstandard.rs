//! Zstandard (RFC 8878): one or more frames, one after the other.
//!
//! Decoded in Rust, and not by the C library: what that one frees, the allocator that wipes does not see, and parts of
//! bodies would stay behind in the process's memory.

use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// Larger windows than 8 MiB are refused (RFC 9659, section 3).
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Decodes frames for as long as there are any.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
    frame: Option<StreamingDecoder<&'a [u8], FrameDecoder>>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(source: &'a [u8]) -> Self {
        Self { rest: source, frame: None }
    }

    /// Opens the next frame behind those that hold nothing (RFC 8878, section 3.1.2).
    fn open(&mut self) -> io::Result<StreamingDecoder<&'a [u8], FrameDecoder>> {
        loop {
            match StreamingDecoder::new_with_max_window_size(self.rest, WINDOW_BYTES_MAX) {
                Ok(frame) => return Ok(frame),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    // Magic and length, four bytes each.
                    let skipped = usize::try_from(length).ok().and_then(|length| length.checked_add(8));
                    self.rest = skipped.and_then(|skipped| self.rest.get(skipped..)).ok_or_else(broken)?;
                    if self.rest.is_empty() {
                        return Err(broken());
                    }
                }
                Err(_) => return Err(broken()),
            }
        }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Read for Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None if self.rest.is_empty() => return Ok(0),
                None => self.open()?,
            };
            match frame.read(buffer)? {
                0 => {
                    let decoder = &frame.decoder;
                    let (sent, made) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
                    if sent.is_some() && sent != made {
                        return Err(broken());
                    }
                    self.rest = frame.get_ref();
                }
                read => {
                    self.frame = Some(frame);
                    return Ok(read);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Frames::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn frames_follow_each_other_and_empty_ones_are_skipped() {
        let text = b"{\"a\":1}".repeat(5000);
        let frame = zstd::encode_all(text.as_slice(), 3).unwrap();
        let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
        assert_eq!(decoded(&frame).unwrap(), text);
        let two = [frame.clone(), skippable, frame.clone()].concat();
        assert_eq!(decoded(&two).unwrap(), [text.clone(), text].concat());
        assert_eq!(decoded(b"").unwrap(), b"");
    }

    #[test]
    fn a_torn_or_changed_frame_is_an_error() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        io::Write::write_all(&mut encoder, &b"plain text, over and over; ".repeat(40)).unwrap();
        let frame = encoder.finish().unwrap();
        for length in 1..frame.len() {
            assert!(decoded(&frame[..length]).is_err(), "{length}");
        }
        let mut changed = frame.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(decoded(&changed).is_err());
        assert!(decoded(b"not a frame").is_err());
    }
}
