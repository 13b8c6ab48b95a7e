//! Every setting as it may be given, and as it may not.

use super::*;

fn read(line: &str, environment: &[(&str, &str)]) -> Result<Invocation, String> {
    let find = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, v)| v.to_string());
    invocation(line.split_whitespace().map(OsString::from), find)
}

fn serve(line: &str, environment: &[(&str, &str)]) -> Settings {
    match read(line, environment) {
        Ok(Invocation::Serve(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let settings = serve("", &[]);
    assert_eq!(settings.listen, "127.0.0.1:5000".parse().unwrap());
    assert_eq!(settings.replicas, 3);
    assert_eq!(settings.ring, Shape::default());
    assert!(matches!(settings.launcher, Launcher::Process));
    assert_eq!(settings.watchdog.interval, Duration::from_millis(500));
    assert_eq!(settings.watchdog.threshold.fall, 2);
    assert_eq!(settings.supervisor.min_replicas, 1);
    assert_eq!(settings.supervisor.max_replicas, 56);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_default() {
    let environment = [("RINGMASTER_WORKERS", "7"), ("RINGMASTER_QUEUE", ""), ("RINGMASTER_FALL", "3")];
    let settings = serve("--workers 9", &environment);
    assert_eq!(
        (settings.front.workers, settings.front.queue, settings.watchdog.threshold.fall),
        (9, 1024, 3)
    );
    assert_eq!(serve("serve --workers=8", &environment).front.workers, 8);
    assert_eq!(serve("--max-replicas 2", &[]).replicas, 2, "a default gives way");
}

#[test]
fn a_bad_value_is_one_line_that_names_flag_value_and_what_is_allowed() {
    for (line, error) in [
        ("--workers 0", "--workers: '0' is not a number from 1 to 1024"),
        ("--workers", "--workers needs a value"),
        ("--replicas 57", "--replicas: '57' is not a number from 1 to 56"),
        ("--max-replicas 57", "--max-replicas: '57' is not a number from 1 to 56"),
        ("--min-replicas 4", "--min-replicas: '4' is not a number from 1 to 3"),
        (
            "--listen localhost",
            "--listen: 'localhost' is not an address and port, like 127.0.0.1:5000 or [::]:5000",
        ),
        ("--launcher podman", "--launcher: 'podman' is not process or docker or static"),
        ("--launcher static", "--backends: '' is not a list of host:port, which launcher static needs"),
        ("--backends a:1", "--backends: 'a:1' is not of use but with launcher static"),
        (
            "--launcher static --backends a:1,b",
            "--backends: 'a:1,b' is not a list of host:port: 'b' is not host:port",
        ),
        (
            "--launcher static --backends a:1,a:1",
            "--backends: 'a:1,a:1' is not a list of different servers: 'a:1' is there twice",
        ),
        (
            "--launcher static --backends a:1 --replicas 3",
            "--replicas: '3' is not of use with launcher static",
        ),
        ("--heartbeat-path health", "--heartbeat-path: 'health' is not a path like /heartbeat"),
        ("--scheme md5", "--scheme: 'md5' is not even or statement or ketama or maglev or rendezvous"),
        (
            "--probing linear",
            "--probing: 'linear' is not of use with scheme even, only with scheme statement",
        ),
        (
            "--launcher static --backends a:1,b:1*0",
            "--backends: 'a:1,b:1*0' is not a list of host:port: weight '0' is not a number from 1 to 100",
        ),
        (
            "--launcher static --backends a:1,b:1*3",
            "--backends: 'a:1,b:1*3' is not possible with scheme even, which has no weights: b-1 has one",
        ),
        (
            "--policy best",
            "--policy: 'best' is not hash or hash-bounded or round-robin or least-connections or two-choices or random",
        ),
        (
            "--key ip",
            "--key: 'ip' is not a list of keys: 'ip' is not request-id, path, uri, query:NAME, header:NAME, cookie:NAME or client-ip",
        ),
        (
            "--policy random --key path",
            "--key: 'path' is not of use with policy random, only with hash and hash-bounded",
        ),
        ("--bound 1.5", "--bound: '1.5' is not of use with policy hash, only with policy hash-bounded"),
        ("--policy hash-bounded --bound 1", "--bound: '1' is not a number from 1.01 to 100, like 1.25"),
        ("--trusted-proxies ::1", "--trusted-proxies: '::1' is not of use but with key client-ip"),
        (
            "--key client-ip --trusted-proxies 10.0.0.0/33",
            "--trusted-proxies: '10.0.0.0/33' is not a list of addresses and networks, like 10.0.0.0/8,::1: '10.0.0.0/33' is neither",
        ),
        ("--scheme ketama --slots 5", "--slots: '5' is not of use with scheme ketama, which has none"),
        (
            "--scheme maglev --slots 512",
            "--slots: '512' is not possible with scheme maglev: 512 slots: must be a prime from 101 to 65537",
        ),
        (
            "--scheme rendezvous --virtual-servers 9",
            "--virtual-servers: '9' is not of use with scheme rendezvous, which has none",
        ),
        ("--slots many", "--slots: 'many' is not a number from 0 to 1000000"),
        ("--slots 1", "--slots: '1' is not possible with scheme even: 1 slots: must be 2 to 65536"),
        (
            "--virtual-servers 513",
            "--virtual-servers: '513' is not possible with scheme even: 513 virtual servers per server: must be 1 to 256",
        ),
        (
            "--heartbeat-interval 5",
            "--heartbeat-interval: '5' is not a time from 10ms to 60s, like 500ms, 2s or 1m",
        ),
        ("--image -v/:/host", "--image: '-v/:/host' is not a name of letters, digits and _.:/@-"),
        ("--network a;b", "--network: 'a;b' is not a name of letters, digits and _.-"),
        (
            "--on-exit keep",
            "--on-exit: 'keep' is not possible with launcher process: children end with the balancer",
        ),
        ("--network host", "--network: 'host' is not a network on which containers have names"),
        ("--replica-memory banana", "--replica-memory: 'banana' is not a size like 64m or 1g"),
        (
            "--scheme statement --probing quadratic --replicas 40",
            "--replicas: '40' is not a number from 1 to 39",
        ),
        (
            "--log-level verbose",
            "--log-level: 'verbose' is not off, error, warn, info, debug or trace, or module=level, separated by commas",
        ),
        ("--json", "--json goes with 'ringmaster ring' and 'ringmaster status'"),
        ("--svg x.svg", "--svg goes with 'ringmaster ring'"),
        ("ring --svg", "--svg needs a value"),
        ("ring --svg -", "--svg: '-' is not the name of a file"),
        ("--no-such 1", "unknown flag '--no-such', see --help"),
        ("-x", "unknown flag '-x', see --help"),
        ("serve now", "unexpected 'now', see --help"),
        (
            "dance",
            "unknown command 'dance': there are serve, replica, ring, health, status and top, see --help",
        ),
    ] {
        assert_eq!(read(line, &[]).unwrap_err(), error, "{line}");
    }
    let error = read("", &[("RINGMASTER_FALL", "x")]).unwrap_err();
    assert_eq!(error, "RINGMASTER_FALL: 'x' is not a number from 1 to 100");
}

#[test]
fn what_is_in_force_says_what_auto_came_to() {
    let in_force = |settings: &Settings, names: &[&str]| {
        let all: std::collections::HashMap<_, _> = settings.in_force().into_iter().collect();
        names.iter().map(|name| all[name].clone()).collect::<Vec<String>>().join(", ")
    };
    let left = ["slots", "virtual-servers", "max-replicas", "replica-404", "replicas"];
    for (line, values) in [
        ("", "auto (512), auto (9), auto (56), auto (map), 3"),
        ("--max-replicas 2 --slots 64 --replica-404 pass", "64, auto (9), 2, pass, 2"),
        ("--scheme rendezvous", "auto (none), auto (none), auto (256), auto (map), 3"),
        ("--launcher static --backends a:1,b:1", "auto (512), auto (9), auto (56), auto (pass), 2"),
    ] {
        assert_eq!(in_force(&serve(line, &[]), &left), values, "{line}");
    }
    let mut settings = serve("--admin-token long-enough-to-be-one", &[]);
    let most = settings.front.most_connections();
    assert_eq!(in_force(&settings, &["max-connections"]), format!("auto ({most})"));
    assert_eq!(in_force(&settings, &["admin-token", "log-level", "queue"]), "(set), info, 1024");
    settings.log = Some("warn,ringmaster=debug".to_owned());
    assert_eq!(in_force(&settings, &["log-level"]), "warn,ringmaster=debug");
    assert_eq!(in_force(&serve("--max-connections 100", &[]), &["max-connections"]), "100");
}

#[test]
fn other_commands_and_texts() {
    assert!(matches!(
        read("ring --replicas 5 --json", &[]),
        Ok(Invocation::Ring { replicas: 5, json: true, svg: None, .. })
    ));
    assert!(matches!(
        read("ring --svg=a.svg", &[]),
        Ok(Invocation::Ring { json: false, svg: Some(path), .. }) if path.as_os_str() == "a.svg"
    ));
    assert!(matches!(read("health", &[]), Ok(Invocation::Health(_, _))));
    assert!(
        matches!(read("--version", &[]), Ok(Invocation::Tell(text)) if text.starts_with("ringmaster 0."))
    );
    let Ok(Invocation::Tell(help)) = read("--help", &[]) else { panic!("help is a text") };
    for setting in &SETTINGS {
        assert!(help.contains(&format!("--{} ", setting.name)), "{}", setting.name);
    }
    assert!(help.lines().all(|line| line.len() <= 110), "help fits a terminal");
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let readme = include_str!("../../README.md");
    for setting in &SETTINGS {
        let row = format!("| `--{}` | `{}` |", setting.name, setting.default);
        assert!(readme.contains(&row), "README.md lacks a row that begins {row}");
    }
}
