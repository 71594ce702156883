use consentry::enrich::EventRow;

fn forge() -> EventRow<'static> {
    EventRow::default()
}

fn main() {}
