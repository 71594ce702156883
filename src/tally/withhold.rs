//! What is withheld beside the groups of few, so that nobody finds them by taking what is shown from the whole.
//!
//! A whole that is told elsewhere, less all groups that are shown, is what the withheld groups have together. Where that is of
//! fewer than k visitors, the smallest group that would be shown is withheld with them: it has k or more by itself. The same
//! holds for each slice of an answer by several dimensions, for its whole is told by a question with fewer of them. A group
//! that is withheld for one slice's sake never leaves another with too few, so each slice is looked at once.

use std::fmt::Write;

/// A figure of each group that may have to be withheld. The columns' names.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Whether it is withheld for its own sake.
    pub hidden: String,
    /// Its visitors, exact up to k; 0: nothing that could be told.
    pub visitors: String,
    /// Its rows, which say which group is smaller where the visitors do not.
    pub size: String,
    /// Up to k of its visitors.
    pub few: String,
}

/// `groups` with one column more for each figure, named in the answer: whether it is withheld at last. `dimensions` are
/// columns; `k` is a placeholder.
pub fn withhold(groups: String, dimensions: &[String], figures: &[Figure], k: &str) -> (String, Vec<String>) {
    let mut rows = groups;
    let mut flags: Vec<String> = figures.iter().map(|figure| figure.hidden.clone()).collect();
    let slices = (1_u32 << dimensions.len()) - 1;
    for slice in 0..slices {
        let fixed: Vec<&str> = dimensions
            .iter()
            .enumerate()
            .filter(|(place, _)| slice & (1 << place) != 0)
            .map(|(_, dimension)| dimension.as_str())
            .collect();
        let whole = match fixed.is_empty() {
            true => String::new(),
            false => format!("PARTITION BY {}", fixed.join(", ")),
        };
        let mut columns = String::new();
        for (number, (figure, flag)) in figures.iter().zip(&mut flags).enumerate() {
            let Figure { visitors, size, few, .. } = figure;
            let told = format!("{flag} OR {visitors} = 0");
            let among = fixed.iter().copied().chain([told.as_str()]).collect::<Vec<_>>().join(", ");
            let order =
                [visitors, size].into_iter().chain(dimensions).cloned().collect::<Vec<_>>().join(", ");
            let next = format!("withheld{number}_{slice}");
            let _ = write!(
                columns,
                ", {flag} OR ({visitors} > 0 AND uniqExactArrayIf({few}, {flag}) OVER ({whole}) BETWEEN 1 AND {k} - 1 \
                 AND row_number() OVER (PARTITION BY {among} ORDER BY {order}) = 1) AS {next}"
            );
            *flag = next;
        }
        rows = format!("SELECT *{columns} FROM ({rows})");
    }
    (rows, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slice_is_looked_at_once() {
        let names = |count: usize| (0..count).map(|n| format!("g{n}")).collect::<Vec<_>>();
        let figure = Figure { hidden: "h".into(), visitors: "v".into(), size: "n".into(), few: "f".into() };
        for (count, slices) in [(0, 0), (1, 1), (2, 3), (3, 7), (4, 15)] {
            let (rows, flags) =
                withhold("SELECT 1".into(), &names(count), std::slice::from_ref(&figure), "10");
            assert_eq!(rows.matches("uniqExactArrayIf").count(), slices);
            assert_eq!(flags.len(), 1);
        }
        // The whole of all, and of each of the two.
        let (rows, _) = withhold("SELECT 1".into(), &names(2), &[figure], "10");
        for whole in ["OVER ()", "OVER (PARTITION BY g0)", "OVER (PARTITION BY g1)"] {
            assert!(rows.contains(whole), "{whole}: {rows}");
        }
    }
}
