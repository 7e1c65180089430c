//! `events.parquet`: each column a text, but `index`, and the two times again as instants.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{Type, TypePtr};
use audit_event::Instant;
use audit_event::evidence::manifest::FileFact;
use audit_event::evidence::view::{COLUMNS, Row, SENTENCE};

use super::{Compared, FIRST};
use crate::section::Section;

/// The instants: the column of each, and that of its text.
const INSTANTS: [(&str, usize); 2] = [("received_at_utc", 1), ("time_utc", 2)];

const INDEX: usize = 0;

/// Rows of a row group.
const GROUP_ROWS: usize = 10_000;

/// Bytes of the cells of a row group, after which it ends earlier.
const GROUP_BYTES: usize = 32 * 1024 * 1024;

/// Rows that are read at a time.
const BATCH: usize = 256;

/// Columns and their types.
fn schema() -> Result<TypePtr, ParquetError> {
    let text = |name: &&str| {
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::String))
            .build()
    };
    let instant = |(name, _): &(&str, usize)| {
        Type::primitive_type_builder(name, Physical::INT64)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
            .build()
    };
    let index = Type::primitive_type_builder(COLUMNS[INDEX], Physical::INT64)
        .with_repetition(Repetition::REQUIRED)
        .build();
    let texts = COLUMNS[1..].iter().map(text);
    let columns = [index].into_iter().chain(texts).chain(INSTANTS.iter().map(instant));
    let columns = columns.map(|column| column.map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("events").with_fields(columns).build().map(Arc::new)
}

/// The cell of an instant: none where the text is not one.
fn micros(cells: &[Option<String>], column: usize) -> Option<i64> {
    let text = cells.get(column)?.as_deref()?;
    Some(Instant::parse_utc(text).ok()?.micros())
}

fn index_of(cells: &[Option<String>]) -> i64 {
    let index = cells.first().and_then(|cell| cell.as_deref()?.parse().ok());
    index.expect("every row has its index, which is below 2^63")
}

/// Writes rows in row groups, each held in memory until it is full.
pub(crate) struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Vec<Vec<Option<String>>>,
    bytes: usize,
    times_as_text: u64,
}

impl<W: Write + Send> Writer<W> {
    pub(crate) fn new(out: W) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_created_by("cairn".to_owned())
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        let file = schema().and_then(|it| SerializedFileWriter::new(out, it, Arc::new(properties)));
        let file = file.map_err(io::Error::from)?;
        Ok(Self { file, rows: Vec::new(), bytes: 0, times_as_text: 0 })
    }

    pub(crate) fn push(&mut self, row: Row) -> io::Result<()> {
        let cells = row.into_cells();
        self.bytes += cells.iter().flatten().map(String::len).sum::<usize>();
        let (_, time) = INSTANTS[1];
        let is_text_alone = cells[time].is_some() && micros(&cells, time).is_none();
        self.times_as_text += u64::from(is_text_alone);
        self.rows.push(cells);
        if self.rows.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes the rest and the footer. Says how many times stand as a text alone.
    pub(crate) fn finish(mut self) -> io::Result<(W, u64)> {
        if !self.rows.is_empty() {
            self.write_group()?;
        }
        Ok((self.file.into_inner()?, self.times_as_text))
    }

    fn write_group(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut group = self.file.next_row_group()?;
        let mut at = 0;
        while let Some(mut column) = group.next_column()? {
            if at == INDEX {
                let values: Vec<i64> = rows.iter().map(|cells| index_of(cells)).collect();
                column.typed::<Int64Type>().write_batch(&values, None, None)?;
            } else if let Some((_, of)) =
                at.checked_sub(COLUMNS.len()).and_then(|it| INSTANTS.get(it))
            {
                let (levels, values) = apart(rows.iter().map(|cells| micros(cells, *of)));
                column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
            } else {
                let cell = |cells: &Vec<Option<String>>| {
                    let text = cells.get(at)?.as_deref()?;
                    Some(ByteArray::from(text.as_bytes().to_vec()))
                };
                let (levels, values) = apart(rows.iter().map(cell));
                column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            }
            column.close()?;
            at += 1;
        }
        group.close()?;
        Ok(())
    }
}

impl<W: Write + Send> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// Levels say which of the values are there; the values stand without gaps.
fn apart<T>(cells: impl Iterator<Item = Option<T>>) -> (Vec<i16>, Vec<T>) {
    let mut levels = Vec::new();
    let values = cells.inspect(|cell| levels.push(i16::from(cell.is_some()))).flatten().collect();
    (levels, values)
}

/// Compares rows with events.
pub(crate) struct Reader {
    fact: FileFact,
    /// None once the file turned out to be another one, or damaged.
    file: Option<SerializedFileReader<Section<File>>>,
    /// Row groups begun.
    groups: usize,
    columns: Vec<ColumnReader>,
    /// Rows of the group that have not been read.
    left: usize,
    /// Rows that have been read, and not yet compared.
    batch: std::vec::IntoIter<Vec<Cell>>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Absent,
    Number(i64),
    Text(ByteArray),
}

