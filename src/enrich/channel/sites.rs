//! Well-known sites and what they are for. Facts of public knowledge, written down for this project: a name, what
//! it is, and the domains it answers on. Each table is sorted, so that it can be searched by halves.

use std::borrow::Cow;

/// What a site is for, as far as channels tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Search engines.
    Search,
    /// Social networks, forums and messengers.
    Social,
    /// Video platforms.
    Video,
    /// Market places.
    Shopping,
    /// Assistants that answer with links.
    Ai,
    /// Mailboxes in a browser or an application.
    Email,
    /// Networks that place advertisements on other sites.
    Advertising,
    /// Known so as not to be taken for the rest of its domain: "docs.google.com" is no search.
    Plain,
}

impl Category {
    /// The medium of a visit that such a site refers without a campaign.
    pub(super) fn medium(self) -> &'static str {
        match self {
            Self::Search => "organic",
            Self::Social => "social",
            Self::Video => "video",
            Self::Shopping => "shopping",
            Self::Ai => "ai",
            Self::Email => "email",
            Self::Advertising | Self::Plain => "referral",
        }
    }
}

/// A site that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The name under which it is counted.
    pub name: &'static str,
    /// What it is for.
    pub category: Category,
}

use Category::{Ai, Email, Plain, Search, Shopping, Social, Video};

