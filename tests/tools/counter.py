#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""counter.py DATABASE JOURNAL_MODE COUNT: counts up in an SQLite database, COUNT transactions, waiting for whoever else does so.
Exits 1 when the database is damaged."""
import sqlite3
import sys

NAME, MODE, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(NAME, timeout=60, isolation_level=None)
if db.execute(f"pragma journal_mode={MODE}").fetchone()[0] != MODE:
    sys.exit(f"{NAME}: no journal of this kind: {MODE}")
db.execute("create table if not exists counter (id integer primary key, n integer)")
db.execute("insert or ignore into counter values (1, 0)")
for _ in range(COUNT):
    db.execute("begin immediate")
    n = db.execute("select n from counter").fetchone()[0]
    db.execute("update counter set n = ?", (n + 1,))
    db.execute("commit")
if db.execute("pragma integrity_check").fetchone()[0] != "ok":
    sys.exit(f"{NAME}: damaged")
print(db.execute("select n from counter").fetchone()[0])
