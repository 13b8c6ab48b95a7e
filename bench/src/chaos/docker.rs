//! The `docker` command: the real one for us, and for the balancer a script before it that fails when told to.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::plan::Mode;
use crate::process::{Folder, find_program};

/// The label by which the balancer knows its containers and its network.
const FLEET: &str = "ringmaster.fleet";

/// How long after the engine has come back a change may fail because of it: the balancer waits 20 s for a call that
/// hangs, and one that was answered with garbage may have to be mended first.
const AFTERMATH: Duration = Duration::from_secs(25);

/// How long what the balancer had begun may take to appear after its end, when it was killed.
const STRAGGLERS: Duration = Duration::from_secs(10);

/// Time between two looks for it.
const LOOK: Duration = Duration::from_millis(500);

/// The engine, and all that one fleet has on it: dropping this removes that.
pub struct Docker {
    program: PathBuf,
    fleet: String,
    /// Where the script is, and the file that tells it what to do.
    scripts: PathBuf,
    /// Since when the engine is well, or when it will be.
    fails_until: Option<Instant>,
    failing: bool,
}

/// A container of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its full id.
    pub id: String,
    /// `running`, `paused`, `exited`, ….
    pub state: String,
}

impl Docker {
    /// For the fleet of this name, with the script in `folder`.
    ///
    /// # Errors
    /// There is no `docker` command, or the script cannot be written.
    pub fn new(fleet: &str, folder: &Folder) -> Result<Docker> {
        let program = find_program("docker").context("--launcher docker: there is no docker command")?;
        let scripts = folder.path("bin");
        fs::create_dir(&scripts).with_context(|| format!("make the folder {}", scripts.display()))?;
        let script = folder.write("bin/docker", &script(&program, &scripts))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let docker = Docker { program, fleet: fleet.to_owned(), scripts, fails_until: None, failing: false };
        docker.set(Mode::Ok)?;
        Ok(docker)
    }

    /// A `PATH` on which the script comes first.
    ///
    /// # Errors
    /// The path of our temporary folder cannot be in one.
    pub fn path(&self) -> Result<OsString> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.scripts.clone()).chain(env::split_paths(&path));
        env::join_paths(folders).context("put a script before docker")
    }

    /// Tells the script what to do from now on.
    fn set(&self, mode: Mode) -> Result<()> {
        let word = match mode {
            Mode::Ok => "ok",
            Mode::Fail => "fail",
            Mode::Hang => "hang",
            Mode::Garbage => "garbage",
        };
        // In one step: the script never reads half a word.
        let (new, file) = (self.scripts.join("mode.new"), self.scripts.join("mode"));
        fs::write(&new, word)
            .and_then(|()| fs::rename(&new, &file))
            .context("tell the docker script what to do")
    }

    /// The engine fails in this way for so long, as far as the balancer can tell.
    ///
    /// # Errors
    /// The script cannot be told.
    pub fn disturb(&mut self, mode: Mode, time: Duration) -> Result<()> {
        self.set(mode)?;
        (self.failing, self.fails_until) = (true, Some(Instant::now() + time));
        Ok(())
    }

    /// Whether the engine fails at the moment.
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether the time has come for the engine to work again.
    pub fn is_due(&self) -> bool {
        self.failing && self.fails_until.is_none_or(|until| Instant::now() >= until)
    }

    /// The engine works again.
    ///
    /// # Errors
    /// The script cannot be told.
    pub fn restore(&mut self) -> Result<()> {
        self.set(Mode::Ok)?;
        self.failing = false;
        Ok(())
    }

    /// Whether what failed and was begun at `begun` may have failed because of the engine.
    pub fn is_to_blame(&self, begun: Instant) -> bool {
        self.failing || self.fails_until.is_some_and(|until| begun < until + AFTERMATH)
    }

    /// One call of the real command.
    ///
    /// # Errors
    /// It fails; the text is what it says.
    pub fn call(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(args)
            .stdin(Stdio::null())
            // A Ctrl-C at the terminal is for us: removing what is ours needs these calls.
            .process_group(0)
            .output()
            .with_context(|| format!("run {}", self.program.display()))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker {}: {}", args.first().unwrap_or(&""), errors.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// All containers of the fleet.
    ///
    /// # Errors
    /// The engine does not say.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let filter = self.filter();
        let format = "{{.ID}} {{.State}}";
        let text = self.call(&["ps", "--all", "--no-trunc", "--filter", &filter, "--format", format])?;
        let container = |line: &str| {
            let (id, state) = line.split_once(' ')?;
            Some(Container { id: id.to_owned(), state: state.to_owned() })
        };
        Ok(text.lines().filter_map(container).collect())
    }

    /// The names of the fleet's networks.
    ///
    /// # Errors
    /// The engine does not say.
    pub fn networks(&self) -> Result<Vec<String>> {
        let filter = self.filter();
        let text = self.call(&["network", "ls", "--filter", &filter, "--format", "{{.Name}}"])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn filter(&self) -> String {
        format!("label={FLEET}={}", self.fleet)
    }

    /// Removes all that the fleet has; whether there was anything.
    fn remove_all(&self) -> Result<bool> {
        let (containers, networks) = (self.containers()?, self.networks()?);
        for container in &containers {
            self.call(&["rm", "--force", "--", &container.id])?;
        }
        for network in &networks {
            self.call(&["network", "rm", "--", network])?;
        }
        Ok(!containers.is_empty() || !networks.is_empty())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // A call that hangs ends with this file; one that the balancer had under way may yet come about.
        let _ = fs::remove_file(self.scripts.join("mode"));
        let until = Instant::now() + STRAGGLERS;
        let mut removed = self.remove_all();
        while !matches!(removed, Ok(false)) && Instant::now() < until {
            thread::sleep(LOOK);
            removed = self.remove_all();
        }
        if let Err(error) = removed {
            eprintln!("bench: something of fleet {} may be left: {error:#}", self.fleet);
        }
    }
}

