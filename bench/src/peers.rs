//! What is compared, and how each is set up: each hashes the request's path to the same three backends, keeps its
//! connections to them, checks their health twice a second where it can, and writes no access log.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::process::{Folder, Process, find_program, free_address, ringmaster};

/// Idle connections that a balancer may keep to one backend; no measurement needs more.
const KEPT: usize = 512;

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The first backend, without any balancer: what is possible here.
    Direct,
    /// Ours.
    Ringmaster,
    /// HAProxy with two threads.
    Haproxy,
    /// nginx with two workers.
    Nginx,
    /// Caddy.
    Caddy,
}

/// Something to put load on.
pub struct Subject {
    /// What it is.
    pub peer: Peer,
    /// Where it is.
    pub address: SocketAddr,
    /// What runs; none of our concern for the backend.
    process: Option<Process>,
}

impl Subject {
    /// The process id of the balancer; its children count as it.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Forgets what it printed, so that what it prints does not fill the disk.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn forget_output(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), Process::forget_output)
    }
}

impl Peer {
    /// All, in the order of the tables.
    pub const ALL: [Peer; 5] = [Peer::Direct, Peer::Ringmaster, Peer::Haproxy, Peer::Nginx, Peer::Caddy];

    /// Its name, for people and as a program.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Direct => "direct",
            Peer::Ringmaster => "ringmaster",
            Peer::Haproxy => "haproxy",
            Peer::Nginx => "nginx",
            Peer::Caddy => "caddy",
        }
    }

    /// Whether it can be measured here.
    pub fn is_installed(self) -> bool {
        matches!(self, Peer::Direct | Peer::Ringmaster) || find_program(self.name()).is_some()
    }

    /// The first line of what it says about its version.
    pub fn version(self, program: &Path) -> Option<String> {
        let (program, flag) = match self {
            Peer::Direct => return None,
            Peer::Ringmaster => (program.to_owned(), "--version"),
            Peer::Haproxy | Peer::Nginx => (find_program(self.name())?, "-v"),
            Peer::Caddy => (find_program(self.name())?, "version"),
        };
        let output = Command::new(program).arg(flag).stdin(Stdio::null()).output().ok()?;
        // nginx tells it as if it were an error.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().next()?.trim();
        // Caddy says nothing but the number.
        let is_named = line.to_ascii_lowercase().contains(self.name());
        Some(if is_named { line.to_owned() } else { format!("{} {line}", self.name()) })
    }

    /// Starts it in front of `backends`, and waits until it answers. `program` is our own balancer's.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(self, backends: &[SocketAddr], program: &Path, folder: &Folder) -> Result<Subject> {
        let address = match self {
            Peer::Direct => *backends.first().context("there is no backend")?,
            Peer::Ringmaster => return start_ringmaster(self.name(), backends, program, &[], folder),
            _ => free_address()?,
        };
        let command = match self {
            Peer::Direct | Peer::Ringmaster => return Ok(Subject { peer: self, address, process: None }),
            Peer::Haproxy => haproxy(backends, address, folder)?,
            Peer::Nginx => nginx(backends, address, folder)?,
            Peer::Caddy => caddy(backends, address, folder)?,
        };
        serve(self, self.name(), command, address, folder)
    }
}

/// Starts our balancer in front of `backends` with more flags, under a name that no other process in the folder has, and
/// waits until it answers.
///
/// # Errors
/// It does not start.
pub fn start_ringmaster(
    name: &str,
    backends: &[SocketAddr],
    program: &Path,
    flags: &[&str],
    folder: &Folder,
) -> Result<Subject> {
    let address = free_address()?;
    let mut command = ringmaster_before(backends, address, program)?;
    command.args(flags);
    serve(Peer::Ringmaster, name, command, address, folder)
}

fn serve(peer: Peer, name: &str, command: Command, address: SocketAddr, folder: &Folder) -> Result<Subject> {
    let process = Process::start(name, command, folder)?;
    process.wait_until_serving(address, "/small/0")?;
    Ok(Subject { peer, address, process: Some(process) })
}

/// Starts a backend.
///
/// # Errors
/// It does not start.
pub fn start_backend(number: usize, folder: &Folder) -> Result<(Process, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    // It ends with our end of this pipe, however we end.
    command.args(["backend", "--listen", "127.0.0.1:0", "--end-with-stdin"]).stdin(Stdio::piped());
    let process = Process::start(&format!("backend-{number}"), command, folder)?;
    let address = process.announced_address()?;
    Ok((process, address))
}

