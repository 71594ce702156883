//! The class of a device, from plain signs in a User-Agent.
//!
//! Signs are words that makers of devices and browsers put into the string; all are looked for in one pass.
//! Where several classes show, the more particular one wins, in the order of [`Sign`]: a television that runs
//! Android is a television. On Android the model's name says more than any other word (see `models`). What shows no
//! sign at all is judged by the operating system that the rules found.

mod models;
mod signs;

use aho_corasick::AhoCorasick;

use super::Device;
use signs::{At, SIGNS, Sign};

/// The class that stands behind Puffin's version, "Puffin/9.4.1AP": a letter for the system, then P, T or D for telephone,
/// tablet or desktop.
fn puffin(ua: &str) -> Option<Device> {
    let version = &ua[ua.find("Puffin/")? + "Puffin/".len()..];
    let marks = version.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    match marks.split(' ').next().unwrap_or_default().as_bytes() {
        [b'A' | b'F' | b'I' | b'L' | b'M' | b'W', b'P'] => Some(Device::Mobile),
        [b'A' | b'F' | b'I' | b'L' | b'M' | b'W', b'T'] => Some(Device::Tablet),
        [b'A' | b'F' | b'I' | b'L' | b'M' | b'W', b'D'] => Some(Device::Desktop),
        _ => None,
    }
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
        if let Some(class) = puffin(ua) {
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
