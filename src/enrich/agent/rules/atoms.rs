//! The literals ("atoms") of a pattern of which at least one stands in every text that it matches.
//!
//! Found by a walk over the parsed pattern that keeps, for each part, either all strings it can match or the best set
//! of strings one of which it must contain. Rare atoms are preferred: each one found costs a try of its rules.

use regex_syntax::hir::{Class, Hir, HirKind};

/// A set of exact strings larger than this is no longer multiplied out.
const EXACT_STRINGS_MAX: usize = 16;
/// Atoms shorter than this say too little.
const ATOM_BYTES_MIN: usize = 2;

/// What is known of the strings that a part of a pattern matches; lower-cased.
struct Literals {
    /// All of them, where they are few.
    exact: Option<Vec<Vec<u8>>>,
    /// Each of them contains one of these.
    required: Option<Vec<Vec<u8>>>,
}

impl Literals {
    const UNKNOWN: Self = Self { exact: None, required: None };

    fn into_required(self) -> Option<Vec<Vec<u8>>> {
        better(self.required, self.exact)
    }
}

/// Lower-cased literals of which at least one stands in every text that the pattern matches, chosen to be rare;
/// `None` where there are none.
pub(super) fn required_atoms(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    literals(hir).into_required()
}

fn literals(hir: &Hir) -> Literals {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Literals { exact: Some(vec![Vec::new()]), required: None },
        HirKind::Literal(literal) => {
            Literals { exact: Some(vec![literal.0.to_ascii_lowercase()]), required: None }
        }
        HirKind::Class(class) => Literals { exact: class_members(class), required: None },
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Repetition(repetition) => {
            let sub = literals(&repetition.sub);
            match (repetition.min, repetition.max) {
                (0, Some(1)) => Literals {
                    exact: sub.exact.map(|mut all| {
                        all.push(Vec::new());
                        all
                    }),
                    required: None,
                },
                (0, _) => Literals::UNKNOWN,
                _ => Literals { exact: None, required: sub.into_required() },
            }
        }
        HirKind::Concat(parts) => {
            let mut run: Vec<Vec<u8>> = vec![Vec::new()];
            let mut required = None;
            let mut exact = true;
            for part in parts {
                let sub = literals(part);
                match sub.exact {
                    Some(next) if run.len() * next.len() <= EXACT_STRINGS_MAX => {
                        run =
                            run.iter().flat_map(|a| next.iter().map(|b| [&a[..], &b[..]].concat())).collect();
                    }
                    next => {
                        exact = false;
                        required = better(required, Some(run));
                        required = better(required, sub.required);
                        run = next.unwrap_or_else(|| vec![Vec::new()]);
                    }
                }
            }
            if exact {
                Literals { exact: Some(run), required: None }
            } else {
                Literals { exact: None, required: better(required, Some(run)) }
            }
        }
        HirKind::Alternation(parts) => {
            let subs: Vec<_> = parts.iter().map(literals).collect();
            if subs.iter().all(|sub| sub.exact.is_some()) {
                let all: Vec<_> = subs.into_iter().filter_map(|sub| sub.exact).flatten().collect();
                return Literals { exact: Some(all), required: None };
            }
            let required: Option<Vec<Vec<Vec<u8>>>> = subs.into_iter().map(Literals::into_required).collect();
            Literals { exact: None, required: required.map(|sets| sets.concat()) }
        }
    }
}

/// The members of a small class, lower-cased.
fn class_members(class: &Class) -> Option<Vec<Vec<u8>>> {
    let Class::Bytes(class) = class else {
        return None;
    };
    let mut members: Vec<u8> = class
        .ranges()
        .iter()
        .flat_map(|range| range.start()..=range.end())
        .take(2 * EXACT_STRINGS_MAX + 1)
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    members.sort_unstable();
    members.dedup();
    (members.len() <= EXACT_STRINGS_MAX).then(|| members.into_iter().map(|byte| vec![byte]).collect())
}

/// Of two sets of alternatives the one that lets fewer texts through; a set with a too short member lets all through.
fn better(a: Option<Vec<Vec<u8>>>, b: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let rank = |set: &Vec<Vec<u8>>| {
        let weakest = set.iter().map(|atom| atom_strength(atom)).min().unwrap_or(0);
        (weakest > 0).then_some((weakest, std::cmp::Reverse(set.len())))
    };
    let a = a.filter(|set| rank(set).is_some());
    let b = b.filter(|set| rank(set).is_some());
    match (a, b) {
        (Some(a), Some(b)) => Some(if rank(&b) > rank(&a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// What ordinary agents say of themselves: an atom that stands in here tells little.
const ORDINARY: [&str; 4] = [
    "mozilla/5.0 (linux; u; android 10; k) applewebkit/537.36 (khtml, like gecko) version/4.0 chrome/120.0.0.0 mobile safari/537.36 build/",
    "mozilla/5.0 (iphone; cpu iphone os 17_0 like mac os x) applewebkit/605.1.15 (khtml, like gecko) version/17.0 mobile/15e148 safari/604.1",
    "mozilla/5.0 (windows nt 10.0; win64; x64; rv:120.0) gecko/20100101 firefox/120.0",
    "mozilla/5.0 (macintosh; intel mac os x 10_15_7) applewebkit/605.1.15 (khtml, like gecko)",
];

/// 0: unusable; 1: in nearly every text; more: the longer the rarer.
fn atom_strength(atom: &[u8]) -> usize {
    if atom.len() < ATOM_BYTES_MIN {
        return 0;
    }
    let ordinary =
        std::str::from_utf8(atom).is_ok_and(|atom| ORDINARY.iter().any(|text| text.contains(atom)));
    if ordinary { 1 } else { atom.len().min(8) }
}
