#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Validates JSON Lines on stdin against a schema. Exit status 77: python3-jsonschema is not installed."""
import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(77)


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        schema = json.load(f)
    check = jsonschema.Draft202012Validator
    check.check_schema(schema)
    # a record is held against its own type's schema, so that an error says what is wrong in it
    by_type = {s["properties"]["type"]["const"]: check({**s, "$defs": schema["$defs"]}) for s in schema["oneOf"]}
    bad = 0
    n = 0
    for n, line in enumerate(sys.stdin.buffer, 1):
        record = json.loads(line.decode("utf-8"), parse_constant=no_constant)
        for e in by_type[record["type"]].iter_errors(record):
            print(f"line {n}: {'/'.join(map(str, e.absolute_path))}: {e.message[:200]}")
            bad += 1
    if not n:
        print("no records")
    return 1 if bad or not n else 0


sys.exit(main())
