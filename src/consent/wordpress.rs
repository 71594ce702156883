//! WP Consent API (`wp_consent_statistics`) and Complianz (`cmplz_statistics`): one word in one cookie.

use super::Reading;
use super::text::Buffer;

/// `allow` or `deny`.
pub(super) fn read(value: &[u8]) -> Reading {
    match Buffer::new().percent(value) {
        Some("allow") => Reading::Grant,
        Some("deny") => Reading::Deny,
        _ => Reading::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_words_and_nothing_else() {
        assert_eq!(read(b"allow"), Reading::Grant);
        assert_eq!(read(b"deny"), Reading::Deny);
        for odd in ["", "Allow", "allowed", "true", "1", "allow%", "allow%00", "allow,deny"] {
            assert_eq!(read(odd.as_bytes()), Reading::Malformed, "{odd}");
        }
    }
}
