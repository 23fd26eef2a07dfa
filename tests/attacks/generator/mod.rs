//! Whole runs that nobody thought of: a random connector, against a random API, under a random configuration (`script`).
//!
//! After each of them must hold what holds after any attack, the innocent stream's rows are exactly right, and no request went
//! where none may go. `HOSTILE_RUNS` sets how many there are, `HOSTILE_SEED` where they begin: with one run, it repeats a
//! failure; `HOSTILE_SHOW` prints everything.

mod random;
mod script;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use self::random::Random;
use self::script::Plan;
use super::arena::{OTHER, TOKEN, guests, no_harm, spellings};
use super::hostile_api::HostileApi;
use crate::crash::number;
use crate::support::host_command::{Output, Project};
use crate::support::warehouse;

/// Several at once, as two cores wait for sockets and limits most of the time.
const THREADS: u64 = 4;
/// A run with these limits that takes longer does not end by itself.
const ENDLESS: Duration = Duration::from_secs(120);
/// What a run may hold: two instances, what they give, DuckDB.
const MEMORY: u64 = 1 << 30;

#[test]
fn no_run_of_anybody_does_harm() {
    let (first, runs) = (number("HOSTILE_SEED").unwrap_or(0), number("HOSTILE_RUNS").unwrap_or(200));
    let (next, loaded, largest) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let slowest = Mutex::new((Duration::ZERO, 0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(runs) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= runs {
                        return;
                    }
                    let seen = survive(first + index);
                    loaded.fetch_add(u64::from(seen.loaded), Ordering::Relaxed);
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = slowest.max((seen.slowest, first + index));
                    largest.fetch_max(seen.largest, Ordering::Relaxed);
                }
            });
        }
    });
    let (loaded, (slowest, slow), largest) = (loaded.into_inner(), slowest.into_inner().unwrap(), largest.into_inner());
    println!("{runs} runs, {loaded} loaded; slowest {slowest:.1?} (seed {slow}), largest {} MB", largest >> 20);
    // Runs that are refused at their beginning prove little.
    assert!(runs < 50 || loaded > runs / 6, "only {loaded} of {runs} runs loaded anything");
}

struct Seen {
    loaded: bool,
    slowest: Duration,
    largest: u64,
}

#[expect(clippy::print_stdout, reason = "who repeats a failure wants to see it")]
fn survive(seed: u64) -> Seen {
    let name = format!("HOSTILE_SEED={seed} HOSTILE_RUNS=1");
    let plan = script::plan(&mut Random::new(seed));
    let (api, elsewhere) = (HostileApi::start(), HostileApi::start());
    let filled = |text: &str| {
        let text = text.replace("$AUTHORITY", &api.authority()).replace("$ELSEWHERE", &elsewhere.authority());
        let text = text.replace("$OTHER_AUTHORITY", api.second().trim_start_matches("http://"));
        text.replace("$SECOND", &api.second()).replace("$BASE", &api.base_url())
    };
    let project = Project::with_base_url(api.base_url())
        .config(&filled(&plan.config.to_string()))
        .bytes("evil.wasm", &std::fs::read(guests()).unwrap());
    let to =
        if plan.format == "duckdb" { "duckdb:warehouse.duckdb".to_owned() } else { format!("{}:out", plan.format) };
    let mut seen = Seen { loaded: false, slowest: Duration::ZERO, largest: 0 };
    let mut good = 0;
    for _ in 0..plan.runs {
        let begun = Instant::now();
        let output = project
            .host([
                "run",
                "evil.wasm",
                "--config",
                "pipeline.yaml",
                "--to",
                &to,
                "--dataset",
                "d",
                "--pipeline",
                "test",
            ])
            .arguments(
                plan.arguments.iter().map(|argument| filled(argument)).collect::<Vec<_>>().iter().map(String::as_str),
            )
            .secret("token", TOKEN)
            .environment("OTHER", OTHER)
            .environment("AIRLOCK_SECRET_OTHER", OTHER)
            .output();
        let took = begun.elapsed();
        if std::env::var_os("HOSTILE_SHOW").is_some() {
            println!("{name}: {}\n{output}", filled(&plan.config.to_string()));
        }
        no_harm(&name, &output, &project.path(""));
        is_named(&name, &output);
        assert!(took < ENDLESS, "{name}: took {took:?}");
        assert!(output.peak_bytes < MEMORY, "{name}: {} MB: {output}", output.peak_bytes >> 20);
        (seen.slowest, seen.largest) = (seen.slowest.max(took), seen.largest.max(output.peak_bytes));
        let has_loaded = matches!(output.code, Some(0 | 3));
        seen.loaded |= has_loaded && plan.wants_good;
        let is_anew = plan.arguments.iter().any(|argument| argument == "--full-refresh");
        if has_loaded && plan.wants_good {
            good = if is_anew { 3 } else { good + 3 };
        }
        innocent_rows(&name, &plan, &project, good, &output);
    }
    assert!(elsewhere.requests().is_empty(), "{name}: went elsewhere: {:?}", elsewhere.requests());
    let second = format!("to :{}\n", api.second().rsplit(':').next().unwrap());
    for request in api.requests() {
        let strangers = [Some(OTHER), (plan.is_bound && request.starts_with(&second)).then_some(TOKEN)];
        for spelling in strangers.iter().flatten().flat_map(|secret| spellings(secret)) {
            assert!(!request.contains(&spelling), "{name}: a secret went where it does not belong: {request}");
        }
    }
    seen
}

/// Whoever fails says what failed.
fn is_named(name: &str, output: &Output) {
    let failed = matches!(output.code, Some(1..=3));
    assert!(!failed || output.stderr.contains("error["), "{name}: fails without a word: {output}");
}

/// Each run that got as far as loading loaded the innocent stream, whole and once.
fn innocent_rows(name: &str, plan: &Plan, project: &Project, expected: usize, output: &Output) {
    let found = match plan.format {
        "duckdb" => warehouse::tables(&project.warehouse(), "d").get("good").map_or(0, |table| table.rows.len()),
        "jsonl" => lines(&project.path("out/d/good")),
        _ => return,
    };
    assert_eq!(found, expected, "{name}: rows of the innocent stream: {output}");
}

fn lines(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let files = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    files.map(|text| text.lines().count()).sum()
}
