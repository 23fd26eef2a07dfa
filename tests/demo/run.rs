//! Serves the API, has the host read it, and shows what arrived.

use std::{
    io::{Write as _, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use duckdb::{AccessMode, Config, Connection};
use tokio::{net::TcpListener, process::Command};

use crate::{Size, api};

/// The schema in the database, and the pipeline's name.
const DATASET: &str = "project_management";

/// The first rows of this are shown.
const QUERY: &str = "SELECT t.id, t.title, t.status, t.priority, t.due_date, t.estimate__hours AS hours,
        string_agg(a.name, ', ' ORDER BY a._dlt_list_idx) AS assignees
    FROM project_management.tasks t
    LEFT JOIN project_management.tasks__assignees a ON a._dlt_parent_id = t._dlt_id
    GROUP BY ALL ORDER BY t.id LIMIT 8";

pub(crate) struct Paths {
    host: PathBuf,
    connector: PathBuf,
    config: PathBuf,
    database: PathBuf,
}

impl Paths {
    /// Looks for what is not given where cargo leaves it: this program lies beside the host.
    pub(crate) fn new(
        host: Option<PathBuf>,
        connector: Option<PathBuf>,
        config: PathBuf,
        database: PathBuf,
    ) -> Result<Self> {
        let program = std::env::current_exe()?;
        let release = program.parent().context("this program lies in no folder")?;
        let host = host.unwrap_or_else(|| release.join("host"));
        let connector = connector.unwrap_or_else(|| release.join("../wasm32-wasip2/release/connector.wasm"));
        for path in [&host, &connector, &config] {
            ensure!(path.exists(), "{} is missing: run `make build` in the project's folder", path.display());
        }
        Ok(Self { host, connector, config, database })
    }
}

pub(crate) async fn run(size: Size, paths: &Paths) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, api::router(size)).into_future());
    let status = Command::new(&paths.host)
        .arg("run")
        .arg(&paths.connector)
        .arg("--config")
        .arg(&paths.config)
        .args(["--secret", "api_key=env:PM_API_KEY", "--pipeline", DATASET, "--dataset", DATASET, "--to"])
        .arg(format!("duckdb:{}", paths.database.display()))
        .env("PM_API_KEY", api::KEY)
        .env("PM_BASE_URL", &base_url)
        .status()
        .await
        .with_context(|| format!("{} does not start", paths.host.display()))?;
    server.abort();
    ensure!(status.success(), "the host failed: {status}");
    say(&format!("\nThe first tasks in {}:\n{}", paths.database.display(), first_rows(&paths.database)?))
}

fn first_rows(database: &Path) -> Result<Table> {
    let config = Config::default().access_mode(AccessMode::ReadOnly)?;
    let connection = Connection::open_with_flags(database, config)?;
    // Everything as text: what is shown is DuckDB's own way to print it.
    let mut statement = connection.prepare(&format!("SELECT COLUMNS(*)::VARCHAR FROM ({QUERY})"))?;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let columns = row.as_ref().column_names();
        let cells = (0..columns.len()).map(|index| row.get::<_, Option<String>>(index));
        let cells = cells.collect::<duckdb::Result<Vec<_>>>()?;
        table.set_header(columns);
        table.add_row(cells.into_iter().map(Option::unwrap_or_default));
    }
    Ok(table)
}

pub(crate) fn say(line: &str) -> Result<()> {
    writeln!(stdout().lock(), "{line}")?;
    Ok(())
}
