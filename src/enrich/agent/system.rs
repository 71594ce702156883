//! The operating system where uap-core's rules do not know it, know it by a part of its name, or where the number is
//! frozen in every browser's User-Agent and no fact.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::UNKNOWN;

/// What an operating system writes into a User-Agent by which uap-core does not find it, most particular first: where one
/// of the texts is there, in any case, it is this system. Names are those of the systems' own documentation.
const SIGNS: [(&[&str], &str); 32] = [
    (&["chromebook", "cros "], "Chrome OS"),
    (&["plasma mobile"], "Linux"),
    (&["antennapod", "podcastaddict", "podkicker", "beyondpod", "doggcatcher"], "Android"),
    (&["yunos", "aliyunos"], "Android"),
    (&["andr0id", "diordna", "android sdk", "android 1", "android_", "remixos"], "Android"),
    (
        &[
            "windows ce",
            "windows mobile",
            "pocket pc",
            "iemobile",
            "wpdesktop",
            "windows phone",
            "zunehd",
            "zune hd",
        ],
        "Windows Phone",
    ),
    (&["; arm; trident/", "nt 6.2; arm;", "nt 6.3; arm;"], "Windows Phone"),
    (&["hpwos", "webos/", "palmsource", "palmos"], "webOS mobile"),
    (&["whaleos", "whale os"], "Whale OS"),
    (&["vizios"], "ViziOS"),
    (&["rokubrowser", "roku/dvp", "roku os"], "Roku"),
    (&["kreatv", "google fiber", "youview", "linux mips", "sraf/"], "Linux"),
    (&["nokia808", "symbian", "symbos", "series60", "series40"], "Symbian OS"),
    (&["watchos", "apple watch"], "watchOS"),
    (&["iphone", "ipad", "ipod", "(iph", "/ios", "(ios", " ios", "-ios"], "iOS"),
    (
        &[
            "macos",
            "mac os",
            "osx/",
            "os=mac",
            "macbook",
            "imac",
            "apple-darwin",
            "netnewswire/",
            "doughnut/",
        ],
        "Mac OS X",
    ),
    (&["android", "amazon;aft", "smarttv_aft", "googletv"], "Android"),
    (&["win10", "windows", "cygwin", "microsoft-", " win "], "Windows"),
    (&["nokia"], "Series 40"),
    (&["smarthub", "maple2"], "Orsay"),
    (
        &["midp", "cldc", "j2me", "java platform", "threadx", "mocor/", "maui ", "obigo", "up.browser"],
        "Java ME",
    ),
    (&["brew"], "BREW"),
    (&["(rex;", "rex os"], "REX OS"),
    (&["amigaos", "amigavoyager"], "AmigaOS"),
    (&["(os/2", "warp 4"], "OS/2"),
    (&["nintendo 3ds", "nintendo ds", "new nintendo 3ds"], "Nintendo Portable"),
    (&["nintendo"], "Nintendo"),
    (&["haiku", "beos"], "BeOS"),
    (&["openvms"], "OpenVMS"),
    (&["playstation portable", "playstation vita", "psp ("], "PlayStation Portable"),
    (&["playstation"], "PlayStation"),
    (&["x11", "linux"], "Linux"),
];

/// Systems that uap-core names by a part of what they are: then a sign of a more particular one counts.
const COARSE: [&str; 5] = [UNKNOWN, "", "Linux", "Windows", "Android"];

/// What runs on televisions by its own name.
const ON_TELEVISIONS: [&str; 8] =
    ["Android", "Linux", "Tizen", "Web0S", "webOS", "Windows", "Fire OS", "Chromecast"];

/// All signs in one pass, each with its place in [`SIGNS`]; `None` only if they cannot be compiled.
static FINDER: LazyLock<Option<(AhoCorasick, Vec<usize>)>> = LazyLock::new(|| {
    let all =
        || SIGNS.iter().enumerate().flat_map(|(at, (signs, _))| signs.iter().map(move |sign| (at, sign)));
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(all().map(|(_, sign)| sign));
    Some((automaton.ok()?, all().map(|(at, _)| at).collect()))
});

/// The system of the first entry of [`SIGNS`] that shows in `ua`.
fn known(ua: &str) -> Option<&'static str> {
    let (automaton, places) = FINDER.as_ref()?;
    let first = automaton.find_overlapping_iter(ua).map(|found| places[found.pattern().as_usize()]).min()?;
    Some(SIGNS[first].1)
}

/// The system and its version: uap-core's, or what the signs say, without numbers that are frozen.
pub(super) fn of<'a>(ua: &str, os: &'a str, version: &'a str) -> (std::borrow::Cow<'a, str>, &'a str) {
    // On televisions uap-core's rules take the maker's name for the system's.
    let os = if ua.contains("HbbTV/") && !ON_TELEVISIONS.contains(&os) { UNKNOWN } else { os };
    if COARSE.contains(&os)
        && let Some(found) = known(ua)
    {
        // Of what uap-core knows, a sign may say it finer, and never that it is another family.
        let finer = match os {
            "Linux" => !matches!(found, "Linux" | "iOS" | "Mac OS X" | "Windows" | "watchOS"),
            "Windows" => matches!(found, "Windows Phone" | "webOS mobile"),
            "Android" => matches!(found, "Chrome OS") || ua.contains("Plasma Mobile"),
            _ => true,
        };
        if finer {
            return (std::borrow::Cow::Borrowed(found), "");
        }
    }
    // An iPad from iPadOS 13 on that says so; a Mac's own network library names the processor.
    if os == "iOS" && ua.contains("iPad") && version.parse::<u16>().is_ok_and(|major| major >= 13) {
        return ("iPadOS".into(), version);
    }
    if os == "iOS"
        && ua.contains("Darwin/")
        && (ua.contains("(x86_64)") || ua.starts_with("SafariViewService/"))
    {
        return ("Mac OS X".into(), "");
    }
    (os.into(), if is_frozen(ua, os, version) { "" } else { version })
}

/// Numbers that every browser of a kind sends, whatever runs: macOS is 10.15.7 in all browsers since 2020, Android is 10
/// on a device called K in Chrome since 2023 (User-Agent reduction). Windows NT 10.0 is 10 or 11, and is kept as 10.
fn is_frozen(ua: &str, os: &str, version: &str) -> bool {
    match os {
        "Mac OS X" => version == "10" && (ua.contains("10_15") || ua.contains("10.15")),
        "Android" => version == "10" && ua.contains("Android 10; K)"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_counts_wherever_it_stands() {
        assert!(FINDER.is_some());
        for (ua, want) in [
            ("Mozilla/5.0 (X11; CrOS x86_64)", Some("Chrome OS")),
            ("Nintendo 3DS", Some("Nintendo Portable")),
            ("Linux; Andr0id 9", Some("Android")),
            ("nothing", None),
        ] {
            assert_eq!(known(ua), want, "{ua}");
        }
    }
}
