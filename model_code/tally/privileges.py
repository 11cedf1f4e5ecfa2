"""Root only for the first moment of a container.

SageMaker expects images to start as root ("Create your container so that it uses only root users", its guide to
inference code) and mounts the directories a job writes as root's; an image with a USER fails there. So the image starts
as root, hands those directories to the user that `TALLY_USER` names, and becomes that user before anything is read.
"""

import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from tally.errors import TallyError

USER_VARIABLE = "TALLY_USER"


def drop_privileges(writable: Iterable[Path]) -> None:
    """Become `$TALLY_USER` for good, after giving it the directories `writable` and the mounts right below them.

    Nothing happens without the variable (a laptop) or for a process that is not root. Raises TallyError when the user
    does not exist or a directory cannot be handed over.
    """
    name = os.environ.get(USER_VARIABLE)
    if not name or os.geteuid() != 0:
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise TallyError(f"{USER_VARIABLE} is '{name}', a user that this image does not have; add it to it") from None
    try:
        for directory in writable:
            directory.mkdir(parents=True, exist_ok=True)
            for place in (directory, *directory.iterdir()):
                if place.is_dir() and not place.is_symlink():
                    os.chown(place, user.pw_uid, user.pw_gid)
    except OSError as error:
        raise TallyError(f"'{error.filename}' cannot be handed to the user '{name}' ({error.strerror})") from error
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ |= {"HOME": user.pw_dir, "USER": name}
