use consentry::deidentify::ScrubbedEvent;
use consentry::enrich::{agent::Agents, enrich};

fn skip_the_pseudonyms(event: ScrubbedEvent<'_>, agents: &Agents) {
    let _ = enrich(event, agents);
}

fn main() {}
