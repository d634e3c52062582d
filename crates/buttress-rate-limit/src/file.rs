//! A file that is at every moment either the old one or the new one, whole.
//!
//! The new content is written beside the old one, under a name of its own, and made durable before it takes
//! the old one's place; then the place itself is made durable. A crash leaves the old file, or the new one,
//! and at worst a file beside it that nobody reads.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use buttress_core::Seed;

use crate::encoding::{HEADER, Header};
use crate::persist_error::{PersistError, SnapshotError};
use crate::saved::Snapshot;

/// Reads a snapshot; none if there is no file.
pub(crate) fn load(path: &Path) -> Result<Option<Snapshot>, PersistError> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(PersistError::refused(path)(SnapshotError::Foreign)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PersistError::io("look at", path)(error)),
    }
    let mut file = File::open(path).map_err(PersistError::io("open", path))?;
    let metadata = file.metadata().map_err(PersistError::io("look at", path))?;
    let length = metadata.len();
    let mut bytes = Vec::with_capacity(HEADER);
    let mut read = |limit: u64, bytes: &mut Vec<u8>| {
        let read = (&mut file).take(limit).read_to_end(bytes);
        read.map_err(PersistError::io("read", path))
    };
    // A file that is none of ours can be of any size, so nothing else is read before the header is.
    read(HEADER as u64, &mut bytes)?;
    Header::read(&bytes, length).map_err(PersistError::refused(path))?;
    read(length, &mut bytes)?;
    let snapshot = Snapshot::from_bytes(&bytes).map_err(PersistError::refused(path))?;
    Ok(Some(snapshot))
}

/// Puts a snapshot in the place of the one that is there.
pub(crate) fn store(path: &Path, snapshot: &Snapshot) -> Result<(), PersistError> {
    Written::beside(path, &snapshot.to_bytes())?.take_place(path)
}

/// A file that is whole and durable, and not yet in its place. Dropping it removes it.
struct Written {
    path: PathBuf,
    placed: bool,
}

impl Written {
    fn beside(path: &Path, bytes: &[u8]) -> Result<Self, PersistError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // No other process writes under this name, and nobody can have prepared a link of it.
        let own = path.with_file_name(format!(".{name}.{:016x}.new", Seed::random_number()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options
            .open(&own)
            .map_err(PersistError::io("create", &own))?;
        let written = Self {
            path: own,
            placed: false,
        };
        let path = &written.path;
        file.write_all(bytes)
            .map_err(PersistError::io("write", path))?;
        file.sync_all().map_err(PersistError::io("sync", path))?;
        Ok(written)
    }

    fn take_place(mut self, path: &Path) -> Result<(), PersistError> {
        fs::rename(&self.path, path).map_err(PersistError::io("replace", path))?;
        self.placed = true;
        sync_directory_of(path)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the names in a directory durable.
#[cfg(unix)]
fn sync_directory_of(path: &Path) -> Result<(), PersistError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let file = File::open(directory).map_err(PersistError::io("open", directory))?;
    file.sync_all().map_err(PersistError::io("sync", directory))
}

/// Elsewhere a directory cannot be opened as a file; its names are durable when the system makes them so.
#[cfg(not(unix))]
fn sync_directory_of(_: &Path) -> Result<(), PersistError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved::SavedSeed;
    use buttress_core::wall::UnixNanos;

    fn snapshot(seconds: i64) -> Snapshot {
        let seed = SavedSeed {
            number: 1,
            proof: 2,
        };
        crate::saved::Taking::new(seed, UnixNanos::from_seconds(seconds), 0).done()
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_crash_before_the_rename_leaves_the_old_file_whole() {
        let name = format!("buttress-{:016x}", Seed::random_number());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let path = directory.join("state");
        assert!(load(&path).unwrap().is_none());
        store(&path, &snapshot(1)).unwrap();
        // The process ends here, after whatever part was written.
        let bytes = snapshot(2).to_bytes();
        for length in [0, 1, bytes.len() / 2, bytes.len()] {
            std::mem::forget(Written::beside(&path, &bytes[..length]).unwrap());
            assert_eq!(load(&path).unwrap(), Some(snapshot(1)));
        }
        assert_eq!(names(&directory).len(), 5);
        store(&path, &snapshot(3)).unwrap();
        assert_eq!(load(&path).unwrap(), Some(snapshot(3)));
        drop(Written::beside(&path, &bytes).unwrap());
        assert_eq!(names(&directory).len(), 5, "what fails takes its file away");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "the seed is for nobody else");
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