/// Host or domain -> name, category. A domain stands for its subdomains, where these have no entry of their own.
pub(super) const HOSTS: &[(&str, &str, Category)] = &[
    ("360.cn", "360 search", Search),
    ("ai.meta.com", "meta ai", Ai),
    ("aliexpress.com", "aliexpress", Shopping),
    ("alohafind.com", "alohafind", Search),
    ("aol.com", "aol", Search),
    ("aolsearch.com", "aol", Search),
    ("ask.com", "ask", Search),
    ("bard.google.com", "gemini", Ai),
    ("behance.net", "behance", Social),
    ("bilibili.com", "bilibili", Video),
    ("bing.com", "bing", Search),
    ("blogger.com", "blogger", Social),
    ("bsky.app", "bluesky", Social),
    ("chat.deepseek.com", "deepseek", Ai),
    ("chat.mistral.ai", "mistral", Ai),
    ("chat.openai.com", "chatgpt", Ai),
    ("chat.qwen.ai", "qwen", Ai),
    ("chatgpt.com", "chatgpt", Ai),
    ("claude.ai", "claude", Ai),
    ("coccoc.com", "coccoc", Search),
    ("cohere.com", "cohere", Ai),
    ("com.facebook.katana", "facebook", Social),
    ("com.facebook.orca", "messenger", Social),
    ("com.google.android.apps.bard", "gemini", Ai),
    ("com.google.android.gm", "gmail", Email),
    ("com.google.android.googlequicksearchbox", "google", Search),
    ("com.google.android.youtube", "youtube", Video),
    ("com.instagram.android", "instagram", Social),
    ("com.linkedin.android", "linkedin", Social),
    ("com.microsoft.office.outlook", "outlook", Email),
    ("com.openai.chatgpt", "chatgpt", Ai),
    ("com.pinterest", "pinterest", Social),
    ("com.reddit.frontpage", "reddit", Social),
    ("com.twitter.android", "x", Social),
    ("com.whatsapp", "whatsapp", Social),
    ("com.yahoo.mobile.client.android.mail", "yahoo mail", Email),
    ("com.zhiliaoapp.musically", "tiktok", Social),
    ("copilot.cloud.microsoft", "copilot", Ai),
    ("copilot.microsoft.com", "copilot", Ai),
    ("dailymotion.com", "dailymotion", Video),
    ("deepseek.com", "deepseek", Ai),
    ("deref-mail.com", "mail.com", Email),
    ("deref-web.de", "web.de", Email),
    ("deviantart.com", "deviantart", Social),
    ("discord.com", "discord", Social),
    ("discord.gg", "discord", Social),
    ("discordapp.com", "discord", Social),
    ("disqus.com", "disqus", Social),
    ("dogpile.com", "dogpile", Search),
    ("douban.com", "douban", Social),
    ("douyin.com", "douyin", Social),
    ("dribbble.com", "dribbble", Social),
    ("duck.ai", "duck.ai", Ai),
    ("duckduckgo.com", "duckduckgo", Search),
    ("e.mail.ru", "mail.ru", Email),
    ("ecosia.org", "ecosia", Search),
    ("etsy.com", "etsy", Shopping),
    ("excite.com", "excite", Search),
    ("facebook.com", "facebook", Social),
    ("fb.com", "facebook", Social),
    ("fb.me", "facebook", Social),
    ("fb.watch", "facebook", Social),
    ("flickr.com", "flickr", Social),
    ("flipboard.com", "flipboard", Social),
    ("gemini.google.com", "gemini", Ai),
    ("goodreads.com", "goodreads", Social),
    ("grok.com", "grok", Ai),
    ("hi5.com", "hi5", Social),
    ("iask.ai", "iask", Ai),
    ("idealo.de", "idealo", Shopping),
    ("instagr.am", "instagram", Social),
    ("instagram.com", "instagram", Social),
    ("ixquick.com", "startpage", Search),
    ("jasper.ai", "jasper", Ai),
    ("kagi.com", "kagi", Search),
    ("kakao.com", "kakao", Social),
    ("kimi.com", "kimi", Ai),
    ("lens.google.com", "google", Search),
    ("line.me", "line", Social),
    ("linkedin.com", "linkedin", Social),
    ("lnkd.in", "linkedin", Social),
    ("lycos.com", "lycos", Search),
    ("m.me", "messenger", Social),
    ("m365.cloud.microsoft", "copilot", Ai),
    ("mail.aol.com", "aol mail", Email),
    ("mail.google.com", "gmail", Email),
    ("mail.proton.me", "proton mail", Email),
    ("mail.ru", "mail.ru", Search),
    ("mail.yahoo.com", "yahoo mail", Email),
    ("mail.yandex.ru", "yandex mail", Email),
    ("mail.zoho.com", "zoho mail", Email),
    ("mastodon.social", "mastodon", Social),
    ("medium.com", "medium", Social),
    ("messenger.com", "messenger", Social),
    ("meta.ai", "meta ai", Ai),
    ("metager.org", "metager", Search),
    ("mistral.ai", "mistral", Ai),
    ("mix.com", "mix", Social),
    ("mojeek.com", "mojeek", Search),
    ("msn.com", "msn", Search),
    ("my.mail.ru", "mail.ru", Social),
    ("naver.com", "naver", Search),
    ("netflix.com", "netflix", Video),
    ("news.google.com", "google news", Plain),
    ("news.ycombinator.com", "hacker news", Social),
    ("nextdoor.com", "nextdoor", Social),
    ("notebooklm.google.com", "notebooklm", Ai),
    ("odnoklassniki.ru", "ok.ru", Social),
    ("ok.ru", "ok.ru", Social),
    ("openai.com", "chatgpt", Ai),
    ("org.telegram.messenger", "telegram", Social),
    ("outlook.com", "outlook", Email),
    ("outlook.live.com", "outlook", Email),
    ("outlook.office.com", "outlook", Email),
    ("outlook.office365.com", "outlook", Email),
    ("perplexity.ai", "perplexity", Ai),
    ("phind.com", "phind", Ai),
    ("pin.it", "pinterest", Social),
    ("plurk.com", "plurk", Social),
    ("poe.com", "poe", Ai),
    ("presearch.com", "presearch", Search),
    ("quora.com", "quora", Social),
    ("qwant.com", "qwant", Search),
    ("rambler.ru", "rambler", Search),
    ("redd.it", "reddit", Social),
    ("reddit.com", "reddit", Social),
    ("rumble.com", "rumble", Video),
    ("search-results.com", "ask", Search),
    ("search.brave.com", "brave", Search),
    ("seznam.cz", "seznam", Search),
    ("shopify.com", "shopify", Shopping),
    ("shopping.google.com", "google shopping", Shopping),
    ("slack.com", "slack", Social),
    ("snapchat.com", "snapchat", Social),
    ("so.com", "360 search", Search),
    ("sogou.com", "sogou", Search),
    ("soundcloud.com", "soundcloud", Social),
    ("stackexchange.com", "stack exchange", Social),
    ("stackoverflow.com", "stack overflow", Social),
    ("startpage.com", "startpage", Search),
    ("substack.com", "substack", Social),
    ("t.co", "x", Social),
    ("t.me", "telegram", Social),
    ("taringa.net", "taringa", Social),
    ("ted.com", "ted", Video),
    ("telegram.me", "telegram", Social),
    ("telegram.org", "telegram", Social),
    ("temu.com", "temu", Shopping),
    ("threads.com", "threads", Social),
    ("threads.net", "threads", Social),
    ("tieba.baidu.com", "tieba", Social),
    ("tiktok.com", "tiktok", Social),
    ("tiktokv.com", "tiktok", Social),
    ("tripadvisor.com", "tripadvisor", Social),
    ("tumblr.com", "tumblr", Social),
    ("twitch.tv", "twitch", Video),
    ("twitter.com", "x", Social),
    ("viadeo.com", "viadeo", Social),
    ("viber.com", "viber", Social),
    ("vimeo.com", "vimeo", Video),
    ("vk.com", "vk", Social),
    ("vk.ru", "vk", Social),
    ("vkontakte.ru", "vk", Social),
    ("wa.me", "whatsapp", Social),
    ("walmart.com", "walmart", Shopping),
    ("wechat.com", "wechat", Social),
    ("weibo.com", "weibo", Social),
    ("whatsapp.com", "whatsapp", Social),
    ("wordpress.com", "wordpress", Social),
    ("x.ai", "grok", Ai),
    ("x.com", "x", Social),
    ("xing.com", "xing", Social),
    ("yelp.com", "yelp", Social),
    ("yiyan.baidu.com", "ernie", Ai),
    ("you.com", "you.com", Ai),
    ("youku.com", "youku", Video),
    ("youtu.be", "youtube", Video),
    ("youtube-nocookie.com", "youtube", Video),
    ("youtube.com", "youtube", Video),
    ("zalo.me", "zalo", Social),
    ("zhihu.com", "zhihu", Social),
];

