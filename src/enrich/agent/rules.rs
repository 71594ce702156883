//! The rules of uap-core, matched in little memory.
//!
//! uap-core publishes about 1200 regular expressions in three lists (browser, operating system, device);
//! in each list the first that matches wins. Compiled all at once by a general engine they take 25 MB, and
//! twice that once every lazy automaton has run, which is more than a whole idle collector may use. So:
//!
//! - every pattern is read once at start and gives a set of literals ("atoms") of which at least one must
//!   stand in the text; one Aho-Corasick automaton over the atoms of all three lists names the few
//!   patterns that can match a text at all;
//! - a pattern is compiled when it is first needed, to a byte-oriented NFA run by a bounded backtracker,
//!   which needs no automaton of its own and shares one scratch space per thread.
//!
//! Patterns are read as ASCII patterns (`\d` is `[0-9]`, `.` is any byte but a line end), and repetitions with
//! a large upper bound lose the bound: uap-core writes `.{0,200}` for the sake of engines that backtrack
//! without limit, and a text here is at most [`TEXT_BYTES_MAX`] bytes long.
//!
//! (A long file: reading, indexing, compiling and matching share what a rule is.)

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex_automata::nfa::thompson::backtrack::{BoundedBacktracker, Cache, Config};
use regex_automata::nfa::thompson::{Compiler, NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};
use serde::Deserialize;

/// Longest text that is matched, in bytes; the caller cuts longer ones.
pub const TEXT_BYTES_MAX: usize = 512;

/// Upper bounds from this on are read as "no bound" when a pattern is compiled.
const REPEAT_BOUND_KEPT_MAX: u32 = 99;
/// Groups that templates can name: `$0` to `$9`, each with a start and an end.
const SLOTS: usize = 20;
/// A set of exact strings larger than this is no longer multiplied out.
const EXACT_STRINGS_MAX: usize = 16;
/// Atoms shorter than this say too little.
const ATOM_BYTES_MIN: usize = 2;

/// Why a rules file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum RulesError {
    /// Not JSON of the expected shape.
    Json(serde_json::Error),
    /// A pattern is no regular expression; `index` counts within its list.
    Pattern {
        /// Name of the list.
        list: &'static str,
        /// Position in the list, from 0.
        index: usize,
    },
    /// The automaton over all atoms could not be built.
    Atoms(aho_corasick::BuildError),
}

impl std::fmt::Display for RulesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the user agent rules are not valid JSON: {error}"),
            Self::Pattern { list, index } => write!(f, "rule {index} of {list} is no usable pattern"),
            Self::Atoms(error) => write!(f, "the user agent rules cannot be indexed: {error}"),
        }
    }
}

impl std::error::Error for RulesError {}

/// The file as uap-core lays it out (`regexes.yaml`, as JSON).
#[derive(Deserialize)]
struct File {
    user_agent_parsers: Vec<BrowserRule>,
    os_parsers: Vec<OsRule>,
    device_parsers: Vec<DeviceRule>,
}

#[derive(Deserialize)]
struct BrowserRule {
    regex: Box<str>,
    family_replacement: Option<Box<str>>,
    v1_replacement: Option<Box<str>>,
}

#[derive(Deserialize)]
struct OsRule {
    regex: Box<str>,
    os_replacement: Option<Box<str>>,
    os_v1_replacement: Option<Box<str>>,
}

#[derive(Deserialize)]
struct DeviceRule {
    regex: Box<str>,
    regex_flag: Option<Box<str>>,
    device_replacement: Option<Box<str>>,
    brand_replacement: Option<Box<str>>,
    model_replacement: Option<Box<str>>,
}

/// One pattern and what to make of its groups.
struct Rule {
    pattern: Box<str>,
    case_insensitive: bool,
    values: [Value; 3],
    /// Compiled when first needed; `None` inside where the compiler refuses it, which a rule never recovers from.
    matcher: OnceLock<Option<Box<BoundedBacktracker>>>,
}

/// Where one value of a rule comes from.
enum Value {
    /// Text with `$1` to `$9` standing for groups.
    Template(Box<str>),
    Group(usize),
    Absent,
}

impl Value {
    fn new(template: Option<Box<str>>, group: usize) -> Self {
        match template {
            Some(template) => Self::Template(template),
            None => Self::Group(group),
        }
    }
}

