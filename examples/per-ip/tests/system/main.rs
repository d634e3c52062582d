//! The built program as a process: real requests, a real file, real signals.

mod client;
mod process;
mod restart;

use client::{Client, chat, get};
use process::{Program, eventually};

#[test]
fn the_sixth_post_in_a_minute_is_refused() {
    let program = Program::start(&[]);
    assert!(
        program
            .greeting
            .contains("/chat allows 5/minute per client")
    );
    let statuses: Vec<u16> = (0..6).map(|_| chat(program.address).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);

    let refused = chat(program.address);
    assert_eq!(
        refused.field("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        refused.field("ratelimit-policy"),
        Some("\"default\";q=5;w=60")
    );
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=12).contains(&wait), "{refused:?}");

    // One connection for several requests is one client as well.
    let mut kept = Client::connect(program.address);
    for _ in 0..2 {
        kept.send("POST /chat HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(kept.receive().status, 429);
    }
    let health = get(program.address, "/health");
    assert_eq!((health.status, &*health.body), (200, "ok\n"));
    let status = get(program.address, "/status").json()["layers"].take();
    assert_eq!(status["chat"]["admitted"], 5);
    assert_eq!(status["chat"]["refused"], 4);
    assert_eq!(status["chat"]["keys"]["live"], 1);
}

#[test]
fn grpc_has_an_address_of_its_own_and_shares_the_limit() {
    let options = ["--grpc-listen", "127.0.0.1:0", "--quota", "2/hour rolling"];
    let mut program = Program::start(&options);
    let (_, address) = program.greeting.split_once("per_ip.Chat/Say on ").unwrap();
    let (address, _) = address.split_once(' ').unwrap();
    assert_eq!(grpc_status(address), "0");
    assert_eq!(chat(program.address).status, 200);
    assert_eq!(grpc_status(address), "8");
    assert_eq!(chat(program.address).status, 429);

    program.signal("TERM");
    assert_eq!(program.ends(), Some(0));
}

/// What `per_ip.Chat/Say` answers to one message.
#[tokio::main(flavor = "current_thread")]
async fn grpc_status(address: &str) -> String {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.expect("an address").connect().await;
    let channel = channel.expect("the server listens");
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("the server lives");
    let request = tonic::Request::new("hello".to_owned());
    let path = axum::http::uri::PathAndQuery::from_static("/per_ip.Chat/Say");
    let codec = tonic_prost::ProstCodec::<String, String>::default();
    let answer = client.unary(request, path, codec).await;
    let code = answer.map_or_else(|status| status.code(), |_| tonic::Code::Ok);
    (code as i32).to_string()
}

#[test]
fn options_set_quotas_and_trusted_proxies() {
    let options = [
        "--quota",
        "2/minute",
        "--quota",
        "100/day rolling",
        "--trust-proxy",
        "127.0.0.0/8",
    ];
    let program = Program::start(&options);
    let from = |hop: &str| {
        let mut client = Client::connect(program.address);
        client.send(&format!(
            "POST /chat HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 192.0.2.9, {hop}\r\nContent-Length: 0\r\n\r\n"
        ));
        client.receive()
    };
    let statuses = ["198.51.100.1"; 3].map(|hop| from(hop).status);
    assert_eq!(statuses, [200, 200, 429]);
    let other = from("198.51.100.2");
    assert_eq!(other.status, 200);
    assert_eq!(
        other.field("ratelimit-policy"),
        Some("\"2/minute\";q=2;w=60, \"100/day rolling\";q=100;w=86400")
    );
}

