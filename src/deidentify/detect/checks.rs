//! Check digits, by which a number is told from one that only looks like it.

/// Digits of a text, all else skipped.
fn digits(text: &[u8]) -> impl DoubleEndedIterator<Item = u32> + Clone {
    text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'))
}

/// Digits and letters as numbers from 0 to 35, all else skipped.
fn values(text: &[u8]) -> impl Iterator<Item = u32> + Clone {
    text.iter().filter_map(|&byte| char::from(byte).to_digit(36))
}

/// Luhn's sum over at least two different digits (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(text: &[u8]) -> bool {
    let doubled = |(place, digit): (usize, u32)| match place % 2 {
        0 => digit,
        _ if digit > 4 => digit * 2 - 9,
        _ => digit * 2,
    };
    let first = digits(text).next();
    digits(text).rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
        && digits(text).any(|digit| Some(digit) != first)
}

/// ISO 13616: the first four characters moved to the end, the whole modulo 97 is 1. `text` holds 15 to 34 letters and
/// digits and what may separate them.
pub(super) fn iban(text: &[u8]) -> bool {
    let length = values(text).count();
    let moved = values(text).skip(4).chain(values(text).take(4));
    let step = |rest: u32, value: u32| match value {
        0..=9 => (rest * 10 + value) % 97,
        _ => (rest * 100 + value) % 97,
    };
    (15..=34).contains(&length) && moved.fold(0, step) == 1
}

/// A German identity card or passport: eight or nine characters and, behind them, their sum weighted 7, 3, 1 (ICAO
/// Doc 9303, part 3, section 4.9), no vowels among the letters.
pub(super) fn icao_nine(text: &[u8]) -> bool {
    let sum: u32 = values(&text[..text.len() - 1])
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(value, weight)| value * weight)
        .sum();
    let letters = text.iter().filter(|byte| byte.is_ascii_alphabetic());
    let vowels = letters.clone().any(|byte| b"AEIOUBDQS".contains(&byte.to_ascii_uppercase()));
    !vowels && letters.count() > 0 && values(&text[text.len() - 1..]).next() == Some(sum % 10)
}

/// A Finnish personal identity code: the nine digits modulo 31 name the last character.
pub(super) fn hetu(text: &[u8]) -> bool {
    const MARKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let Some((&mark, rest)) = text.split_last() else { return false };
    let number = digits(rest).fold(0, |number, digit| number * 10 + digit);
    MARKS[(number % 31) as usize] == mark.to_ascii_uppercase() && day_month(&text[..4])
}

/// A day and a month, two digits each; some registers add 40 to the day.
fn day_month(text: &[u8]) -> bool {
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| u32::from(text[at].wrapping_sub(b'0')));
    (1..=71).contains(&(a * 10 + b)) && (1..=12).contains(&(c * 10 + d))
}

/// Whether six digits that begin behind the letters are a year, month and day: in Mexican tax and population numbers.
pub(super) fn born_behind_letters(text: &[u8]) -> bool {
    let all: Vec<u32> = digits(text).take(6).collect();
    matches!(all[..], [_, _, a, b, c, d] if (1..=12).contains(&(a * 10 + b)) && (1..=31).contains(&(c * 10 + d)))
}

/// The fourth letter of an Indian permanent account number says what kind of holder it has.
pub(super) fn pan(text: &[u8]) -> bool {
    b"ABCFGHJLPTKSD".contains(&text[3].to_ascii_uppercase())
}

/// A vehicle identification number (ISO 3779): 17 letters and digits, neither I, O nor Q, some of each.
pub(super) fn vin(text: &[u8]) -> bool {
    let count = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    (3..=15).contains(&count) && !text.iter().any(|byte| b"IOQioq".contains(byte))
}

/// An area that British postcodes have.
pub(super) fn british_area(text: &[u8]) -> bool {
    const AREAS: &str = " AB AL B BA BB BD BF BH BL BN BR BS BT BX CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH \
         EN EX FK FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N \
         NE NG NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA TD TF TN TQ \
         TR TS TW UB W WA WC WD WF WN WR WS WV YO ZE ";
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let inward = &text[text.len() - 2..];
    // "M3 8GB" and "S22 1TB" are sizes.
    let size = [b"GB", b"TB", b"HZ", b"HP"].into_iter().any(|unit| inward == unit);
    let inward_plain = !size && inward.iter().all(|byte| !b"CIKMOV".contains(byte));
    let area = std::str::from_utf8(&text[..letters]).unwrap_or_default();
    inward_plain && AREAS.contains(&format!(" {area} "))
}

/// Turkish plates begin with a province's number.
pub(super) fn turkish_province(text: &[u8]) -> bool {
    let number = digits(text).take(2).fold(0, |number, digit| number * 10 + digit);
    (1..=81).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_hold_for_what_standards_and_registers_publish() {
        assert!(luhn(b"4111 1111 1111 1111") && !luhn(b"4111 1111 1111 1112") && !luhn(b"0000000000000"));
        assert!(iban(b"DE89 3704 0044 0532 0130 00") && iban(b"gb82west12345698765432"));
        assert!(!iban(b"DE88370400440532013000") && !iban(b"DE8937"));
        assert!(
            icao_nine(b"C01234565")
                && icao_nine(b"C01X00T478")
                && !icao_nine(b"C01X00T477")
                && !icao_nine(b"C01234567")
                && !icao_nine(b"123456789")
        );
        assert!(hetu(b"131052-308T") && !hetu(b"131052-308U") && !hetu(b"139952-308T"));
        assert!(vin(b"1HGCM82633A004352") && !vin(b"IHGCM82633A004352"));
        assert!(british_area(b"SW1A1AA") && !british_area(b"PS54TB") && !british_area(b"M3 8GB"));
    }
}
