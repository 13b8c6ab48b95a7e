//! One call of a program: an argument vector, never a shell, with a deadline and bounded output.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::LaunchError;

/// The variable that may hold the admin token, which is no program's business but ours.
pub(super) const SECRET: &str = "RINGMASTER_ADMIN_TOKEN";

/// Most bytes of a call's output that are kept. `docker container inspect` of a few hundred containers stays below
/// it (about 8 KiB each); what comes after is read and dropped, so that the program never blocks on a full pipe.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;

/// Longest part of a program's error output that becomes part of a message.
const ERROR_LIMIT: usize = 500;

/// Runs `program` with `args`, waits at most `deadline`, and returns what it wrote to its standard output.
///
/// # Errors
/// It could not be started, did not end in time (it is killed then), or ended with a status other than 0; the
/// message is its standard error.
pub(super) fn run(program: &str, args: &[&str], deadline: Duration) -> Result<String, LaunchError> {
    let attempted = || describe(program, args);
    let until = Instant::now() + deadline;
    let mut child = Command::new(program)
        .args(args)
        .env_remove(SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C at the terminal is for us: what it makes us do needs these calls.
        .process_group(0)
        .spawn()
        .map_err(|error| LaunchError(format!("{}: cannot run it: {error}", attempted())))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let Some(success) = wait(&mut child, until) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(LaunchError(format!("{}: no answer within {deadline:?}", attempted())));
    };
    // Something that the program started may hold the pipes open after it has ended.
    let gather = |from: mpsc::Receiver<String>| {
        from.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    };
    let (output, errors) = (gather(stdout), gather(stderr));
    match (success, output) {
        (true, Some(output)) => Ok(output),
        // No output is an answer too, and often means that there is nothing: it must not be made up.
        (true, None) => Err(LaunchError(format!("{}: its output could not be read", attempted()))),
        (false, _) => Err(LaunchError(format!("{}: {}", attempted(), shorten(&errors.unwrap_or_default())))),
    }
}

/// Reads a pipe to its end on a thread of its own and sends what was in it.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let Some(mut pipe) = pipe else { return receiver };
    let reader = thread::Builder::new().name("call-output".into()).spawn(move || {
        let mut kept = Vec::new();
        let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut kept);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        let _ = sender.send(String::from_utf8_lossy(&kept).into_owned());
    });
    if let Err(error) = reader {
        log::warn!("cannot read the output of a call: no thread: {error}");
    }
    receiver
}

/// Whether the child ended well; `None` when it has not ended by `until`.
fn wait(child: &mut Child, until: Instant) -> Option<bool> {
    // std has no wait with a timeout. Calls take 20 ms to a second, so a look every 2 ms delays none noticeably.
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
            _ => return None,
        }
    }
}

/// The call as a message shows it: the program and the words before the first option.
fn describe(program: &str, args: &[&str]) -> String {
    let mut words = vec![program];
    words.extend(args.iter().take_while(|arg| !arg.starts_with('-')));
    if let Some(object) = args.iter().skip_while(|arg| **arg != "--").nth(1) {
        words.push(object);
    }
    words.join(" ")
}

/// What a program said on its standard error, in one line.
pub(super) fn shorten(errors: &str) -> String {
    // Advice on how to use the program is not for those who read our messages.
    let tells = |line: &&str| !line.is_empty() && !line.contains("--help");
    let lines: Vec<&str> = errors.lines().map(str::trim).filter(tells).collect();
    match lines.is_empty() {
        true => "it failed without saying why".to_owned(),
        false => lines.join("; ").chars().take(ERROR_LIMIT).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn returns_what_the_program_printed() {
        assert_eq!(run("echo", &["a b", "$HOME; c"], LONG).unwrap(), "a b $HOME; c\n");
    }

    #[test]
    fn standard_error_becomes_the_message() {
        let error = run("ls", &["--", "/no/such/place"], LONG).unwrap_err().0;
        assert!(error.starts_with("ls /no/such/place: ") && error.contains("No such file"), "{error}");
        let error = run("false", &[], LONG).unwrap_err().0;
        assert!(error.contains("without saying why"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run("no-such-program", &["ps"], LONG).unwrap_err().0;
        assert!(error.starts_with("no-such-program ps: cannot run it"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_ended_at_the_deadline() {
        let error = run("sleep", &["600"], Duration::from_millis(50)).unwrap_err().0;
        assert!(error.contains("no answer within 50ms"), "{error}");
    }

    #[test]
    fn output_that_cannot_be_read_to_its_end_is_not_made_up() {
        let args = ["-c", "echo half; sleep 600 & exit 0"];
        let error = run("sh", &args, Duration::from_millis(300)).unwrap_err().0;
        assert!(error.contains("its output could not be read"), "{error}");
    }

    #[test]
    fn output_without_end_is_cut_and_does_not_block_the_program() {
        let output = run("head", &["-c", "9000000", "/dev/zero"], LONG).unwrap();
        assert_eq!(output.len() as u64, OUTPUT_LIMIT);
    }
}
