//! # Consentry
//!
//! The collector that a website points its analytics beacons at. It keeps an event only where the visitor has agreed
//! to analytics, takes out of it everything that could say who the visitor is, and puts the rest into ClickHouse in
//! batches. What it acknowledged it does not lose; what it dropped it can count and never show.
//!
//! ## The house
//! The folders of `src/` are the pipeline, and their alphabetical order is the order in which an event walks through
//! them. A stage imports the stage before it for its output type, and nothing from a later stage. Files beside the
//! folders are the plumbing.
//!
//! | room | makes of | this |
//! |---|---|---|
//! | [`accept`] | a socket's bytes | a bounded, decompressed [`Submission`](accept::Submission) |
//! | [`beacon`] | a body | [`Beacon`](beacon::Beacon)s: typed, bounded, untrusted |
//! | [`consent`] | a beacon | a [`ConsentedEvent`](consent::ConsentedEvent), or a reason and nothing else |
//! | [`deidentify`] | a consented event | a [`ScrubbedEvent`](deidentify::ScrubbedEvent), then a [`PseudonymousEvent`](deidentify::PseudonymousEvent) |
//! | [`enrich`] | a pseudonymous event | an [`EventRow`](enrich::EventRow), the one storable type |
//! | [`spool`] | rows | durable segments on the local disk |
//! | [`store`] | a complete segment | one insert into ClickHouse |
//! | [`tally`] | a question of an analyst | figures of many, never of few |
//! | [`withdraw`] | a subject's token | every row of that subject: exported, erased, restricted |
//!
//! [`pipeline`] is the walk in one function, [`ledger`] the books, [`policy`] the disclosure, [`audit`] the proof,
//! [`server`] and [`routes`] the sockets, [`cli`] the commands, [`config`] and [`site`] what was configured, [`confine`] what the process gives up,
//! [`live`] what is exchanged while it runs, [`lookups`] how well the caches do, [`payload`] bodies of answers, [`reach`] how commands speak to a collector, [`failpoint`] what tests of crashes need,
//! [`telemetry`] logs and metrics, [`upkeep`] what time demands, [`clock`] time.
//!
//! ## Invariants
//! Invariant: no valid sign of consent to analytics means the event is dropped, and none of its bytes reaches a
//! disk, a log line, a metric label or an error message.
//!
//! Invariant: nothing that identifies a person crosses `deidentify`. What is spooled is what is stored.
//!
//! Invariant: a 2xx with `accepted: n` means that n events are fsynced; they reach ClickHouse exactly once, whatever
//! is killed, in whatever order, as long as the disk survives.
//!
//! Invariant: received = dropped + rejected + quarantined + spooled + stored, per site and minute.
//!
//! Invariant: every queue, cache, body, header, wait and retry has a bound. Full means 503 with Retry-After.
//!
//! Invariant: each stage's output type has private fields and one maker, takes the former by value, and cannot be
//! turned back. `tests/types.rs` shows that the compiler holds it.
//!
//! Deliberately absent: a path on the public address that reads data (but one's own, with one's own token), a log line for an event, a way from a hash
//! back to what it stands for, an access log.

#![deny(unsafe_code)]

pub mod accept;
pub mod beacon;
pub mod consent;
pub mod deidentify;
pub mod enrich;
pub mod spool;
pub mod store;
pub mod tally;
pub mod withdraw;

pub mod assets;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod confine;
pub mod failpoint;
pub mod ledger;
pub mod live;
pub mod lookups;
pub mod payload;
pub mod pipeline;
pub mod policy;
pub mod reach;
pub mod routes;
pub mod server;
pub mod site;
pub mod telemetry;
pub mod upkeep;
