//! Commands that print what is known without a store.

use super::args::{ConfigArgs, Print};
use super::{Failure, external};
use crate::clock::Clock;
use crate::config;
use crate::deidentify;
use crate::policy::{self, Policy};

pub(super) fn check_config(args: &ConfigArgs) -> Result<(), Failure> {
    let config = args.read()?;
    external(&config)?;
    println!("The configuration is sound.");
    println!("Beacons: {}  Admin: {}", config.file.listen, config.file.admin_listen);
    println!(
        "Store:   {}",
        if config.file.clickhouse_url.is_some() {
            "the ClickHouse of clickhouse_url"
        } else {
            "embedded engine"
        }
    );
    config.lists(Clock::system().now_ms()).iter().for_each(|line| println!("{line}"));
    let mut sites: Vec<_> = config.sites.iter().collect();
    sites.sort_by(|a, b| a.id.cmp(&b.id));
    sites.iter().for_each(|site| println!("{}", site.summary()));
    Ok(())
}

pub(super) fn print_config(what: Print, args: &ConfigArgs) -> Result<(), Failure> {
    if what.effective {
        print!("{}", config::effective(&args.read()?));
    } else if what.schema {
        println!("{:#}", config::schema());
    } else {
        print!("{}", config::sample());
    }
    Ok(())
}

pub(super) fn print_policy(format: policy::Format, args: &ConfigArgs) -> Result<(), Failure> {
    let config = args.read()?;
    print!("{}", policy::render(&Policy::of(&config), format));
    Ok(())
}

pub(super) fn receipts(args: &ConfigArgs) -> Result<(), Failure> {
    let file = args.load()?;
    let receipts = deidentify::read_receipts(&file.data_dir.join("salts")).map_err(Failure::of)?;
    println!("number\tat\tevent\tday\tstore\tcommitment\treason");
    for receipt in &receipts {
        println!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}",
            receipt.number,
            receipt.at(),
            receipt.event.word(),
            receipt.date(),
            receipt.store.word(),
            receipt.commitment,
            receipt.reason.word()
        );
    }
    let last = receipts.last().map_or("none", |last| &last.chain);
    println!("The journal is whole: {} lines. Chain of the last one: {last}", receipts.len());
    Ok(())
}
