//! The views of a file that is being made. Each is written beside, because the archive takes one file
//! after the other.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use audit_event::evidence::manifest::FileFact;
use audit_event::evidence::view::Row;

use super::output::Output;
use super::{Options, WriteError};
use crate::digest::Digesting;
use crate::views::csv::{self, Csv};
use crate::views::{CSV, JSON, PARQUET, json, parquet};

type Aside = BufWriter<Digesting<File>>;

/// A view that is done: its name, what the manifest says of it, and its bytes from the first on.
pub(super) type Done = (&'static str, FileFact, File);

/// The views that were asked for.
#[derive(Debug, Default)]
pub(super) struct Views {
    csv: Option<(Csv, Aside)>,
    json: Option<(Aside, bool)>,
    parquet: Option<parquet::Writer<Aside>>,
    wanted: Vec<&'static str>,
}

impl Views {
    pub(super) fn new(output: &Output, options: Options) -> Result<Self, WriteError> {
        let failed = |source| output.failed(source);
        let aside = || Ok(BufWriter::with_capacity(1 << 16, Digesting::new(output.aside()?)));
        let mut views = Self::default();
        if let Some(form) = options.csv {
            let mut out = aside().map_err(failed)?;
            csv::write_head(&mut out, form).map_err(failed)?;
            views.csv = Some((form, out));
            views.wanted.push(CSV);
        }
        if options.json {
            views.json = Some((aside().map_err(failed)?, true));
            views.wanted.push(JSON);
        }
        if options.parquet {
            let out = aside().map_err(failed)?;
            views.parquet = Some(parquet::Writer::new(out).map_err(failed)?);
            views.wanted.push(PARQUET);
        }
        Ok(views)
    }

    pub(super) fn are_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.wanted.clone()
    }

    pub(super) fn push(&mut self, row: Row) -> io::Result<()> {
        if let Some((form, out)) = &mut self.csv {
            csv::write_row(out, *form, &row)?;
        }
        if let Some((out, is_first)) = &mut self.json {
            json::write_row(out, std::mem::take(is_first), &row)?;
        }
        if let Some(parquet) = &mut self.parquet {
            parquet.push(row)?;
        }
        Ok(())
    }

    /// Ends the views. Says how many times stand in Parquet as a text alone.
    pub(super) fn finish(&mut self) -> io::Result<(Vec<Done>, u64)> {
        let (mut all, mut times_as_text) = (Vec::new(), 0);
        if let Some((_, out)) = self.csv.take() {
            all.push(done(CSV, out)?);
        }
        if let Some((mut out, is_empty)) = self.json.take() {
            json::write_end(&mut out, is_empty)?;
            all.push(done(JSON, out)?);
        }
        if let Some(parquet) = self.parquet.take() {
            let (out, count) = parquet.finish()?;
            times_as_text = count;
            all.push(done(PARQUET, out)?);
        }
        Ok((all, times_as_text))
    }
}

fn done(name: &'static str, mut out: Aside) -> io::Result<Done> {
    out.flush()?;
    let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let (fact, mut file) = out.finish();
    file.seek(SeekFrom::Start(0))?;
    Ok((name, fact, file))
}
