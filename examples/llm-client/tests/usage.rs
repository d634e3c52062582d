//! Usage is found wherever the pieces of an answer end.

use buttress::{Amounts, Dimension};
use http::Response;
use llm_client::usage::reader;

const STREAM: &str = concat!(
    r#"data: {"choices":[{"index":0,"delta":{"content":"its \"usage\": {\"prompt_tokens\":1"}}],"usage":null}"#,
    "\n\n",
    r#"data: {"choices":[],"usage":{"prompt_tokens":107,"completion_tokens":64,"total_tokens":171,"#,
    r#""prompt_tokens_details":{"cached_tokens":0}}}"#,
    "\n\ndata: [DONE]\n\n",
);

const DOCUMENT: &str = r#"{
  "id": "chatcmpl-1",
  "choices": [{"message": {"role": "assistant", "content": "hello"}}],
  "usage": {
    "prompt_tokens": 107,
    "completion_tokens": 64
  },
  "system_fingerprint": "fp"
}"#;

fn read(pieces: &[&[u8]]) -> Option<Amounts> {
    let mut read = reader(&Response::new(()).into_parts().0);
    let found = pieces.iter().filter_map(|piece| read(piece));
    found.last()
}

#[test]
fn it_is_found_in_one_piece_and_in_two_wherever_they_meet() {
    let expected = Amounts::tokens(107, 64);
    for answer in [STREAM.as_bytes(), DOCUMENT.as_bytes()] {
        assert_eq!(read(&[answer]), Some(expected));
        for cut in 0..answer.len() {
            let (first, second) = answer.split_at(cut);
            assert_eq!(read(&[first, second]), Some(expected), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        assert_eq!(read(&bytes), Some(expected), "byte by byte");
    }
}

#[test]
fn what_says_nothing_tells_nothing() {
    for answer in [
        r#"{"usage":null}"#,
        r#"{"usage":"much"}"#,
        r#"{"usage":{"prompt_tokens":1}}"#,
        r#"{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"}"#,
        "",
    ] {
        assert_eq!(read(&[answer.as_bytes()]), None, "{answer}");
    }
}

#[test]
fn the_last_one_counts() {
    let answer = br#""usage":{"prompt_tokens":1,"completion_tokens":1} "usage":{"prompt_tokens":1,"completion_tokens":2}"#;
    let used = read(&[answer]).expect("a usage");
    assert_eq!(used.get(Dimension::TOTAL), 3);
}

#[test]
fn a_usage_without_end_is_not_kept_for_ever() {
    let mut read = reader(&Response::new(()).into_parts().0);
    assert_eq!(read(br#""usage":{"#), None);
    for _ in 0..100 {
        assert_eq!(read(&[b' '; 1_000]), None);
    }
    assert_eq!(
        read(br#""usage":{"prompt_tokens":1,"completion_tokens":1}"#),
        Some(Amounts::tokens(1, 1))
    );
}
