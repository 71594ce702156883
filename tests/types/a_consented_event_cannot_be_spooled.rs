use consentry::consent::ConsentedEvent;
use consentry::ledger::SiteIndex;
use consentry::spool::Batch;

fn skip_deidentify(batch: &mut Batch, site: SiteIndex, event: ConsentedEvent<'_>) {
    batch.push(site, &event, 0);
}

fn main() {}
