"""How `ctl` shows things: results on stdout, all prose on stderr."""
