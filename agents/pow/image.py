"""The miner's image: FROM scratch, one static program, no registry.

Importing this module imports the docker package.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import docker
from docker.errors import BuildError, ImageNotFound

from mint.containers.docker_api import DOCKER_FAILURES
from mint.errors import MachineError

REPOSITORY = "mint-miner"
NOBODY = "65534:65534"
DOCKERFILE = f"""\
FROM scratch
LABEL org.opencontainers.image.title="MinT proof-of-work miner" org.opencontainers.image.licenses="Apache-2.0"
COPY miner /miner
USER {NOBODY}
ENTRYPOINT ["/miner"]
"""


def build_image(client: docker.DockerClient, program: Path) -> str:
    """The id ("sha256:...") of the image that holds `program`; built only if the engine does not have it yet.

    Raises:
        MachineError: the engine cannot build it.
    """
    content = program.read_bytes()
    tag = f"{REPOSITORY}:{hashlib.sha256(DOCKERFILE.encode() + content).hexdigest()[:16]}"
    try:
        image = client.images.get(tag)
    except ImageNotFound:
        try:
            image, _ = client.images.build(fileobj=_context(content), custom_context=True, tag=tag, rm=True)
        except (*DOCKER_FAILURES, BuildError) as error:
            raise MachineError(f"Docker could not build {tag} ({error})", "see dockerd's log") from error
    except DOCKER_FAILURES as error:
        raise MachineError(f"Docker does not answer ({error})", "see that dockerd runs") from error
    return str(image.id)


def _context(program: bytes) -> io.BytesIO:
    """A build context of the two files, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content, mode in (("Dockerfile", DOCKERFILE.encode(), 0o644), ("miner", program, 0o755)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer
