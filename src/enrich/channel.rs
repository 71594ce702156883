//! Which channel brought a visitor: the referrer's host, the campaign's parameters and the click id become one
//! channel, one source and one medium.
//!
//! The names and the order of the rules are those that Google Analytics 4 publishes for its default channel group
//! ("Default channel group", Analytics Help), with "AI Assistants" in front of search and referral, and webmail
//! referrers counted as Email. A campaign's own parameters count most, then an advertiser's click id, then the
//! referrer. A click id counts as paid. Links inside the site and its siblings are no referrer (`deidentify`), and
//! neither are the domains of referrer spam ([`spam`]).
//!
//! A host is matched by whole labels against its registrable domain (Public Suffix List): `notgoogle.com` and
//! `google.com.evil.example` are plain referrals. The table of well-known sites is `channel/sites.txt`.

use std::borrow::Cow;
use std::cell::RefCell;

use super::memo::{Memo, key};
use crate::deidentify::url::ClickId;
use crate::lookups::Cached;

mod sites;
pub mod spam;
#[cfg(test)]
mod tests;

use sites::Category;
pub use sites::{Site, site_of_host};

/// The names of channels.
pub mod name {
    #![allow(missing_docs, reason = "each is the channel of the same name")]
    pub const AFFILIATES: &str = "Affiliates";
    pub const AI_ASSISTANTS: &str = "AI Assistants";
    pub const AUDIO: &str = "Audio";
    pub const CROSS_NETWORK: &str = "Cross-network";
    pub const DIRECT: &str = "Direct";
    pub const DISPLAY: &str = "Display";
    pub const EMAIL: &str = "Email";
    pub const MOBILE_PUSH: &str = "Mobile Push Notifications";
    pub const ORGANIC_SEARCH: &str = "Organic Search";
    pub const ORGANIC_SHOPPING: &str = "Organic Shopping";
    pub const ORGANIC_SOCIAL: &str = "Organic Social";
    pub const ORGANIC_VIDEO: &str = "Organic Video";
    pub const PAID_OTHER: &str = "Paid Other";
    pub const PAID_SEARCH: &str = "Paid Search";
    pub const PAID_SHOPPING: &str = "Paid Shopping";
    pub const PAID_SOCIAL: &str = "Paid Social";
    pub const PAID_VIDEO: &str = "Paid Video";
    pub const REFERRAL: &str = "Referral";
    pub const SMS: &str = "SMS";
    pub const UNASSIGNED: &str = "Unassigned";
}

/// The source of a visit that came from nowhere.
const SOURCE_DIRECT: &str = "(direct)";
/// The medium of a visit that came from nowhere.
const MEDIUM_NONE: &str = "(none)";
/// A source or medium that a campaign left out.
const NOT_SET: &str = "(not set)";

/// What is known of where a visit came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelInput<'a> {
    /// Host of an external referrer, in lower case, or the identifier of an Android application.
    pub referrer_host: Option<&'a str>,
    /// `utm_source`
    pub utm_source: Option<&'a str>,
    /// `utm_medium`
    pub utm_medium: Option<&'a str>,
    /// `utm_campaign`
    pub utm_campaign: Option<&'a str>,
    /// Whose click id the address carried.
    pub click_id: Option<ClickId>,
}

/// Where a visit is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution<'a> {
    /// One of the names in [`name`].
    pub channel: &'static str,
    /// `utm_source`, else the name of a well-known site, else the referrer's host without "www.".
    pub source: Text<'a>,
    /// `utm_medium`, else "cpc", "organic", "social", "video", "shopping", "ai", "email" or "referral".
    pub medium: Text<'a>,
}

/// A name of ours, or what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Of the tables.
    Known(&'static str),
    /// Of the event, trimmed.
    Given(&'a str),
}

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self)
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match *self {
            Self::Known(text) => text,
            Self::Given(text) => text,
        }
    }
}

/// What a referrer's host is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Referrer {
    /// The well-known site that answers there.
    pub site: Option<Site>,
    /// Its name is one of referrer spam's, whether a list has it or not.
    pub is_spam: bool,
}

impl Referrer {
    /// Of `host`, in lower case; empty: none. Hosts that came lately are not searched for again.
    pub fn of(host: &str) -> Self {
        thread_local!(static LATELY: RefCell<Memo<Referrer>> = const { RefCell::new(Memo::new(Cached::Referrers)) });
        if host.is_empty() {
            return Self::default();
        }
        let find = || Self { site: site_of_host(host), is_spam: spam::is_of_family(host) };
        LATELY.with_borrow_mut(|lately| lately.get_or(key(host.as_bytes()), find))
    }
}

