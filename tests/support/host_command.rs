//! Runs the host as a user does: the real binary, in a folder of its own, without a terminal.
//! Must never reach into the host's library: what these tests see is what a user sees.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::mock_api::MockApi;

/// A run that takes longer than this hangs.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// The file that `Project::config` writes.
pub(crate) const CONFIG: &str = "pipeline.yaml";

/// The DuckDB file that tests load into.
pub(crate) const WAREHOUSE: &str = "warehouse.duckdb";

/// A user's folder: a configuration, and what the host leaves beside it.
pub(crate) struct Project {
    folder: TempDir,
    base_url: String,
}

impl Project {
    /// A folder whose files find the mock API under `$BASE`.
    pub(crate) fn new(api: &MockApi) -> Self {
        Self::with_base_url(api.base_url())
    }

    pub(crate) fn with_base_url(base_url: impl Into<String>) -> Self {
        Self { folder: TempDir::new().unwrap(), base_url: base_url.into() }
    }

    /// Writes the configuration, with `$BASE` replaced, as `pipeline.yaml`.
    pub(crate) fn config(self, text: &str) -> Self {
        self.file(CONFIG, text)
    }

    /// Writes a file, with `$BASE` replaced.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text.replace("$BASE", &self.base_url)).unwrap();
        self
    }

    pub(crate) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.path(name), bytes).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn warehouse(&self) -> PathBuf {
        self.path(WAREHOUSE)
    }

    /// The host with these arguments, to be run in this folder.
    pub(crate) fn host<I>(&self, arguments: I) -> HostCommand<'_>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        HostCommand {
            project: self,
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            file_limit: None,
        }
    }

    /// `host run` of the REST connector with this folder's configuration, into its warehouse.
    pub(crate) fn run(&self) -> HostCommand<'_> {
        self.host(["run"]).argument(connector()).arguments(["--config", CONFIG]).arguments([
            "--to",
            &format!("duckdb:{WAREHOUSE}"),
            "--dataset",
            "d",
            "--pipeline",
            "test",
        ])
    }
}

/// The component that `make build` leaves beside the host.
pub(crate) fn connector() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_host")).ancestors().nth(2).unwrap();
    let connector = target.join("wasm32-wasip2/release/connector.wasm");
    assert!(connector.exists(), "{} is missing: `make build` builds it", connector.display());
    connector
}

/// One call of the host.
pub(crate) struct HostCommand<'a> {
    project: &'a Project,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, String>,
    file_limit: Option<u32>,
}

impl HostCommand<'_> {
    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn arguments<'b>(mut self, arguments: impl IntoIterator<Item = &'b str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(OsString::from));
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Lets no file grow beyond so many blocks, as on a full disk.
    pub(crate) fn with_file_limit(self, blocks: u32) -> Self {
        Self { file_limit: Some(blocks), ..self }
    }

    /// Gives a secret by way of an environment variable.
    pub(crate) fn secret(self, name: &str, value: &str) -> Self {
        let variable = format!("TEST_SECRET_{}", name.to_uppercase());
        let source = format!("{name}=env:{variable}");
        self.arguments(["--secret", &source]).environment(&variable, value)
    }

    /// Runs it to its end.
    pub(crate) fn output(self) -> Output {
        let described = format!("host {:?}", self.arguments);
        let mut child = self.spawn();
        let stdout = read_all(child.stdout.take().unwrap());
        let stderr = read_all(child.stderr.take().unwrap());
        let deadline = Instant::now() + TIME_LIMIT;
        let mut peak_bytes = 0;
        let status = loop {
            peak_bytes = peak_bytes.max(peak(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("{described} does not end; it said:\n{}", stderr.join().unwrap());
            }
            thread::sleep(Duration::from_millis(5));
        };
        Output { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), peak_bytes }
    }

    /// Starts it, for those who want to end it themselves. Nobody has to read what it prints if that is little.
    pub(crate) fn spawn(self) -> Child {
        let host = env!("CARGO_BIN_EXE_host");
        let mut command = match self.file_limit {
            None => Command::new(host),
            Some(blocks) => {
                let mut shell = Command::new("sh");
                // Ignored, the signal becomes the error that a full disk is.
                shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""), host]);
                shell
            }
        };
        for name in ["RUST_LOG", "FORCE_COLOR", "CLICOLOR_FORCE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        {
            command.env_remove(name);
        }
        command
            .current_dir(self.project.folder.path())
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            // What the host keeps between runs (compiled components) is shared by the tests, and not with the user.
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .envs(self.environment)
            .args(self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// What a process has held at most; 0 where the system does not say.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

fn read_all(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What a user would have seen. Displayed as the screen that a snapshot holds.
#[derive(Debug)]
pub(crate) struct Output {
    /// None: ended by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The most memory that it held, as far as that was seen.
    pub(crate) peak_bytes: u64,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit code: {code}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        write!(f, "----- stdout -----\n{}----- stderr -----\n{}", self.stdout, self.stderr)
    }
}

/// What differs from run to run and from machine to machine, as pairs of regular expression and stand-in, for insta.
pub(crate) const SCRUBBERS: [(&str, &str); 9] = [
    (r"(/[\w.-]+)*/wasm32-wasip2/release/", "[TARGET]/"),
    (r"(/private)?(/[\w.-]+)*/\.tmp\w{6}\b", "[FOLDER]"),
    (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:[PORT]"),
    (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
    (r#""seconds":[\d.e-]+"#, "\"seconds\":[SECONDS]"),
    (r"\b\d{10}\.\d{3,7}\b", "[LOAD-ID]"),
    (r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}(:\d{2})?)?", "[TIME]"),
    (r"\b\d+(\.\d+)? ?(ns|µs|ms|s|m)\b", "[DURATION]"),
    (r"\b\d+(\.\d+)? ?[KMG]?i?B(/s)?\b", "[SIZE]"),
];
