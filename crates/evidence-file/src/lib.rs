//! Evidence files on disk: folders, zip archives, Parquet.
