//! One rule: its pattern, compiled when it is first needed, and what it makes of the groups of a match.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex_automata::nfa::thompson::backtrack::{BoundedBacktracker, Cache, Config};
use regex_automata::nfa::thompson::{Compiler, NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind, Repetition};

use super::TEXT_BYTES_MAX;

/// Upper bounds from this on are read as "no bound" when a pattern is compiled.
const REPEAT_BOUND_KEPT_MAX: u32 = 99;
/// Groups that templates can name: `$0` to `$9`, each with a start and an end.
const SLOTS: usize = 20;

/// One pattern and what to make of its groups.
pub(super) struct Rule {
    pub(super) pattern: Box<str>,
    pub(super) case_insensitive: bool,
    pub(super) values: [Value; 3],
    /// Compiled when first needed; `None` inside where the compiler refuses it, which a rule never recovers from.
    pub(super) matcher: OnceLock<Option<Box<BoundedBacktracker>>>,
}

/// Where one value of a rule comes from.
pub(super) enum Value {
    /// Text with `$1` to `$9` standing for groups.
    Template(Box<str>),
    Group(usize),
    Absent,
}

impl Value {
    pub(super) fn new(template: Option<Box<str>>, group: usize) -> Self {
        match template {
            Some(template) => Self::Template(template),
            None => Self::Group(group),
        }
    }
}

impl Rule {
    pub(super) fn parse(&self) -> Option<Hir> {
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

    pub(super) fn apply<'a>(
        &'a self,
        text: &'a str,
        scratch: &mut Option<Cache>,
    ) -> Option<[Cow<'a, str>; 3]> {
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
