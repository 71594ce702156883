//! What is packaged: the Dockerfile's steps as far as they go without Docker, the unit, the manifests.

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Collector, binary, eventually};
use consentry::config::shape;
use consentry::store::engine::read_access;
use yaml_rust2::{Yaml, YamlLoader};

/// The user of the container's last stage.
const USER: u32 = 65532;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An instruction of the Dockerfile and what follows it, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let mut joined = String::new();
    for line in read("Dockerfile").lines().filter(|line| !line.trim_start().starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(line) => joined += line,
            None => joined += &format!("{line}\n"),
        }
    }
    let split =
        |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(split).collect()
}

/// Whether the context has a path: .dockerignore takes everything out and lets some in again.
fn in_context(path: &str) -> bool {
    let mut inside = true;
    for line in read(".dockerignore").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (pattern, keeps) = line.strip_prefix('!').map_or((line, false), |pattern| (pattern, true));
        if pattern == "*" || path == pattern || path.starts_with(&format!("{pattern}/")) {
            inside = keeps;
        }
    }
    inside
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let relative = entry.path().strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if in_context(&relative) {
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        }
    } else {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}

/// What the stage `name` has in its work folder after its COPY instructions.
fn replay(name: &str, work: &Path) {
    let mut stage = String::new();
    for (instruction, rest) in instructions() {
        match instruction.as_str() {
            "FROM" => stage = rest.rsplit(" AS ").next().unwrap().to_owned(),
            "COPY" if stage == name && !rest.starts_with("--from") => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let (to, sources) = words.split_last().unwrap();
                for source in sources {
                    assert!(in_context(source), "{source} is not in the context");
                    let from = root().join(source);
                    assert!(from.exists(), "COPY {source}: there is no such thing");
                    let into = match *to {
                        "./" if from.is_dir() => work.to_owned(),
                        "./" => work.join(from.file_name().unwrap()),
                        to => work.join(to),
                    };
                    copy(&from, &into);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn the_dockerfile_is_sound() {
    let instructions = instructions();
    let of = |name: &str| -> Vec<&str> {
        let these = instructions.iter().filter(|(instruction, _)| instruction == name);
        these.map(|(_, rest)| rest.as_str()).collect()
    };
    let from = of("FROM");
    let stages: Vec<&str> = from.iter().filter_map(|from| from.split(" AS ").nth(1)).collect();
    assert_eq!(stages, ["web", "build"]);
    for image in &from {
        let image = image.split(' ').next().unwrap();
        assert!(image.contains(':') && !image.ends_with(":latest"), "{image} names no version");
    }
    assert!(from.last().unwrap().contains("distroless"), "no shell in what runs");
    for copy in of("COPY") {
        if let Some(stage) = copy.strip_prefix("--from=").and_then(|rest| rest.split(' ').next()) {
            assert!(stages.contains(&stage), "COPY {copy}");
        }
    }
    assert_eq!(of("USER"), [format!("{USER}:{USER}")]);
    for form in [of("ENTRYPOINT")[0], of("CMD")[0], of("HEALTHCHECK")[0].split("CMD ").nth(1).unwrap()] {
        let words: Vec<String> =
            serde_json::from_str(form).unwrap_or_else(|_| panic!("{form} needs a shell"));
        assert!(!words.is_empty());
    }
    // The program is what it is built with: the same release of the compiler as the manifest asks for.
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let wanted = manifest["package"]["rust-version"].as_str().unwrap();
    assert!(from[1].starts_with(&format!("rust:{wanted}-")), "{} and rust-version {wanted}", from[1]);
    // Nothing of the last stage needs what is only in the first ones.
    let last = read("Dockerfile").rsplit("\nFROM ").next().unwrap().to_owned();
    assert!(!last.contains("\nRUN "), "the last stage has no shell");
}

#[test]
fn what_the_dockerfile_copies_is_what_a_build_needs() {
    let work = tempfile::tempdir().unwrap();
    replay("build", work.path());
    // Every target of every member has its file, and the lock fits the manifests.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let metadata = Command::new(cargo)
        .current_dir(work.path())
        .args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"])
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    for path in
        ["schema/0001_events.sql", "build/npm.rs", "build/commit.rs", "deploy/build-release", "src/main.rs"]
    {
        assert!(work.path().join(path).is_file(), "{path}");
    }
    // What the sources include from elsewhere has come along.
    let mut folders = vec![work.path().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for included in text.split("include_str!(\"").chain(text.split("include_bytes!(\"")).skip(1) {
                let Some((name, _)) = included.split_once("\")") else { continue };
                if name.starts_with("../") {
                    assert!(path.parent().unwrap().join(name).exists(), "{} includes {name}", path.display());
                }
            }
        }
    }
    let web = tempfile::tempdir().unwrap();
    replay("web", web.path());
    let build = read("build.rs");
    let inputs = build.split("const INPUTS").nth(1).unwrap().split(';').nth(1).unwrap();
    let inputs = inputs.split('"').skip(1).step_by(2);
    for input in inputs {
        assert!(web.path().join(input).exists(), "web/{input} does not reach the first stage");
    }
    assert!(!web.path().join("node_modules").exists());
    for secret in [".git", "data", "target", "deploy/secrets", "web/node_modules", "tests"] {
        assert!(!in_context(secret), "{secret} has no business in an image");
    }
}

/// The last stage's environment, and nothing else: no PATH, no home.
fn as_in_the_container(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(folder.join("consentry"));
    command.env_clear().current_dir("/").args(args).uid(USER).gid(USER);
    for (instruction, rest) in instructions() {
        if instruction == "ENV" && rest.contains("CONSENTRY_LISTEN") {
            let pairs = rest.split_whitespace().filter_map(|pair| pair.split_once('='));
            command.envs(pairs.map(|(name, value)| match (name, value) {
                // Ports of this test's own, and a folder in place of the volume.
                ("CONSENTRY_LISTEN" | "CONSENTRY_ADMIN_LISTEN", _) => (name, "127.0.0.1:0".to_owned()),
                (_, "/data") => (name, folder.join("data").display().to_string()),
                (name, value) => (name, value.to_owned()),
            }));
        }
    }
    command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A folder that only root may write to, with the program and a data folder of the container's user.
fn container() -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    if std::os::unix::fs::chown(&data, Some(USER), Some(USER)).is_err() {
        println!("skipped: only root may run something as another user");
        return None;
    }
    let open = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(dir.path(), open(0o755)).unwrap();
    std::fs::set_permissions(&data, open(0o700)).unwrap();
    std::fs::copy(binary(), dir.path().join("consentry")).unwrap();
    Some(dir)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_npm_network_and_store_it_says_what_the_embedded_engine_would_need() {
    let Some(dir) = container() else { return };
    let output = as_in_the_container(dir.path(), &["serve"], &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for way in ["npm", "CONSENTRY_LIBCHDB", "clickhouse_url"] {
        assert!(said.contains(way), "{way}: {said}");
    }
    println!("{}", said.trim());
    assert_eq!(
        std::fs::read_dir(dir.path().join("data")).unwrap().count(),
        0,
        "nothing half-started stays behind"
    );
}

#[test]
fn with_a_clickhouse_elsewhere_it_runs_as_nobody_and_writes_to_its_data_alone() {
    let Some(dir) = container() else { return };
    // Another collector's engine is a ClickHouse like any other.
    let store = Collector::start();
    let access = read_access(&store.data_dir().join("engine")).unwrap();
    let url = access.http_url().replace("://", &format!("://{}@", access.admin.user));
    std::fs::write(dir.path().join("password"), format!("{}\n", access.admin.password.expose())).unwrap();
    std::fs::write(dir.path().join("token"), "a-token-of-this-test\n").unwrap();
    let (password, token) = (dir.path().join("password"), dir.path().join("token"));
    let env = [
        ("CONSENTRY_CLICKHOUSE_URL", url.as_str()),
        ("CONSENTRY_CLICKHOUSE_PASSWORD_FILE", password.to_str().unwrap()),
        ("CONSENTRY_ADMIN_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let check = as_in_the_container(dir.path(), &["check-config"], &env).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    let mut command = as_in_the_container(dir.path(), &["serve"], &env);
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut running = Running(command.stderr(log).spawn().unwrap());
    let stdout = std::io::BufReader::new(running.0.stdout.take().unwrap());
    let ready = std::io::BufRead::lines(stdout).map_while(Result::ok).find(|line| line.contains("is ready"));
    let ready =
        ready.unwrap_or_else(|| panic!("{}", std::fs::read_to_string(dir.path().join("log")).unwrap()));
    let mut addresses = ready.split("http://").skip(1).map(|rest| rest.split_whitespace().next().unwrap());
    let (public, admin) = (addresses.next().unwrap(), addresses.next().unwrap());

    let health = |more: &[&str]| {
        let args = [&["health", "--admin-listen", admin][..], more].concat();
        as_in_the_container(dir.path(), &args, &env).output().unwrap()
    };
    for more in [&[][..], &["--live"]] {
        let asked = health(more); // once, at once
        assert_eq!(asked.status.code(), Some(0), "{}", String::from_utf8_lossy(&asked.stderr));
    }
    let body = r#"{"site":"demo","type":"pageview","url":"https://a.example/in-a-container","consent":{"analytics":true}}"#;
    let json = [("content-type", "application/json")];
    let public = public.parse().unwrap();
    let answer = common::request(public, "POST", "/v1/events", &json, body.as_bytes());
    assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    eventually("the event is stored", || {
        (store.count("consentry.events WHERE path = '/in-a-container'") == 1).then_some(())
    });
    let admin_address = admin.parse().unwrap();
    assert_eq!(common::request(admin_address, "GET", "/metrics", &[], b"").status, 401);
    let token = [("authorization", "Bearer a-token-of-this-test")];
    assert_eq!(common::request(admin_address, "GET", "/metrics", &token, b"").status, 200);

    let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    assert!(status.contains(&format!("Uid:\t{USER}\t{USER}")), "{status}");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    assert_eq!(u64::from_str_radix(effective, 16).unwrap(), 0, "no capabilities");
    common::signal(running.0.id(), "TERM");
    let child = &mut running.0;
    let status = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", std::fs::read_to_string(dir.path().join("log")).unwrap());
    let gone = health(&[]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no collector answers"));
    for file in common::files(&dir.path().join("data")) {
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap());
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
        assert_eq!(owner, USER, "{}", file.display());
        assert_eq!(mode & 0o077, 0, "{} can be read by others", file.display());
    }
}

fn yaml(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn manifests_can_be_read_and_name_only_keys_that_exist() {
    let shape = shape();
    let keys: BTreeSet<String> =
        shape.takes.keys().unwrap().iter().map(|key| key.name.to_ascii_uppercase()).collect();
    let others = ["CONFIG", "LOG", "LOG_FORMAT", "LIBCHDB", "CACHE_DIR", "WEB_DIST", "COMMIT"];
    for path in [
        "Dockerfile",
        "deploy/compose.yaml",
        "deploy/consentry.service",
        "deploy/kustomize/collector.yaml",
        "README.md",
        "docs/RUNBOOK.md",
        "docs/CAPACITY.md",
    ] {
        let text = read(path);
        for rest in text.split("CONSENTRY_").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
            let name = rest[..end].trim_end_matches('_');
            let known = name.is_empty() || keys.contains(name) || others.contains(&name);
            assert!(known, "{path}: CONSENTRY_{name} is no key");
        }
    }
    let compose = &yaml("deploy/compose.yaml")[0];
    let collector = &compose["services"]["consentry"];
    assert_eq!(collector["read_only"].as_bool(), Some(true));
    assert_eq!(collector["cap_drop"][0].as_str(), Some("ALL"));
    let image = compose["services"]["clickhouse"]["image"].as_str().unwrap();
    assert!(image.starts_with("clickhouse/clickhouse-server:26."), "{image}");
    for service in ["consentry", "clickhouse"] {
        for secret in compose["services"][service]["secrets"].as_vec().unwrap() {
            assert!(!compose["secrets"][secret.as_str().unwrap()].is_badvalue(), "{secret:?}");
        }
    }
    for config in ["deploy/consentry.toml", "deploy/kustomize/consentry.toml"] {
        let mut check = Command::new(binary());
        check.args(["check-config", "--config"]).arg(root().join(config)).env_remove("CONSENTRY_CONFIG");
        let check = check.output().unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    }
}

/// The examples with TLS: with a certificate where they say, their configurations are sound.
#[test]
fn examples_with_tls_can_be_read_and_their_configurations_are_sound() {
    let overlay = &yaml("deploy/kustomize-tls/kustomization.yaml")[0];
    assert_eq!(overlay["resources"][0].as_str(), Some("../kustomize"));
    let patch = &yaml("deploy/kustomize-tls/collector.yaml")[0]["spec"]["template"]["spec"];
    let mount = patch["containers"][0]["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let compose = &yaml("deploy/compose.tls.yaml")[0];
    let volume = compose["services"]["consentry"]["volumes"][0].as_str().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (certificate, key) in [("tls.crt", "tls.key"), ("fullchain.pem", "privkey.pem")] {
        std::fs::write(dir.path().join(certificate), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join(key), made.signing_key.serialize_pem()).unwrap();
    }
    // As it stands in the comment.
    let said = read("deploy/compose.tls.yaml");
    let table: String = said
        .lines()
        .skip_while(|line| !line.contains("[tls]"))
        .take_while(|line| !line.contains("END"))
        .map(|line| format!("{}\n", line.trim_start_matches(['#', ' '])))
        .collect();
    let of_compose = (read("deploy/consentry.toml") + &table)
        .replace(volume.split(':').nth(1).unwrap(), dir.path().to_str().unwrap());
    let of_pod = read("deploy/kustomize-tls/consentry.toml").replace(mount, dir.path().to_str().unwrap());
    for config in [of_compose, of_pod] {
        let path = dir.path().join("consentry.toml");
        std::fs::write(&path, config).unwrap();
        let mut check = Command::new(binary());
        let check =
            check.args(["check-config", "--config"]).arg(&path).env_remove("CONSENTRY_CONFIG").output();
        let check = check.unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
        assert!(String::from_utf8_lossy(&check.stdout).contains("TLS: the certificate in"));
    }
}

#[test]
fn the_pod_is_a_restricted_one() {
    let base = &yaml("deploy/kustomize/kustomization.yaml")[0];
    for resource in base["resources"].as_vec().unwrap() {
        yaml(&format!("deploy/kustomize/{}", resource.as_str().unwrap()));
    }
    let set = &yaml("deploy/kustomize/collector.yaml")[0];
    let pod = &set["spec"]["template"]["spec"];
    // What the profile "restricted" of the pod security standards asks for.
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"));
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0].as_str(), Some("ALL"));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    let data = container["volumeMounts"].as_vec().unwrap();
    let writable: Vec<_> = data.iter().filter(|mount| mount["readOnly"].as_bool() != Some(true)).collect();
    assert_eq!(writable.len(), 1, "it writes to its data alone");
    let Ok(built) =
        Command::new("kubectl").args(["kustomize", "deploy/kustomize"]).current_dir(root()).output()
    else {
        println!("skipped: no kubectl to build the base with");
        return;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let built = String::from_utf8(built.stdout).unwrap();
    assert!(YamlLoader::load_from_str(&built).unwrap().len() >= 6, "{built}");
}

#[test]
fn the_unit_has_a_small_surface_and_scripts_can_be_read() {
    for script in ["deploy/build-release", "deploy/reproduce"] {
        let read = Command::new("sh").arg("-n").arg(root().join(script)).status().unwrap();
        assert!(read.success(), "{script}");
    }
    let unit = root().join("deploy/consentry.service");
    // In tenths: 0 is the least exposure, 100 the most.
    let security = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true", "--threshold=20"])
        .arg(&unit)
        .output();
    let Ok(security) = security else {
        println!("skipped: no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&security.stdout);
    assert!(security.status.success(), "{said}{}", String::from_utf8_lossy(&security.stderr));
    println!("{}", said.lines().last().unwrap_or_default());
}

#[test]
fn the_version_names_a_commit() {
    let output = Command::new(binary()).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let commit =
        said.trim().strip_prefix(&format!("consentry {version} (")).and_then(|rest| rest.strip_suffix(')'));
    assert!(commit.is_some_and(|commit| commit.len() >= 5), "{said}");
}
