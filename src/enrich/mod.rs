//! Fifth room: a [`PseudonymousEvent`] becomes an [`EventRow`]: closed vocabularies, buckets, and nothing new about
//! a person.
//!
//! Invariant: `EventRow` is the one storable type, and [`enrich`] its only maker.

pub mod agent;
pub mod bot;
pub mod bucket;
pub mod channel;
mod crash;
mod memo;
mod row;

use std::borrow::Cow;
use std::sync::Arc;

pub use row::{EventRow, Pairs};

use crate::accept::Sender;
use crate::deidentify::{Content, Measures, Parts, PseudonymousEvent};
use agent::{Agent, Agents};
use channel::spam::SpamDomains;
use channel::{ChannelInput, Referrer, Text};

/// Makes the storable rows of one request's events, whose sender is looked up once.
pub struct Enricher<'t, 'a> {
    agents: &'t Agents,
    spam: &'t SpamDomains,
    last: Option<(Sender<'a>, Arc<Agent>)>,
}

impl std::fmt::Debug for Enricher<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enricher").finish_non_exhaustive()
    }
}

impl<'t, 'a> Enricher<'t, 'a> {
    /// With what is known of browsers, and of referrers that are none.
    pub fn new(agents: &'t Agents, spam: &'t SpamDomains) -> Self {
        Self { agents, spam, last: None }
    }

    /// Makes the row of one event.
    pub fn enrich(&mut self, event: PseudonymousEvent<'a>) -> EventRow<'a> {
        let parts = event.into_parts();
        let sender = parts.sender;
        let agent = match &self.last {
            Some((last, agent)) if last.is(&sender) => Arc::clone(agent),
            _ => {
                let agent = self.agents.classify(sender.agent.expose(), &sender.hints);
                self.last = Some((sender, Arc::clone(&agent)));
                agent
            }
        };
        row(parts, agent, self.spam)
    }
}

/// Makes the storable row of an event.
pub fn enrich<'a>(event: PseudonymousEvent<'a>, agents: &Agents, spam: &SpamDomains) -> EventRow<'a> {
    Enricher::new(agents, spam).enrich(event)
}

