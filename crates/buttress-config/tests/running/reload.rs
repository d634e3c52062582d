//! The file, while both it and the stack change.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use buttress_config::{Environment, Reload, ReloadError, Stack, StackConfig};
use buttress_core::time::now;

use crate::support::stack;

/// A directory of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("buttress-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("stack.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(quota: u32) -> String {
    format!("[rate_limit]\nquotas = ['{quota}/minute']\n")
}

fn quota(stack: &Stack) -> u64 {
    stack.limiter().unwrap().limits().quotas[0].capacity()
}

fn started() -> (Folder, Stack, Reload) {
    let folder = Folder::new();
    folder.write(&text(1));
    let stack = stack(&text(1));
    let mut reload = Reload::new(&stack, folder.file());
    assert!(reload.look().unwrap().unwrap().is_empty());
    (folder, stack, reload)
}

#[test]
fn a_file_that_changes_is_applied_and_one_that_does_not_is_left_alone() {
    let (folder, stack, mut reload) = started();
    assert!(reload.look().is_none() && reload.look().is_none());
    folder.write(&text(22));
    assert_eq!(
        reload.look().unwrap().unwrap().applied,
        ["rate_limit.quotas"]
    );
    assert_eq!(quota(&stack), 22);
    assert!(reload.look().is_none());
    // Written again in the same instant, with the same length.
    folder.write(&text(33));
    folder.write(&text(44));
    let looked: Vec<_> = (0..3).filter_map(|_| reload.look()).collect();
    assert_eq!((looked.len(), quota(&stack)), (1, 44));
    // Touched, but not changed.
    folder.write(&text(44));
    assert!((0..3).all(|_| reload.look().is_none()));
}

#[test]
fn a_bad_file_changes_nothing_and_says_why_once() {
    let (folder, stack, mut reload) = started();
    folder.write("[rate_limit]\nquotas = ['9/fortnight']\nwait = 5\n[retry]\n");
    let error = reload.look().unwrap().unwrap_err();
    assert!(matches!(&error, ReloadError::Wrong { problems, .. } if problems.iter().count() == 2));
    let said = error.to_string();
    assert!(
        said.contains("stack.toml") && said.contains("line 2, field `rate_limit.quotas[0]`"),
        "{said}"
    );
    assert_eq!(quota(&stack), 1);
    assert!((0..3).all(|_| reload.look().is_none()));
    assert!(reload.reload_now().is_err());
    folder.write(&text(5));
    reload.look().unwrap().unwrap();
    assert_eq!(quota(&stack), 5);
}

#[test]
fn a_half_written_file_is_read_again_when_it_is_whole() {
    let (folder, stack, mut reload) = started();
    let whole = format!("{}[priority_queue]\nconcurrency = 3\n", text(55));
    for end in 0..whole.len() {
        folder.write(&whole[..end]);
        // An unfinished file may be one that says something else; it is never one that stays.
        let _ = reload.look();
    }
    folder.write(&whole);
    let changes = (0..2).filter_map(|_| reload.look()).last();
    let changes = changes.unwrap().unwrap();
    assert_eq!(changes.needs_restart[0].field, "priority_queue");
    assert_eq!(quota(&stack), 55);
}

#[test]
fn a_file_that_vanishes_changes_nothing_and_is_told_once() {
    let (folder, stack, mut reload) = started();
    fs::remove_file(folder.file()).unwrap();
    let error = reload.look().unwrap().unwrap_err();
    assert!(matches!(error, ReloadError::Unreadable { .. }), "{error}");
    assert!(
        error.to_string().contains("what was in force stays so"),
        "{error}"
    );
    assert!(reload.look().is_none());
    assert_eq!(quota(&stack), 1);
    folder.write(&text(1));
    assert!(reload.look().is_none(), "it says what it said before");
    fs::remove_file(folder.file()).unwrap();
    assert!(reload.look().unwrap().is_err());
    // Put in its place by renaming, as editors do.
    fs::write(folder.0.join("new"), text(6)).unwrap();
    fs::rename(folder.0.join("new"), folder.file()).unwrap();
    assert_eq!(
        reload.look().unwrap().unwrap().applied,
        ["rate_limit.quotas"]
    );
    assert_eq!(quota(&stack), 6);
}

#[test]
fn variables_go_on_overriding_and_other_formats_are_read() {
    let folder = Folder::new();
    folder.write(r#"{"rate_limit": {"quotas": ["2/minute"]}}"#);
    let environment = Environment::of([("BUTTRESS_RATE_LIMIT__SHADOW", "true")]);
    let stack = stack(&text(1));
    let mut reload = Reload::new(&stack, folder.file())
        .environment(environment)
        .reading(|text, environment| {
            let mut json = serde_json::Deserializer::from_slice(text);
            StackConfig::from_format_and(&mut json, environment)
        });
    let changes = reload.reload_now().unwrap();
    assert_eq!(changes.applied, ["rate_limit.quotas", "rate_limit.shadow"]);
}

#[tokio::test(start_paused = true)]
async fn the_future_looks_on_tokios_clock_and_nothing_runs_without_it() {
    let (folder, stack, reload) = started();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let watching = tokio::spawn(reload.every(Duration::from_secs(60)).run(move |changed| {
        tell.send(changed.map_err(|error| error.to_string()))
            .unwrap();
    }));
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(told.try_recv().is_err());
    folder.write(&text(7));
    let start = now();
    assert_eq!(
        told.recv().await.unwrap().unwrap().applied,
        ["rate_limit.quotas"]
    );
    assert!(start.elapsed() <= Duration::from_secs(60));
    folder.write("[rate_limit");
    assert!(told.recv().await.unwrap().is_err());
    assert_eq!(quota(&stack), 7);
    watching.abort();
    assert!(watching.await.unwrap_err().is_cancelled());
}