fn ringmaster_before(backends: &[SocketAddr], listen: SocketAddr, program: &Path) -> Result<Command> {
    let backends: Vec<String> = backends.iter().map(SocketAddr::to_string).collect();
    ringmaster(
        program,
        [
            "--launcher",
            "static",
            "--backends",
            &backends.join(","),
            "--heartbeat-path",
            "/heartbeat",
            "--listen",
            &listen.to_string(),
            // Idle connections are to stay for as long as they are measured.
            "--idle-timeout",
            "600s",
        ],
    )
}

fn program(peer: Peer) -> Result<Command> {
    let file = find_program(peer.name()).with_context(|| format!("{} is not installed", peer.name()))?;
    let mut command = Command::new(file);
    command.stdin(Stdio::null());
    Ok(command)
}

fn haproxy(backends: &[SocketAddr], listen: SocketAddr, folder: &Folder) -> Result<Command> {
    let config = folder.write("haproxy.cfg", &haproxy_config(backends, listen))?;
    let mut command = program(Peer::Haproxy)?;
    // In the foreground, without a master process.
    command.arg("-db").arg("-f").arg(config);
    Ok(command)
}

fn haproxy_config(backends: &[SocketAddr], listen: SocketAddr) -> String {
    let mut config = format!(
        "global
    nbthread 2
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 30s
    http-reuse always
frontend clients
    bind {listen}
    default_backend backends
backend backends
    balance uri
    hash-type consistent
    option httpchk GET /heartbeat
"
    );
    for (i, backend) in backends.iter().enumerate() {
        let _ = writeln!(config, "    server s{i} {backend} check inter 500ms");
    }
    config
}

fn nginx(backends: &[SocketAddr], listen: SocketAddr, folder: &Folder) -> Result<Command> {
    let prefix = folder.path("nginx");
    fs::create_dir(&prefix).or_else(|error| if prefix.is_dir() { Ok(()) } else { Err(error) })?;
    let config = folder.write("nginx.conf", &nginx_config(backends, listen, &prefix))?;
    let mut command = program(Peer::Nginx)?;
    command.arg("-p").arg(&prefix).args(["-e", "stderr", "-c"]).arg(config);
    Ok(command)
}

fn nginx_config(backends: &[SocketAddr], listen: SocketAddr, prefix: &Path) -> String {
    let prefix = prefix.display();
    let servers: String = backends.iter().map(|backend| format!("        server {backend};\n")).collect();
    format!(
        "daemon off;
worker_processes 2;
pid {prefix}/pid;
error_log stderr crit;
events {{
    worker_connections 4000;
}}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    upstream backends {{
        hash $request_uri consistent;
{servers}        keepalive {KEPT};
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://backends;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            # Otherwise it would write large answers to the disk.
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"
    )
}

fn caddy(backends: &[SocketAddr], listen: SocketAddr, folder: &Folder) -> Result<Command> {
    let config = folder.write("Caddyfile", &caddy_config(backends, listen))?;
    let mut command = program(Peer::Caddy)?;
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    // It keeps state at home otherwise.
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(name, folder.path("caddy"));
    }
    Ok(command)
}

fn caddy_config(backends: &[SocketAddr], listen: SocketAddr) -> String {
    let backends: Vec<String> = backends.iter().map(SocketAddr::to_string).collect();
    format!(
        "{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
}}
http://:{} {{
    bind {}
    reverse_proxy {} {{
        lb_policy uri_hash
        health_uri /heartbeat
        health_interval 500ms
        transport http {{
            keepalive_idle_conns_per_host {KEPT}
        }}
    }}
}}
",
        listen.port(),
        listen.ip(),
        backends.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_configuration_names_where_it_listens_and_every_backend() {
        let listen: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let backends: Vec<SocketAddr> =
            ["127.0.0.1:7001", "127.0.0.1:7002"].iter().map(|text| text.parse().unwrap()).collect();
        let configs = [
            haproxy_config(&backends, listen),
            nginx_config(&backends, listen, Path::new("/tmp/x")),
            caddy_config(&backends, listen),
        ];
        for config in configs {
            for word in ["5000", "127.0.0.1:7001", "127.0.0.1:7002"] {
                assert!(config.contains(word), "{word} is not in\n{config}");
            }
            assert_eq!(config.matches('{').count(), config.matches('}').count(), "{config}");
        }
    }
}
