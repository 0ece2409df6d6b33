"""A file that is written whole or not at all.

Here belongs how its content takes the old one's place. Not here: what is in it.
"""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Put a file in the place of an old one, if there is one; what it holds survives a loss of power.

    Args:
        path: Where, in a folder that is there.
        content: All of it.
        private: Readable for its owner alone; else the file has the rights of any new one.

    Raises:
        OSError: It cannot be written; the old one is as it was.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        try:
            draft.write(content)
            if not private:
                # The draft is made for its owner alone.
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(draft.name, 0o666 & ~umask)
            draft.flush()
            os.fsync(draft.fileno())
            os.replace(draft.name, path)
        except BaseException:
            os.unlink(draft.name)
            raise
