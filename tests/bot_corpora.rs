//! Programs and people by their User-Agent alone, against lists that nobody here wrote: how many programs are found, how
//! many people are taken for one. `BOTS_MISSED=1` prints the rows. The corpora lie beside the repository.

use std::path::PathBuf;

use consentry::enrich::bot::Bots;

/// Least share of programs that are found, and largest share of people that are marked.
const RECALL_MIN: f64 = 0.97;
const FALSE_ALARMS_MAX: f64 = 0.005;

fn corpus(name: &str) -> Option<Vec<serde_json::Value>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn bots() -> Bots {
    Bots::from_json(include_str!(concat!(env!("OUT_DIR"), "/crawlers.json"))).unwrap()
}

fn print_missed(title: &str, missed: &[&str]) {
    if std::env::var_os("BOTS_MISSED").is_some() {
        println!("{title}:");
        missed.iter().for_each(|ua| println!("    {ua:.180}"));
    }
}

#[test]
fn programs_are_found_and_people_are_not() {
    let Some(rows) = corpus("bots/bots.jsonl") else { return };
    let bots = bots();
    let ua = |row: &'static serde_json::Value| row["ua"].as_str().unwrap_or_default();
    let rows: &'static [serde_json::Value] = Vec::leak(rows);
    let judged = rows.iter().filter(|row| row["conflict"] != true);
    let (programs, people): (Vec<_>, Vec<_>) = judged.partition(|row| row["bot"] == true);
    let missed: Vec<&str> = programs.iter().map(|row| ua(row)).filter(|ua| !bots.says(ua)).collect();
    let alarms: Vec<&str> = people.iter().map(|row| ua(row)).filter(|ua| bots.says(ua)).collect();
    let recall = 1.0 - missed.len() as f64 / programs.len() as f64;
    let false_alarms = alarms.len() as f64 / people.len() as f64;
    println!(
        "programs {:>5}, found   {:>5}: recall       {:>6.2} %",
        programs.len(),
        programs.len() - missed.len(),
        recall * 100.0
    );
    println!(
        "people   {:>5}, marked  {:>5}: false alarms {:>6.2} %",
        people.len(),
        alarms.len(),
        false_alarms * 100.0
    );
    print_missed("programs that were missed", &missed);
    print_missed("people that were marked", &alarms);
    assert!(recall >= RECALL_MIN, "recall {recall}");
    assert!(false_alarms <= FALSE_ALARMS_MAX, "false alarms {false_alarms}");
}

/// Browsers of another list, none of which is there to test crawlers: more people to be taken for programs.
#[test]
fn browsers_of_another_list_are_not_programs() {
    let Some(rows) = corpus("ua/matomo_stratified_2500.jsonl") else { return };
    let bots = bots();
    let is_browser = |row: &&serde_json::Value| {
        row["browser_family"].as_str().is_some_and(|family| !family.is_empty() && family != "Unknown")
    };
    let rows: Vec<_> = rows.iter().filter(is_browser).filter_map(|row| row["ua"].as_str()).collect();
    let marked: Vec<&str> = rows.iter().copied().filter(|ua| bots.says(ua)).collect();
    let share = marked.len() as f64 / rows.len() as f64;
    println!("browsers {:>5}, marked  {:>5}: {:.2} %", rows.len(), marked.len(), share * 100.0);
    print_missed("browsers that were marked", &marked);
    assert!(share <= 0.02, "{share}");
}
