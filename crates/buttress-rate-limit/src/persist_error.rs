//! Why counts could not be kept or restored.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::encoding::VERSION;
use crate::limits::LimitsError;

/// Why counts could not be kept or restored.
#[derive(Debug)]
#[non_exhaustive]
pub enum PersistError {
    /// The limits cannot be enforced.
    Limits(LimitsError),
    /// A file could not be read or written.
    Io {
        /// The file of the limiter, or the directory that it is in.
        path: PathBuf,
        /// What was attempted, such as `write`.
        attempt: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// The file is no whole snapshot that this build can read. It was left as it is.
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        error: SnapshotError,
    },
    /// The keys of the snapshot were hashed with another seed than those of the limiter.
    OtherSeed,
    /// The keys of the snapshot were hashed with another hash function than that of this build.
    OtherHash,
    /// The limiter hashes its keys with a seed that cannot be kept.
    NoSeed,
    /// The limiter was built without a file.
    NoFile,
}

/// Why bytes are no snapshot that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// They begin otherwise than every snapshot does.
    Foreign,
    /// They are of a format that this build does not know yet.
    Newer {
        /// The version of the format.
        version: u32,
    },
    /// Some of them are missing, or there are too many.
    Torn {
        /// How many there are.
        found: u64,
        /// How many there should be, if enough is there to tell.
        expected: Option<u64>,
    },
    /// They are not what was written: the checksum is that of other bytes.
    Damaged,
    /// The checksum is right, and yet they make no sense.
    Senseless {
        /// What does not.
        part: &'static str,
    },
}

// === impl PersistError ===

impl PersistError {
    pub(crate) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            path: path.to_owned(),
            attempt,
            error,
        }
    }

    pub(crate) fn refused(path: &Path) -> impl FnOnce(SnapshotError) -> Self {
        move |error| Self::Refused {
            path: path.to_owned(),
            error,
        }
    }
}

impl From<LimitsError> for PersistError {
    fn from(error: LimitsError) -> Self {
        Self::Limits(error)
    }
}

impl fmt::Display for PersistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(error) => error.fmt(f),
            Self::Io {
                path,
                attempt,
                error,
            } => write!(f, "cannot {attempt} {}: {error}", path.display()),
            Self::Refused { path, error } => write!(
                f,
                "{} {error}; put a good copy in its place, or move it away to begin with nothing spent",
                path.display()
            ),
            Self::OtherSeed => f.write_str(
                "the snapshot's keys are hashed with another seed; give it to the builder with \
                 `restore`, without a `seed`, so that the limiter takes over the snapshot's",
            ),
            Self::OtherHash => f.write_str(
                "the snapshot's keys are hashed by another release of the hash function or on a machine \
                 of another kind, so nothing says whose its counts are; begin without it: move its file away, or say \
                 `restore(None)`",
            ),
            Self::NoSeed => f.write_str(
                "the limiter's keys are hashed with a seed that cannot be kept; build it with `persist` \
                 or `restore` (the first time with `restore(None)`)",
            ),
            Self::NoFile => f.write_str(
                "the limiter has no file; build it with `persist`, or keep its `snapshot` yourself",
            ),
        }
    }
}

impl Error for PersistError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }
}

// === impl SnapshotError ===

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("is no snapshot of a rate limiter"),
            Self::Newer { version } => write!(
                f,
                "is a snapshot of format {version}, and this build reads formats up to {VERSION}"
            ),
            Self::Torn {
                found,
                expected: Some(expected),
            } => write!(
                f,
                "is torn: it has {found} bytes where it says that it has {expected}"
            ),
            Self::Torn { found, .. } => {
                write!(f, "is torn: {found} bytes are too few for a snapshot")
            }
            Self::Damaged => f.write_str("is damaged: its checksum is that of other bytes"),
            Self::Senseless { part } => {
                write!(f, "is damaged, or no snapshot: its {part} make no sense")
            }
        }
    }
}

impl Error for SnapshotError {}
