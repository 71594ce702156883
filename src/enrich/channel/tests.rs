use super::*;
use proptest::prelude::*;

fn from_host(host: &str) -> Attribution<'_> {
    attribute(&ChannelInput { referrer_host: Some(host), ..ChannelInput::default() })
}

fn campaign<'a>(source: &'a str, medium: &'a str, campaign: &'a str) -> Attribution<'a> {
    attribute(&ChannelInput {
        utm_source: Some(source),
        utm_medium: Some(medium),
        utm_campaign: Some(campaign),
        ..ChannelInput::default()
    })
}

#[test]
fn from_nowhere_is_direct() {
    let direct = attribute(&ChannelInput::default());
    assert_eq!((direct.channel, &*direct.source, &*direct.medium), ("Direct", "(direct)", "(none)"));
    assert_eq!(from_host("").channel, "Direct");
    assert_eq!(campaign("", " ", "").channel, "Direct");
}

#[test]
fn well_known_hosts() {
    for (host, channel, source) in [
        ("www.google.com", "Organic Search", "google"),
        ("www.google.co.uk", "Organic Search", "google"),
        ("google.de", "Organic Search", "google"),
        ("com.google.android.googlequicksearchbox", "Organic Search", "google"),
        ("duckduckgo.com", "Organic Search", "duckduckgo"),
        ("r.search.yahoo.com", "Organic Search", "yahoo"),
        ("yandex.com.tr", "Organic Search", "yandex"),
        ("search.brave.com", "Organic Search", "brave"),
        ("m.facebook.com", "Organic Social", "facebook"),
        ("l.instagram.com", "Organic Social", "instagram"),
        ("t.co", "Organic Social", "x"),
        ("out.reddit.com", "Organic Social", "reddit"),
        ("news.ycombinator.com", "Organic Social", "hacker news"),
        ("www.youtube.com", "Organic Video", "youtube"),
        ("www.amazon.co.jp", "Organic Shopping", "amazon"),
        ("chatgpt.com", "AI Assistants", "chatgpt"),
        ("www.perplexity.ai", "AI Assistants", "perplexity"),
        ("gemini.google.com", "AI Assistants", "gemini"),
        ("copilot.microsoft.com", "AI Assistants", "copilot"),
        ("mail.google.com", "Email", "gmail"),
        ("com.google.android.gm", "Email", "gmail"),
        ("e.mail.yahoo.com", "Email", "yahoo mail"),
        ("webmail.example.com", "Email", "webmail.example.com"),
        ("suche.portal-example.de", "Organic Search", "suche.portal-example.de"),
        ("mail01.orange.fr", "Email", "orange"),
        ("suche.gmx.net", "Organic Search", "gmx"),
        ("forum.example.org", "Organic Social", "forum.example.org"),
        ("ad.doubleclick.net", "Display", "google"),
        ("syndicatedsearch.goog", "Paid Search", "google"),
        ("www.awin1.com", "Affiliates", "awin"),
        ("someone.blogspot.com", "Organic Social", "blogspot"),
        ("docs.google.com", "Referral", "google"),
        ("blog.example.com", "Referral", "blog.example.com"),
        ("www.example.com", "Referral", "example.com"),
        ("[ip]", "Referral", "[ip]"),
        ("localhost", "Referral", "localhost"),
    ] {
        let found = from_host(host);
        assert_eq!((found.channel, &*found.source), (channel, source), "{host}");
    }
}

#[test]
fn look_alikes_are_referrals() {
    for host in [
        "notgoogle.com",
        "google.com.evil.example",
        "google.evil.example",
        "google.github.io",
        "mail.google.com.evil.example",
        "mail.google.evil.example",
        "search.yahoo.evil.example",
        "research.example.org",
        "google.xyz",
        "google.example",
        "facebook.com.co",
        "xfacebook.com",
        "t.co.example.org",
        "google",
        "www.google",
        "co.uk",
    ] {
        assert_eq!(from_host(host).channel, "Referral", "{host}");
    }
}

#[test]
fn media_of_campaigns() {
    for (source, medium, name, channel) in [
        ("google", "cpc", "spring", "Paid Search"),
        ("Google", "CPC", "", "Paid Search"),
        ("www.bing.com", "ppc", "", "Paid Search"),
        ("google", "cpc", "eshop 1", "Paid Shopping"),
        ("google", "cpc", "workshop", "Paid Search"),
        ("amazon", "cpc", "", "Paid Shopping"),
        ("facebook", "paid_social", "", "Paid Social"),
        ("ig", "paid", "", "Paid Social"),
        ("youtube", "cpv", "", "Paid Video"),
        ("youtube", "cpc", "", "Paid Video"),
        ("partner", "cpc", "", "Paid Other"),
        ("partner", "cpm", "", "Display"),
        ("partner", "banner", "", "Display"),
        ("partner", "affiliate", "", "Affiliates"),
        ("newsletter", "email", "", "Email"),
        ("e-mail", "x", "", "Email"),
        ("linkedin", "social", "", "Organic Social"),
        ("blog", "social-media", "", "Organic Social"),
        ("blog", "video", "", "Organic Video"),
        ("blog", "organic", "", "Organic Search"),
        ("blog", "referral", "", "Referral"),
        ("spotify", "audio", "", "Audio"),
        ("sms", "x", "", "SMS"),
        ("firm", "web-push", "", "Mobile Push Notifications"),
        ("firebase", "x", "", "Mobile Push Notifications"),
        ("google", "video", "", "Organic Video"),
        ("video.google.com", "", "", "Organic Video"),
        ("chatgpt.com", "", "", "AI Assistants"),
        ("notgoogle.com", "x", "", "Unassigned"),
        ("x", "", "", "Organic Social"),
        ("a", "b", "Cross-Network 7", "Cross-network"),
    ] {
        assert_eq!(campaign(source, medium, name).channel, channel, "{source} {medium} {name}");
    }
}

