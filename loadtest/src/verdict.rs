//! Do the books balance? What was sent against what the collector said, and what it said against what the store holds.

use serde::{Deserialize, Serialize};

use crate::drive::Totals;

/// One statement about a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// It holds.
    pub holds: bool,
    /// It, with its figures.
    pub what: String,
}

/// What the store holds at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Rows of `events`.
    pub rows: u64,
    /// Different event ids.
    pub ids: u64,
    /// Rows that are page views of people that may be shared.
    pub views: u64,
    /// Page views in the roll-up.
    pub rollup_views: u64,
    /// The ledger: received.
    pub received: u64,
    /// The ledger: stored.
    pub ledger_stored: u64,
    /// The ledger: dropped, rejected and quarantined.
    pub ledger_other: u64,
}

impl Stored {
    /// The queries, in the order of the fields.
    pub const QUERY: &'static str = "SELECT count(), uniqExact(event_id), \
        countIf(type = 'pageview' AND no_share = 0 AND bot = 0 AND path != ''), \
        (SELECT sum(views) FROM consentry.pages), \
        (SELECT sumIf(count, outcome = 'received') FROM consentry.ledger), \
        (SELECT sumIf(count, outcome = 'stored') FROM consentry.ledger), \
        (SELECT sumIf(count, outcome IN ('dropped', 'rejected', 'quarantined', 'erased')) FROM consentry.ledger) \
        FROM consentry.events";

    /// From the answer to [`Stored::QUERY`].
    pub fn parse(line: &str) -> Option<Self> {
        let numbers: Vec<u64> =
            line.split('\t').map(|text| text.trim().parse().ok()).collect::<Option<_>>()?;
        let [rows, ids, views, rollup_views, received, ledger_stored, ledger_other] = numbers[..] else {
            return None;
        };
        Some(Self { rows, ids, views, rollup_views, received, ledger_stored, ledger_other })
    }
}

/// Judges a run. `stored`: where the store can be asked, less what it held before.
pub fn judge(totals: &Totals, stored: Option<&Stored>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |holds: bool, what: String| findings.push(Finding { holds, what });
    let t = totals;
    let kept = t.accepted + t.duplicates;
    let told = kept + t.dropped + t.rejected + t.unreadable + t.refused + t.unanswered;
    // Events of an answer that says something else are in no sum.
    say(
        t.sent.abs_diff(told) <= t.mismatched && (t.mismatched > 0 || t.sent == told),
        format!(
            "sent {} = kept {kept} + dropped {} + rejected {} + unreadable {} + refused {} + unanswered {}",
            t.sent, t.dropped, t.rejected, t.unreadable, t.refused, t.unanswered
        ),
    );
    say(
        t.mismatched == 0,
        format!("every answer is the one that its request deserves ({} are not)", t.mismatched),
    );
    say(t.never_sent == 0, format!("every request was sent in time ({} were not)", t.never_sent));
    let Some(stored) = stored else { return findings };
    // What was not answered may be there or not.
    let most = kept + t.unanswered;
    let lost = kept.saturating_sub(stored.rows);
    let extra = stored.rows.saturating_sub(most);
    say(
        lost == 0 && extra == 0,
        format!(
            "kept {kept} = rows {} ({lost} lost, {extra} too many, {} not answered)",
            stored.rows, t.unanswered
        ),
    );
    say(stored.ids == stored.rows, format!("no event twice: {} ids in {} rows", stored.ids, stored.rows));
    say(
        stored.views == stored.rollup_views,
        format!("roll-up {} = page views {}", stored.rollup_views, stored.views),
    );
    say(
        stored.received == stored.ledger_stored + stored.ledger_other && stored.ledger_stored == stored.rows,
        format!(
            "ledger: received {} = stored {} + dropped, rejected, quarantined {}",
            stored.received, stored.ledger_stored, stored.ledger_other
        ),
    );
    findings
}

/// Prints findings; true where all hold.
pub fn print(findings: &[Finding]) -> bool {
    for Finding { holds, what } in findings {
        println!("  {} {what}", if *holds { "ok " } else { "NOT" });
    }
    findings.iter().all(|finding| finding.holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_hold(totals: &Totals, stored: &Stored) -> bool {
        judge(totals, Some(stored)).iter().all(|finding| finding.holds)
    }

    #[test]
    fn one_event_too_few_or_too_many_is_found() {
        let totals = Totals { sent: 12, accepted: 8, dropped: 3, rejected: 1, ..Totals::default() };
        let good = Stored::parse("8\t8\t5\t5\t12\t8\t4").unwrap();
        assert!(all_hold(&totals, &good));
        for bad in
            ["7\t7\t5\t5\t12\t7\t5", "9\t8\t5\t5\t13\t9\t4", "8\t8\t5\t6\t12\t8\t4", "8\t8\t5\t5\t13\t8\t4"]
        {
            assert!(!all_hold(&totals, &Stored::parse(bad).unwrap()), "{bad}");
        }
        assert!(!all_hold(&Totals { sent: 13, ..totals.clone() }, &good));
        assert!(!all_hold(&Totals { mismatched: 1, ..totals.clone() }, &good));
        assert!(!all_hold(&Totals { never_sent: 1, ..totals }, &good));
    }

    #[test]
    fn what_was_not_answered_may_be_there() {
        let totals = Totals { sent: 10, accepted: 8, unanswered: 2, ..Totals::default() };
        for rows in 8..=10 {
            assert!(all_hold(
                &totals,
                &Stored::parse(&format!("{rows}\t{rows}\t1\t1\t{rows}\t{rows}\t0")).unwrap()
            ));
        }
        assert!(!all_hold(&totals, &Stored::parse("11\t11\t1\t1\t11\t11\t0").unwrap()));
    }
}
