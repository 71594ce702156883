//! Canaries in client hints: in each of them as the structured field that it is, so that it is read as a browser's.

/// A User-Agent as Chromium sends it since it is frozen, in which the hints have to say what the device is. It names the
/// audit too, so that no report counts it.
fn frozen(agent: &str) -> String {
    let name = agent.rsplit(['(', ';']).next().unwrap_or_default().trim().trim_end_matches(')');
    format!(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 {name}"
    )
}

/// A string of a structured field (RFC 9651): backslashes before quotation marks and backslashes.
fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The headers of a request whose client hints hold `value`; `agent` is the audit's User-Agent. The model's is the one
/// of which a part may be kept, so it holds the value where that can be told without a label (`free_text`).
pub(super) fn hinted(agent: &str, value: &str, free_text: bool) -> [(&'static str, String); 13] {
    let text = string(value);
    let model = if free_text { format!("Pixel {value}") } else { "Pixel 9".to_owned() };
    let brands = format!("{text};v={text}, \"Chromium\";v=\"142\", \"Google Chrome\";v={text}");
    [
        ("user-agent", frozen(agent)),
        ("sec-ch-ua", brands.clone()),
        ("sec-ch-ua-full-version-list", brands),
        ("sec-ch-ua-full-version", text.clone()),
        ("sec-ch-ua-mobile", "?1".to_owned()),
        ("sec-ch-ua-model", string(&model)),
        ("sec-ch-ua-platform", text.clone()),
        ("sec-ch-ua-platform-version", text.clone()),
        ("sec-ch-ua-form-factors", format!("{text}, \"Mobile\"")),
        ("sec-ch-ua-arch", text.clone()),
        ("sec-ch-ua-bitness", text.clone()),
        ("sec-ch-viewport-width", value.to_owned()),
        ("device-memory", value.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_a_string_and_the_agent_is_frozen_and_a_bot() {
        assert_eq!(string(r#"a "b" \c"#), r#""a \"b\" \\c""#);
        let headers = hinted("Mozilla/5.0 (compatible; ConsentryAuditBot/1.0)", "jo@mail.example", true);
        assert!(headers[0].1.contains("Android 10; K)") && headers[0].1.ends_with(" ConsentryAuditBot/1.0"));
        let model = headers.iter().find(|(name, _)| *name == "sec-ch-ua-model").unwrap();
        assert_eq!(model.1, "\"Pixel jo@mail.example\"");
    }
}
