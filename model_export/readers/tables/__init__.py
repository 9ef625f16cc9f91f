"""Tables on disk as DuckDB's views: delimited text, JSON, Parquet, Arrow and spreadsheets, in one file or many."""
