//! The program as a process.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_llm-client"));
    program.env_remove("OPENAI_API_KEY");
    program
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// The numbers of a line.
fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// What the tables of a run end with: tokens used, and upstream 429s.
fn ends(lines: &[String]) -> Vec<[u64; 2]> {
    let ends = lines.iter().filter(|line| line.contains("tokens used"));
    ends.map(|line| numbers(line)[..2].try_into().expect("two numbers"))
        .collect()
}

/// Sent, done, refused and failed, of all priorities together, of each table.
fn sums(lines: &[String]) -> Vec<[u64; 4]> {
    let row = |line: &&String| {
        let priority = line.split_whitespace().next();
        priority.is_some_and(|word| ["critical", "high", "medium", "low"].contains(&word))
    };
    let rows: Vec<_> = lines.iter().filter(row).collect();
    let sum = |rows: &[&String]| {
        let mut sums = [0; 4];
        for row in rows {
            let row = numbers(row);
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, number)| *sum += number);
        }
        sums
    };
    rows.chunks(4).map(sum).collect()
}

fn assert_spares_the_provider(options: &[&str]) {
    let output = program().args(options).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let lines = lines(&output);
    let [[layered, 0], [bare, throttled]] = ends(&lines)[..] else {
        panic!("{lines:#?}");
    };
    assert_eq!(sums(&lines)[0], [90, 90, 0, 0], "everybody is served");
    let [90, done, 0, failed] = sums(&lines)[1] else {
        panic!("{lines:#?}");
    };
    assert!(throttled > 0 && failed == throttled && done + failed == 90);
    assert!(bare < layered);
    let mut provider = lines.iter().filter(|line| line.contains("the provider:"));
    let account = provider.next().expect("its account");
    assert_eq!(numbers(account)[..2], [90, 0], "{account}");
    assert!(numbers(account)[2] <= 60, "{account}");
    let mut reserved = lines.iter().filter(|line| line.contains("tokens reserved"));
    let reserved = numbers(reserved.next().expect("what was reserved"))[0];
    assert!(reserved > layered, "{reserved}");
}

#[test]
fn with_the_layers_the_provider_refuses_nobody_and_without_them_it_does() {
    assert_spares_the_provider(&["--requests", "90"]);
}

#[test]
fn streamed_answers_and_learned_estimates_do_as_well() {
    assert_spares_the_provider(&["--requests", "90", "--stream", "--learn", "0.9"]);
}

/// What is wrong with a file of these lines.
fn complaint(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a file");
    let output = program().arg("--config").arg(&path).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_bad_file_is_explained() {
    const QUEUE: &str = "[priority_queue]\nconcurrency = 20\nrate_aware = true\n";
    for (name, text, said) in [
        (
            "quota.toml",
            "[rate_limit]\nquotas = [\"fast\"]\n",
            ["quotas = [\"fast\"]", "5/minute"],
        ),
        (
            "unknown.toml",
            "[rate_limit]\nquota = 5\n",
            ["`quota`", "`quotas`"],
        ),
        (
            "wait.toml",
            "[token_budget]\nlimits = [\"5/minute\"]\nwait = \"3s\"\n",
            ["`token_budget.wait` is 3s", "max_wait"],
        ),
        (
            "stack.toml",
            "[timeout]\nhead = \"5s\"\n",
            ["`timeout`", "`retry`"],
        ),
    ] {
        let complaint = complaint(name, &format!("{QUEUE}{text}"));
        assert!(
            complaint.starts_with("error: ") && complaint.contains(name),
            "{complaint}"
        );
        for word in said {
            assert!(complaint.contains(word), "no {word} in {complaint}");
        }
    }
    let queue = complaint("queue.toml", "[priority_queue]\nconcurrency = 20\n");
    assert!(
        queue.contains("`priority_queue.rate_aware` is false; write"),
        "{queue}"
    );
    let none = complaint("none.toml", "");
    assert!(none.contains("missing field `priority_queue`"), "{none}");
}

#[test]
fn a_bad_option_is_explained() {
    for (options, said) in [
        (&["--agents", "0"][..], "'--agents <AGENTS>'"),
        (&["--learn", "1.5"], "between 0 and 1"),
        (&["--base-url", "http://127.0.0.1:9/v1"], "--config <FILE>"),
        (
            &[
                "--base-url",
                "http://127.0.0.1:9/v1",
                "--config",
                "client.toml",
            ],
            "OPENAI_API_KEY",
        ),
    ] {
        let output = program().args(options).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(said), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_with_the_table() {
    let mut run = program()
        .args(["--seconds", "600"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = BufReader::new(run.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains(" sent, ") {
        line.clear();
        assert!(output.read_line(&mut line).expect("lines") > 0, "it ended");
    }
    let id = run.id().to_string();
    let interrupt = Command::new("kill").args(["-INT", &id]).status();
    assert!(interrupt.expect("it starts").success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("text");
    assert!(run.wait().expect("it ends").success(), "{rest}");
    assert!(
        rest.contains("wait p99") && rest.contains("tokens reserved"),
        "{rest}"
    );
    assert!(!rest.contains("without any layer"), "{rest}");
}
