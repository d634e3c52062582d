//! Other programs, which do not outlive their test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::http::get;

/// How often is looked before something counts as not having happened: for a minute.
const LOOKS: u32 = 600;

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What `look` finds within a minute.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::park_timeout(BETWEEN_LOOKS);
    }
    panic!("not within a minute: {what}");
}

/// An empty directory of this name.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("system")
        .join(name);
    // It is there if an earlier run made it.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// A file for those who operate, in the repository.
pub(crate) fn operations(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/operations")
        .join(name)
}

/// A running process.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts it. Its lines come from its output, or from its log if that is where it says something.
    pub(crate) fn start(command: &mut Command, says_in_log: bool) -> Self {
        command.stdin(Stdio::null());
        match says_in_log {
            true => command.stdout(Stdio::null()).stderr(Stdio::piped()),
            false => command.stdout(Stdio::piped()).stderr(Stdio::null()),
        };
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (line, lines) = channel();
        let said: Box<dyn std::io::Read + Send> = match (child.stdout.take(), child.stderr.take()) {
            (Some(output), _) => Box::new(output),
            (_, Some(log)) => Box::new(log),
            _ => panic!("one of them is a pipe"),
        };
        // Read to the end, so that it never waits for a reader.
        std::thread::spawn(move || {
            for text in BufReader::new(said).lines().map_while(Result::ok) {
                let _ = line.send(text);
            }
        });
        Self { child, lines }
    }

    /// What follows `start` in the next line that has it.
    pub(crate) fn says(&self, start: &str) -> String {
        let mut said = Vec::new();
        loop {
            let line = self.lines.recv_timeout(BETWEEN_LOOKS * LOOKS);
            let line = line.unwrap_or_else(|_| panic!("it never said `{start}`: {said:#?}"));
            match line.split_once(start) {
                Some((_, rest)) => return rest.to_owned(),
                None => said.push(line),
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The token for commands.
pub(crate) const TOKEN: &str = "a-token-for-tests";

/// The client of this package, and where its status is.
pub(crate) struct Program {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Program {
    pub(crate) fn start(name: &str, options: &[&str]) -> Self {
        let token = directory(name).join("token");
        std::fs::write(&token, format!("{TOKEN}\n")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_resilient-client"));
        command
            .args(["--listen", "127.0.0.1:0", "--token"])
            .arg(token)
            .args(options);
        let process = Process::start(&mut command, false);
        let url = process.says("status on http://");
        let address = url.trim_end_matches("/status").to_owned();
        Self { process, address }
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        let (code, text) = get(&self.address, "/status.json");
        assert_eq!(code, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }
}