fn row<'a>(parts: Parts<'a>, agent: Arc<Agent>, spam: &SpamDomains) -> EventRow<'a> {
    let Parts { site, grant, measures, mut content, pseudonyms, restricted, place, sender } = parts;
    let Measures { kind, ts_ms, screen, viewport, engaged_ms, scroll_pct, vitals } = measures;
    let agent = agent.on(screen);
    let incoherent = agent.claims.contradict(&sender.traits);
    // Spam comes from nowhere: its host is kept in no column.
    let mut referrer = Referrer::of(&content.referrer_host);
    if referrer.is_spam || spam.lists(&content.referrer_host) {
        content.referrer_host = Cow::Borrowed("");
        referrer = Referrer::default();
    }
    let (channel, source, medium) = attribution(&content, referrer);
    let entry_source = if channel == "Direct" { Cow::Borrowed("direct") } else { source.clone() };
    let crash_fingerprint = crash::fingerprint(&crash::Crash {
        kind: &content.crash_kind,
        message: &content.crash_message,
        stack: &content.crash_stack,
        source: &content.crash_source,
    });
    // Most tags are written as they are kept.
    let language = match bucket::language(&content.language) {
        Some(tag) if tag.as_str() == content.language => std::mem::take(&mut content.language),
        Some(tag) => Cow::Owned(tag.as_str().to_owned()),
        None => Cow::Borrowed(""),
    };
    EventRow {
        event_id: pseudonyms.event_id,
        site: Cow::Borrowed(&site.id),
        kind: Cow::Borrowed(kind.as_str()),
        ts: site.ts_precision.cut(ts_ms),
        visitor: pseudonyms.visitor,
        visit: pseudonyms.visit,
        subject: pseudonyms.subject,
        consent_basis: Cow::Borrowed(grant.basis.as_str()),
        policy_version: Cow::Borrowed(site.consent.policy_version()),
        // An objection by header outlasts a restriction that is lifted again.
        no_share: if grant.no_share { 1 } else { 2 * u8::from(restricted) },
        bot: u8::from(agent.bot || place.is_datacenter || incoherent),
        retention_days: site.retention_days,
        entry_source,
        channel: Cow::Borrowed(channel),
        source,
        medium,
        browser: agent.browser.clone(),
        browser_major: agent.browser_major,
        os: agent.os.clone(),
        os_major: agent.os_major,
        device: Cow::Borrowed(agent.device.as_str()),
        device_vendor: agent.vendor.clone(),
        device_model: agent.model.clone(),
        screen: Cow::Borrowed(bucket::screen(screen.w, screen.h)),
        viewport: Cow::Borrowed(bucket::viewport(viewport.w, viewport.h)),
        language,
        timezone_offset: bucket::timezone_offset_minutes(&content.timezone, ts_ms).unwrap_or(0),
        country: Cow::Borrowed(place.country.as_str()),
        connection: Cow::Borrowed(bucket::connection(&content.connection)),
        engaged_ms,
        scroll_pct,
        ttfb_ms: vitals.ttfb_ms,
        fcp_ms: vitals.fcp_ms,
        lcp_ms: vitals.lcp_ms,
        inp_ms: vitals.inp_ms,
        cls: vitals.cls,
        dom_ms: vitals.dom_ms,
        load_ms: vitals.load_ms,
        crash_fingerprint,
        host: content.host,
        path: content.path,
        prev_path: content.prev_path,
        page_id: content.page_id,
        title: content.title,
        query: content.query,
        referrer_host: content.referrer_host,
        campaign: content.utm.campaign.unwrap_or_default(),
        content: content.utm.content.unwrap_or_default(),
        term: content.utm.term.unwrap_or_default(),
        utm_channel: content.utm.channel.unwrap_or_default(),
        utm_type: content.utm.kind.unwrap_or_default(),
        name: content.name,
        point: content.point,
        props: content.props,
        crash_kind: content.crash_kind,
        crash_message: content.crash_message,
        crash_stack: content.crash_stack,
        crash_source: content.crash_source,
        app_version: content.app_version,
        sdk: content.sdk,
        redactions: content.redactions,
    }
}

/// Channel, source and medium, copied only where what they are taken from is not the beacon's own text.
fn attribution<'a>(content: &Content<'a>, referrer: Referrer) -> (&'static str, Cow<'a, str>, Cow<'a, str>) {
    let input = ChannelInput {
        referrer_host: Some(content.referrer_host.as_ref()).filter(|host| !host.is_empty()),
        utm_source: content.utm.source.as_deref(),
        utm_medium: content.utm.medium.as_deref(),
        utm_campaign: content.utm.campaign.as_deref(),
        click_id: content.click_id,
    };
    let attribution = channel::attribute_known(&input, referrer.site);
    let source = match attribution.source {
        Text::Known(name) => Cow::Borrowed(name),
        Text::Given(text) => within(text, content.utm.source.as_ref().unwrap_or(&content.referrer_host)),
    };
    let medium = match (attribution.medium, &content.utm.medium) {
        (Text::Given(text), Some(medium)) => within(text, medium),
        (Text::Given(text), None) => Cow::Owned(text.to_owned()),
        (Text::Known(name), _) => Cow::Borrowed(name),
    };
    (attribution.channel, source, medium)
}

/// `part`, which is a part of `whole`, for as long as that lives.
fn within<'a>(part: &str, whole: &Cow<'a, str>) -> Cow<'a, str> {
    let at = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    match whole {
        Cow::Borrowed(whole) => match whole.get(at..at.wrapping_add(part.len())) {
            Some(same) => Cow::Borrowed(same),
            None => Cow::Owned(part.to_owned()),
        },
        Cow::Owned(_) => Cow::Owned(part.to_owned()),
    }
}
