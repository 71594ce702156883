//! A load, as a scenario's file writes it.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// What is sent, how fast and for how long, and what breaks meanwhile.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is for, in one line.
    #[serde(default)]
    pub about: String,
    /// Connections that are open at one time.
    pub connections: usize,
    /// Seed of everything random.
    #[serde(default = "one")]
    pub seed: u64,
    /// Stretches of time, one after the other.
    pub step: Vec<Step>,
    /// What the requests are like.
    #[serde(default)]
    pub traffic: Traffic,
    /// What breaks, and when.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// Who means harm meanwhile.
    #[serde(default)]
    pub attack: Option<Attack>,
    /// What has to hold of the good traffic.
    #[serde(default)]
    pub bound: Option<Bound>,
    /// The configuration of a collector that is started for this.
    #[serde(default)]
    pub collector: Option<toml::Table>,
}

/// An attack beside the good traffic.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// Networks that flood.
    pub networks: u8,
    /// Requests in a second that each of them sends at most.
    pub requests_per_network_and_s: u32,
    /// Slow connections that are kept open.
    pub slow_connections: usize,
    /// The collector has to close each of them within this time.
    pub slow_ends_within_s: f64,
}

/// What has to hold of the good traffic.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// 99th percentile of the latency, in milliseconds.
    pub p99_ms: f64,
    /// Memory of the collector without its engine, in megabytes.
    pub memory_mb: f64,
}

/// A stretch of time with one rate.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How long.
    pub seconds: f64,
    /// Requests a second that arrive whatever becomes of those before (open loop); absent: each connection sends the
    /// next request when the last one is answered (closed loop).
    pub requests_per_s: Option<f64>,
}

/// What requests are like. Shares are in percent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// The site that is named.
    pub site: String,
    /// Events of a request, each with its weight.
    pub batch: Vec<(usize, u32)>,
    /// Visitors that are on the site at one time.
    pub visitors: usize,
    /// Events whose visitor has agreed.
    pub consent_yes_pct: u32,
    /// Events whose visitor has refused; the rest says nothing.
    pub consent_no_pct: u32,
    /// Events that are none: of an unknown type.
    pub bad_events_pct: u32,
    /// Requests whose body cannot be read.
    pub bad_bodies_pct: u32,
    /// Requests with a gzip body.
    pub gzip_pct: u32,
    /// HTTP/2 instead of HTTP/1.1.
    pub http2: bool,
    /// A connection serves more than one request.
    pub keep_alive: bool,
    /// A request that is refused or not answered is sent again until it is, as a good sender does.
    pub resend: bool,
    /// A request is given up after this time.
    pub timeout_seconds: f64,
    /// Networks that visitors come from, as a trusted proxy tells them in `x-forwarded-for`; 0: it tells none.
    pub networks: u32,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            site: "demo".into(),
            batch: vec![(1, 6), (3, 3), (20, 1)],
            visitors: 2_000,
            consent_yes_pct: 85,
            consent_no_pct: 10,
            bad_events_pct: 1,
            bad_bodies_pct: 0,
            gzip_pct: 5,
            http2: false,
            keep_alive: true,
            resend: false,
            timeout_seconds: 10.0,
            networks: 0,
        }
    }
}

