//! A configuration file that is looked at while the stack runs.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::change::Changes;
use crate::config::StackConfig;
use crate::environment::Environment;
use crate::live::BuildError;
use crate::problem::Problems;
use crate::stack::Stack;

/// How often a file is looked at if nothing is said.
const EVERY: Duration = Duration::from_secs(5);

/// How a file is read.
type Reads = dyn Fn(&[u8], &Environment) -> Result<StackConfig, Problems> + Send + Sync;

/// Keeps a [`Stack`] as a file says, while both change.
///
/// Nothing runs unless it is asked to: [`reload_now`](Self::reload_now) reads the file (upon a signal, or a
/// request of the operator), [`look`](Self::look) does if the file has changed, and [`run`](Self::run) is a
/// future that looks again and again, for whoever spawns it. A file that is wrong changes nothing, and why is
/// said once. To apply a value instead of a file there is [`Stack::apply`].
///
/// ```no_run
/// # use buttress_config::{Reload, StackConfig};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stack = StackConfig::from_toml(std::fs::read("stack.toml")?)?.build()?;
/// let reload = Reload::new(&stack, "stack.toml");
/// tokio::spawn(reload.run(|changed| match changed {
///     Ok(changes) => println!("{changes}"),
///     Err(error) => eprintln!("{error}"),
/// }));
/// # Ok(())
/// # }
/// ```
///
/// The file is a small one and is read with blocking calls, each of which takes microseconds.
pub struct Reload {
    stack: Stack,
    path: PathBuf,
    environment: Environment,
    every: Duration,
    reads: Box<Reads>,
    seen: Seen,
}

/// What was seen of the file when it was last looked at.
#[derive(Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// Whether the stamp was the same for a whole look. Before, the file may have been written again within
    /// the time that two stamps have in common.
    is_settled: bool,
    content: Option<Vec<u8>>,
    is_gone: bool,
}

/// What a file's metadata tell of its age.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl Reload {
    /// Of a file of TOML.
    #[must_use]
    pub fn new(stack: &Stack, path: impl Into<PathBuf>) -> Self {
        Self {
            stack: stack.clone(),
            path: path.into(),
            environment: Environment::empty(),
            every: EVERY,
            reads: Box::new(|text, environment| StackConfig::from_toml_and(text, environment)),
            seen: Seen::default(),
        }
    }

    /// Environment variables that go on overriding what the file says.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// How often [`run`](Self::run) looks at the file; every 5 s if nothing is said, and never more than a
    /// thousand times a second.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(1));
        self
    }

    /// Reads another format than TOML, such as JSON:
    ///
    /// ```
    /// # use buttress_config::{Reload, StackConfig};
    /// # fn reload(stack: &buttress_config::Stack) -> Reload {
    /// Reload::new(stack, "stack.json").reading(|text, environment| {
    ///     let mut json = serde_json::Deserializer::from_slice(text);
    ///     StackConfig::from_format_and(&mut json, environment)
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn reading<F>(mut self, read: F) -> Self
    where
        F: Fn(&[u8], &Environment) -> Result<StackConfig, Problems> + Send + Sync + 'static,
    {
        self.reads = Box::new(read);
        self
    }

    /// The stack.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Reads the file and puts in force what it says.
    ///
    /// # Errors
    ///
    /// Why not; then nothing has changed.
    pub fn reload_now(&mut self) -> Result<Changes, ReloadError> {
        match self.read() {
            Ok(content) => self.put_in_force(content),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// Reads the file if it has changed since it was last looked at; nothing if it has not, and nothing if
    /// what was wrong with it has been said.
    pub fn look(&mut self) -> Option<Result<Changes, ReloadError>> {
        let stamp = match Stamp::of(&self.path) {
            Ok(stamp) => Some(stamp),
            Err(error) => return self.gone(error),
        };
        if stamp == self.seen.stamp && !self.seen.is_gone {
            if self.seen.is_settled {
                return None;
            }
            self.seen.is_settled = true;
        } else {
            self.seen.is_settled = false;
        }
        match self.read() {
            Ok(content) if self.seen.content.as_ref() == Some(&content) => None,
            Ok(content) => Some(self.put_in_force(content)),
            Err(error) => self.gone(error),
        }
    }

    /// Looks at the file again and again, on tokio's clock, and tells what came of every change. It ends
    /// with the task it runs in.
    pub async fn run(mut self, mut tell: impl FnMut(Result<Changes, ReloadError>)) {
        loop {
            if let Some(changed) = self.look() {
                tell(changed);
            }
            tokio::time::sleep(self.every).await;
        }
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        // What is written after the stamp was taken has another one.
        self.seen.stamp = Stamp::of(&self.path).ok();
        let content = fs::read(&self.path)?;
        self.seen.is_gone = false;
        Ok(content)
    }

    fn put_in_force(&mut self, content: Vec<u8>) -> Result<Changes, ReloadError> {
        let read = (self.reads)(&content, &self.environment);
        self.seen.content = Some(content);
        let config = read.map_err(|problems| ReloadError::Wrong {
            path: self.path.clone(),
            problems,
        })?;
        self.stack.apply(&config).map_err(ReloadError::Refused)
    }

    /// A file that cannot be read is told once.
    fn gone(&mut self, error: io::Error) -> Option<Result<Changes, ReloadError>> {
        let was_gone = self.seen.is_gone;
        let error = self.unreadable(error);
        (!was_gone).then_some(Err(error))
    }

    fn unreadable(&mut self, error: io::Error) -> ReloadError {
        self.seen.is_gone = true;
        ReloadError::Unreadable {
            path: self.path.clone(),
            error,
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
        })
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload")
            .field("path", &self.path)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// Why a file was not put in force. What was in force is.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// It cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It says what makes no sense.
    Wrong {
        /// The file.
        path: PathBuf,
        /// All of it.
        problems: Problems,
    },
    /// It cannot be enforced.
    Refused(BuildError),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(
                f,
                "{}: expected a configuration file, but: {error}; what was in force stays so",
                path.display()
            ),
            Self::Wrong { path, problems } => {
                write!(f, "{}: nothing was changed, as", path.display())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n{problem}"))
            }
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Wrong { problems, .. } => Some(problems),
            Self::Refused(error) => Some(error),
        }
    }
}
