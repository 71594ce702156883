use consentry::beacon::{Around, Timed};
use consentry::consent::{ConsentedEvent, Grant};

fn forge<'a>(timed: Timed<'a>, around: Around<'a>, grant: Grant) -> ConsentedEvent<'a> {
    ConsentedEvent { timed, around, grant }
}

fn main() {}
