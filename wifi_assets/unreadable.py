"""What a lake that cannot be read or written raises, and the one sentence that says so.

Here belongs which errors mean the lake's place (its disk, its object store, the rights there) rather than a mistake
of whoever asks. Not here: what follows from it; each caller knows that.
"""

import re

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from wifi_assets.lake import Lake, LakeError

#: An object store's refusals are OSErrors too, and DuckDB reads through Arrow.
UNREADABLE = (LakeError, DeltaError, duckdb.Error, pa.ArrowException, OSError)
#: Colours and stack in the errors of Delta.
_ADORNMENT = re.compile(r"\x1b\[\d+m|\n +0: .*", re.DOTALL)


def unreadable(lake: Lake, error: Exception, asked: str = "read") -> str:
    """The sentence, with the lake's address and the cause.

    Args:
        lake: Which.
        error: One of ``UNREADABLE``.
        asked: What was to be done with it, as a participle.
    """
    # A LakeError names its table and what to do by itself.
    remedy = "" if isinstance(error, LakeError) else "; look at WIFI_LAKE, its disk and your rights there"
    return f"the lake at {lake.url} cannot be {asked}: {' '.join(_ADORNMENT.sub('', str(error)).split())}{remedy}"