/// What the three lists say about a text; each is `None` where no rule matched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Family and major version of the browser.
    pub browser: Option<[Cow<'a, str>; 2]>,
    /// Family and major version of the operating system.
    pub os: Option<[Cow<'a, str>; 2]>,
    /// Family, brand and model of the device.
    pub device: Option<[Cow<'a, str>; 3]>,
}

/// The rules, ready to be matched.
pub struct Rules {
    /// Browser rules, then operating systems, then devices.
    rules: Vec<Rule>,
    /// Index of the first operating system rule and of the first device rule.
    os_start: usize,
    device_start: usize,
    atoms: AhoCorasick,
    /// For each atom its rules, as a range of `atom_rules`.
    atom_ranges: Box<[(u32, u32)]>,
    atom_rules: Box<[u16]>,
    /// Rules in which no atom was found: always candidates.
    always: Box<[u16]>,
}

thread_local! {
    /// Scratch space of the backtracker, shared by all rules; grows to the largest rule times the longest text.
    static SCRATCH: RefCell<Option<Cache>> = const { RefCell::new(None) };
}

impl Rules {
    /// Reads the rules and indexes them; nothing is compiled yet.
    ///
    /// # Errors
    /// Where the JSON or a pattern cannot be read.
    pub fn from_json(json: &str) -> Result<Self, RulesError> {
        let file: File = serde_json::from_str(json).map_err(RulesError::Json)?;
        let os_start = file.user_agent_parsers.len();
        let device_start = os_start + file.os_parsers.len();
        let mut rules = Vec::with_capacity(device_start + file.device_parsers.len());
        rules.extend(file.user_agent_parsers.into_iter().map(|rule| Rule {
            pattern: rule.regex,
            case_insensitive: false,
            values: [
                Value::new(rule.family_replacement, 1),
                Value::new(rule.v1_replacement, 2),
                Value::Absent,
            ],
            matcher: OnceLock::new(),
        }));
        rules.extend(file.os_parsers.into_iter().map(|rule| Rule {
            pattern: rule.regex,
            case_insensitive: false,
            values: [
                Value::new(rule.os_replacement, 1),
                Value::new(rule.os_v1_replacement, 2),
                Value::Absent,
            ],
            matcher: OnceLock::new(),
        }));
        rules.extend(file.device_parsers.into_iter().map(|rule| Rule {
            pattern: rule.regex,
            case_insensitive: rule.regex_flag.as_deref() == Some("i"),
            values: [
                Value::new(rule.device_replacement, 1),
                rule.brand_replacement.map_or(Value::Absent, Value::Template),
                Value::new(rule.model_replacement, 1),
            ],
            matcher: OnceLock::new(),
        }));

        let mut by_atom: std::collections::BTreeMap<Vec<u8>, Vec<u16>> = std::collections::BTreeMap::new();
        let mut always = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let in_list = if index >= device_start {
                ("device_parsers", index - device_start)
            } else if index >= os_start {
                ("os_parsers", index - os_start)
            } else {
                ("user_agent_parsers", index)
            };
            let failed = RulesError::Pattern { list: in_list.0, index: in_list.1 };
            let Ok(rule_number) = u16::try_from(index) else {
                return Err(failed);
            };
            let Some(hir) = rule.parse() else {
                return Err(failed);
            };
            match required_atoms(&hir) {
                Some(atoms) => {
                    for atom in atoms {
                        let users = by_atom.entry(atom).or_default();
                        if users.last() != Some(&rule_number) {
                            users.push(rule_number);
                        }
                    }
                }
                None => always.push(rule_number),
            }
        }
        let mut atom_ranges = Vec::with_capacity(by_atom.len());
        let mut atom_rules: Vec<u16> = Vec::new();
        for users in by_atom.values() {
            let start = atom_rules.len() as u32;
            atom_rules.extend_from_slice(users);
            atom_ranges.push((start, atom_rules.len() as u32));
        }
        let atoms = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(aho_corasick::AhoCorasickKind::ContiguousNFA))
            .build(by_atom.keys())
            .map_err(RulesError::Atoms)?;
        Ok(Self {
            rules,
            os_start,
            device_start,
            atoms,
            atom_ranges: atom_ranges.into(),
            atom_rules: atom_rules.into(),
            always: always.into(),
        })
    }

    /// What the rules say about `text`, of which only the first [`TEXT_BYTES_MAX`] bytes are looked at.
    pub fn parse<'a>(&'a self, text: &'a str) -> Parsed<'a> {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let mut candidates = vec![0_u64; self.rules.len().div_ceil(64)];
        let mut add = |rule: u16| candidates[usize::from(rule) / 64] |= 1 << (rule % 64);
        self.always.iter().copied().for_each(&mut add);
        for found in self.atoms.find_overlapping_iter(text) {
            let (start, end) = self.atom_ranges[found.pattern().as_usize()];
            self.atom_rules[start as usize..end as usize].iter().copied().for_each(&mut add);
        }

        SCRATCH.with_borrow_mut(|scratch| {
            let mut first = |from: usize, to: usize| {
                ones(&candidates, from, to).find_map(|index| self.rules[index].apply(text, scratch))
            };
            Parsed {
                browser: first(0, self.os_start).map(|[family, major, _]| [family, major]),
                os: first(self.os_start, self.device_start).map(|[family, major, _]| [family, major]),
                device: first(self.device_start, self.rules.len()),
            }
        })
    }
}

