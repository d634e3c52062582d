//! The program as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often is looked before something counts as not having happened: for five seconds.
const LOOKS: u32 = 50;

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Whether `what` becomes true within five seconds.
pub(crate) fn eventually(mut what: impl FnMut() -> bool) -> bool {
    (0..LOOKS).any(|_| {
        let is_true = what();
        if !is_true {
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
        is_true
    })
}

/// A file of this name and content.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("system");
    std::fs::create_dir_all(&directory).expect("a directory for files");
    let path = directory.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_per-ip"));
    command
        .args(options)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program with options that it cannot start with: its status, and what it says.
pub(crate) fn fails(options: &[&str]) -> (i32, String) {
    let mut child = Killed(command(options).spawn().expect("the program"));
    let log = Log::follow(child.0.stderr.take());
    let status = child.ends().expect("an end");
    // The log ends with the process, but its reader may be late.
    assert!(eventually(|| log.has_ended()));
    (status, log.text())
}

/// The running program.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    pub(crate) greeting: String,
    process: Killed,
    log: Log,
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it on a free port, and reads its greeting.
    pub(crate) fn start(options: &[&str]) -> Self {
        let options = [&["--listen", "127.0.0.1:0"], options].concat();
        let mut process = Killed(command(&options).spawn().expect("the program"));
        let log = Log::follow(process.0.stderr.take());
        let mut stdout = BufReader::new(process.0.stdout.take().expect("its output"));
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            let read = stdout.read_line(&mut greeting).expect("a line of text");
            assert!(read > 0, "it ended: {greeting}{}", log.text());
        }
        let (_, address) = greeting.split_once("http://").expect("an address");
        let (address, _) = address.split_once(';').expect("more than an address");
        Self {
            address: address.parse().expect("the address of a socket"),
            greeting,
            process,
            log,
            _stdout: Some(stdout),
        }
    }

    /// Starts it with an output that is closed, which it cannot greet on.
    pub(crate) fn start_unheard() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command(&["--listen", &address.to_string()]);
        let mut process = Killed(command.stdout(writer).spawn().expect("the program"));
        Self {
            address,
            greeting: String::new(),
            log: Log::follow(process.0.stderr.take()),
            process,
            _stdout: None,
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        // What every shell has built in; a program `kill` is not everywhere.
        let kill = format!("kill -{name} {}", self.process.0.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("a shell").success(), "{kill}");
    }

    /// Its status, if it ends within five seconds.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.process.ends()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Killed {
    fn ends(&mut self) -> Option<i32> {
        let mut status = None;
        eventually(|| {
            status = self.0.try_wait().expect("a process of ours");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process writes, read by a thread so that it never has to wait for its reader.
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Log {
    fn follow(stderr: Option<ChildStderr>) -> Self {
        let mut stderr = stderr.expect("its log");
        let text = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 1024];
            while let Ok(read @ 1..) = stderr.read(&mut part) {
                let mut written = written.lock().expect("a log");
                written.extend_from_slice(&part[..read]);
            }
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("a log")).into_owned()
    }

    fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }
}
