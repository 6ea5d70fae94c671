"""Text read from a stream, as standard input is; files are tested with the corpora."""

import io

import pytest

from wae_rnf_jax.data.text import text_records
from wae_rnf_jax.errors import InputError


def test_a_stream_reads_as_a_file_does(tmp_path):
    content = "\ufeffa dog\r\n\nthe\u2028cat".encode()
    (tmp_path / "text.txt").write_bytes(content)
    records = list(text_records(io.BytesIO(content), label="none"))
    assert records == list(text_records(tmp_path / "text.txt", label="none"))
    assert [record.text.split() for record in records] == [["a", "dog"], [], ["the", "cat"]]


@pytest.mark.parametrize(
    "content, message",
    [(b"a\n\xff", ":2: not UTF-8"), (b"a <bos>", ":1: the word <bos>"), (b"\0", ":1: a NUL byte")],
)
def test_a_bad_stream_is_told_by_line(content, message):
    with pytest.raises(InputError, match=f"standard input{message}"):
        list(text_records(io.BytesIO(content), label="none"))
