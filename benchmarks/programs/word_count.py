"""Count words of a file, or of all files in a directory."""

from pathlib import Path

import engine.operators as op
from benchmarks.programs.functions import INPUT, OUTPUT, as_line, itself, split
from engine.connectors.files import DirSource, FileSink, FileSource
from engine.dataflow import Dataflow

source = DirSource(Path(INPUT)) if Path(INPUT).is_dir() else FileSource(Path(INPUT))

flow = Dataflow("word_count")
lines = op.input("lines", flow, source)
words = op.flat_map("words", lines, split)
counts = op.count_final("count", words, itself)
text = op.map("text", counts, as_line)
op.output("out", text, FileSink(Path(OUTPUT)))
