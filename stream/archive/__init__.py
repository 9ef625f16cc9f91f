"""The archive: the topic of behaviour events as a folder of Parquet by day, each event in it once."""