/// First label of the registrable domain -> name, category, for companies that answer under many countries' domains.
pub(super) const BRANDS: &[(&str, &str, Category)] = &[
    ("alibaba", "alibaba", Shopping),
    ("amazon", "amazon", Shopping),
    ("aol", "aol", Search),
    ("ask", "ask", Search),
    ("baidu", "baidu", Search),
    ("bing", "bing", Search),
    ("deref-gmx", "gmx", Email),
    ("ebay", "ebay", Shopping),
    ("gmx", "gmx", Email),
    ("google", "google", Search),
    ("mercadolibre", "mercado libre", Shopping),
    ("mercadolivre", "mercado libre", Shopping),
    ("pinterest", "pinterest", Social),
    ("shopee", "shopee", Shopping),
    ("tripadvisor", "tripadvisor", Social),
    ("yahoo", "yahoo", Search),
    ("yandex", "yandex", Search),
    ("yelp", "yelp", Social),
    ("zalando", "zalando", Shopping),
];

/// First label of a host below a brand -> what it is instead: "mail.google.com", "docs.google.co.uk".
pub(super) const BRAND_PARTS: &[(&str, &str, Category)] = &[
    ("accounts", "", Plain),
    ("calendar", "", Plain),
    ("classroom", "", Plain),
    ("cloud", "", Plain),
    ("developers", "", Plain),
    ("docs", "", Plain),
    ("drive", "", Plain),
    ("groups", "", Plain),
    ("mail", "", Email),
    ("meet", "", Plain),
    ("myaccount", "", Plain),
    ("news", "", Plain),
    ("play", "", Plain),
    ("sites", "", Plain),
    ("support", "", Plain),
    ("translate", "", Plain),
];