impl Reader {
    pub(crate) fn new(section: Section<File>, fact: FileFact) -> Self {
        let file = guarded(|| SerializedFileReader::new(section));
        let is_ours = |file: &SerializedFileReader<_>| {
            schema().is_ok_and(|schema| has_columns(file, &schema))
        };
        let file = file.filter(is_ours);
        Self { fact, file, groups: 0, columns: Vec::new(), left: 0, batch: Vec::new().into_iter() }
    }

    pub(crate) fn next(&mut self, row: &Row) -> Compared {
        let Some(cells) = self.next_row() else { return FIRST };
        let expected = expected(row);
        let differs = |at: &usize| *at != SENTENCE && cells.get(*at) != expected.get(*at);
        Compared::of((0..expected.len()).find(differs).map(name_of))
    }

    pub(crate) fn end(mut self) -> (Compared, FileFact) {
        let was_open = self.file.is_some();
        let is_ended = self.next_row().is_none() && self.file.is_some();
        (if was_open && is_ended { Compared::Same } else { FIRST }, self.fact)
    }

    /// The next row; none at the end, and none if the file cannot be read, which closes it.
    fn next_row(&mut self) -> Option<Vec<Cell>> {
        loop {
            if let Some(cells) = self.batch.next() {
                return Some(cells);
            }
            let file = self.file.as_ref()?;
            if self.left == 0 {
                if self.groups >= file.num_row_groups() {
                    return None;
                }
                let group = self.groups;
                self.groups += 1;
                match guarded(|| open_group(file, group)) {
                    Some((columns, rows)) => (self.columns, self.left) = (columns, rows),
                    None => self.file = None,
                }
                continue;
            }
            let rows = self.left.min(BATCH);
            self.left -= rows;
            let columns = &mut self.columns;
            match guarded(|| read_batch(columns, rows)) {
                Some(batch) => self.batch = batch.into_iter(),
                None => self.file = None,
            }
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("groups", &self.groups).finish_non_exhaustive()
    }
}

/// Calls the library, which was made for files of friends: on a damaged file it may panic.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()?.ok()
}

/// Whether the columns are ours: names, types, order.
fn has_columns(file: &SerializedFileReader<Section<File>>, schema: &TypePtr) -> bool {
    let found = file.metadata().file_metadata().schema_descr().root_schema().get_fields();
    let is_same = |(found, ours): (&TypePtr, &TypePtr)| {
        found.is_primitive()
            && found.name() == ours.name()
            && found.get_physical_type() == ours.get_physical_type()
            && found.get_basic_info().repetition() != Repetition::REPEATED
            && found.get_basic_info().logical_type_ref() == ours.get_basic_info().logical_type_ref()
    };
    let ours = schema.get_fields();
    found.len() == ours.len() && found.iter().zip(ours).all(is_same)
}

fn open_group(
    file: &SerializedFileReader<Section<File>>,
    group: usize,
) -> Result<(Vec<ColumnReader>, usize), ParquetError> {
    let group = file.get_row_group(group)?;
    let columns = (0..group.num_columns()).map(|column| group.get_column_reader(column));
    let rows = usize::try_from(group.metadata().num_rows());
    let rows = rows.map_err(|error| ParquetError::External(Box::new(error)))?;
    Ok((columns.collect::<Result<_, _>>()?, rows))
}

/// Reads so many rows of every column, which stand in the result row by row.
fn read_batch(columns: &mut [ColumnReader], rows: usize) -> Result<Vec<Vec<Cell>>, ParquetError> {
    let mut batch = vec![Vec::with_capacity(columns.len()); rows];
    for column in columns {
        let (mut levels, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        let (read, _, _) = match column {
            ColumnReader::Int64ColumnReader(column) => {
                column.read_records(rows, Some(&mut levels), None, &mut numbers)?
            }
            ColumnReader::ByteArrayColumnReader(column) => {
                column.read_records(rows, Some(&mut levels), None, &mut texts)?
            }
            _ => (0, 0, 0),
        };
        let is_required = levels.is_empty();
        let mut values = numbers.into_iter().map(Cell::Number);
        let mut values = texts.into_iter().map(Cell::Text).chain(&mut values);
        for (at, row) in batch.iter_mut().enumerate().take(read) {
            let is_there = is_required || levels.get(at).is_some_and(|level| *level > 0);
            let value = if is_there { values.next() } else { None };
            row.push(value.unwrap_or(Cell::Absent));
        }
        if read != rows {
            return Err(ParquetError::EOF("a column ends before its rows do".to_owned()));
        }
    }
    Ok(batch)
}

/// The cells that an event has.
fn expected(row: &Row) -> Vec<Cell> {
    let number = |number: Option<i64>| number.map_or(Cell::Absent, Cell::Number);
    let text = |cell: &Option<String>| match cell {
        Some(text) => Cell::Text(text.as_bytes().to_vec().into()),
        None => Cell::Absent,
    };
    let texts = row.cells().iter().skip(1).map(text);
    let instants = INSTANTS.iter().map(|(_, of)| number(micros(row.cells(), *of)));
    [Cell::Number(index_of(row.cells()))].into_iter().chain(texts).chain(instants).collect()
}

fn name_of(column: usize) -> &'static str {
    let instant = || INSTANTS.get(column.checked_sub(COLUMNS.len())?).map(|(name, _)| *name);
    COLUMNS.get(column).copied().or_else(instant).unwrap_or("index")
}
