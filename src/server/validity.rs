//! Until when a certificate is valid: read from its DER (X.509, RFC 5280 section 4.1), and said in time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Below this many days somebody has to be told: issuers renew thirty days ahead, so by now it should have happened.
const SOON_DAYS: i64 = 14;
const DAY_S: i64 = 86_400;

/// The end of a chain's validity: that of whichever of its certificates ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValidUntil(i64);

/// How that stands to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing to do.
    Good,
    /// It ends within two weeks.
    Soon,
    /// It is over: clients refuse it.
    Over,
}

impl ValidUntil {
    /// Of a chain in DER; `None` where one of them cannot be read.
    pub fn of<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let ends: Option<Vec<i64>> = chain.into_iter().map(not_after_s).collect();
        ends?.into_iter().min().map(Self)
    }

    /// Seconds since 1970.
    pub fn at_s(self) -> i64 {
        self.0
    }

    /// How it stands at `now_ms`.
    pub fn standing(self, now_ms: i64) -> Standing {
        match self.0 - now_ms.div_euclid(1000) {
            left if left < 0 => Standing::Over,
            left if left < SOON_DAYS * DAY_S => Standing::Soon,
            _ => Standing::Good,
        }
    }

    /// In words for whoever keeps it.
    pub fn words(self, now_ms: i64) -> String {
        let day =
            Timestamp::from_second(self.0).map_or_else(|_| "?".into(), |at| at.strftime("%F").to_string());
        let days = (self.0 - now_ms.div_euclid(1000)).abs() / DAY_S;
        match self.standing(now_ms) {
            Standing::Good => format!("valid until {day}"),
            Standing::Soon => format!("valid until {day}, which is in {days} days: renew it now"),
            Standing::Over => {
                format!("not valid since {day}, {days} days ago: browsers send nothing; renew it now")
            }
        }
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Takes one value off the front: its tag and what is in it.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit))
        }
        _ => return None,
    };
    let (inside, after) = rest.split_at_checked(length)?;
    *bytes = after;
    Some((tag, inside))
}

fn take_of<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(bytes).filter(|taken| taken.0 == tag).map(|taken| taken.1)
}

/// `notAfter` in seconds since 1970.
fn not_after_s(mut der: &[u8]) -> Option<i64> {
    let mut certificate = take_of(&mut der, SEQUENCE)?;
    let mut signed = take_of(&mut certificate, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        take(&mut signed)?;
    }
    take_of(&mut signed, INTEGER)?; // serial number
    take_of(&mut signed, SEQUENCE)?; // algorithm
    take_of(&mut signed, SEQUENCE)?; // issuer
    let mut validity = take_of(&mut signed, SEQUENCE)?;
    take(&mut validity)?;
    let (tag, text) = take(&mut validity)?;
    let text = std::str::from_utf8(text).ok()?;
    // Section 4.1.2.5: two digits of the year stand for 1950 to 2049, seconds are there, and the zone is Z.
    let text = match tag {
        UTC_TIME if text.len() == 13 => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME if text.len() == 15 => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_763_848_800_000;

    fn certificate(until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn until(chain: &[Vec<u8>]) -> Option<ValidUntil> {
        ValidUntil::of(chain.iter().map(Vec::as_slice))
    }

    #[test]
    fn both_forms_of_time_are_read_and_the_first_to_end_counts() {
        let day = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let (near, far) = (certificate((2030, 2, 3)), certificate((2061, 5, 6)));
        assert_eq!(until(std::slice::from_ref(&near)).unwrap().at_s(), day("2030-02-03T00:00:00Z"));
        assert_eq!(until(std::slice::from_ref(&far)).unwrap().at_s(), day("2061-05-06T00:00:00Z"));
        assert_eq!(until(&[far, near]).unwrap().at_s(), day("2030-02-03T00:00:00Z"));
        assert_eq!(until(&[]), None);
    }

    #[test]
    fn what_is_cut_or_changed_is_never_a_fault_of_ours() {
        let good = certificate((2030, 2, 3));
        for end in 0..good.len() {
            assert_eq!(until(&[good[..end].to_vec()]), None, "{end}");
        }
        for at in 0..good.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= bits;
                let _ = until(&[bad]);
            }
        }
    }

    #[test]
    fn two_weeks_ahead_somebody_is_told() {
        let now_s = NOW_MS / 1000;
        let standing = |left: i64| ValidUntil(now_s + left).standing(NOW_MS);
        assert_eq!(standing(14 * DAY_S), Standing::Good);
        assert_eq!(standing(14 * DAY_S - 1), Standing::Soon);
        assert_eq!(standing(0), Standing::Soon);
        assert_eq!(standing(-1), Standing::Over);
        let words = ValidUntil(now_s + 3 * DAY_S).words(NOW_MS);
        assert_eq!(words, "valid until 2025-11-25, which is in 3 days: renew it now");
    }
}
