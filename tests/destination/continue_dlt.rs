//! A dataset that dlt wrote is continued: behind its last cursor value, without the records that it has loaded.
//!
//! `dlt_dataset.sql` recreates what dlt 1.31.0 left of a run that saw the first three of six records.

use crate::support::{
    host_command::{CONFIG, Project, WAREHOUSE, connector},
    mock_api::MockApi,
    warehouse,
};

#[test]
fn a_run_goes_on_behind_dlts_last_value() {
    let api = MockApi::start();
    let incremental = "{cursor_path: updated_at, initial_value: '2024-01-01T00:00:00Z'}";
    let endpoint = format!(
        "{{path: x/updated_since, data_selector: items, paginator: single_page, \
         params: {{since: '{{incremental.start_value}}'}}, incremental: {incremental}}}"
    );
    let project = Project::new(&api).config(&format!(
        "client: {{base_url: $BASE}}\nresources:\n  - {{name: whole, endpoint: {endpoint}}}\n  - {{name: keyed, \
         primary_key: id, endpoint: {endpoint}}}\n"
    ));
    let connection = duckdb::Connection::open(project.warehouse()).unwrap();
    connection.execute_batch(include_str!("dlt_dataset.sql")).unwrap();
    drop(connection);

    let to = format!("duckdb:{WAREHOUSE}");
    let arguments = ["--config", CONFIG, "--to", &to, "--dataset", "d", "--pipeline", "continued"];
    for asked in ["since=2024-01-03", "since=2024-01-06"] {
        let output = project.host(["run"]).argument(connector()).arguments(arguments).output();
        assert_eq!(output.code, Some(0), "{output}");
        let requests = api.take_requests();
        assert_eq!(requests.len(), 2);
        assert!(requests.iter().all(|request| request.query.starts_with(asked)), "{requests:?}");
        for table in ["whole", "keyed"] {
            let ids = format!("SELECT string_agg(id, ',' ORDER BY id) FROM d.{table}");
            assert_eq!(warehouse::scalar(&project.warehouse(), &ids), "1,2,3,4,5,6", "{table}: {output}");
        }
    }
}
