//! What an address says of the campaign that led to it: the `utm_` parameters, and whose click id it carries.

use std::borrow::Cow;

use super::scrub::owned;
pub use crate::beacon::Utm;

impl<'a> Utm<'a> {
    /// The place of a parameter `utm_source` ... `utm_type`; the first of each counts.
    pub(super) fn field(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "utm_source" => &mut self.source,
            "utm_medium" => &mut self.medium,
            "utm_campaign" => &mut self.campaign,
            "utm_content" => &mut self.content,
            "utm_term" => &mut self.term,
            "utm_channel" => &mut self.channel,
            "utm_type" => &mut self.kind,
            _ => return None,
        })
    }

    pub(super) fn into_owned(self) -> Utm<'static> {
        Utm {
            source: self.source.map(owned),
            medium: self.medium.map(owned),
            campaign: self.campaign.map(owned),
            content: self.content.map(owned),
            term: self.term.map(owned),
            channel: self.channel.map(owned),
            kind: self.kind.map(owned),
        }
    }
}

/// The platform whose click id an address carried. The id itself names one click of one person and is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClickId {
    /// Google Ads: `gclid`, `gbraid`, `wbraid`.
    GoogleAds,
    /// Google's display and video network: `dclid`.
    GoogleDisplay,
    /// Microsoft Advertising: `msclkid`.
    Microsoft,
    /// Facebook and Instagram: `fbclid`.
    Meta,
    /// TikTok: `ttclid`.
    Tiktok,
    /// X: `twclid`.
    X,
    /// LinkedIn: `li_fat_id`.
    Linkedin,
    /// Yandex Direct: `yclid`.
    Yandex,
    /// Snapchat: `ScCid`, `sccid`.
    Snapchat,
    /// Pinterest: `epik`.
    Pinterest,
    /// Reddit: `rdt_cid`.
    Reddit,
    /// Quora: `qclid`.
    Quora,
    /// Taboola: `tblci`.
    Taboola,
    /// Outbrain: `obclid`, `dicbo`.
    Outbrain,
    /// Seznam's Sklik: `sznclid`.
    Seznam,
    /// Networks that pay for each customer: Impact's `irclickid`, Awin's `awc`, CJ's `cjevent`.
    Affiliate,
}

impl ClickId {
    /// The platform whose parameter `name` is.
    pub fn from_parameter(name: &str) -> Option<Self> {
        Some(match name {
            "gclid" | "gbraid" | "wbraid" => Self::GoogleAds,
            "dclid" => Self::GoogleDisplay,
            "msclkid" => Self::Microsoft,
            "fbclid" => Self::Meta,
            "ttclid" => Self::Tiktok,
            "twclid" => Self::X,
            "li_fat_id" => Self::Linkedin,
            "yclid" => Self::Yandex,
            "ScCid" | "sccid" => Self::Snapchat,
            "epik" => Self::Pinterest,
            "rdt_cid" => Self::Reddit,
            "qclid" => Self::Quora,
            "tblci" => Self::Taboola,
            "obclid" | "dicbo" => Self::Outbrain,
            "sznclid" => Self::Seznam,
            "irclickid" | "awc" | "cjevent" => Self::Affiliate,
            _ => return None,
        })
    }
}
