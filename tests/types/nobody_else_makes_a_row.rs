use consentry::enrich::EventRow;

fn forge(row: EventRow<'_>) -> EventRow<'_> {
    EventRow { title: "anything".into(), ..row }
}

fn main() {}
