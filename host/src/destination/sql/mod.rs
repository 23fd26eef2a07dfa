//! What all SQL destinations do alike: a load package in one transaction, and what is left for the next run.
//!
//! A database adds its [`Dialect`], a way to run SQL, and a bulk interface. Must never write rows but in bulk, nor
//! outside the package's transaction.

pub(crate) mod dialect;
mod merge;
mod system;
mod tables;

use std::collections::HashSet;

use arrow::record_batch::RecordBatch;

use self::dialect::{Area, Dialect, TableName};
use self::merge::Family;
use self::tables::Catalog;
use super::families::Families;
use super::{Capabilities, Destination, Stored, about_table, unknown_pipeline};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::package::{LoadPackage, LoadReceipt, TableBatch};
use crate::schema::{MergeStrategy, TableSchema, WriteDisposition};
use crate::state::State;

/// The column of a root table that says which package a row came with.
pub(crate) const LOAD_ID: &str = "_dlt_load_id";

/// A connection to a database.
pub(crate) trait Database: Send {
    fn dialect(&self) -> &'static dyn Dialect;

    /// Runs one statement; how many rows it changed.
    fn execute(&mut self, sql: &str) -> Result<u64>;

    /// The rows of a query whose columns are all text.
    fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>>;

    /// Appends rows to a table, in their order, within the transaction. Columns are matched by name; those that the batch
    /// lacks become null.
    fn append(&mut self, table: &TableName, batch: &RecordBatch) -> Result<()>;

    /// Whether there is anything yet: a file is made by the first package, not before.
    fn is_there(&self) -> bool {
        true
    }

    /// Called before each use: connects again if the connection broke, and says whether it did.
    fn reconnect(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// As the destination's.
    fn limit_memory(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// Called after a transaction that failed and was rolled back: takes more memory, if that was what it lacked and there is
    /// more to take. Then the transaction is tried again.
    fn takes_more_memory(&mut self, _error: &Error) -> bool {
        false
    }

    /// Called before a connection's first transaction: makes sure that no other run of the pipeline writes, if the database does not
    /// see to that by itself.
    fn claim(&mut self, _dataset: &str, _pipeline: &str) -> Result<()> {
        Ok(())
    }
}

/// A dataset in a database.
pub(crate) struct SqlDestination<D> {
    database: D,
    dataset: String,
    claimed: bool,
}

/// Where the rows of a table go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    /// Nowhere.
    Skip,
    /// To the dataset's table.
    Direct,
    /// To the staging table, to take effect at the end of the package or of the stream.
    Staged,
}

impl<D: Database> SqlDestination<D> {
    pub(crate) fn new(database: D, dataset: &str) -> Self {
        Self { database, dataset: dataset.to_owned(), claimed: false }
    }

    /// All of it or nothing.
    fn in_transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.database.execute(self.database.dialect().begin())?;
        let done = work(self).and_then(|done| {
            failpoint::hit("destination.before_commit");
            self.database.execute("COMMIT")?;
            failpoint::hit("destination.after_commit");
            Ok(done)
        });
        if done.is_err()
            && let Err(error) = self.database.execute("ROLLBACK")
        {
            // The first error says more, and an open transaction ends with the connection.
            tracing::debug!(%error, "rollback failed");
        }
        done
    }

    fn write(&mut self, package: &LoadPackage) -> Result<LoadReceipt> {
        let mut load = Load {
            database: &mut self.database,
            dataset: &self.dataset,
            package,
            families: Families::of(package),
            catalog: Catalog::default(),
        };
        load.prepare()?;
        if load.is_loaded()? {
            return Ok(LoadReceipt { rows: Vec::new(), already_loaded: true });
        }
        load.take_back()?;
        load.clear_staging()?;
        load.clear_replaced()?;
        let mut rows = Vec::new();
        for table in &package.tables {
            if let Some(count) = load.append(table)? {
                rows.push((table.table.clone(), count));
            }
            failpoint::hit("destination.between_tables");
        }
        load.take_effect()?;
        load.record()?;
        Ok(LoadReceipt { rows, already_loaded: false })
    }
}

impl<D: Database> Destination for SqlDestination<D> {
    fn capabilities(&self) -> Capabilities {
        let dialect = self.database.dialect();
        Capabilities {
            name: dialect.name(),
            merge: true,
            max_identifier_length: dialect.max_identifier_length(),
            reserved_columns: dialect.reserved_columns(),
            reserved_tables: dialect.reserved_tables(),
            max_columns: dialect.max_columns(),
            limits_text: dialect.limits_text(),
            keeps_state: true,
        }
    }

    fn limit_memory(&mut self, bytes: u64) -> Result<()> {
        self.database.limit_memory(bytes)
    }

    fn read(&mut self, pipeline: &str) -> Result<Stored> {
        if !self.database.is_there() {
            return Ok(Stored::default());
        }
        self.claimed &= !self.database.reconnect()?;
        let catalog = Catalog::from_rows(self.database.query(&self.database.dialect().catalog(&self.dataset))?);
        system::read(&mut self.database, &self.dataset, &catalog, pipeline)
    }

