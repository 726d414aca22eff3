//! What requests without a key may cost. In a process of its own, because its memory is measured.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "http/app.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod app;

use app::TestApp;
use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::Method;

/// As many as fit into the longest body, nearly.
const NUMBERS: usize = 4_900_000;
const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_without_a_key_cost_their_text_and_little_more() {
    let broken = format!("[{}", "0,".repeat(NUMBERS));
    let whole = Bytes::from(format!("{broken}0]"));
    let broken = Bytes::from(broken);
    let server = TestApp::new().start().await;
    let before = peak();
    for (body, status, count) in [(whole, 401, 8), (broken, 422, 3)] {
        let ask = || {
            let post = server.anonymous(Method::POST, "/api/v2/sessions").bearer_auth("hk-wrong").body(body.clone());
            server.send(post.header("content-type", "application/json"))
        };
        let answers = join_all((0..count).map(|_| ask())).await;
        // A build without optimization is so slow at it that the store may seem away.
        assert!(answers.iter().all(|answer| answer.status == status || answer.status == 503), "{answers:?}");
        let grown = (peak() - before) / MIB;
        println!("{count} bodies of {} MiB at once, answered {status}: {grown} MiB", body.len() / MIB);
        assert!(grown < 450, "{grown} MiB");
    }
}

/// The most memory this process ever had.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