#[test]
fn an_edited_file_is_in_force_within_seconds() {
    let path = process::file("edited.toml", "quotas = [\"2/hour\"]");
    let program = Program::start(&["--quota", "9/hour", "--config", path.to_str().unwrap()]);
    assert!(
        program.greeting.contains("2/hour"),
        "the file wins: {}",
        program.greeting
    );
    let statuses = [(); 3].map(|()| chat(program.address).status);
    assert_eq!(statuses, [200, 200, 429]);

    let in_force = |quota: &str| {
        eventually(|| {
            get(program.address, "/status").json()["layers"]["chat"]["quotas"][0]["quota"] == quota
        })
    };
    std::fs::write(&path, "quotas = [\"4/hour\"]").unwrap();
    assert!(in_force("4/hour"));
    let statuses = [(); 3].map(|()| chat(program.address).status);
    assert_eq!(statuses, [200, 200, 429], "2 of 4 were spent");

    let beside = process::file("edited.toml.new", "quotas = [\"5/hour\"]");
    std::fs::rename(beside, &path).unwrap();
    assert!(in_force("5/hour"));
    assert_eq!([(); 2].map(|()| chat(program.address).status), [200, 429]);

    std::fs::write(&path, "\nquotas = [\"6/our\"]").unwrap();
    assert!(eventually(|| program.log().contains("line 2: `quotas[0]`")));
    assert!(in_force("5/hour"));

    std::fs::remove_file(&path).unwrap();
    assert!(eventually(|| program
        .log()
        .matches("the limits stay")
        .count()
        == 2));
    process::file("edited.toml", "quotas = [\"6/hour\"]");
    assert!(in_force("6/hour"));
    assert_eq!([(); 2].map(|()| chat(program.address).status), [200, 429]);
}

#[test]
fn what_it_cannot_start_with_is_an_error_that_names_it() {
    let bad = process::file(
        "bad.toml",
        "[search]\ndefault = [\"1/minute\", \"1/minite\"]",
    );
    let (status, log) = process::fails(&["--config", bad.to_str().unwrap()]);
    assert_eq!(status, 2);
    assert!(
        log.contains("bad.toml: line 2: `search.default[1]`: "),
        "{log}"
    );

    for (options, parts) in [
        (["--quota", "5/fortnight"], ["--quota", "fortnight"]),
        (
            ["--trust-proxy", "10.0.0.0/40"],
            ["--trust-proxy", "10.0.0.0/40"],
        ),
        (
            ["--config", "/no such file"],
            ["/no such file", "No such file"],
        ),
        (["--listen", "localhost"], ["--listen", "localhost"]),
    ] {
        let (status, log) = process::fails(&options);
        assert_eq!(status, 2, "{options:?}: {log}");
        assert!(
            parts.iter().all(|part| log.contains(part)),
            "{options:?}: {log}"
        );
    }

    let first = Program::start(&[]);
    let taken = first.address.to_string();
    let (status, log) = process::fails(&["--listen", &taken]);
    assert_eq!(status, 2);
    assert!(log.contains(&format!("--listen {taken}: ")), "{log}");
}

/// A request whose handler waits for the rest of its body.
fn in_flight(program: &Program) -> Client {
    let mut client = Client::connect(program.address);
    client.send(
        "POST /chat HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n",
    );
    // The server says so when the handler asks for the body.
    assert_eq!(client.receive().status, 100);
    client.send("hello ");
    client
}

#[test]
fn a_request_in_flight_is_finished() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start(&[]);
        let mut idle = Client::connect(program.address);
        idle.send("GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(idle.receive().status, 200);
        let mut client = in_flight(&program);
        program.signal(signal);
        assert!(
            eventually(|| Client::try_connect(program.address).is_err()),
            "still accepting"
        );
        client.send("world");
        let answer = client.receive();
        assert_eq!((answer.status, &*answer.body), (200, "heard 11 bytes\n"));
        assert_eq!(program.ends(), Some(0), "SIG{signal}: {}", program.log());
        assert!(
            !program.log().contains("leaving them"),
            "nobody was cut off: {}",
            program.log()
        );
    }
}

#[test]
fn whoever_holds_a_request_open_does_not_keep_it_from_stopping() {
    let mut programs = ["TERM", "INT"].map(|signal| {
        let program = Program::start(&[]);
        let mut head = Client::connect(program.address);
        head.send("POST /chat HTTP/1.1\r\nHos");
        let body = in_flight(&program);
        program.signal(signal);
        (program, head, body)
    });
    for (program, head, body) in &mut programs {
        assert_eq!(program.ends(), Some(0), "{}", program.log());
        assert!(head.is_closed());
        assert!(body.is_closed());
    }
}

#[test]
fn a_closed_output_does_not_end_it() {
    let mut program = Program::start_unheard();
    assert!(eventually(|| Client::try_connect(program.address).is_ok()));
    assert_eq!(chat(program.address).status, 200);
    program.signal("TERM");
    assert_eq!(program.ends(), Some(0));
}
