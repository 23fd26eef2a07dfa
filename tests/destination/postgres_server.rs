//! A PostgreSQL server of the tests' own, from the machine's package, in a folder that goes with it.
//!
//! Must never touch a server that someone else started.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub(crate) struct PostgresServer {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl PostgresServer {
    /// None where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|version| version.path().join("bin"));
        let programs = programs.filter(|programs| programs.join("initdb").exists()).max()?;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut server = Self { folder, programs, port: 0 };
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]);
        // Somebody else may take the port before the server does.
        let begins = (0..3).any(|_| {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            server.begins()
        });
        assert!(begins, "PostgreSQL does not start");
        Some(server)
    }

    /// Pulls the plug.
    pub(crate) fn stop(&self) {
        assert!(self.ends(), "PostgreSQL does not stop");
    }

    fn ends(&self) -> bool {
        self.succeeds("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"])
    }

    /// Starts it, for the first time or after a stop.
    pub(crate) fn go_on(&self) {
        assert!(self.begins(), "PostgreSQL does not go on");
    }

    fn begins(&self) -> bool {
        let port = self.port;
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off");
        let log = self.folder.path().join("log").display().to_string();
        self.succeeds("pg_ctl", &["-D", &self.data(), "-o", &options, "-l", &log, "-w", "start"])
    }

    /// Of a database that need not exist yet.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        assert!(self.succeeds(program, arguments), "{program} failed");
    }

    /// PostgreSQL refuses to run as root, so then it runs as the user that its package made.
    fn succeeds(&self, program: &str, arguments: &[&str]) -> bool {
        let program = self.programs.join(program);
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let mut command = if is_root { start("runuser") } else { start(&program) };
        if is_root {
            command.args(["-u", "postgres", "--"]).arg(&program);
        }
        let command = command.args(arguments).current_dir(self.folder.path());
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own server")]
pub(crate) fn start(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // A test that failed has said so already.
        self.ends();
    }
}
