//! The class of a device, from plain signs in a User-Agent.
//!
//! Signs are words that makers of devices and browsers put into the string; all are looked for in one pass.
//! Where several classes show, the more particular one wins, in the order of [`Sign`]: a television that runs
//! Android is a television. On Android the model's name says more than any other word (see `models`). What shows no
//! sign at all is judged by the operating system that the rules found.

mod models;

use aho_corasick::AhoCorasick;

use super::Device;

/// What a sign speaks for, the more particular first.
#[derive(Clone, Copy)]
enum Sign {
    /// Watches, speakers, cars: no class of their own.
    Other,
    Console,
    Tv,
    Tablet,
    Mobile,
    Desktop,
}

/// Where in the text a sign counts.
#[derive(Clone, Copy)]
enum At {
    /// Anywhere.
    Any,
    /// Not in the middle of a word.
    Start,
    /// As a word of its own.
    Word,
}

/// Lower-case sign, class, place. Names of products and platforms, from their makers' own documentation.
const SIGNS: &[(&str, Sign, At)] = &[
    ("smartspeaker", Sign::Other, At::Any),
    ("apple watch", Sign::Other, At::Any),
    ("watchos", Sign::Other, At::Start),
    ("watch os", Sign::Other, At::Start),
    ("watch", Sign::Other, At::Word),
    ("wear os", Sign::Other, At::Start),
    ("sm-r", Sign::Other, At::Start),
    ("qtcarbrowser", Sign::Other, At::Any),
    ("tesla", Sign::Other, At::Word),
    ("oculus", Sign::Other, At::Start),
    ("quest", Sign::Other, At::Word),
    ("pico", Sign::Other, At::Word),
    ("picobrowser", Sign::Other, At::Start),
    ("vr safari", Sign::Other, At::Any),
    ("mobile vr", Sign::Other, At::Word),
    ("wolvic", Sign::Other, At::Start),
    ("airpodcasts", Sign::Other, At::Start),
    ("homepod", Sign::Other, At::Any),
    ("audioos", Sign::Other, At::Start),
    ("google-home", Sign::Other, At::Start),
    ("googlehome", Sign::Other, At::Start),
    ("google home", Sign::Other, At::Start),
    ("nest hub", Sign::Other, At::Start),
    ("soundtouch", Sign::Other, At::Start),
    ("family hub", Sign::Other, At::Start),
    ("smartwatch", Sign::Other, At::Any),
    ("projector", Sign::Other, At::Any),
    ("automotive", Sign::Other, At::Any),
    ("head unit", Sign::Other, At::Start),
    ("headunit", Sign::Other, At::Any),
    ("moto 360", Sign::Other, At::Start),
    ("glass", Sign::Other, At::Word),
    ("odroid", Sign::Other, At::Start),
    ("sonos", Sign::Other, At::Start),
    ("alexamediaplayer", Sign::Other, At::Start),
    ("polestar", Sign::Other, At::Start),
    ("portalgo", Sign::Other, At::Start),
    ("aloha browser tv", Sign::Tv, At::Start),
    ("kreatv", Sign::Tv, At::Start),
    (", wired)", Sign::Tv, At::Any),
    (",wired)", Sign::Tv, At::Any),
    ("astro;", Sign::Tv, At::Start),
    ("kstb", Sign::Tv, At::Start),
    ("tdtv", Sign::Tv, At::Start),
    ("tvblack", Sign::Tv, At::Any),
    ("vizios", Sign::Tv, At::Any),
    ("whaleos", Sign::Tv, At::Any),
    ("hololens", Sign::Other, At::Start),
    ("magic leap", Sign::Other, At::Start),
    ("helio/", Sign::Other, At::Start),
    ("vive", Sign::Other, At::Word),
    ("gamepad", Sign::Console, At::Start),
    ("retroid", Sign::Console, At::Start),
    ("rg353", Sign::Console, At::Start),
    ("arm; trident", Sign::Tablet, At::Any),
    ("nt 6.2; arm", Sign::Tablet, At::Any),
    ("nt 6.3; arm", Sign::Tablet, At::Any),
    ("windows nt 6.2; arm", Sign::Tablet, At::Any),
    ("playstation", Sign::Console, At::Any),
    ("psp (", Sign::Console, At::Start),
    ("xbox", Sign::Console, At::Start),
    ("nintendo", Sign::Console, At::Start),
    ("ouya", Sign::Console, At::Word),
    ("shield portable", Sign::Console, At::Start),
    ("steam deck", Sign::Console, At::Start),
    ("dreamcast", Sign::Console, At::Start),
    ("wii", Sign::Console, At::Start),
    ("planetweb", Sign::Console, At::Start),
    ("sega", Sign::Console, At::Word),
    ("steamdeck", Sign::Console, At::Start),
    ("hbbtv", Sign::Tv, At::Any),
    ("ce-html", Sign::Tv, At::Any),
    ("smarttv", Sign::Tv, At::Any),
    ("smart-tv", Sign::Tv, At::Any),
    ("smart_tv", Sign::Tv, At::Any),
    ("googletv", Sign::Tv, At::Any),
    ("appletv", Sign::Tv, At::Any),
    ("androidtv", Sign::Tv, At::Any),
    ("philipstv", Sign::Tv, At::Any),
    ("webtv", Sign::Tv, At::Any),
    ("nettv", Sign::Tv, At::Any),
    ("iptv", Sign::Tv, At::Any),
    ("tvbox", Sign::Tv, At::Any),
    ("tvos", Sign::Tv, At::Start),
    ("mitv", Sign::Tv, At::Start),
    ("mibox", Sign::Tv, At::Start),
    ("dtv", Sign::Tv, At::Word),
    ("(sky, ", Sign::Tv, At::Any),
    ("stv", Sign::Tv, At::Word),
    ("atv", Sign::Tv, At::Word),
    ("tv", Sign::Tv, At::Word),
    ("_tv_", Sign::Tv, At::Any),
    ("leanback", Sign::Tv, At::Start),
    ("dlnadoc", Sign::Tv, At::Start),
    ("omi/", Sign::Tv, At::Start),
    ("sraf/", Sign::Tv, At::Start),
    ("ekioh", Sign::Tv, At::Start),
    ("seraphic", Sign::Tv, At::Start),
    ("vewd", Sign::Tv, At::Start),
    ("kylo", Sign::Tv, At::Start),
    ("opentv", Sign::Tv, At::Start),
    ("enigma2", Sign::Tv, At::Start),
    ("dreambox", Sign::Tv, At::Start),
    ("humax", Sign::Tv, At::Start),
    ("technisat", Sign::Tv, At::Start),
    ("loewe", Sign::Tv, At::Start),
    ("metz", Sign::Tv, At::Start),
    ("tivo", Sign::Tv, At::Start),
    ("sberbox", Sign::Tv, At::Start),
    ("netcast", Sign::Tv, At::Any),
    ("web0s", Sign::Tv, At::Any),
    ("crkey", Sign::Tv, At::Any),
    ("chromecast", Sign::Tv, At::Start),
    ("roku", Sign::Tv, At::Start),
    ("bravia", Sign::Tv, At::Any),
    ("viera", Sign::Tv, At::Any),
    ("aquosbrowser", Sign::Tv, At::Any),
    ("brightsign", Sign::Tv, At::Start),
    ("youview", Sign::Tv, At::Start),
    ("freebox", Sign::Tv, At::Start),
    ("espial", Sign::Tv, At::Start),
    ("google fiber", Sign::Tv, At::Start),
    ("set-top", Sign::Tv, At::Start),
    ("stbapp", Sign::Tv, At::Start),
    ("streaming box", Sign::Tv, At::Start),
    ("vizio", Sign::Tv, At::Start),
    ("aftb", Sign::Tv, At::Start),
    ("aftm", Sign::Tv, At::Start),
    ("afts", Sign::Tv, At::Start),
    ("aftt", Sign::Tv, At::Start),
    ("aftn", Sign::Tv, At::Start),
    ("aftk", Sign::Tv, At::Start),
    ("aftr", Sign::Tv, At::Start),
    ("aftc", Sign::Tv, At::Start),
    ("aftg", Sign::Tv, At::Start),
    ("afth", Sign::Tv, At::Start),
    ("aftl", Sign::Tv, At::Start),
    ("aftp", Sign::Tv, At::Start),
    ("afte", Sign::Tv, At::Start),
    ("aftw", Sign::Tv, At::Start),
    ("afta", Sign::Tv, At::Start),
    ("aftj", Sign::Tv, At::Start),
    ("ipad", Sign::Tablet, At::Any),
    ("tablet", Sign::Tablet, At::Word),
    ("kindle", Sign::Tablet, At::Start),
    ("silk", Sign::Tablet, At::Start),
    ("kfot", Sign::Tablet, At::Start),
    ("kftt", Sign::Tablet, At::Start),
    ("kfjw", Sign::Tablet, At::Start),
    ("kfth", Sign::Tablet, At::Start),
    ("kfap", Sign::Tablet, At::Start),
    ("kfso", Sign::Tablet, At::Start),
    ("kfma", Sign::Tablet, At::Start),
    ("kfsu", Sign::Tablet, At::Start),
    ("kftr", Sign::Tablet, At::Start),
    ("kfon", Sign::Tablet, At::Start),
    ("playbook", Sign::Tablet, At::Start),
    ("touchpad", Sign::Tablet, At::Start),
    ("opera tab", Sign::Tablet, At::Start),
    ("xoom", Sign::Tablet, At::Start),
    ("nexus 7", Sign::Tablet, At::Word),
    ("nexus 9", Sign::Tablet, At::Word),
    ("nexus 10", Sign::Tablet, At::Word),
    ("pixel c", Sign::Tablet, At::Word),
    ("sm-t", Sign::Tablet, At::Start),
    ("sm-x", Sign::Tablet, At::Start),
    ("sm-p", Sign::Tablet, At::Start),
    ("gt-p", Sign::Tablet, At::Start),
    ("galaxy tab", Sign::Tablet, At::Start),
    ("tab", Sign::Tablet, At::Word),
    ("pad", Sign::Tablet, At::Word),
    ("mediapad", Sign::Tablet, At::Any),
    ("matepad", Sign::Tablet, At::Any),
    ("mipad", Sign::Tablet, At::Any),
    ("mi pad", Sign::Tablet, At::Start),
    ("miui pad", Sign::Tablet, At::Start),
    ("ideatab", Sign::Tablet, At::Any),
    ("ideapad a", Sign::Tablet, At::Start),
    ("lenovo tb", Sign::Tablet, At::Start),
    ("tb-x", Sign::Tablet, At::Start),
    ("tb-j", Sign::Tablet, At::Start),
    ("transformer", Sign::Tablet, At::Start),
    ("iconia", Sign::Tablet, At::Start),
    ("pocketbook", Sign::Tablet, At::Start),
    ("ereader", Sign::Tablet, At::Any),
    ("kobo", Sign::Tablet, At::Start),
    ("nook", Sign::Tablet, At::Start),
    ("-w09", Sign::Tablet, At::Any),
    ("-w19", Sign::Tablet, At::Any),
    ("mobile", Sign::Mobile, At::Any),
    ("mobi", Sign::Mobile, At::Word),
    ("phone", Sign::Mobile, At::Any),
    ("ipod", Sign::Mobile, At::Any),
    ("(iph", Sign::Mobile, At::Any),
    ("mqqbrowser/mini", Sign::Mobile, At::Start),
    ("samsung-sgh", Sign::Mobile, At::Start),
    ("samsung-gt", Sign::Mobile, At::Start),
    ("sec-sgh", Sign::Mobile, At::Start),
    ("sgh-", Sign::Mobile, At::Start),
    ("sagem-", Sign::Mobile, At::Start),
    ("sie-", Sign::Mobile, At::Start),
    ("mot-", Sign::Mobile, At::Start),
    ("motorola-", Sign::Mobile, At::Start),
    ("alcatel-", Sign::Mobile, At::Start),
    ("lge-", Sign::Mobile, At::Start),
    ("huawei-", Sign::Mobile, At::Start),
    ("zte-", Sign::Mobile, At::Start),
    ("pantech", Sign::Mobile, At::Start),
    ("vodafone/", Sign::Mobile, At::Start),
    ("j-phone", Sign::Mobile, At::Start),
    ("haier-", Sign::Mobile, At::Start),
    ("audiovox", Sign::Mobile, At::Start),
    ("dopod", Sign::Mobile, At::Start),
    ("treo", Sign::Mobile, At::Start),
    ("pocket pc", Sign::Mobile, At::Any),
    ("windows ce", Sign::Mobile, At::Any),
    ("lumia", Sign::Mobile, At::Start),
    ("blackberry", Sign::Mobile, At::Any),
    ("bb10", Sign::Mobile, At::Start),
    ("symbian", Sign::Mobile, At::Start),
    ("symbos", Sign::Mobile, At::Start),
    ("series60", Sign::Mobile, At::Start),
    ("series40", Sign::Mobile, At::Start),
    ("midp", Sign::Mobile, At::Start),
    ("cldc", Sign::Mobile, At::Start),
    ("j2me", Sign::Mobile, At::Start),
    ("wap", Sign::Mobile, At::Word),
    ("nokia", Sign::Mobile, At::Start),
    ("sonyericsson", Sign::Mobile, At::Start),
    ("opera mini", Sign::Mobile, At::Start),
    ("ucweb", Sign::Mobile, At::Start),
    ("up.browser", Sign::Mobile, At::Start),
    ("obigo", Sign::Mobile, At::Start),
    ("netfront", Sign::Mobile, At::Start),
    ("polaris", Sign::Mobile, At::Start),
    ("teleca", Sign::Mobile, At::Start),
    ("semc-browser", Sign::Mobile, At::Start),
    ("bada", Sign::Mobile, At::Word),
    ("kaios", Sign::Mobile, At::Start),
    ("meego", Sign::Mobile, At::Start),
    ("palmsource", Sign::Mobile, At::Start),
    ("palmos", Sign::Mobile, At::Start),
    ("brew", Sign::Mobile, At::Word),
    ("docomo", Sign::Mobile, At::Start),
    ("kddi", Sign::Mobile, At::Start),
    ("softbank", Sign::Mobile, At::Start),
    ("fennec", Sign::Mobile, At::Start),
    ("sm-a", Sign::Mobile, At::Start),
    ("sm-f", Sign::Mobile, At::Start),
    ("sm-g", Sign::Mobile, At::Start),
    ("sm-j", Sign::Mobile, At::Start),
    ("sm-m", Sign::Mobile, At::Start),
    ("sm-n", Sign::Mobile, At::Start),
    ("sm-s", Sign::Mobile, At::Start),
    ("gt-i", Sign::Mobile, At::Start),
    ("gt-s", Sign::Mobile, At::Start),
    ("irix", Sign::Desktop, At::Start),
    ("hp-ux", Sign::Desktop, At::Start),
    ("openvms", Sign::Desktop, At::Start),
    ("risc os", Sign::Desktop, At::Start),
    ("morphos", Sign::Desktop, At::Start),
    ("amiga", Sign::Desktop, At::Start),
    ("qnx", Sign::Desktop, At::Start),
    ("dragonfly", Sign::Desktop, At::Start),
    ("itunes/", Sign::Desktop, At::Start),
    ("foobar2000", Sign::Desktop, At::Start),
    ("winamp", Sign::Desktop, At::Start),
    ("rhythmbox", Sign::Desktop, At::Start),
    ("banshee", Sign::Desktop, At::Start),
    ("clementine", Sign::Desktop, At::Start),
    ("amarok", Sign::Desktop, At::Start),
    ("gpodder", Sign::Desktop, At::Start),
    ("liferea", Sign::Desktop, At::Start),
    ("akregator", Sign::Desktop, At::Start),
    ("feeddemon", Sign::Desktop, At::Start),
    ("netnewswire/", Sign::Desktop, At::Start),
    ("rssowl", Sign::Desktop, At::Start),
    ("quiterss", Sign::Desktop, At::Start),
    ("thunderbird", Sign::Desktop, At::Start),
    ("nsplayer", Sign::Desktop, At::Start),
    ("musicbee", Sign::Desktop, At::Start),
    ("songbird", Sign::Desktop, At::Start),
    ("zune/", Sign::Desktop, At::Start),
    ("winnt", Sign::Desktop, At::Start),
    ("win95", Sign::Desktop, At::Start),
    ("win98", Sign::Desktop, At::Start),
    ("desktop", Sign::Desktop, At::Word),
    ("mac", Sign::Desktop, At::Word),
    ("aix", Sign::Desktop, At::Word),
    ("linux", Sign::Desktop, At::Any),
    ("cros", Sign::Desktop, At::Word),
    ("windows", Sign::Desktop, At::Start),
    ("win10", Sign::Desktop, At::Start),
    ("win32", Sign::Desktop, At::Start),
    ("win64", Sign::Desktop, At::Start),
    ("macintosh", Sign::Desktop, At::Start),
    ("macos", Sign::Desktop, At::Start),
    ("mac_powerpc", Sign::Desktop, At::Start),
    ("macbook", Sign::Desktop, At::Start),
    ("imac", Sign::Desktop, At::Start),
    ("apple/mac", Sign::Desktop, At::Start),
    ("mac os/", Sign::Desktop, At::Start),
    ("osx", Sign::Desktop, At::Word),
    ("darwin/", Sign::Desktop, At::Start),
    ("apple-darwin", Sign::Desktop, At::Any),
    ("x11", Sign::Desktop, At::Word),
    ("freebsd", Sign::Desktop, At::Any),
    ("openbsd", Sign::Desktop, At::Any),
    ("netbsd", Sign::Desktop, At::Any),
    ("sunos", Sign::Desktop, At::Start),
    ("beos", Sign::Desktop, At::Word),
    ("haiku", Sign::Desktop, At::Start),
    ("os/2", Sign::Desktop, At::Start),
    ("amigaos", Sign::Desktop, At::Start),
    ("cygwin", Sign::Desktop, At::Start),
];

