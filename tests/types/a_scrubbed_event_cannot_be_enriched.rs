use consentry::deidentify::ScrubbedEvent;
use consentry::enrich::{agent::Agents, channel::spam::SpamDomains, enrich};

fn skip_the_pseudonyms(event: ScrubbedEvent<'_>, agents: &Agents, spam: &SpamDomains) {
    let _ = enrich(event, agents, spam);
}

fn main() {}
