//! Tiers of API keys.

use crate::support::{Answer, direct, limiters, send};
use axum::Router;
use axum::http::Request;
use buttress::Quota;
use per_ip::Config;

const TIERS: &str = "[search]\ndefault = [\"2/minute\"]\n\
    [search.tiers.pro]\nquotas = [\"4/minute\"]\nkeys = [\"alice\", \"bob\"]\n\
    [search.tiers.team]\nquotas = [\"6/hour\"]\nkeys = [\"carol\"]\n\
    [search.keys]\nbob = [\"1/hour\"]\n";

async fn search(app: &Router, key: &str) -> Answer {
    let request = Request::get("/search?q=tower").header("x-api-key", key);
    send(app, request, "").await
}

async fn admitted(app: &Router, key: &str) -> (String, usize) {
    let first = search(app, key).await;
    let policy = first.field("ratelimit-policy").to_owned();
    let mut count = usize::from(first.status == 200);
    while search(app, key).await.status == 200 {
        count += 1;
    }
    (policy, count)
}

#[tokio::test(start_paused = true)]
async fn a_key_has_the_quotas_of_its_tier_and_single_ones_their_own() {
    let app = direct(&limiters(TIERS));
    for (key, policy, count) in [
        ("alice", "\"pro\";q=4;w=60", 4),
        ("bob", "\"default\";q=1;w=3600", 1),
        ("carol", "\"team\";q=6;w=3600", 6),
        ("dave", "\"default\";q=2;w=60", 2),
    ] {
        assert_eq!(
            admitted(&app, key).await,
            (policy.to_owned(), count),
            "{key}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_changes_tiers_and_who_is_in_them() {
    let limiters = limiters(TIERS);
    let app = direct(&limiters);
    for _ in 0..3 {
        assert_eq!(search(&app, "alice").await.status, 200);
    }
    let base = Config::new(vec![Quota::per_minute(5)]);
    let edited = TIERS
        .replace("4/minute", "5/minute")
        .replace("\"carol\"", "\"dave\"");
    limiters.apply(&base.read(&edited).unwrap()).unwrap();
    assert_eq!(admitted(&app, "alice").await.1, 2, "3 of 5 are spent");
    assert_eq!(admitted(&app, "carol").await.1, 2, "in no tier any more");
    assert_eq!(admitted(&app, "dave").await.1, 6);
}
