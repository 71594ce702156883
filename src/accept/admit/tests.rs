use super::*;

fn admission(limits: &LimitsFile) -> Admission {
    Admission::new(limits, [("shop", None), ("small", Some(1))].into_iter(), NetworkKey::random())
}

fn client(text: &str) -> ClientAddress {
    text.parse().unwrap()
}

fn slow() -> LimitsFile {
    LimitsFile {
        requests_per_network_and_s_max: 1,
        requests_per_network_burst_max: 5,
        ..LimitsFile::default()
    }
}

#[test]
fn exactly_the_burst_and_one_over_for_each_network() {
    let admission = admission(&slow());
    for network in ["203.0.113", "203.0.114"] {
        for host in 0..5 {
            admission.admit(client(&format!("{network}.{host}"))).unwrap();
        }
        let refused = admission.admit(client(&format!("{network}.9"))).unwrap_err();
        let Refusal::Limited(limited) = refused else { panic!("{refused:?}") };
        assert_eq!((limited.policy(), limited.scope), ("\"network\";q=5;w=5".to_owned(), Scope::Network));
        assert!((1..=2).contains(&limited.wait_s), "{limited:?}");
        assert!(limited.state().starts_with("\"network\";r=0;t="));
    }
    for host in 0..5 {
        admission.admit(client(&format!("2001:db8:1:{host}::1"))).unwrap();
    }
    assert!(admission.admit(client("2001:db8:1:ffff::2")).is_err());
    assert!(admission.admit(client("2001:db8:2::2")).is_ok());
}

#[test]
fn this_machine_has_no_limit_of_its_own_and_its_neighbours_do() {
    let admission = admission(&slow());
    for _ in 0..100 {
        admission.admit(client("127.0.0.1")).unwrap();
        admission.admit(client("::1")).unwrap();
    }
    let passed = (0..100).filter(|_| admission.admit(client("127.0.1.1")).is_ok()).count();
    assert_eq!(passed, 5);
}

#[test]
fn a_large_body_counts_as_many() {
    let limits = LimitsFile { requests_per_network_burst_max: 100, ..slow() };
    let passed = |body_bytes: usize| {
        let admission = admission(&limits);
        let sender = client("203.0.113.1");
        (0..200)
            .filter(|_| {
                admission.admit(sender).is_ok().then(|| admission.charge(sender, body_bytes)).is_some()
            })
            .count()
    };
    assert_eq!(passed(CHARGED_BYTES - 1), 100);
    assert_eq!(passed(CHARGED_BYTES), 50);
    // 1 and 64, then 1 and what is left; the rest is owed.
    assert_eq!(passed(64 * CHARGED_BYTES), 2);
    assert_eq!(passed(usize::MAX), 1, "more than there can ever be");
}

#[test]
fn who_is_at_the_limit_pays_for_a_large_body_too() {
    let limits = LimitsFile {
        requests_per_network_and_s_max: 200,
        requests_per_network_burst_max: 100,
        ..LimitsFile::default()
    };
    let admission = admission(&limits);
    let (bomber, begun) = (client("203.0.113.1"), std::time::Instant::now());
    let mut passed = 0;
    while begun.elapsed() < Duration::from_millis(500) {
        if admission.admit(bomber).is_ok() {
            passed += 1;
            admission.charge(bomber, 64 * CHARGED_BYTES);
        }
    }
    // 100 at once and 200 a second, 65 for each; a busy machine may have come to more than half a second.
    let most = (100 + 200 * (begun.elapsed().as_millis() as usize + 100) / 1000) / 65 + 1;
    assert!((2..=most).contains(&passed), "{passed} of at most {most}");
    let Err(Refusal::Limited(limited)) = admission.admit(bomber) else { panic!("it owes") };
    assert_eq!(limited.wait_s, 1);
    assert!(admission.admit(client("203.0.114.1")).is_ok(), "the others pay nothing");
}

#[test]
fn a_site_and_everybody_have_a_limit_too() {
    let limits = LimitsFile { requests_per_s_max: 1, requests_burst_max: 3, ..LimitsFile::default() };
    let admission = admission(&limits);
    let passed = (0..9).filter(|n| admission.admit(client(&format!("203.0.{n}.1"))).is_ok()).count();
    assert_eq!(passed, 3);
    let passed = (0..100).filter(|_| admission.admit_to("small").is_ok()).count();
    assert_eq!(passed, 2, "1 a second, a burst of twice as many as by default");
    for _ in 0..1000 {
        admission.admit_to("shop").unwrap();
        admission.admit_to("no such site").unwrap();
    }
}

#[test]
fn a_quiet_network_is_forgotten_and_a_crowd_has_a_bound() {
    let limits = LimitsFile { networks_max: 1_000, ..LimitsFile::default() };
    let quick = admission(&limits);
    for number in 0..200_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        quick.admit(client(&format!("10.{a}.{b}.{c}"))).unwrap();
        let [_, a, b, c] = (number * 256).to_be_bytes();
        quick.admit(client(&format!("{}.{a}.{b}.{c}", 11 + number % 7))).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    quick.tidy();
    assert!(quick.networks() < 1_000, "{}", quick.networks());
    // With one request a minute nobody is forgotten soon: then newcomers share places.
    let slow = LimitsFile { requests_per_network_and_s_max: 1, networks_max: 1_000, ..LimitsFile::default() };
    let slow = admission(&slow);
    for number in 0..100_000_u32 {
        let [a, b, c, _] = (number << 8).to_be_bytes();
        slow.admit(client(&format!("{}.{b}.{c}.1", 10 + a))).unwrap();
    }
    let bound = 1_000 + SHARED_PLACES as usize + 2 * LOOK_EVERY as usize;
    assert!(slow.networks() < bound, "{} is not below {bound}", slow.networks());
}

#[test]
fn unsound_limits_are_named() {
    let keys = |limits: &LimitsFile| -> Vec<String> {
        limits.faults().into_iter().map(|fault| fault.keys[0].clone()).collect()
    };
    let no_burst = LimitsFile { requests_burst_max: 0, idle_timeout_ms: 0, ..LimitsFile::default() };
    assert_eq!(keys(&no_burst), ["limits.requests_burst_max", "limits.idle_timeout_ms"]);
    assert!(keys(&LimitsFile::default()).is_empty());
    let none: LimitsFile = toml::from_str("requests_per_s_max = 0\nrequests_burst_max = 0").unwrap();
    assert!(keys(&none).is_empty());
}
