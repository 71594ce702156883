use consentry::consent::ConsentedEvent;
use consentry::deidentify::scrub;

fn keep_a_copy(event: ConsentedEvent<'_>) {
    let _ = scrub(event);
    let _ = scrub(event);
}

fn main() {}