#[test]
fn campaign_counts_before_click_id_before_referrer() {
    let all = ChannelInput {
        referrer_host: Some("www.facebook.com"),
        utm_source: Some("newsletter"),
        utm_medium: Some("email"),
        utm_campaign: None,
        click_id: Some(ClickId::GoogleAds),
    };
    assert_eq!(attribute(&all).channel, "Email");
    let click = attribute(&ChannelInput { utm_source: None, utm_medium: None, ..all });
    assert_eq!((click.channel, &*click.source, &*click.medium), ("Paid Search", "google", "cpc"));
    let referrer = attribute(&ChannelInput { utm_source: None, utm_medium: None, click_id: None, ..all });
    assert_eq!(
        (referrer.channel, &*referrer.source, &*referrer.medium),
        ("Organic Social", "facebook", "social")
    );
}

#[test]
fn every_click_id_has_a_channel() {
    for (click_id, channel) in [
        (ClickId::GoogleAds, "Paid Search"),
        (ClickId::GoogleDisplay, "Display"),
        (ClickId::Microsoft, "Paid Search"),
        (ClickId::Meta, "Paid Social"),
        (ClickId::Tiktok, "Paid Social"),
        (ClickId::X, "Paid Social"),
        (ClickId::Linkedin, "Paid Social"),
        (ClickId::Yandex, "Paid Search"),
        (ClickId::Snapchat, "Paid Social"),
        (ClickId::Pinterest, "Paid Social"),
        (ClickId::Reddit, "Paid Social"),
        (ClickId::Quora, "Paid Social"),
        (ClickId::Taboola, "Paid Other"),
        (ClickId::Outbrain, "Paid Other"),
        (ClickId::Seznam, "Paid Search"),
        (ClickId::Affiliate, "Affiliates"),
    ] {
        let found = attribute(&ChannelInput { click_id: Some(click_id), ..ChannelInput::default() });
        assert_eq!(found.channel, channel, "{click_id:?}");
    }
}

#[test]
fn what_a_campaign_leaves_out() {
    let only_medium = attribute(&ChannelInput {
        referrer_host: Some("www.bing.com"),
        utm_medium: Some("ppc"),
        ..ChannelInput::default()
    });
    assert_eq!((only_medium.channel, &*only_medium.source), ("Paid Search", "bing"));
    let only_campaign = attribute(&ChannelInput { utm_campaign: Some("spring"), ..ChannelInput::default() });
    assert_eq!((only_campaign.channel, &*only_campaign.source), ("Unassigned", "(not set)"));
    assert_eq!(&*only_campaign.medium, "(not set)");
}

proptest! {
    #[test]
    fn nothing_panics(host in ".{0,40}", source in ".{0,20}", medium in ".{0,20}", name in ".{0,20}") {
        let _ = attribute(&ChannelInput {
            referrer_host: Some(&host),
            utm_source: Some(&source),
            utm_medium: Some(&medium),
            utm_campaign: Some(&name),
            click_id: None,
        });
        let _ = from_host(&host);
    }

    #[test]
    fn a_known_name_in_front_of_another_domain_is_nothing(index in 0..2000_usize, rest in "[a-z]{3,8}\\.(example|com|org|co\\.uk)") {
        let domains: Vec<_> = sites::tests::domains().collect();
        let known = domains[index % domains.len()].trim_end_matches(".*");
        let host = format!("{known}.{rest}");
        // What the host says in its own words is left: "mail.google.abc.com" may be the mailbox of abc.com.
        if site_of_host(&rest).is_none() {
            prop_assert!(site_of_host(&host).is_none_or(|site| site.name.is_empty()));
        }
    }
}

#[test]
fn a_referrer_without_a_campaign_is_what_the_general_rules_say() {
    use Category::*;
    let categories =
        [Search, SearchAdvertising, Social, Video, Shopping, Ai, Email, Advertising, Affiliate, Plain];
    for site in categories.map(|category| Some(Site { name: "name", category })).into_iter().chain([None]) {
        let medium = site.map_or("referral", |site| site.category.medium());
        assert_eq!(channel_of_referrer(site), channel(site, "example.com", medium, ""), "{site:?}");
    }
}

#[test]
fn a_campaign_that_came_before_gets_the_same_channel_and_no_other_gets_it() {
    for _ in 0..2 {
        assert_eq!(campaign("a", "email", "").channel, "Email");
        assert_eq!(campaign("a", "", "email").channel, "Unassigned");
        assert_eq!(campaign("google", "cpc", "shoes").channel, "Paid Search");
        assert_eq!(campaign("google", "cpc", &"shoes ".repeat(100)).channel, "Paid Search");
        assert_eq!(campaign("facebook", "cpc", "shoes").channel, "Paid Social");
    }
}