/// The script that stands before `program`. It looks into the file `mode` in `folder` at each call. A call that hangs
/// ends when that file is gone, so that none outlives us.
fn script(program: &Path, folder: &Path) -> String {
    let (program, mode) = (quoted(program), quoted(&folder.join("mode")));
    format!(
        "#!/bin/sh\n\
         case \"$(cat {mode})\" in\n\
         ok) exec {program} \"$@\";;\n\
         hang) n=0; while [ -e {mode} ] && [ $n -lt 60 ]; do sleep 0.5; n=$((n + 1)); done; exit 1;;\n\
         garbage) echo '<html>502 Bad Gateway</html>';;\n\
         *) echo 'Cannot connect to the Docker daemon' >&2; exit 1;;\n\
         esac\n"
    )
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call of the script before `/bin/echo` prints, and whether it succeeds.
    fn called(folder: &Path, mode: &str) -> (String, bool) {
        fs::write(folder.join("mode"), mode).unwrap();
        let text = script(Path::new("/bin/echo"), folder);
        let output = Command::new("/bin/sh").args(["-c", &text, "docker", "ps", "a  b"]).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    #[test]
    fn the_script_does_as_it_is_told() {
        let folder = env::temp_dir().join(format!("ringmaster's-script-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        assert_eq!(called(&folder, "ok"), ("ps a  b\n".to_owned(), true));
        assert_eq!(called(&folder, "fail"), (String::new(), false));
        let (garbage, success) = called(&folder, "garbage");
        assert!(garbage.contains("html") && success);
        // One that hangs goes on until the file is gone.
        let waker = thread::spawn({
            let mode = folder.join("mode");
            move || {
                thread::sleep(Duration::from_millis(300));
                fs::remove_file(mode).unwrap();
            }
        });
        let begin = Instant::now();
        assert_eq!(called(&folder, "hang"), (String::new(), false));
        assert!(begin.elapsed() > Duration::from_millis(300));
        waker.join().unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
