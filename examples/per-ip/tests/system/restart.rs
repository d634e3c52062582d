//! What is left after the program was stopped and started again.

use crate::client::{Answer, Client, chat};
use crate::process::{self, Program};

fn ask(program: &Program, line: &str, fields: &str) -> Answer {
    let mut client = Client::connect(program.address);
    client.send(&format!("{line} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    client.receive()
}

#[test]
fn counts_of_days_survive_a_restart_and_so_do_those_of_tiers() {
    let config = process::file(
        "kept.toml",
        "quotas = [\"2/day\"]\n[search.tiers.pro]\nquotas = [\"3/day\"]\nkeys = [\"alice\"]",
    );
    let state = config.with_file_name("kept");
    for route in ["kept.chat", "kept.search"] {
        let _ = std::fs::remove_file(config.with_file_name(route));
    }
    let options = [
        "--config",
        config.to_str().unwrap(),
        "--state",
        state.to_str().unwrap(),
    ];
    let search = |program: &Program| ask(program, "GET /search", "X-Api-Key: alice\r\n");

    let mut program = Program::start(&options);
    assert_eq!(chat(program.address).status, 200);
    assert_eq!([(); 2].map(|()| search(&program).status), [200; 2]);
    program.signal("TERM");
    assert_eq!(program.ends(), Some(0), "{}", program.log());

    let program = Program::start(&options);
    assert_eq!([(); 2].map(|()| chat(program.address).status), [200, 429]);
    assert_eq!([(); 2].map(|()| search(&program).status), [200, 429]);
}

#[test]
fn whoever_goes_on_is_banned_until_somebody_with_the_token_lets_him_in() {
    let config = process::file(
        "bans.toml",
        "quotas = [\"1/hour\"]\n[ban]\nafter = 2\nlength = \"1h\"",
    );
    let token = process::file("token", "open sesame\n");
    let program = Program::start(&[
        "--config",
        config.to_str().unwrap(),
        "--admin-token",
        token.to_str().unwrap(),
    ]);
    assert_eq!(
        [(); 3].map(|()| chat(program.address).status),
        [200, 429, 429]
    );
    assert_eq!(ask(&program, "GET /bans", "").status, 401);
    let token = "Authorization: Bearer open sesame\r\n";
    let bans = ask(&program, "GET /bans", token).json();
    let hash = bans[0]["hash"].as_str().unwrap();
    assert_eq!(
        ask(&program, &format!("DELETE /bans/{hash}"), token).status,
        204
    );
    assert_eq!(
        ask(&program, "GET /bans", token).json(),
        serde_json::json!([])
    );
}

#[test]
fn what_cannot_be_kept_or_guarded_is_an_error_at_the_start() {
    let empty = process::file("empty", " \n");
    let foreign = process::file("foreign.chat", "no snapshot of any kind");
    let foreign = foreign.with_extension("");
    for (option, value, part) in [
        ("--state", "/no such directory/state", "/no such directory"),
        ("--state", foreign.to_str().unwrap(), "foreign.chat"),
        (
            "--admin-token",
            empty.to_str().unwrap(),
            "the file is empty",
        ),
        ("--admin-token", "/no such file", "/no such file"),
    ] {
        let (status, log) = process::fails(&["--listen", "127.0.0.1:0", option, value]);
        assert_eq!(status, 2, "{log}");
        assert!(log.contains(option) && log.contains(part), "{log}");
    }
}