    fn load(&mut self, package: &LoadPackage) -> Result<LoadReceipt> {
        self.claimed &= !self.database.reconnect()?;
        if !self.claimed {
            self.database.claim(&self.dataset, &package.pipeline)?;
            self.claimed = true;
        }
        loop {
            match self.in_transaction(|destination| destination.write(package)) {
                Err(error) if self.database.takes_more_memory(&error) => {}
                done => return done.map_err(|error| error.with_context("load", package.load_id.clone())),
            }
        }
    }

    fn write_state(&mut self, pipeline: &str, state: &State) -> Result<()> {
        if !self.database.is_there() {
            return Err(unknown_pipeline(pipeline));
        }
        self.claimed &= !self.database.reconnect()?;
        let catalog = Catalog::from_rows(self.database.query(&self.database.dialect().catalog(&self.dataset))?);
        self.in_transaction(|destination| {
            system::replace_state(&mut destination.database, &destination.dataset, &catalog, pipeline, state)
        })
    }
}

/// One package on its way into the database.
struct Load<'a, D> {
    database: &'a mut D,
    dataset: &'a str,
    package: &'a LoadPackage,
    families: Families<'a>,
    catalog: Catalog,
}

impl<'a, D: Database> Load<'a, D> {
    /// Reads the catalog and makes what is missing of the dataset and its system tables.
    fn prepare(&mut self) -> Result<()> {
        let dialect = self.database.dialect();
        if let Some(statement) = dialect.create_area(self.dataset, Area::Dataset) {
            self.database.execute(&statement)?;
        }
        self.catalog = Catalog::from_rows(self.database.query(&dialect.catalog(self.dataset))?);
        for table in [tables::version(), tables::loads(), tables::pipeline_state()] {
            self.evolve(Area::Dataset, &table)?;
        }
        Ok(())
    }

    fn is_loaded(&mut self) -> Result<bool> {
        let query = system::is_loaded(self.database.dialect(), self.dataset, self.package);
        Ok(!self.database.query(&query)?.is_empty())
    }

