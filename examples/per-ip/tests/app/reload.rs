//! A configuration file that changes while the app runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use buttress::Quota;
use per_ip::{Config, Limiters, Reload};

use crate::support::{chat, direct};

/// An app that follows a file.
struct Followed {
    path: PathBuf,
    reload: Reload,
    limiters: Limiters,
    app: Router,
}

impl Followed {
    fn start(name: &str, text: &str) -> Self {
        let path = file(name);
        fs::write(&path, text).expect("a file");
        let (reload, config) = Reload::start(&path, base()).expect("a valid file");
        let limiters = Limiters::new(&config).expect("limits that can be enforced");
        let app = direct(&limiters);
        Self {
            path,
            reload,
            limiters,
            app,
        }
    }

    /// Looks at the file until what it has become is acted upon.
    fn look(&mut self) -> Result<Option<Config>, String> {
        assert_eq!(self.reload.look(&self.limiters), Ok(None), "not yet");
        self.reload.look(&self.limiters)
    }

    async fn left(&self) -> u64 {
        // A request to read it by: the field stands for one less.
        let answer = chat(&self.app, "192.0.2.1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let left = answer.field("ratelimit").split(";r=").nth(1);
        let left = left.and_then(|left| left.split(';').next()?.parse().ok());
        left.expect("a number of units")
    }
}

fn base() -> Config {
    Config::new(vec![Quota::per_minute(5)])
}

fn file(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload");
    fs::create_dir_all(&directory).expect("a directory for files");
    directory.join(name)
}

#[tokio::test(start_paused = true)]
async fn an_edit_changes_the_limit_and_keeps_what_was_spent() {
    let mut followed = Followed::start("edit.toml", "quotas = [\"5/minute\"]");
    for left in [4, 3, 2] {
        assert_eq!(followed.left().await, left);
    }
    assert_eq!(followed.look(), Ok(None), "nothing has changed");

    fs::write(&followed.path, "quotas = [\"8/minute\"]").unwrap();
    let config = followed.look().unwrap().expect("the edit");
    assert_eq!(config.chat, [Quota::per_minute(8)]);
    assert_eq!(followed.left().await, 4, "3 of 5 spent leave 5 of 8");
    assert_eq!(followed.look(), Ok(None), "it is in force");

    fs::write(&followed.path, "quotas = [\"3/minute\"]").unwrap();
    followed.look().unwrap().expect("the second edit");
    assert_eq!(chat(&followed.app, "192.0.2.1").await.status, 429);
    assert_eq!(chat(&followed.app, "192.0.2.2").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_edit_changes_tiers() {
    let mut followed = Followed::start("tiers.toml", "[search]\ndefault = [\"3/minute\"]");
    let search = async |app: &Router, key: &str| {
        let request = axum::http::Request::get("/search").header("x-api-key", key);
        crate::support::send(app, request, "").await
    };
    let answer = search(&followed.app, "alice").await;
    assert_eq!(answer.field("ratelimit-policy"), "\"default\";q=3;w=60");

    let text = "[search]\ndefault = [\"3/minute\"]\n[search.keys]\nalice = [\"9/minute\"]";
    fs::write(&followed.path, text).unwrap();
    followed.look().unwrap().expect("the edit");
    let answer = search(&followed.app, "alice").await;
    assert_eq!(answer.field("ratelimit-policy"), "\"default\";q=9;w=60");
    assert!(answer.field("ratelimit").contains(";r=7"), "{answer:?}");
    let other = search(&followed.app, "bob").await;
    assert!(other.field("ratelimit").contains(";r=2"), "{other:?}");

    fs::write(&followed.path, "[search]\ndefault = [\"3/minute\"]").unwrap();
    followed.look().unwrap().expect("the tier is gone");
    let answer = search(&followed.app, "alice").await;
    assert!(answer.field("ratelimit").contains(";r=0"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_by_a_rename_is_followed() {
    let mut followed = Followed::start("rename.toml", "quotas = [\"5/minute\"]");
    let beside = file("rename.toml.new");
    fs::write(&beside, "quotas = [\"6/minute\"]").unwrap();
    fs::rename(&beside, &followed.path).unwrap();
    let config = followed.look().unwrap().expect("the new file");
    assert_eq!(config.chat, [Quota::per_minute(6)]);
    assert_eq!(followed.left().await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_removed_changes_nothing_until_it_is_written_again() {
    let mut followed = Followed::start("remove.toml", "quotas = [\"7/minute\"]");
    fs::remove_file(&followed.path).unwrap();
    let error = followed.look().unwrap_err();
    assert!(error.contains("remove.toml: "), "{error}");
    assert_eq!(followed.look(), Ok(None), "said once");
    assert_eq!(followed.left().await, 6);

    fs::write(&followed.path, "quotas = [\"9/minute\"]").unwrap();
    followed.look().unwrap().expect("it is back");
    assert_eq!(followed.left().await, 7, "1 of 7 spent leaves 8 of 9");

    // Gone and back between two looks, or back as it was, is no edit.
    fs::remove_file(&followed.path).unwrap();
    assert_eq!(followed.reload.look(&followed.limiters), Ok(None));
    fs::write(&followed.path, "quotas = [\"9/minute\"]").unwrap();
    assert_eq!(followed.look(), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_bad_edit_keeps_the_limits_and_says_file_line_and_field() {
    let mut followed = Followed::start("bad.toml", "quotas = [\"5/minute\"]");
    fs::write(&followed.path, "# new\nquotas = [\"5/minite\"]").unwrap();
    let error = followed.look().unwrap_err();
    let place = format!("{}: line 2: `quotas[0]`: ", followed.path.display());
    assert!(error.starts_with(&place), "{error}");
    assert!(error.contains("minite"), "{error}");
    assert_eq!(followed.look(), Ok(None), "said once");
    assert_eq!(followed.left().await, 4);

    // One bad field keeps all of the file out.
    let text = "quotas = [\"50/minute\"]\n[search]\ndefault = []";
    fs::write(&followed.path, text).unwrap();
    let error = followed.look().unwrap_err();
    assert!(error.contains("line 3: `search.default`: "), "{error}");
    assert_eq!(followed.left().await, 3);

    fs::write(&followed.path, "quotas = [\"5/minute\"]").unwrap();
    followed.look().unwrap().expect("it is mended");
    assert_eq!(followed.left().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_left_alone() {
    let mut followed = Followed::start("half.toml", "quotas = [\"1/minute\"]");
    let whole = "quotas = [\"2/minute\"]";
    for end in 0..=whole.len() {
        // An empty file is a valid one, and would put the defaults in force.
        fs::write(&followed.path, &whole[..end]).unwrap();
        assert_eq!(followed.reload.look(&followed.limiters), Ok(None), "{end}");
    }
    let config = followed.reload.look(&followed.limiters).unwrap();
    assert_eq!(config.expect("written").chat, [Quota::per_minute(2)]);
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf8_is_told_with_its_line() {
    let mut followed = Followed::start("bytes.toml", "");
    fs::write(&followed.path, b"quotas = [\"5/minute\"]\n\n# caf\xe9\n").unwrap();
    let error = followed.look().unwrap_err();
    assert!(
        error.contains("bytes.toml: line 3: ") && error.contains("UTF-8"),
        "{error}"
    );
    assert_eq!(followed.left().await, 4);

    let error = Reload::start(&followed.path, base()).unwrap_err();
    assert!(error.contains("line 3: "), "{error}");
}

#[test]
fn a_bad_file_at_start_is_an_error_with_file_line_and_field() {
    let path = file("start.toml");
    fs::write(&path, "\n[search]\n  default = [\"1/hour\", \"x/hour\"]").unwrap();
    let error = Reload::start(&path, base()).unwrap_err();
    let place = format!("{}: line 3: `search.default[1]`: ", path.display());
    assert!(error.starts_with(&place), "{error}");

    let error = Reload::start(&file("no such file.toml"), base()).unwrap_err();
    assert!(error.contains("no such file.toml: "), "{error}");
    let error = Reload::start(path.parent().unwrap(), base()).unwrap_err();
    assert!(error.contains("reload: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn followed_by_the_clock_an_edit_is_in_force_within_seconds() {
    let Followed {
        path,
        reload,
        limiters,
        app,
    } = Followed::start("clock.toml", "quotas = [\"1/hour\"]");
    let following = tokio::spawn(reload.follow(limiters));
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    assert_eq!(chat(&app, "192.0.2.1").await.status, 429);

    fs::write(&path, "quotas = [\"2/hour\"]").unwrap();
    // Paused, the clock runs only while everything waits.
    let limit = tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await;
    assert!(limit.is_err());
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    assert_eq!(chat(&app, "192.0.2.1").await.status, 429);
    following.abort();
}