/// Finds channel, source and medium.
pub fn attribute<'a>(input: &ChannelInput<'a>) -> Attribution<'a> {
    let site = input.referrer_host.and_then(|host| Referrer::of(host).site);
    attribute_known(input, site)
}

/// The same where it is known already which site `input.referrer_host` is.
pub(super) fn attribute_known<'a>(input: &ChannelInput<'a>, referrer_site: Option<Site>) -> Attribution<'a> {
    let [utm_source, utm_medium, utm_campaign] = [input.utm_source, input.utm_medium, input.utm_campaign]
        .map(|text| text.map(str::trim).filter(|text| !text.is_empty()));
    let referrer = input.referrer_host.filter(|host| !host.is_empty());
    let clicked = input.click_id.map(clicked);

    let source = utm_source
        .map(Text::Given)
        .or(clicked.map(|(site, _)| Text::Known(site.name)))
        .or(referrer_site.map(|site| site.name).filter(|name| !name.is_empty()).map(Text::Known))
        .or(referrer.map(|host| Text::Given(host.strip_prefix("www.").unwrap_or(host))));
    let is_campaign = utm_source.or(utm_medium).or(utm_campaign).is_some();
    let medium = match (utm_medium, clicked) {
        (Some(medium), _) => Text::Given(medium),
        (None, Some((_, medium))) => Text::Known(medium),
        (None, None) if utm_source.is_some() || is_campaign && referrer.is_none() => Text::Known(NOT_SET),
        (None, None) => Text::Known(match (referrer, referrer_site) {
            (None, _) => MEDIUM_NONE,
            (Some(_), None) => "referral",
            (Some(_), Some(site)) => site.category.medium(),
        }),
    };
    let channel = match (is_campaign, clicked, referrer) {
        (false, None, None) => {
            return Attribution {
                channel: name::DIRECT,
                source: Text::Known(SOURCE_DIRECT),
                medium: Text::Known(MEDIUM_NONE),
            };
        }
        (false, None, Some(_)) => channel_of_referrer(referrer_site),
        _ => {
            let campaign = Campaign {
                source: utm_source,
                medium: &medium,
                name: utm_campaign.unwrap_or_default(),
                site: clicked.map(|(site, _)| site).or(referrer_site),
            };
            campaign.channel_lately()
        }
    };
    Attribution { channel, source: source.unwrap_or(Text::Known(NOT_SET)), medium }
}

/// The channel of a visit that a site referred, without a campaign or a click id.
fn channel_of_referrer(site: Option<Site>) -> &'static str {
    match site.map(|site| site.category) {
        None | Some(Category::Plain) => name::REFERRAL,
        Some(Category::Search) => name::ORGANIC_SEARCH,
        Some(Category::SearchAdvertising) => name::PAID_SEARCH,
        Some(Category::Social) => name::ORGANIC_SOCIAL,
        Some(Category::Video) => name::ORGANIC_VIDEO,
        Some(Category::Shopping) => name::ORGANIC_SHOPPING,
        Some(Category::Ai) => name::AI_ASSISTANTS,
        Some(Category::Email) => name::EMAIL,
        Some(Category::Advertising) => name::DISPLAY,
        Some(Category::Affiliate) => name::AFFILIATES,
    }
}

/// What the rules look at where there is a campaign or a click id.
struct Campaign<'a> {
    source: Option<&'a str>,
    medium: &'a str,
    name: &'a str,
    /// Whom it is counted for where it names no source.
    site: Option<Site>,
}

/// Parameters up to here are looked up among those that came lately; longer ones are rare.
const CAMPAIGN_BYTES_MAX: usize = 256;

impl Campaign<'_> {
    /// Its channel; campaigns that came lately are not worked out again.
    fn channel_lately(&self) -> &'static str {
        thread_local!(static LATELY: RefCell<Memo<&'static str>> = const { RefCell::new(Memo::new(Cached::Campaigns)) });
        let mut bytes = [0; CAMPAIGN_BYTES_MAX];
        let mut at = 0;
        let category = self.site.map_or(0xFE, |site| site.category as u8);
        // 0xFF is in no text: one is not taken for the end of another, and no source is not an empty one.
        let texts: [&[u8]; 6] = [
            &[category, u8::from(self.source.is_some())],
            self.source.unwrap_or_default().as_bytes(),
            &[0xFF],
            self.medium.as_bytes(),
            &[0xFF],
            self.name.as_bytes(),
        ];
        for text in texts {
            let Some(place) = bytes.get_mut(at..at + text.len()) else { return self.channel() };
            place.copy_from_slice(text);
            at += text.len();
        }
        LATELY.with_borrow_mut(|lately| lately.get_or(key(&bytes[..at]), || self.channel()))
    }

    fn channel(&self) -> &'static str {
        let site = self.source.map_or(self.site, sites::site_of_source);
        // Whoever names no source is no newsletter and no text message by it; a site's own name says what the site is.
        let source = self.source.or(self.site.map(|site| site.name)).unwrap_or(NOT_SET);
        channel(site, &lower(source), &lower(self.medium), &lower(self.name))
    }
}

