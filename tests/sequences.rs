//! Random sequences of runs against random APIs: plain ones, with `--select`, with `--full-refresh`, killed, interrupted, with an API
//! that fails half-way and changes in between. After two plain runs at the end the tables hold what the API holds, each record once.
//!
//! `SEQUENCES` sets how many, from a random seed on; `SEQUENCES_SEED` repeats those from that seed on, and one that failed with
//! `SEQUENCES=1`. `SEQUENCES_KIND=plain,still` leaves out `--select` and `--full-refresh`, and changes of the API that meet an
//! unfinished run.

mod api;
mod server;
mod story;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::story::Story;
use crate::destination::postgres_server::PostgresServer;

/// Those that `make test` tries, always the same.
const SEQUENCES: u64 = 200;

/// A run waits for the API, for the disk, and for the database most of the time.
const AT_ONCE: usize = 4;

#[test]
fn any_sequence_of_runs_ends_with_the_rows_of_the_api() {
    let count = number("SEQUENCES");
    let first =
        number("SEQUENCES_SEED").unwrap_or_else(|| count.map_or(0, |_| u64::from(std::process::id()) * 1_000_000));
    let count = count.unwrap_or(SEQUENCES);
    println!("{count} sequences from SEQUENCES_SEED={first} on");
    let postgres = PostgresServer::start();
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let story = stories().new_tree(&mut runner(seed)).unwrap().current();
                    if let Err(script) = story.happen(postgres.as_ref()) {
                        failed.lock().unwrap().push((seed, script));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let Some((seed, script)) = failed.first() else { return };
    let script = simplified(*seed, postgres.as_ref()).unwrap_or_else(|| script.clone());
    let seeds: Vec<String> = failed.iter().map(|(seed, _)| seed.to_string()).collect();
    panic!(
        "{} of {count} sequences end wrong, with these seeds: {}\nSEQUENCES_SEED={seed} SEQUENCES=1 repeats:\n{script}\n",
        failed.len(),
        seeds.join(" ")
    );
}

fn stories() -> impl Strategy<Value = Story> {
    let kind = std::env::var("SEQUENCES_KIND").unwrap_or_default();
    Story::random(kind.contains("plain"), kind.contains("still"))
}

/// The simplest story that fails as the one of this seed did. None: it does not fail every time.
fn simplified(seed: u64, postgres: Option<&PostgresServer>) -> Option<String> {
    let mut runner = runner(seed);
    let tree = stories().new_tree(&mut runner).unwrap();
    let last = Mutex::new(None);
    let outcome = runner.run_one(tree, |story| {
        story.happen(postgres).map_err(|script| {
            *last.lock().unwrap() = Some(script.clone());
            TestCaseError::fail(script)
        })
    });
    match outcome {
        Err(TestError::Fail(..)) => last.into_inner().unwrap(),
        _ => None,
    }
}

fn runner(seed: u64) -> TestRunner {
    let config = Config { failure_persistence: None, max_shrink_time: 120_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