/// The system and the class behind Puffin's version, "Puffin/9.4.1AP": A, I, L, M and W for the system, P, T and D for
/// telephone, tablet and desktop.
pub(super) fn puffin(ua: &str) -> Option<(&'static str, Device)> {
    let version = &ua[ua.find("Puffin/")? + "Puffin/".len()..];
    let marks = version.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let marks = marks.split(' ').next().unwrap_or_default().as_bytes();
    let &[system, class] = marks else { return None };
    let system = match system {
        b'A' => "Android",
        b'I' => "iOS",
        b'L' => "Linux",
        b'M' => "Mac OS X",
        b'W' => "Windows",
        _ => "",
    };
    let class = match class {
        b'P' => Device::Mobile,
        b'T' => Device::Tablet,
        b'D' => Device::Desktop,
        _ => return None,
    };
    Some((system, class))
}

/// Finds the signs.
pub(super) struct Signs {
    automaton: AhoCorasick,
    models: models::Models,
}

impl Signs {
    pub(super) fn new() -> Result<Self, aho_corasick::BuildError> {
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(aho_corasick::AhoCorasickKind::ContiguousNFA))
            .build(SIGNS.iter().map(|(sign, ..)| sign))?;
        Ok(Self { automaton, models: models::Models::new() })
    }

    /// The class that `ua` shows; `os` is uap-core's operating system family, `family` its device family.
    pub(super) fn classify(&self, ua: &str, os: &str, family: &str) -> Device {
        let bytes = ua.as_bytes();
        let mut seen = 0_u8;
        for found in self.automaton.find_overlapping_iter(ua) {
            let (sign, class, at) = SIGNS[found.pattern().as_usize()];
            let free_before = !bytes[..found.start()].last().is_some_and(u8::is_ascii_alphanumeric);
            let free_after = !bytes.get(found.end()).is_some_and(u8::is_ascii_alphanumeric);
            let counts = match at {
                At::Any => true,
                At::Start => free_before,
                At::Word => free_before && free_after,
            };
            // Internet Explorer on Windows says "Tablet PC 2.0" on any computer with a pen driver.
            let pen_driver = sign == "tablet" && ua[found.end()..].starts_with(" PC");
            if counts && !pen_driver {
                seen |= 1 << class as u8;
            }
        }
        let has = |sign: Sign| seen & 1 << sign as u8 != 0;

        if has(Sign::Other) {
            return Device::Other;
        }
        // Puffin fetches pages in its makers' computers, whose names it sends, and says behind its version what it runs on.
        if let Some((_, class)) = puffin(ua) {
            return class;
        }
        let model = models::name_of(ua).and_then(|name| self.models.class(&ua[name]));
        if let Some(class) = model.or_else(|| models::class_of_build(ua)) {
            return class;
        }
        if has(Sign::Console) {
            return Device::Console;
        }
        if has(Sign::Tv) {
            return Device::Tv;
        }
        // Android on a computer.
        if ["Chromebook", "WayDroid", "VirtualBox", "Inspiron", "TravelMate", "; NUC", "RemixOS"]
            .iter()
            .any(|sign| ua.contains(sign))
        {
            return Device::Desktop;
        }
        // A telephone that asks for the desktop's page, on processors that tablets have too.
        if ua.contains("WPDesktop") {
            return Device::Mobile;
        }
        // Internet Explorer says so on screens that can be touched; in its days these were tablets.
        if os == "Windows" && ua.contains("Trident/") && ua.contains("; Touch") {
            return Device::Tablet;
        }
        let is_computer = os == "Windows" && !ua.contains("; ARM;") || os == "Mac OS X";
        if has(Sign::Tablet) && !is_computer {
            return Device::Tablet;
        }
        // A Mac's own network library calls itself Darwin as an iPhone's does, and names the processor.
        if os == "iOS" && (family == "Mac" || ua.contains("(x86_64)")) {
            return Device::Desktop;
        }
        if has(Sign::Mobile) || os == "iOS" {
            return Device::Mobile;
        }
        if has(Sign::Desktop) && os != "Android" {
            return Device::Desktop;
        }
        match os {
            // Browsers leave "Mobile" out on tablets; programs that are no browsers never say it.
            "Android" if ua.starts_with("Mozilla/") => Device::Tablet,
            "iPadOS" => Device::Tablet,
            "watchOS" => Device::Other,
            "Java ME" | "Series 40" | "BREW" | "webOS mobile" => Device::Mobile,
            "Roku" | "ViziOS" | "Whale OS" | "Orsay" | "webOS" | "Web0S" => Device::Tv,
            "PlayStation" => Device::Console,
            "Android" | "Windows Phone" | "BlackBerry OS" | "Symbian OS" | "Firefox OS" | "HarmonyOS" => {
                Device::Mobile
            }
            "Windows" | "Mac OS X" | "Mac OS" | "Chrome OS" | "Linux" | "Ubuntu" | "Debian" | "Fedora"
            | "CentOS" | "Red Hat" | "SUSE" | "Arch Linux" | "Linux Mint" | "Gentoo" | "Mandriva"
            | "Kubuntu" | "Slackware" | "Mageia" | "FreeBSD" | "OpenBSD" | "NetBSD" | "Solaris" => {
                Device::Desktop
            }
            _ => Device::Other,
        }
    }
}