/// Whether `part` stands in a short `text`.
fn has(text: &str, part: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some()
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The site and the medium that a click id stands for, where the campaign's parameters do not say.
fn clicked(click_id: ClickId) -> (Site, &'static str) {
    let site = |name, category| Site { name, category };
    match click_id {
        ClickId::GoogleAds => (site("google", Category::Search), "cpc"),
        // Its own medium keeps it from being a paid search: the display network shows banners.
        ClickId::GoogleDisplay => (site("google", Category::Search), "display"),
        ClickId::Microsoft => (site("bing", Category::Search), "cpc"),
        ClickId::Yandex => (site("yandex", Category::Search), "cpc"),
        // Facebook also adds it to links that nobody paid for; a site that wants to tell them apart sets `utm_medium`.
        ClickId::Meta => (site("facebook", Category::Social), "cpc"),
        ClickId::Tiktok => (site("tiktok", Category::Social), "cpc"),
        ClickId::X => (site("x", Category::Social), "cpc"),
        ClickId::Linkedin => (site("linkedin", Category::Social), "cpc"),
        ClickId::Snapchat => (site("snapchat", Category::Social), "cpc"),
        ClickId::Pinterest => (site("pinterest", Category::Social), "cpc"),
        ClickId::Reddit => (site("reddit", Category::Social), "cpc"),
        ClickId::Quora => (site("quora", Category::Social), "cpc"),
        ClickId::Taboola => (site("taboola", Category::Advertising), "cpc"),
        ClickId::Outbrain => (site("outbrain", Category::Advertising), "cpc"),
        ClickId::Seznam => (site("seznam", Category::Search), "cpc"),
        ClickId::Affiliate => (site("affiliate", Category::Affiliate), "affiliate"),
    }
}

/// The rules in their published order; all texts in lower case.
fn channel(site: Option<Site>, source: &str, medium: &str, campaign: &str) -> &'static str {
    let is = |category: Category| site.is_some_and(|site| site.category == category);
    let search = is(Category::Search) || is(Category::SearchAdvertising);
    let paid = has(medium, "cp") || medium == "ppc" || medium == "retargeting" || medium.starts_with("paid");
    let shopping = is(Category::Shopping) || names_a_shop(campaign);
    let email = |text: &str| matches!(text, "email" | "e-mail" | "e_mail" | "e mail");

    if has(campaign, "cross-network") {
        name::CROSS_NETWORK
    } else if paid && shopping {
        name::PAID_SHOPPING
    } else if paid && search {
        name::PAID_SEARCH
    } else if paid && is(Category::Social) {
        name::PAID_SOCIAL
    } else if paid && is(Category::Video) {
        name::PAID_VIDEO
    } else if matches!(medium, "display" | "banner" | "expandable" | "interstitial" | "cpm") {
        name::DISPLAY
    } else if paid {
        name::PAID_OTHER
    } else if is(Category::Ai) {
        name::AI_ASSISTANTS
    } else if email(source) || email(medium) || is(Category::Email) {
        // Before the rules for sites: a newsletter that names a network as its source is still a newsletter.
        name::EMAIL
    } else if shopping {
        name::ORGANIC_SHOPPING
    } else if is(Category::Social)
        || matches!(
            medium,
            "social" | "social-network" | "social-media" | "sm" | "social network" | "social media"
        )
    {
        name::ORGANIC_SOCIAL
    } else if is(Category::Video) || has(medium, "video") {
        name::ORGANIC_VIDEO
    } else if search || medium == "organic" {
        name::ORGANIC_SEARCH
    } else if matches!(medium, "referral" | "app" | "link") {
        name::REFERRAL
    } else if matches!(medium, "affiliate" | "affiliates") {
        name::AFFILIATES
    } else if medium == "audio" {
        name::AUDIO
    } else if source == "sms" || medium == "sms" {
        name::SMS
    } else if source == "firebase"
        || medium.ends_with("push")
        || ["mobile", "notification"].iter().any(|word| has(medium, word))
    {
        name::MOBILE_PUSH
    } else {
        name::UNASSIGNED
    }
}

/// "shopping" anywhere, or "shop" at the start or after anything but a letter other than e ("eshop", not "bishop").
fn names_a_shop(campaign: &str) -> bool {
    has(campaign, "shopping")
        || campaign.match_indices("shop").any(|(at, _)| {
            campaign.as_bytes()[..at].last().is_none_or(|&byte| byte == b'e' || !byte.is_ascii_lowercase())
        })
}