/// Something that breaks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, from the beginning.
    pub at_s: f64,
    /// What.
    pub kind: FaultKind,
    /// How long, for what does not pass by itself.
    #[serde(default)]
    pub seconds: f64,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// `kill -9` of the collector, and a new start.
    KillCollector,
    /// `kill -9` of the engine; the collector starts a new one.
    KillEngine,
    /// Both at once.
    KillBoth,
    /// SIGSTOP of the engine, SIGCONT after `seconds`.
    StopEngine,
    /// The store answers 500 for `seconds`.
    StoreError,
    /// The store takes a request and never answers, for `seconds`.
    StoreHang,
    /// Connections to the store end in the middle of an insert, for `seconds`.
    StoreCut,
    /// The store does what it was told and its answer is lost, for `seconds`.
    StoreLost,
    /// The store does what it was told, and dies before it answers.
    StoreLostKill,
    /// No room on the disk for `seconds`.
    DiskFull,
    /// SIGKILL of the collector; one bit of a complete segment's copy flips, or its end is torn off, before the new start.
    TornTail,
    /// The collector's clock is an hour ahead or behind for `seconds`.
    ClockJump,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::KillCollector,
        Self::KillEngine,
        Self::KillBoth,
        Self::StopEngine,
        Self::StoreError,
        Self::StoreHang,
        Self::StoreCut,
        Self::StoreLost,
        Self::StoreLostKill,
        Self::DiskFull,
        Self::TornTail,
        Self::ClockJump,
    ];

    /// As it is written in a scenario.
    pub fn word(self) -> &'static str {
        match self {
            Self::KillCollector => "kill_collector",
            Self::KillEngine => "kill_engine",
            Self::KillBoth => "kill_both",
            Self::StopEngine => "stop_engine",
            Self::StoreError => "store_error",
            Self::StoreHang => "store_hang",
            Self::StoreCut => "store_cut",
            Self::StoreLost => "store_lost",
            Self::StoreLostKill => "store_lost_kill",
            Self::DiskFull => "disk_full",
            Self::TornTail => "torn_tail",
            Self::ClockJump => "clock_jump",
        }
    }
}

fn one() -> u64 {
    1
}

impl Scenario {
    /// Reads a scenario's file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let scenario: Self = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        scenario.check().map_err(|reason| format!("{}: {reason}", path.display()))?;
        Ok(scenario)
    }

    /// Bounds, so that no load runs away.
    fn check(&self) -> Result<(), String> {
        const SECONDS_MAX: f64 = 3_600.0;
        if self.step.is_empty() || self.connections == 0 {
            return Err("a scenario needs a connection and a step".into());
        }
        if self.connections > 20_000 {
            return Err("connections: at most 20000".into());
        }
        if !(0.0..=SECONDS_MAX).contains(&self.seconds()) {
            return Err(format!("steps: at most {SECONDS_MAX} seconds in all"));
        }
        if self.traffic.consent_yes_pct + self.traffic.consent_no_pct > 100 {
            return Err("consent_yes_pct and consent_no_pct: at most 100 together".into());
        }
        let attack = self.attack.unwrap_or_default();
        if attack.networks > 200
            || attack.requests_per_network_and_s > 1_000
            || attack.slow_connections > 10_000
        {
            return Err(
                "attack: at most 200 networks with 1000 requests a second each, and 10000 slow connections"
                    .into(),
            );
        }
        if self.traffic.networks > 10_000 {
            return Err("networks: at most 10000".into());
        }
        if self.traffic.batch.iter().all(|&(events, weight)| events == 0 || weight == 0) {
            return Err("batch: some number of events needs a weight".into());
        }
        Ok(())
    }

    /// How long it takes.
    pub fn seconds(&self) -> f64 {
        self.step.iter().map(|step| step.seconds).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_repository_is_valid() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let scenario = Scenario::load(&path).unwrap();
            assert_eq!(path.file_stem().unwrap().to_str(), Some(scenario.name.as_str()));
            names.push(scenario.name);
        }
        names.sort();
        assert_eq!(names, ["garbage", "hostile", "outage", "smoke", "soak", "spike", "steady"]);
    }

    #[test]
    fn a_load_that_runs_away_is_refused() {
        let with = |text: &str| toml::from_str::<Scenario>(text).unwrap().check();
        assert!(with("name = 'x'\nconnections = 1\n[[step]]\nseconds = 4000").is_err());
        assert!(with("name = 'x'\nconnections = 0\n[[step]]\nseconds = 1").is_err());
        assert!(with("name = 'x'\nconnections = 1\n[[step]]\nseconds = 1").is_ok());
    }
}
