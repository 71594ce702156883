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
//! `file` reads the lists, `atoms` finds the literals of a pattern, `rule` compiles and applies one; the index over
//! all rules stands here.

mod atoms;
mod file;
mod rule;

use std::borrow::Cow;
use std::cell::RefCell;

use aho_corasick::AhoCorasick;
use regex_automata::nfa::thompson::backtrack::Cache;

use atoms::required_atoms;
use file::File;
use rule::Rule;

/// Longest text that is matched, in bytes; the caller cuts longer ones.
pub const TEXT_BYTES_MAX: usize = 512;

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
        let rules = file.into_rules();

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
