//! What the User-Agents of programs have in common, besides the names that `crawler-user-agents` lists.
//!
//! Rules of our own, from what such programs say of themselves: what they do (crawl, check, monitor, scan), what they
//! are built with (HTTP libraries, drivers of browsers), whom to complain to (an address in the text). Read without
//! regard to case, and as ASCII.

/// Regular expressions; any one marks a program.
pub(super) const PROGRAMS: &[&str] = &[
    // What it is.
    r"(?:^|[^u])bots?(?:[^a-z]|$)", // "CUBOT" makes telephones
    r"[a-z]bot[-_/ ]?(?:crawler|collector|bot)|robot|crawl|spider|spyder|scrap(?:e|er|ing|y)|slurp|harvest|grabber",
    r"ext?ractor|fetcher|\bfetch/|archiv(?:e|er)|indexer|aggregat|prospecting|search ?engine|\w*search/?\d*$",
    // What it does.
    r"monitor(?:ing)?(?:[^a-z]|$)|uptime|health-?check|check(?:er|\b)|validat(?:or|ion)|verif(?:y|ier|ication)\b|preview|inspect(?:or)?\b",
    r"scanner|\bscan\b|probe|detector|analy[sz]er|audit|advisor|classifier|capture|observatory|diagnostic",
    r"backlink|link ?(?:check|chain|dex|walker|preview)|\bseo|seo(?:bility|kicks|scout)|rank(?:er|ing|active)\b|site-?(?:map|check|explorer|improve|bulb)",
    r"screenshot|thumbnail|thumbor|imgix|prerender|rendertron|converti|plagiar|turnitin|accessib|translat(?:e|or)\b",
    r"research|survey|measurement|project[-_]|\btest(?:er|ing|ssl|_phase)?\b|pentest|vulnerab|exploit|security",
    r"(?:image|email)proxy|\bproxy\b|\bcdn\b|hwcdn|cloudflare|fastly|webhook|callback|\bsender\b|\bipn\b|internal dummy",
    // What drives a browser, or measures one.
    r"headless|phantomjs|slimerjs|casperjs|selenium|webdriver|puppeteer|playwright|cypress|testcafe|htmlunit|webkit2png|wkhtmlto|\bsplash\b",
    r"lighthouse|page ?speed|\bptst/|gtmetrix|pingdom|statuscake|site24x7|newrelic|datadog|dynatrace|gomezagent|dejaclick|catchpoint",
    r"speedcurve|dareboost|yottaa|functionize|taginspector|builtwith|wappalyzer|whatcms|pageburst",
    // What reads feeds.
    r"\brss|rss(?:reader|radio|\b)|feed(?:reader|ly|fetcher|burner|demon|bin|parser|er\b|dler|-|\b)|newsblur|\bread(?:kit|er|able)\b|\breeder\b|podcasts?/|bloglovin",
    // What it is built with.
    r"curl|wget|lwp(?:::|-| )|libwww-perl|python|urllib|aiohttp|httpx|apache-?http|http_?client|http[-_]?(?:kit|rb|unit|mon|get|request|plugin)|http package|winhttp",
    r"\bjava(?:/|\b[^;a-z])|jakarta|go-http|go-resty|^go |okhttp|retrofit|unirest|axios|node(?:-fetch|\.js|js)|^node\b|undici|superagent|needle/|guzzle|symfony|\bphp(?:/|\b|crawl|server)",
    r"\bruby\b|faraday|mechanize|typhoeus|restsharp|rest-?client|postman|insomnia|reqbin|apachebench|\bjmeter|\bk6/|gatling|locust|\bsiege|vegeta|\bwrk\b|grpc",
    r"powershell|\bperl\b|\brust\b|reqwest|hyper/|\bdart[:/ ]|deno/|bun/|erlang|hackney|elixir|webclient|cryptoapi|microsoft bits|ms web services|webdav|svn/|\bgit/",
    r"collectd|prometheus|kube-probe|monit/|nagios|check_http|zabbix|blackbox|haproxy|varnish|nginx|envoy/|traefik|torrent|aria2|downloader|download ?manager|getright|igetter",
    r"httrack|teleport pro|webcopier|offline ?explorer|nessus|openvas|nikto|\bnmap|masscan|zgrab|sqlmap|gobuster|dirbuster|wfuzz|nuclei|jorgee|morfeus|zmeu|leakix",
    // Whose servers it runs on.
    r"wordpress|wp_|drupal|joomla|moodle|discourse|mastodon|pleroma|misskey|yourls|typo3|magento|ifttt|zapier|logic-apps|microsoft-flow|power-?automate|renovate|dependabot|gitops",
    r"facebook(?:platform|external|scraper)|externalhit|meta-external|telegrambot|slack-img|google(?:prober|sites|docs|other|-[a-z])|mediapartners|adsbot|google (?:web|page|favicon)|bingpreview",
    r"^whatsapp/|^snapchat|duckduckgo/0|duckduckgo-favicon|ddg_|openai|anthropic|claude|gpt|perplexity|cursor/|swcd|braze|trackable",
    // What nobody's browser says.
    r"fake_?useragent|user[-_]agent|customuseragent|hello,? world|\$\{|burpcollaborator|oast\.|w\.x\.y\.z|fuck|hack(?:ed|er)|owned",
    r"<script|<class",
    // Whom to complain to; mail addresses are looked for by themselves.
    r"https?:|www\.|[a-z0-9-]{3,}\.(?:com|org|net|info|io|dev|eu|tk|ml|cz|me)\b",
];

/// Applications and browsers that a pattern would take for a program, and the patterns of `crawler-user-agents` that
/// name what people hold in their hands.
pub(super) const PEOPLE: &[&str] = &[
    r"amiga-?aweb|^amiga|mozacfetch/|^outlook-(?:ios|android)|^pinterest/|slack_ssb|sogou(?:mse|mobilebrowser)|server-bag \[|mobilericardo|exampleapp/|id bot \d",
    r"\(playstation|playstation \d|\bps[345]application|nintendo|^(?:iphone|ipad|smarttv)[\w.,_-]*$",
];

/// What people hold in their hands or stand in front of and that names itself in as few words as programs do: text
/// browsers, television sets, old telephones, applications.
pub(super) const BARE_DEVICES: &str = r"^(?:roku|dillo|lynx|e?links|w3m|netsurf|ncsa|mosaic|icab|omniweb|ibrowse|aweb|opera|uc ?(?:web|browser)|j2me|midp|nokia|sonyericsson|blackberry|lge?[-/ ]|mot(?:orola)?[-/]|samsung|sec-|htc|zte|alcatel|sagem|sie-|panasonic|sharp|kddi|docomo|vodafone|j-phone|softbank|huawei|lenovo|xiaomi|oppo|vivo|palm|apple ?tv|philips|hisense|tcl|vizio|sony|toshiba|hbbtv|web0s|webos|tizen|smart|kindle|nook|playstation|xbox|nintendo|dalvik|android|iphone|ipad|ipod|windows|outlook|instagram|fban|tiktok|twitter|spotify|netflix|hulu|youtube|espn|viber|telegram|line/|kakaotalk|wechat|micromessenger)";

/// See [`PEOPLE`].
pub(super) const NAMES_OF_APPLICATIONS: &[&str] = &["Viber", "WhatsApp", "Snapchat"];