/// Positions of the set bits from `from` up to, not including, `to`, ascending.
fn ones(words: &[u64], from: usize, to: usize) -> impl Iterator<Item = usize> {
    (from / 64..to.div_ceil(64)).flat_map(move |word| {
        let mut bits = words[word];
        std::iter::from_fn(move || {
            let bit = bits.trailing_zeros() as usize;
            bits &= bits.checked_sub(1)?;
            Some(word * 64 + bit)
        })
        .filter(move |&index| (from..to).contains(&index))
    })
}

impl Rule {
    fn parse(&self) -> Option<Hir> {
        let config = syntax::Config::new().utf8(false).case_insensitive(self.case_insensitive);
        // A class with a character beyond ASCII has no meaning as bytes; such a pattern stays as it is.
        let parse = |config| syntax::parse_with(&self.pattern, &config).ok();
        parse(config.unicode(false)).or_else(|| parse(config))
    }

    fn compile(&self) -> Option<Box<BoundedBacktracker>> {
        let hir = without_large_bounds(self.parse()?);
        let nfa: NFA = Compiler::new()
            .configure(NFA::config().utf8(false).shrink(true).which_captures(WhichCaptures::All))
            .build_from_hir(&hir)
            .ok()?;
        // Two bits would be enough for one state and position; the sum holds for every text we take.
        let visited_bytes_max = (nfa.states().len() * (TEXT_BYTES_MAX + 1)).div_ceil(8) + 64;
        let prefilter = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, &hir);
        BoundedBacktracker::builder()
            .configure(Config::new().visited_capacity(visited_bytes_max).prefilter(prefilter))
            .build_from_nfa(nfa)
            .ok()
            .map(Box::new)
    }

    fn apply<'a>(&'a self, text: &'a str, scratch: &mut Option<Cache>) -> Option<[Cow<'a, str>; 3]> {
        let matcher = self.matcher.get_or_init(|| self.compile()).as_deref()?;
        let scratch = scratch.get_or_insert_with(|| matcher.create_cache());
        scratch.reset(matcher);
        let mut slots = [None; SLOTS];
        matcher.try_search_slots(scratch, &Input::new(text), &mut slots).ok()??;
        let values = self.values.each_ref().map(|value| resolve(value, text, &slots));
        // The first value is the family: without one the rule says nothing (uap-core's specification).
        if values[0].is_empty() { None } else { Some(values) }
    }
}

/// The text of a group, trimmed; empty where the group took no part in the match.
fn group<'a>(text: &'a str, slots: &[Option<NonMaxUsize>; SLOTS], number: usize) -> &'a str {
    let bounds = (slots.get(2 * number).copied().flatten(), slots.get(2 * number + 1).copied().flatten());
    match bounds {
        (Some(start), Some(end)) => text.get(start.get()..end.get()).unwrap_or_default(),
        _ => "",
    }
}

fn resolve<'a>(value: &'a Value, text: &'a str, slots: &[Option<NonMaxUsize>; SLOTS]) -> Cow<'a, str> {
    match value {
        Value::Absent => Cow::Borrowed(""),
        Value::Group(number) => Cow::Borrowed(group(text, slots, *number).trim()),
        Value::Template(template) if !template.contains('$') => Cow::Borrowed(template.trim()),
        Value::Template(template) => {
            let mut out = String::with_capacity(template.len() + 16);
            let mut chars = template.chars().peekable();
            while let Some(c) = chars.next() {
                match (c, chars.peek().and_then(|next| next.to_digit(10))) {
                    ('$', Some(number)) => {
                        chars.next();
                        out.push_str(group(text, slots, number as usize));
                    }
                    _ => out.push(c),
                }
            }
            Cow::Owned(out.trim().to_owned())
        }
    }
}

/// The same pattern with `{0,200}` read as `*` and `{1,200}` as `+`, which makes the NFA a hundred times smaller.
fn without_large_bounds(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Capture(mut capture) => {
            capture.sub = Box::new(without_large_bounds(*capture.sub));
            Hir::capture(capture)
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(without_large_bounds).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(without_large_bounds).collect())
        }
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            min: repetition.min,
            max: repetition.max.filter(|&max| max <= REPEAT_BOUND_KEPT_MAX || repetition.min > 1),
            greedy: repetition.greedy,
            sub: Box::new(without_large_bounds(*repetition.sub)),
        }),
    }
}

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
fn required_atoms(hir: &Hir) -> Option<Vec<Vec<u8>>> {
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