    /// Deletes what earlier packages brought of streams that are read again.
    fn take_back(&mut self) -> Result<()> {
        for taken in &self.package.taken_back {
            for area in [Area::Dataset, Area::Staging] {
                let roots: Vec<&TableSchema> =
                    self.families.roots().filter(|table| table.is_filled_by(&taken.stream)).collect();
                for root in roots {
                    let tables: Vec<&TableSchema> = self
                        .families
                        .family(root)
                        .into_iter()
                        .filter(|table| self.catalog.has(area, &table.name))
                        .collect();
                    if !self.catalog.has_column(area, &root.name, LOAD_ID) {
                        continue;
                    }
                    // Before the rows go, as in `clear_replaced`.
                    for table in &tables {
                        self.evolve(area, table)?;
                    }
                    let family = Family::new(self.database.dialect(), self.dataset, tables);
                    for statement in family.take_back(area, &taken.loads) {
                        self.database.execute(&statement).map_err(|error| about_table(error, &root.name))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Staging holds rows from one package to the next only for a stream that has begun; what an unfinished run left of
    /// others goes.
    fn clear_staging(&mut self) -> Result<()> {
        let package = self.package;
        let with_rows: HashSet<&str> = package.tables.iter().map(|rows| rows.table.as_str()).collect();
        for table in package.schema.tables.values() {
            let replacement = self.families.replacement(self.families.root(table));
            let begun = replacement.is_some_and(|replaced| !replaced.begins);
            if (replacement.is_some() || with_rows.contains(table.name.as_str())) && !begun {
                self.drop_staged(table)?;
            }
        }
        Ok(())
    }

    /// Empties the tables of streams that are replaced by this package alone: their rows need no detour by way of staging.
    fn clear_replaced(&mut self) -> Result<()> {
        for table in self.package.schema.tables.values() {
            let root = self.families.root(table);
            if !self.families.is_replaced_at_once(root) || !self.catalog.has(Area::Dataset, &table.name) {
                continue;
            }
            // Before the rows go: afterwards some databases refuse to change the table in the same transaction.
            self.evolve(Area::Dataset, table)?;
            let name = self.database.dialect().locate(self.dataset, Area::Dataset, &table.name);
            let clear = self.database.dialect().clear(&name);
            self.database.execute(&clear).map_err(|error| about_table(error, &table.name))?;
        }
        Ok(())
    }

    /// Writes a table's rows where they belong; none if they belong nowhere.
    fn append(&mut self, rows: &TableBatch) -> Result<Option<u64>> {
        let schema = &self.package.schema;
        let table = schema.tables.get(&rows.table).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("rows of the table `{}`, which the schema lacks", rows.table))
        })?;
        let area =
            match route(&self.families, self.families.root(table)).map_err(|error| about_table(error, &table.name))? {
                Route::Skip => return Ok(None),
                Route::Direct => Area::Dataset,
                Route::Staged => Area::Staging,
            };
        self.evolve(area, table)?;
        let name = self.database.dialect().locate(self.dataset, area, &table.name);
        for batch in &rows.batches {
            self.database.append(&name, batch).map_err(|error| about_table(error, &table.name))?;
        }
        Ok(Some(rows.rows() as u64))
    }

    /// Staged rows of merges, and of streams that end here, go to the dataset's tables.
    fn take_effect(&mut self) -> Result<()> {
        let roots: Vec<&'a TableSchema> = self.families.roots().collect();
        for root in roots {
            if route(&self.families, root).unwrap_or(Route::Skip) != Route::Staged {
                continue;
            }
            let replacement = self.families.replacement(root);
            if replacement.is_some_and(|replacement| !replacement.ends) {
                continue;
            }
            let family: Vec<&TableSchema> = self
                .families
                .family(root)
                .into_iter()
                .filter(|table| [Area::Dataset, Area::Staging].iter().any(|area| self.catalog.has(*area, &table.name)))
                .collect();
            // A merge of no rows changes nothing; a replacement by no rows empties the tables.
            let staged = family.iter().any(|table| self.catalog.has(Area::Staging, &table.name));
            if family.is_empty() || !(staged || replacement.is_some()) {
                continue;
            }
            for table in &family {
                self.evolve(Area::Dataset, table)?;
                self.evolve(Area::Staging, table)?;
            }
            self.merge(root, &family).map_err(|error| about_table(error, &root.name))?;
            for table in &family {
                self.drop_staged(table)?;
            }
            failpoint::hit("destination.between_tables");
        }
        Ok(())
    }

    fn merge(&mut self, root: &TableSchema, tables: &[&TableSchema]) -> Result<()> {
        let family = Family::new(self.database.dialect(), self.dataset, tables.to_vec());
        let apply = match root.write_disposition {
            WriteDisposition::Skip => Vec::new(),
            WriteDisposition::Append => family.insert(),
            WriteDisposition::Replace => family.replace(),
            WriteDisposition::Merge => {
                let merge = family.merge(&root.merge_strategy, system::load_time(&self.package.load_id))?;
                if let Some(statement) = merge.deduplicate
                    && self.database.execute(&statement)? > 0
                {
                    for statement in merge.deduplicate_children {
                        self.database.execute(&statement)?;
                    }
                }
                for (matched, statements) in merge.delete {
                    if !self.database.query(&matched)?.is_empty() {
                        for statement in statements {
                            self.database.execute(&statement)?;
                        }
                    }
                }
                merge.apply
            }
        };
        for statement in apply {
            self.database.execute(&statement)?;
        }
        Ok(())
    }

    /// State, schema and load id: what makes the package's rows count.
    fn record(&mut self) -> Result<()> {
        system::record(self.database, self.dataset, &self.catalog, self.package)
    }

    fn evolve(&mut self, area: Area, table: &TableSchema) -> Result<()> {
        let dialect = self.database.dialect();
        if area == Area::Staging
            && let Some(statement) = dialect.create_area(self.dataset, area)
        {
            self.database.execute(&statement)?;
        }
        for statement in self.catalog.evolve(dialect, self.dataset, area, table) {
            self.database.execute(&statement).map_err(|error| about_table(error, &table.name))?;
        }
        Ok(())
    }

    fn drop_staged(&mut self, table: &TableSchema) -> Result<()> {
        if self.catalog.has(Area::Staging, &table.name) {
            let name = self.database.dialect().locate(self.dataset, Area::Staging, &table.name);
            self.database.execute(&format!("DROP TABLE {}", name.quoted()))?;
            self.catalog.remove(Area::Staging, &table.name);
        }
        Ok(())
    }
}

/// Where the rows of a root table and those below it go.
fn route(families: &Families<'_>, root: &TableSchema) -> Result<Route> {
    let collected = families.replacement(root).is_some();
    let scd2 = matches!(root.merge_strategy, MergeStrategy::Scd2(_));
    if families.is_replaced_at_once(root) {
        return Ok(Route::Direct);
    }
    match root.write_disposition {
        WriteDisposition::Skip => Ok(Route::Skip),
        WriteDisposition::Append | WriteDisposition::Merge | WriteDisposition::Replace if collected => {
            Ok(Route::Staged)
        }
        WriteDisposition::Append => Ok(Route::Direct),
        WriteDisposition::Merge if !scd2 => Ok(Route::Staged),
        // Without knowing where the stream ends, rows that merely come later would be taken for gone.
        WriteDisposition::Merge | WriteDisposition::Replace => Err(Error::new(
            ErrorKind::Internal,
            format!("rows of the stream `{}` came without saying where it begins and ends", root.stream),
        )),
    }
}
