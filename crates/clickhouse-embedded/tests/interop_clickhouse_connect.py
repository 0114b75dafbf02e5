"""ClickHouse's official Python client against the embedded server, unchanged. Arguments: host, port."""

import datetime
import sys
import threading

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

host, port = sys.argv[1], int(sys.argv[2])


def connect(**options):
    return clickhouse_connect.get_client(host=host, port=port, username="default", password="it's \\ secret", **options)


client = connect()
assert client.server_version.startswith("26.7."), client.server_version
assert client.command("SELECT 1 + 1") == 2
client.command("CREATE TABLE t (a UInt64, s LowCardinality(String), n Nullable(Float64), d DateTime64(3), l Array(String)) "
               "ENGINE = MergeTree ORDER BY a")

rows = [[i, f"s{i % 7}", None if i % 3 else i / 2, datetime.datetime(2026, 1, 1, 0, 0, i % 60, 123000), ["x"] * (i % 4)] for i in range(10_000)]
columns = ["a", "s", "n", "d", "l"]
for compress in (False, "lz4", "zstd", "gzip"):
    packed = connect(compress=compress)
    summary = packed.insert("t", rows, column_names=columns)
    assert summary.written_rows == len(rows), summary.summary
    result = packed.query("SELECT a, s, n, l FROM t ORDER BY a LIMIT 5 BY s")
    assert result.row_count == 35, result.row_count
    assert result.summary["read_rows"] != "0", result.summary
    packed.close()
assert client.query("SELECT count(), uniqExact(a) FROM t").result_rows == [(40_000, 10_000)]

# Parameters, in the address and in a form.
query = "SELECT count() FROM t WHERE a < {limit:UInt64} AND s = {s:String}"
assert client.query(query, parameters={"limit": 70, "s": "s1"}).first_row == (40,)
formed = connect(form_encode_query_params=True)
assert formed.query(query, parameters={"limit": 70, "s": "s1"}).first_row == (40,)

# Tables sent along.
external = ExternalData(file_name="ext", fmt="CSV", structure=["k UInt64", "v String"], data=b"1,one\n2,two\n")
assert client.query("SELECT v FROM ext ORDER BY k", external_data=external).result_rows == [("one",), ("two",)]

# Settings, for one query and for the client.
assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 3}).first_row == (3,)
assert connect(settings={"max_threads": 5}).query("SELECT getSetting('max_threads')").first_row == (5,)

# Sessions are on by default: a temporary table stays.
client.command("CREATE TEMPORARY TABLE kept (a UInt8)")
client.insert("kept", [[1], [2]], column_names=["a"])
assert client.query("SELECT sum(a) FROM kept").first_row == (3,)

# Streams, large results, raw formats.
with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(1000000)") as stream:
    assert sum(len(block) for block in stream) == 1_000_000
assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
client.raw_insert("t", column_names=["a", "s"], insert_block=b"777777,raw\n", fmt="CSV")
assert client.query("SELECT s FROM t WHERE a = 777777").first_row == ("raw",)
client.query("SELECT * FROM t LIMIT 0")

# Errors, before and in the middle of a result.
for text, code in (("SELECT * FROM nosuch", 60), ("SELEC", 62), ("SELECT throwIf(1)", 395)):
    try:
        client.query(text)
        raise AssertionError(text)
    except ClickHouseError as error:
        assert f"code: {code}" in str(error) or f"Code: {code}" in str(error), error
for compress in (False, "lz4"):
    try:
        connect(compress=compress).query("SELECT number, throwIf(number = 5000000) FROM numbers(10000000) SETTINGS max_block_size = 65536")
        raise AssertionError("a late exception went unseen")
    except ClickHouseError as error:
        assert "395" in str(error), error
try:
    clickhouse_connect.get_client(host=host, port=port, username="default", password="wrong")
    raise AssertionError("a wrong password was taken")
except ClickHouseError as error:
    assert "516" in str(error), error

# Several clients at once.
failures = []


def work(number):
    try:
        own = connect()
        for _ in range(20):
            assert own.query("SELECT {n:UInt32}, sum(number) FROM numbers(1000)", parameters={"n": number}).first_row == (number, 499500)
    except Exception as error:  # noqa: BLE001 - reported below
        failures.append(error)


threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
print("all good")