/// What campaigns call a source -> name, category, besides its domains and the names in the other tables.
pub(super) const SOURCES: &[(&str, &str, Category)] = &[
    ("adwords", "google", Search),
    ("chat.openai", "chatgpt", Ai),
    ("fb", "facebook", Social),
    ("google_ads", "google", Search),
    ("googleads", "google", Search),
    ("hackernews", "hacker news", Social),
    ("ig", "instagram", Social),
    ("igshopping", "instagram", Social),
    ("insta", "instagram", Social),
    ("messenger", "messenger", Social),
    ("openai", "chatgpt", Ai),
    ("skype", "skype", Social),
    ("tw", "x", Social),
    ("twitter", "x", Social),
    ("wa", "whatsapp", Social),
    ("yahoo!", "yahoo", Search),
    ("yt", "youtube", Video),
];

fn find(table: &'static [(&'static str, &'static str, Category)], key: &str) -> Option<Site> {
    let at = table.binary_search_by(|(known, ..)| (*known).cmp(key)).ok()?;
    let (_, name, category) = table[at];
    Some(Site { name, category })
}

/// The site that answers on `host`, which is in lower case.
///
/// The most specific entry wins. No more labels are given up than down to the registrable domain, so a known name in
/// front of somebody else's domain is nothing.
pub fn site_of_host(host: &str) -> Option<Site> {
    if let Some(site) = find(HOSTS, host) {
        return Some(site);
    }
    let domain = psl::domain(host.as_bytes())?;
    // A brand's name counts below a suffix that a registry runs, not below one that anybody can rent ("github.io").
    let is_registry = domain.suffix().typ() == Some(psl::Type::Icann);
    let domain = host.get(host.len().checked_sub(domain.as_bytes().len())?..)?;
    let mut rest = host;
    while rest.len() > domain.len() {
        rest = rest.split_once('.')?.1;
        if let Some(site) = find(HOSTS, rest) {
            return Some(site);
        }
    }
    if !is_registry {
        return None;
    }
    let first_label = host[..host.len() - domain.len()].split('.').next().unwrap_or_default();
    let Some(brand) = find(BRANDS, domain.split_once('.')?.0) else {
        // Where a company's or a provider's people read their mail, by a custom of long standing.
        let is_mailbox = matches!(&host[..host.len() - domain.len()], "mail." | "webmail." | "email.");
        return is_mailbox.then_some(Site { name: "webmail", category: Email });
    };
    let part = find(BRAND_PARTS, first_label)
        .filter(|_| matches!(brand.name, "google" | "yahoo" | "yandex" | "aol"));
    Some(Site { name: brand.name, category: part.map_or(brand.category, |part| part.category) })
}

/// The site that a campaign means by `source`, in any case: a name, or a domain.
pub(super) fn site_of_source(source: &str) -> Option<Site> {
    let source = super::lower(source);
    if source.contains('.') {
        return site_of_host(source.strip_prefix("www.").unwrap_or(&source));
    }
    let spaced: Cow<'_, str> =
        if source.contains(['_', '-']) { source.replace(['_', '-'], " ").into() } else { source };
    let by_name = |table: &'static [(&str, &'static str, Category)]| {
        let (_, name, category) = table.iter().find(|(_, name, _)| **name == *spaced)?;
        Some(Site { name, category: *category })
    };
    find(SOURCES, &spaced).or_else(|| by_name(BRANDS)).or_else(|| by_name(HOSTS))
}
