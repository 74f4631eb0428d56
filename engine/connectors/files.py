"""Sources and sinks of text files, which are UTF-8 whatever the locale of a host."""

from engine.connectors.csv_source import CSVSource
from engine.connectors.file_sinks import DirSink, FileSink
from engine.connectors.file_sources import DirSource, FileSource

__all__ = ["CSVSource", "DirSink", "DirSource", "FileSink", "FileSource"]
